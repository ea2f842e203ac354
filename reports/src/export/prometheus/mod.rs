//! OpenMetrics text (<https://prometheus.io/docs/specs/om/open_metrics_spec/>) that the Prometheus text format 0.0.4 reads as
//! well: gauges only, no timestamps, which the textfile collector of node_exporter refuses.

mod exposition;

use coldstart_profiles::{Outcome, Params, Profile, RunState, Summary, Work};

use super::error::cut;
use super::{ExportError, Exported, Named};
use exposition::{Exposition, Labels};

const NAME: &str = "prometheus";

/// Profiles as metrics. Of several, every metric is labelled with the profile's name.
pub(super) fn export(profiles: &Named<'_>) -> Result<Exported, ExportError> {
    let several = profiles.len() > 1;
    let mut metrics = Exposition::default();
    for (name, profile) in profiles {
        let base = if several { Labels::default().with("profile", name) } else { Labels::default() };
        run(&mut metrics, &base, profile);
        times(&mut metrics, &base, profile);
        rates(&mut metrics, &base, profile);
        sweep(&mut metrics, &base, profile);
        sizes(&mut metrics, &base, profile);
    }
    if let Some(what) = metrics.twice() {
        return Err(ExportError::Twice { target: NAME, what: cut(&what), remedy: "give each profile once" });
    }
    metrics.text().map(Exported::File).map_err(|why| ExportError::Refused {
        target: NAME,
        profile: profiles.iter().map(|(name, _)| cut(name)).collect::<Vec<_>>().join(", "),
        why,
    })
}

/// What was run, when, and how far it came.
fn run(metrics: &mut Exposition, base: &Labels, profile: &Profile) {
    let target = &profile.target;
    let named = |name: &Option<String>| name.clone().unwrap_or_default();
    let info = base
        .clone()
        .with("host", &target.host.name)
        .with("device", &target.device.name)
        .with("model", &named(&target.model.as_ref().map(|model| model.source.clone())))
        .with("image", &named(&target.image.as_ref().map(|image| image.reference.clone())))
        .with("version", &profile.tool.version)
        .with("method", &profile.tool.method.to_string())
        .with("stand_in", if target.device.stand_in { "true" } else { "false" });
    metrics.push("profile_info", "", "What was measured, and by which version.", info, 1.0);
    if let Ok(started) = profile.started_at.parse::<jiff::Timestamp>() {
        let seconds = started.as_second() as f64;
        metrics.push("run_started_timestamp", "seconds", "When the run began.", base.clone(), seconds);
    }
    let elapsed = profile.elapsed_ns.as_secs_f64();
    metrics.push("run", "seconds", "Time that the run took.", base.clone(), elapsed);
    let complete = f64::from(u8::from(profile.state == RunState::Complete));
    metrics.push("run_complete", "", "Whether every step of the run was done.", base.clone(), complete);
    for caveat in &profile.caveats {
        let labels = base.clone().with("code", &caveat.code);
        metrics.push_once("caveat", "", "What a reader must know before trusting a number.", labels, 1.0);
    }
    for row in &profile.measurements {
        let outcome = match &row.outcome {
            Outcome::Measured { .. } => continue,
            Outcome::Skipped { .. } => "skipped",
            Outcome::Failed { .. } => "failed",
        };
        let labels = of(base, &row.key.params)
            .with("phase", row.key.phase.name())
            .with("clock", row.key.clock.name())
            .with("outcome", outcome);
        metrics.push("phase_not_measured", "", "A phase without a time, and how it ended.", labels, 1.0);
    }
}

/// Times of phases and of whole cold starts.
fn times(metrics: &mut Exposition, base: &Labels, profile: &Profile) {
    for row in &profile.measurements {
        let Some((_, summary)) = row.outcome.as_measured() else { continue };
        let labels =
            of(base, &row.key.params).with("phase", row.key.phase.name()).with("clock", row.key.clock.name());
        push_summary(metrics, "phase", "Time of one phase of a cold start.", &labels, summary);
    }
    for total in &profile.totals {
        let Some((_, summary)) = total.outcome.as_measured() else { continue };
        let labels =
            of(base, &total.params).with("kind", total.kind.name()).with("ends_with", total.ends_with.name());
        push_summary(metrics, "cold_start", "Time of a whole cold start.", &labels, summary);
    }
}

fn push_summary(
    metrics: &mut Exposition,
    name: &'static str,
    help: &'static str,
    labels: &Labels,
    summary: &Summary,
) {
    let statistics = [
        ("min", Some(summary.min_ns)),
        ("p50", Some(summary.p50_ns)),
        ("p90", summary.p90_ns),
        ("p95", summary.p95_ns),
        ("p99", summary.p99_ns),
        ("max", Some(summary.max_ns)),
    ];
    for (statistic, time) in statistics.into_iter().filter_map(|(name, time)| Some((name, time?))) {
        metrics.push(name, "seconds", help, labels.clone().with("statistic", statistic), time.as_secs_f64());
    }
    let samples = if name == "phase" { "phase_samples" } else { "cold_start_samples" };
    metrics.push(samples, "", "How many samples a time rests on.", labels.clone(), summary.n as f64);
}

/// What phases and the hardware reach.
fn rates(metrics: &mut Exposition, base: &Labels, profile: &Profile) {
    for row in &profile.measurements {
        let labels =
            of(base, &row.key.params).with("phase", row.key.phase.name()).with("clock", row.key.clock.name());
        if let (Some(work), Some(rate)) = (row.work, row.rate()) {
            let help = "Work of a phase over its median time.";
            metrics.push("phase_rate", per_second(work), help, labels.clone(), rate);
        }
        if let Some(achieved) = row.achieved() {
            let help = "Rate of a phase over what the hardware reached in the same run.";
            metrics.push("phase_of_limit", "ratio", help, labels, achieved);
        }
    }
    for limit in &profile.limits {
        let Some((_, summary)) = limit.outcome.as_measured() else { continue };
        let Some(best) = limit.work.rate(summary.min_ns) else { continue };
        let labels = of(base, &limit.params).with("limit", limit.kind.name());
        metrics.push("limit", per_second(limit.work), "What the hardware reached at best.", labels, best);
    }
}

/// The steady state.
fn sweep(metrics: &mut Exposition, base: &Labels, profile: &Profile) {
    for point in &profile.throughput {
        let labels = of(base, &point.key.params);
        let help = "Tokens in the steady state: read (prefill, encode) or generated (decode).";
        let tokens = point.tokens_per_s;
        metrics.push("throughput", "tokens_per_second", help, labels.clone(), tokens);
        let help = "Sequences finished in the steady state; decode: steps of one sequence.";
        metrics.push("throughput", "items_per_second", help, labels.clone(), point.items_per_s);
        let help = "Device memory of a forward pass besides the weights.";
        metrics.push("workspace", "bytes", help, labels, point.workspace_bytes.get() as f64);
    }
}

/// How much there was to move.
fn sizes(metrics: &mut Exposition, base: &Labels, profile: &Profile) {
    if let Some(model) = &profile.target.model {
        let bytes = model.bytes.get() as f64;
        metrics.push("model", "bytes", "Bytes of all tensors of the model.", base.clone(), bytes);
    }
    let image = profile.target.image.as_ref();
    for (name, help, bytes) in [
        (
            "image_compressed",
            "Compressed size of all layers of the image.",
            image.and_then(|image| image.compressed_bytes),
        ),
        ("image_unpacked", "Unpacked size of the image.", image.and_then(|image| image.unpacked_bytes)),
        ("device_memory", "Memory of one device.", Some(profile.target.device.memory_bytes)),
    ] {
        if let Some(bytes) = bytes {
            metrics.push(name, "bytes", help, base.clone(), bytes.get() as f64);
        }
    }
}

/// The base and the conditions of a key.
fn of(base: &Labels, params: &Params) -> Labels {
    params.iter().fold(base.clone(), |labels, (name, value)| labels.with(name, value))
}

fn per_second(work: Work) -> &'static str {
    match work {
        Work::Bytes(_) => "bytes_per_second",
        Work::Items(_) => "items_per_second",
        Work::Tokens(_) => "tokens_per_second",
        Work::Flops(_) => "flops_per_second",
    }
}
