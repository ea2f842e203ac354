//! Node Feature Discovery's local feature file (<https://kubernetes-sigs.github.io/node-feature-discovery/stable/usage/customization-guide>):
//! `name=value` lines under a prefix of our own, with the time at which they expire.

use coldstart_decisions::rollout::serves;
use coldstart_profiles::{LimitKind, Measurement, Outcome, Phase, Profile, TotalKind};

use super::kubernetes::{is_label_prefix, label_value};
use super::{ExportError, ExportSettings, Exported};

const NAME: &str = "nfd";
/// A feature file may not be larger.
const LARGEST: usize = 64 * 1000;

/// The labels of a node: integers of milliseconds and of megabytes (10⁶ bytes) per second, so that nodeAffinity's Gt and Lt work.
pub(super) fn export(
    name: &str,
    profile: &Profile,
    settings: &ExportSettings,
) -> Result<Exported, ExportError> {
    let refused = |why: String| ExportError::Refused { target: NAME, profile: super::error::cut(name), why };
    if !is_label_prefix(&settings.label_prefix) {
        return Err(refused(format!(
            "the prefix `{}` is no DNS name of your own: give one with --label-prefix, and none of kubernetes.io or k8s.io",
            super::error::cut(&settings.label_prefix)
        )));
    }
    let labels = labels(profile);
    if !labels.iter().any(|(label, _)| label.ends_with("-ms") || label.ends_with("-per-s")) {
        return Err(ExportError::missing(NAME, (name, profile), Phase::WeightsLoad));
    }
    let mut text = format!(
        "# {} of {} by {} {}\n",
        super::error::cut(name.rsplit('/').next().unwrap_or(name)),
        super::error::cut(&profile.started_at),
        super::error::cut(&profile.tool.name),
        super::error::cut(&profile.tool.version),
    );
    text.push_str("# medians; -ms: whole milliseconds, -mb-per-s: 10^6 bytes per second\n");
    if let Some(expires) = &settings.expires_at {
        text.push_str(&format!("# +expiry-time={expires}\n"));
    }
    for (label, value) in labels {
        text.push_str(&format!("{}/{label}={value}\n", settings.label_prefix));
    }
    if text.len() >= LARGEST {
        return Err(refused("the feature file would be larger than 64 kB".to_owned()));
    }
    Ok(Exported::File(text))
}

/// The device that a profile is of, as a label has it. Pods name the resource that they ask for, which is none: where their nodes don't
/// tell the product, there is no such label.
pub(super) fn device(profile: &Profile) -> Option<String> {
    match &profile.target.cluster {
        Some(cluster) => label_value(cluster.gpu_product.as_deref()?),
        None => label_value(&profile.target.device.name),
    }
}

/// Names without the prefix, and values that a label can have.
pub(super) fn labels(profile: &Profile) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = Vec::new();
    let mut push =
        |name: &str, value: Option<String>| labels.extend(value.map(|value| (name.to_owned(), value)));
    let target = &profile.target;
    let model = target.model.as_ref();
    push("device", device(profile));
    push("model", model.and_then(|model| label_value(&model.source)));
    // Names are cut and spelt out: this one tells two models apart.
    push(
        "model-id",
        model.and_then(|model| label_value(&model.header_sha256.chars().take(12).collect::<String>())),
    );
    push("model-mb", model.map(|model| (model.bytes.get() / 1_000_000).to_string()));
    push("storage", model.and_then(|model| label_value(model.file_system.as_deref()?)));
    push("measured", label_value(profile.started_at.get(..10).unwrap_or_default()));
    for (kind, name) in
        [(TotalKind::Process, "process"), (TotalKind::Container, "container"), (TotalKind::Pod, "pod")]
    {
        if let Some(waterfall) = profile.waterfall(kind).filter(|waterfall| serves(waterfall.ends_with)) {
            push(&format!("cold-start-{name}-ms"), Some(millis(waterfall.total.p50_ns.as_millis_f64())));
            push(&format!("cold-start-{name}-max-ms"), Some(millis(waterfall.total.max_ns.as_millis_f64())));
        }
    }
    for (cache, name) in [("cold", "weights-load-cold"), ("warm", "weights-load-warm")] {
        if let Some((row, rate)) = fastest(profile, cache) {
            let median = row.outcome.as_measured().map(|(_, summary)| summary.p50_ns.as_millis_f64());
            push(&format!("{name}-ms"), median.map(millis));
            push(&format!("{name}-mb-per-s"), Some(millis(rate / 1e6)));
        }
    }
    for (kind, name) in [
        (LimitKind::DirectRead, "direct-read"),
        (LimitKind::HostToDevice, "host-to-device"),
        (LimitKind::DeviceRead, "device-read"),
    ] {
        let best = profile.limits.iter().filter(|limit| limit.kind == kind).filter_map(|limit| {
            let (_, summary) = limit.outcome.as_measured()?;
            limit.work.rate(summary.min_ns)
        });
        push(&format!("{name}-mb-per-s"), best.max_by(f64::total_cmp).map(|rate| millis(rate / 1e6)));
    }
    for phase in [Phase::DriverInit, Phase::ContextCreate, Phase::FirstBatch] {
        let row = profile.of_phase(phase).find_map(|row| Some(row.outcome.as_measured()?.1.p50_ns));
        let name = phase.name().replace('_', "-");
        push(&format!("{name}-ms"), row.map(|time| millis(time.as_millis_f64())));
    }
    labels
}

/// A number as labels have it: whole, so that Gt and Lt read it.
fn millis(value: f64) -> String {
    format!("{:.0}", value.round().max(0.0))
}

/// The fastest load of one device in this state of the page cache, and its rate.
fn fastest<'p>(profile: &'p Profile, cache: &str) -> Option<(&'p Measurement, f64)> {
    profile
        .of_phase(Phase::WeightsLoad)
        .filter(|row| row.key.params.get("page_cache") == Some(cache))
        .filter(|row| {
            row.key.params.get("devices").is_none() && matches!(row.outcome, Outcome::Measured { .. })
        })
        .filter_map(|row| Some((row, row.rate()?)))
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
}
