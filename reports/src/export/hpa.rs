//! A HorizontalPodAutoscaler (autoscaling/v2).

use coldstart_decisions::autoscaler::{Behaviour, MetricType, PodsPolicy};
use coldstart_decisions::plan::ServingPlan;
use serde_json::{Value, json};

use super::kubernetes::{explained, manifest, metadata};
use super::metrics::{adapter_name, watched};
use super::{ExportError, ExportSettings, Exported};

const NAME: &str = "hpa";

/// An autoscaler of the workload, on the usable signals of the plan.
pub(super) fn export(
    name: &str,
    plan: &ServingPlan,
    settings: &ExportSettings,
) -> Result<Exported, ExportError> {
    let workload = settings.needs_workload(NAME)?;
    let (found, annotations) = watched(NAME, name, plan, settings)?;
    let autoscaler = &plan.autoscaler;
    let metrics: Vec<Value> = found
        .iter()
        .map(|of| {
            let metric = json!({"name": adapter_name(of.signal)});
            // What does not add up is the workload's, not a pod's: an average over pods would say nothing.
            match of.metric_type {
                MetricType::AverageValue => json!({
                    "type": "Pods",
                    "pods": {"metric": metric, "target": {"type": "AverageValue", "averageValue": quantity(of.threshold)}},
                }),
                MetricType::Value => json!({
                    "type": "Object",
                    "object": {
                        "describedObject": {"apiVersion": workload.api_version, "kind": workload.kind, "name": workload.name},
                        "metric": metric,
                        "target": {"type": "Value", "value": quantity(of.threshold)},
                    },
                }),
            }
        })
        .collect();
    let annotations = annotations
        .with("min-replicas", &explained(autoscaler.min_replicas.value, &autoscaler.min_replicas.basis))
        .with("max-replicas", &explained(autoscaler.max_replicas.value, &autoscaler.max_replicas.basis))
        .with(
            "scale-up",
            &explained(autoscaler.behaviour.scale_up.pods.value, &autoscaler.behaviour.scale_up.pods.basis),
        )
        .with("metrics", "an adapter has to serve these names by the queries above");
    Ok(Exported::File(manifest(&json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(&workload.name, settings, annotations),
        "spec": {
            "scaleTargetRef": {"apiVersion": workload.api_version, "kind": workload.kind, "name": workload.name},
            "minReplicas": autoscaler.min_replicas.value.max(1),
            "maxReplicas": autoscaler.max_replicas.value.max(autoscaler.min_replicas.value).max(1),
            "metrics": metrics,
            "behavior": behavior(&autoscaler.behaviour),
        },
    }))))
}

/// The behaviour, within what the API takes: windows up to an hour, periods up to half of one.
pub(super) fn behavior(behaviour: &Behaviour) -> Value {
    let rules = |policy: &PodsPolicy, window: u32| {
        json!({
            "stabilizationWindowSeconds": window.min(3600),
            "selectPolicy": "Max",
            "policies": [{
                "type": "Pods",
                "value": policy.pods.value.max(1),
                "periodSeconds": policy.period_s.value.clamp(1, 1800),
            }],
        })
    };
    json!({
        "scaleUp": rules(&behaviour.scale_up, behaviour.scale_up_window_s.value),
        "scaleDown": rules(&behaviour.scale_down, behaviour.scale_down_window_s.value),
    })
}

/// A quantity in thousandths; rounded down, so that scaling comes rather too early.
fn quantity(value: f64) -> String {
    format!("{}m", ((value * 1000.0).floor() as u64).max(1))
}
