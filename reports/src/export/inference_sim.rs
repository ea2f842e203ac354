//! llm-d-inference-sim's configuration (<https://github.com/llm-d/llm-d-inference-sim>): a server without a GPU that answers as
//! fast as the measured replica.

use coldstart_decisions::emulation::{LatencyModel, simulated};
use coldstart_profiles::{Nanos, Phase, Profile};
use serde_json::json;

use super::kubernetes::{explained, go_duration};
use super::{ExportError, ExportSettings, Exported};
use crate::style::harmless_json;

const NAME: &str = "inference-sim";

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
    let start = &rollout.start_hi_ns;
    let text = |line: String| super::error::cut(&line);
    let mut lines = vec![
        text(format!("# {file} of {} by {} {}", profile.started_at, profile.tool.name, profile.tool.version)),
        // A string of JSON is one of YAML, whatever it holds.
        format!("model: {}", json!(served.unwrap_or_else(|| "model".to_owned()))),
        format!("port: {}", settings.port),
    ];
    let mut line = |key: &str, value: String, why: &str| {
        lines.push(text(format!("# {why}")));
        lines.push(format!("{key}: {value}"));
    };
    line("max-num-seqs", model.most_sequences.to_string(), "the largest batch of the sweep");
    line("startup-duration", quoted(start.value), &explained(start.value, &start.basis));
    line(
        "latency-calculator",
        "per-token".to_owned(),
        "prefill-overhead and prefill-time-per-token, not one time for every prompt",
    );
    let per_token = &model.prefill_per_token_ns;
    line(
        "prefill-overhead",
        quoted(model.prefill_overhead_ns.value),
        &explained(model.prefill_overhead_ns.value, &model.prefill_overhead_ns.basis),
    );
    line("prefill-time-per-token", quoted(per_token.value), &explained(per_token.value, &per_token.basis));
    line(
        "prefill-time-std-dev",
        quoted(model.prefill_deviation_ns),
        "1.4826 × MAD, at most 30 % of its base",
    );
    let inter = &model.inter_token_ns;
    line("inter-token-latency", quoted(inter.value), &explained(inter.value, &inter.basis));
    line(
        "inter-token-latency-std-dev",
        quoted(model.inter_token_deviation_ns),
        "1.4826 × MAD, at most 30 % of its base",
    );
    let factor = &model.load_factor;
    line(
        "time-factor-under-load",
        format!("{:?}", (factor.value * 1e3).round() / 1e3),
        &explained(format!("{:.3}", factor.value), &factor.basis),
    );
    // Strings are quoted as JSON quotes them, which YAML reads as well; so are the escapes of what a terminal would obey.
    Ok(Exported::File(harmless_json(&format!("{}\n", lines.join("\n")))))
}

/// A duration of whole microseconds, as a string.
fn quoted(time: Nanos) -> String {
    json!(go_duration(simulated(time))).to_string()
}
