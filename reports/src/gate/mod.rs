//! Verdicts of the gate for people and for CI.

mod annotations;
mod calibration;
mod history;
mod junit;
mod markdown;
mod names;
mod terminal;

pub use annotations::gate_annotations;
pub use calibration::calibration;
pub use history::{history_markdown, history_table};
pub use junit::gate_junit;
pub use markdown::gate_markdown;
pub use terminal::gate_table;

use coldstart_decisions::gate::{Evidence, Judgement, KeyVerdict, Metric, OnInconclusive, Verdict};
use coldstart_profiles::Nanos;

/// A value of a metric: a time, or a ratio.
fn value(metric: Metric, value: f64) -> String {
    if metric.is_time() { Nanos::from_nanos_f64(value).to_string() } else { format!("{value:.2} ×") }
}

/// `+12.3 %`; `×174` from ten times on, which percent would hide behind digits.
fn change(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 10.0 && ratio.is_finite() => format!("×{ratio:.0}"),
        ratio => format!("{:+.1} %", (ratio - 1.0) * 100.0),
    }
}

/// The interval of the change, where there is one.
fn interval(evidence: &Evidence) -> String {
    match evidence.ratio_interval {
        Some((low, high)) => format!("{} to {}", change(low), change(high)),
        None => String::new(),
    }
}

/// The difference of the medians with its sign.
fn difference(key: &KeyVerdict, evidence: &Evidence) -> String {
    let sign = if evidence.difference < 0.0 { '-' } else { '+' };
    let size = evidence.difference.abs();
    match key.key.metric.is_time() {
        true => format!("{sign}{}", Nanos::from_nanos_f64(size)),
        false => format!("{sign}{size:.2}"),
    }
}

/// A probability; below a thousandth there is no more to say.
fn chance(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// The reasons that are not those of a single comparison, which stands in the table with its own.
fn own_reasons(verdict: &Verdict) -> impl Iterator<Item = &str> {
    let of_a_key = |at: usize| verdict.reason_keys.get(at).is_some_and(Option::is_some);
    let reasons = verdict.reasons.iter().enumerate();
    reasons.filter(move |(at, _)| !of_a_key(*at)).map(|(_, reason)| reason.as_str())
}

/// Whether a comparison stands out: what decides and is not simply the same or let pass.
fn is_told(key: &KeyVerdict) -> bool {
    match &key.judgement {
        _ if key.above_ceiling => true,
        Judgement::Missing { .. } => key.required,
        Judgement::Incomparable { .. } => true,
        _ if key.advisory => false,
        Judgement::Same => false,
        Judgement::Faster | Judgement::Slower => true,
        Judgement::Inconclusive { .. } => key.on_inconclusive == OnInconclusive::Fail,
    }
}

/// The judgement with what qualifies it: `slower (advisory)`.
fn judgement(verdict: &KeyVerdict) -> String {
    let name = verdict.judgement.name();
    let ceiling = if verdict.above_ceiling { ", above its ceiling" } else { "" };
    if verdict.advisory { format!("{name} (advisory){ceiling}") } else { format!("{name}{ceiling}") }
}

/// `the ceiling is 20.0 s, its p99 24.1 s`, of what is above it.
fn ceiling(verdict: &KeyVerdict) -> Option<String> {
    let ceiling = Nanos::from_nanos_f64(verdict.ceiling_ns.filter(|_| verdict.above_ceiling)?);
    let held = verdict.held_ns.map_or_else(String::new, |held| {
        format!(", its {} {}", verdict.statistic.name(), Nanos::from_nanos_f64(held))
    });
    Some(format!("the ceiling is {ceiling}{held}"))
}

/// Why there is no plain answer, in words; empty where there is one.
fn why(verdict: &KeyVerdict) -> &str {
    verdict.judgement.why().unwrap_or_default()
}
