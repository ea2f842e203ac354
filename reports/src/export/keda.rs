//! A ScaledObject of KEDA (keda.sh/v1alpha1, 2.21).

use coldstart_decisions::plan::ServingPlan;
use serde_json::{Value, json};

use super::hpa::behavior;
use super::kubernetes::{explained, manifest, metadata};
use super::metrics::{number, origin, query, watched};
use super::{ExportError, ExportSettings, Exported};

const NAME: &str = "keda";
/// Failed looks at the metrics in a row after which the fallback holds.
const FAILURES: u32 = 3;

/// A ScaledObject on Prometheus; without metrics so many replicas stay as carry the peak.
pub(super) fn export(
    name: &str,
    plan: &ServingPlan,
    settings: &ExportSettings,
) -> Result<Exported, ExportError> {
    let workload = settings.needs_workload(NAME)?;
    let (found, annotations) = watched(NAME, name, plan, origin(name, plan))?;
    let autoscaler = &plan.autoscaler;
    let triggers: Vec<Value> = found
        .iter()
        .map(|of| {
            json!({
                "type": "prometheus",
                "name": of.signal.name().replace('_', "-"),
                "metricType": of.metric_type.name(),
                "metadata": {
                    "serverAddress": settings.prometheus,
                    "query": query(of.signal, plan, settings),
                    "threshold": number(of.threshold),
                },
            })
        })
        .collect();
    let (min, max) = (autoscaler.min_replicas.value, autoscaler.max_replicas.value);
    let peak = &plan.capacity.warm.replicas_peak;
    let annotations = annotations
        .with("min-replicas", &explained(min, &autoscaler.min_replicas.basis))
        .with("max-replicas", &explained(max, &autoscaler.max_replicas.basis))
        .with("fallback", &explained(peak.value, &peak.basis))
        .with(
            "scale-up",
            &explained(autoscaler.behaviour.scale_up.pods.value, &autoscaler.behaviour.scale_up.pods.basis),
        )
        .with("cooldown", &explained(autoscaler.cooldown_s.value, &autoscaler.cooldown_s.basis));
    Ok(Exported::File(manifest(&json!({
        "apiVersion": settings.api_version.as_deref().unwrap_or("keda.sh/v1alpha1"),
        "kind": "ScaledObject",
        "metadata": metadata(&workload.name, settings, annotations),
        "spec": {
            "scaleTargetRef": {"apiVersion": workload.api_version, "kind": workload.kind, "name": workload.name},
            "pollingInterval": autoscaler.polling_interval_s.value.max(1),
            "cooldownPeriod": autoscaler.cooldown_s.value,
            "minReplicaCount": min,
            "maxReplicaCount": max.max(min).max(1),
            "fallback": {"failureThreshold": FAILURES, "replicas": peak.value.max(min).max(1)},
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior(&autoscaler.behaviour)}},
            "triggers": triggers,
        },
    }))))
}
