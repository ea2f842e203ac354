//! NVIDIA Dynamo's profiling results (components/planner, `perf_interpolation.py`): tables that its planner interpolates in, and
//! arguments for its mock engine.

use coldstart_decisions::emulation::InterpolationTables;
use coldstart_decisions::measured::{ByHand, Fleet};
use coldstart_decisions::rollout::Rollout;
use coldstart_profiles::{Phase, Profile};
use serde_json::{Value, json};

use super::error::cut;
use super::kubernetes::{explained, manifest};
use super::{ExportError, ExportSettings, Exported, ExportedFile};

const NAME: &str = "dynamo";

/// A directory of three files. Neither the planner nor the mock engine knows further keys, so what they rest on stands in a file of
/// its own.
pub(super) fn export(name: &str, profile: &Profile, _: &ExportSettings) -> Result<Exported, ExportError> {
    let file = cut(name);
    let lacks = |why: String| ExportError::Lacks {
        target: NAME,
        profile: file.clone(),
        phase: Phase::Throughput,
        why,
    };
    if profile.target.cluster.is_some() {
        let why = "it holds cold starts of pods only, and the tables are of service times: export a profile that \
                   `coldstart run --model DIR` measured on such a node";
        return Err(lacks(why.to_owned()));
    }
    let fleet =
        Fleet::of(&[(name, profile)], &ByHand::default(), true).map_err(|error| lacks(error.to_string()))?;
    let measured = fleet.class(None).map_err(|error| lacks(error.to_string()))?;
    let tables = InterpolationTables::of(profile, &measured.memory).map_err(|missing| lacks(missing.why))?;
    let rollout =
        Rollout::of(profile).ok_or_else(|| ExportError::missing(NAME, (name, profile), Phase::FirstBatch))?;
    let start = &rollout.start_hi_ns;
    let column = |of: &dyn Fn(&coldstart_decisions::emulation::DecodeRow) -> f64| -> Vec<f64> {
        tables.decode.iter().map(of).collect()
    };
    let prefill = json!({
        "prefill_isl": tables.prefill.iter().map(|row| row.tokens).collect::<Vec<_>>(),
        "prefill_ttft": tables.prefill.iter().map(|row| row.time_ns.as_millis_f64()).collect::<Vec<_>>(),
        "prefill_thpt_per_gpu": tables.prefill.iter().map(|row| row.tokens_per_s_per_device).collect::<Vec<_>>(),
    });
    let decode = json!({
        "x_kv_usage": column(&|row| row.kv_share),
        "y_context_length": tables.decode.iter().map(|row| row.context).collect::<Vec<_>>(),
        "z_itl": column(&|row| row.time_ns.as_millis_f64()),
        "z_thpt_per_gpu": column(&|row| row.tokens_per_s_per_device),
        "max_kv_tokens": tables.most_kv_tokens.value,
    });
    let engine = json!({"startup_time": start.value.as_secs_f64(), "planner_profile_data": "."});
    let origin = json!({
        "profile": file,
        "started_at": cut(&profile.started_at),
        "tool": cut(&format!("{} {}", profile.tool.name, profile.tool.version)),
        "startup_time": cut(&explained(start.value, &start.basis)),
        "max_kv_tokens": cut(&explained(tables.most_kv_tokens.value, &tables.most_kv_tokens.basis)),
        "prefill": "median of single prompts; tokens per second of one device",
        "decode": "median of decode steps; share = batch × context ÷ max_kv_tokens",
    });
    let of = |name: &str, value: &Value| ExportedFile { name: name.to_owned(), contents: manifest(value) };
    Ok(Exported::Directory(vec![
        of("prefill_raw_data.json", &prefill),
        of("decode_raw_data.json", &decode),
        of("engine_args.json", &engine),
        of("origin.json", &origin),
    ]))
}
