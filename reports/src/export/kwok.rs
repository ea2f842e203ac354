//! Delays of kwok's stages (<https://kwok.sigs.k8s.io/docs/user/stages-configuration/>): nodes and pods that only pretend, and take
//! as long to become ready as the measured ones. kwok draws evenly between `delay` and `jitter-delay`.

use coldstart_decisions::rollout::serves;
use coldstart_profiles::{Nanos, Phase, Profile, TotalKind, Trace};
use serde_json::json;

use super::kubernetes::{Annotations, go_duration, manifest};
use super::{ExportError, Exported};

const NAME: &str = "kwok";

/// Annotations for the pods of a workload, as a patch of its template.
pub(super) fn export(name: &str, profile: &Profile) -> Result<Exported, ExportError> {
    let kinds = [TotalKind::Pod, TotalKind::Container, TotalKind::Process];
    let whole = kinds.into_iter().filter_map(|kind| profile.waterfall(kind));
    let Some(waterfall) = whole.into_iter().find(|waterfall| serves(waterfall.ends_with)) else {
        return Err(ExportError::missing(NAME, (name, profile), Phase::FirstBatch));
    };
    let traces = profile.traces.iter().filter(|trace| {
        (trace.total_kind, &trace.params) == (waterfall.kind, waterfall.params) && trace.mark().is_none()
    });
    // Until the container runs, and from there on until it serves.
    let before = [Phase::Scheduling, Phase::ImagePull, Phase::ContainerStart];
    let (mut created, mut ready): (Vec<Nanos>, Vec<Nanos>) = (Vec::new(), Vec::new());
    for trace in traces {
        let Some((total, _)) = trace.total() else { continue };
        let until = until_container(trace, &before);
        created.extend(until);
        ready.push(total.saturating_sub(until.unwrap_or_default()));
    }
    let mut annotations = Annotations::of(name, profile).with(
        "formula",
        &format!("least and largest of {} starts of a {}", ready.len(), waterfall.kind.name()),
    );
    for (stage, times) in [("pod-create", &created), ("pod-ready", &ready)] {
        if let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) {
            let key = |what: &str| format!("{stage}.stage.kwok.x-k8s.io/{what}");
            annotations = annotations
                .with_own(&key("delay"), go_duration(*least))
                .with_own(&key("jitter-delay"), go_duration(*most));
        }
    }
    if created.is_empty() {
        annotations = annotations.with("left-out", "pod-create: no start of a container was measured");
    }
    let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations.into_value()}}}});
    Ok(Exported::File(manifest(&patch)))
}

/// The end of the last of these phases; `None` where the trace has none of them.
fn until_container(trace: &Trace, phases: &[Phase]) -> Option<Nanos> {
    let readings = trace.readings.iter().filter(|reading| phases.contains(&reading.phase));
    readings.map(|reading| reading.begin_ns.saturating_add(reading.duration_ns)).max()
}
