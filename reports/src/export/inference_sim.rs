//! llm-d-inference-sim's configuration (<https://github.com/llm-d/llm-d-inference-sim>): a server without a GPU that answers as
//! fast as the measured replica.

use coldstart_decisions::Figure;
use coldstart_decisions::emulation::{LatencyModel, simulated};
use coldstart_profiles::{Nanos, Phase, Profile};
use serde_json::json;

use super::kubernetes::{explained, go_duration};
use super::{ExportError, ExportSettings, Exported};
use crate::style::harmless_json;

const NAME: &str = "inference-sim";
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
    let served = settings
        .model_name
        .clone()
        .or_else(|| profile.target.model.as_ref().map(|model| model.source.clone()));
    let mut lines = Lines(vec![
        comment(&format!(
            "{file} of {} by {} {}",
            profile.started_at, profile.tool.name, profile.tool.version
        )),
        // A string of JSON is one of YAML, whatever it holds.
        format!("model: {}", json!(served.unwrap_or_else(|| "model".to_owned()))),
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
    // Strings are quoted as JSON quotes them, which YAML reads as well; so are the escapes of what a terminal would obey.
    Ok(Exported::File(harmless_json(&format!("{}\n", lines.0.join("\n")))))
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

fn comment(text: &str) -> String {
    super::error::cut(&format!("# {text}"))
}

/// A duration of whole microseconds, as a string.
fn quoted(time: Nanos) -> String {
    json!(go_duration(simulated(time))).to_string()
}
