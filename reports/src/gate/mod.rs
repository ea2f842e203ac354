//! Verdicts of the gate for people and for CI.

mod annotations;
mod history;
mod junit;
mod markdown;
mod terminal;

pub use annotations::gate_annotations;
pub use history::{history_markdown, history_table};
pub use junit::gate_junit;
pub use markdown::gate_markdown;
pub use terminal::{calibration, gate_table};

use coldstart_decisions::gate::{Evidence, KeyVerdict, Metric};
use coldstart_profiles::Nanos;

/// A value of a metric: a time, or a ratio.
fn value(metric: Metric, value: f64) -> String {
    if metric.is_time() { Nanos::from_nanos_f64(value).to_string() } else { format!("{value:.2} ×") }
}

/// `+12.3 %`.
fn change(ratio: f64) -> String {
    format!("{:+.1} %", (ratio - 1.0) * 100.0)
}

/// The interval of the change, where there is one.
fn interval(evidence: &Evidence) -> String {
    match evidence.ratio_interval {
        Some((low, high)) => format!("{} to {}", change(low), change(high)),
        None => String::new(),
    }
}

/// The judgement with what qualifies it: `slower (advisory)`.
fn judgement(verdict: &KeyVerdict) -> String {
    let name = verdict.judgement.name();
    let ceiling = if verdict.above_ceiling { ", above its ceiling" } else { "" };
    if verdict.advisory { format!("{name} (advisory){ceiling}") } else { format!("{name}{ceiling}") }
}

/// Why there is no plain answer, in words; empty where there is one.
fn why(verdict: &KeyVerdict) -> &str {
    verdict.judgement.why().unwrap_or_default()
}
