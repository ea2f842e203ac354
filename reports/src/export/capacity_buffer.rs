//! A CapacityBuffer (autoscaling.x-k8s.io): room for the standby, kept free by placeholders of the workload's own shape.

use coldstart_decisions::plan::ServingPlan;
use serde_json::json;

use super::kubernetes::{explained, manifest, metadata, shortened};
use super::metrics::origin;
use super::{ExportError, ExportSettings, Exported};

const NAME: &str = "capacity-buffer";
/// The most characters of an object's name.
const LONGEST_NAME: usize = 253;

/// As many chunks of the workload's size as the plan keeps standby replicas.
pub(super) fn export(
    name: &str,
    plan: &ServingPlan,
    settings: &ExportSettings,
) -> Result<Exported, ExportError> {
    let workload = settings.needs_workload(NAME)?;
    let standby = plan.capacity.standby();
    if standby.value == 0 {
        let why = "the plan has no standby, so there is nothing to keep room for: the running replicas carry the growth".to_owned();
        return Err(ExportError::Refused { target: NAME, profile: super::error::cut(name), why });
    }
    let group = workload.api_version.split('/').next().unwrap_or("apps");
    let annotations = origin(name, plan).with("replicas", &explained(standby.value, &standby.basis));
    Ok(Exported::File(manifest(&json!({
        "apiVersion": settings.api_version.as_deref().unwrap_or("autoscaling.x-k8s.io/v1beta1"),
        "kind": "CapacityBuffer",
        "metadata": metadata(&shortened(&format!("{}-standby", workload.name), LONGEST_NAME), settings, annotations),
        "spec": {
            "scalableRef": {"apiGroup": group, "kind": workload.kind, "name": workload.name},
            "replicas": standby.value,
        },
    }))))
}
