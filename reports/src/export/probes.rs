//! A startup probe that waits long enough for a cold start, and hardly longer (core/v1 Probe, apps/v1 Deployment).

use coldstart_decisions::rollout::Rollout;
use coldstart_profiles::{Nanos, Phase, Profile};
use serde_json::json;

use super::kubernetes::{Annotations, explained, manifest, metadata};
use super::{ExportError, ExportSettings, Exported};

const NAME: &str = "probes";

/// A strategic merge patch for a workload: `kubectl patch deployment NAME --patch-file FILE`.
pub(super) fn export(
    name: &str,
    profile: &Profile,
    settings: &ExportSettings,
) -> Result<Exported, ExportError> {
    let workload = settings.needs_workload(NAME)?;
    let container = settings.needs_container(NAME)?;
    let rollout =
        Rollout::of(profile).ok_or_else(|| ExportError::missing(NAME, (name, profile), Phase::FirstBatch))?;
    let seconds = settings.probe_period_s.max(1);
    let period = Nanos::from_secs(u64::from(seconds));
    let failures = rollout.startup_failures(period);
    let deadline = rollout.progress_deadline_s(period);
    let annotations = Annotations::of(name, profile)
        .with("failure-threshold", &explained(failures.value, &failures.basis))
        .with("start-hi", &explained(rollout.start_hi_ns.value, &rollout.start_hi_ns.basis))
        .with("progress-deadline", &explained(deadline.value, &deadline.basis));
    let mut spec = json!({"template": {"spec": {"containers": [{
        "name": container,
        "startupProbe": {
            "httpGet": {"path": settings.health_path, "port": settings.port},
            "periodSeconds": seconds,
            "failureThreshold": failures.value,
        },
    }]}}});
    // Only a Deployment has a deadline.
    if workload.kind == "Deployment" {
        spec["progressDeadlineSeconds"] = json!(deadline.value);
    }
    Ok(Exported::File(manifest(&json!({
        "apiVersion": workload.api_version,
        "kind": workload.kind,
        "metadata": metadata(&workload.name, settings, annotations),
        "spec": spec,
    }))))
}
