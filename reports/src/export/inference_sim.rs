//! llm-d-inference-sim's configuration (<https://github.com/llm-d/llm-d-inference-sim>): a server without a GPU that answers as
//! fast as the measured replica.

use coldstart_decisions::Figure;
use coldstart_decisions::emulation::{LatencyModel, simulated};
use coldstart_profiles::{Nanos, Phase, Profile};

use super::kubernetes::{explained, go_duration};
use super::{ExportError, ExportSettings, Exported};
use crate::style::obeyed;

const NAME: &str = "inference-sim";
/// Longer names are none that anybody serves a model under.
const LONGEST_MODEL: usize = 1000;
/// Where deviations come from.
const DEVIATION: &str = "1.4826 × MAD, at most 30 % of its base";

/// A YAML file with comments on where each number comes from.
pub(super) fn export(
    name: &str,
    profile: &Profile,
    settings: &ExportSettings,
) -> Result<Exported, ExportError> {
    let file = super::error::cut(name);
    let model = LatencyModel::of(profile).map_err(|missing| ExportError::Lacks {
        target: NAME,
        profile: file.clone(),
        phase: Phase::Throughput,
        why: missing.why,
    })?;
    let rollout = coldstart_decisions::rollout::Rollout::of(profile)
        .ok_or_else(|| ExportError::missing(NAME, (name, profile), Phase::FirstBatch))?;
    let source = profile.target.model.as_ref().map(|model| model.source.as_str());
    let served = settings.model_name.as_deref().or(source).filter(|name| !name.trim().is_empty());
    if served.is_some_and(|name| name.len() > LONGEST_MODEL) {
        let why = "the name of its model is longer than 1000 bytes, as no server has it: give one with --model-name";
        return Err(ExportError::Refused { target: NAME, profile: file, why: why.to_owned() });
    }
    let mut lines = Lines(vec![
        comment(&format!(
            "{file} of {} by {} {}",
            profile.started_at, profile.tool.name, profile.tool.version
        )),
        format!("model: {}", yaml_string(served.unwrap_or("model"))),
        format!("port: {}", settings.port),
    ]);
    lines.set("max-num-seqs", model.most_sequences.to_string(), "the largest batch of the sweep");
    lines.time("startup-duration", &rollout.start_hi_ns);
    let per_token = "prefill-overhead and prefill-time-per-token, not one time for every prompt";
    lines.set("latency-calculator", "per-token".to_owned(), per_token);
    lines.time("prefill-overhead", &model.prefill_overhead_ns);
    lines.time("prefill-time-per-token", &model.prefill_per_token_ns);
    lines.set("prefill-time-std-dev", quoted(model.prefill_deviation_ns), DEVIATION);
    lines.time("inter-token-latency", &model.inter_token_ns);
    lines.set("inter-token-latency-std-dev", quoted(model.inter_token_deviation_ns), DEVIATION);
    let factor = &model.load_factor;
    lines.set(
        "time-factor-under-load",
        format!("{:?}", (factor.value * 1e3).round() / 1e3),
        &explained(format!("{:.3}", factor.value), &factor.basis),
    );
    Ok(Exported::File(format!("{}\n", lines.0.join("\n"))))
}

/// Settings in YAML, above each a comment that says where it comes from.
struct Lines(Vec<String>);

impl Lines {
    fn set(&mut self, key: &str, value: String, why: &str) {
        self.0.extend([comment(why), format!("{key}: {value}")]);
    }

    fn time(&mut self, key: &str, time: &Figure<Nanos>) {
        self.set(key, quoted(time.value), &explained(time.value, &time.basis));
    }
}

/// A comment: YAML takes only what can be printed there, and has no escapes for the rest.
fn comment(text: &str) -> String {
    let text = super::error::cut(&format!("# {text}"));
    text.chars().map(|c| if is_printable(c) { c } else { '\u{fffd}' }).collect()
}

/// A duration of whole microseconds, as a string.
fn quoted(time: Nanos) -> String {
    yaml_string(&go_duration(simulated(time)))
}

/// A string between double quotes (YAML 1.2, 7.3.1). JSON's would not do: its escapes of what lies beyond U+FFFF are halves of
/// surrogate pairs, which YAML refuses.
fn yaml_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match u32::from(c) {
            _ if c == '"' || c == '\\' => quoted.extend(['\\', c]),
            _ if is_printable(c) && !obeyed(c) && !c.is_control() => quoted.push(c),
            code @ ..=0xff => quoted.push_str(&format!("\\x{code:02x}")),
            code @ ..=0xffff => quoted.push_str(&format!("\\u{code:04x}")),
            code => quoted.push_str(&format!("\\U{code:08x}")),
        }
    }
    quoted.push('"');
    quoted
}

/// What a stream of YAML may hold (YAML 1.2, 5.1).
fn is_printable(c: char) -> bool {
    matches!(c, '\t' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
