//! A HorizontalPodAutoscaler (autoscaling/v2).

use coldstart_decisions::autoscaler::{MetricType, PodsPolicy, Signal, Wanted};
use coldstart_decisions::plan::ServingPlan;
use serde_json::{Value, json};

use super::kubernetes::{Annotations, explained, manifest, metadata};
use super::metrics::{Watched, adapter_name, watched};
use super::{ExportError, ExportSettings, Exported};

const NAME: &str = "hpa";

/// An autoscaler of the workload, on one signal of the plan.
pub(super) fn export(
    name: &str,
    plan: &ServingPlan,
    settings: &ExportSettings,
) -> Result<Exported, ExportError> {
    let workload = settings.needs_workload(NAME)?;
    let (of, annotations) = watched(NAME, name, plan, settings)?;
    // The query gives one number for the whole workload, without a label of a pod or an object: an adapter can serve that as an external
    // metric only. (Of a metric of pods it would need a number for each: were the sum told of every pod, each of them would order all.)
    let target = match of.metric_type {
        MetricType::AverageValue => json!({"type": "AverageValue", "averageValue": quantity(of.threshold)}),
        MetricType::Value => json!({"type": "Value", "value": quantity(of.threshold)}),
    };
    let metric = json!({
        "type": "External",
        "external": {"metric": {"name": adapter_name(of.signal)}, "target": target},
    });
    let annotations = scaling_up(annotations, &of, plan)
        .with("metrics", "an adapter has to serve this name as an external metric (external.metrics.k8s.io) by the query above");
    Ok(Exported::File(manifest(&json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(&workload.name, settings, annotations),
        "spec": {
            "scaleTargetRef": {"apiVersion": workload.api_version, "kind": workload.kind, "name": workload.name},
            "minReplicas": of.min.value.max(1),
            "maxReplicas": of.max.value.max(of.min.value).max(1),
            "metrics": [metric],
            "behavior": behavior(&of, plan),
        },
    }))))
}

/// Where the pace of adding replicas comes from.
pub(super) fn scaling_up(annotations: Annotations, of: &Watched, plan: &ServingPlan) -> Annotations {
    let pods = &plan.autoscaler.behaviour.scale_up.pods;
    match of.signal {
        Signal::Plan => annotations
            .with("scale-up", "at once: a metric that says how many replicas are wanted orders none twice"),
        _ => annotations.with("scale-up", &explained(pods.value, &pods.basis)),
    }
}

/// The behaviour, within what the API takes: windows up to an hour, periods up to half of one.
pub(super) fn behavior(of: &Watched, plan: &ServingPlan) -> Value {
    let behaviour = &plan.autoscaler.behaviour;
    let rules = |window: u32, kind: &str, value: u32, period: u32| {
        json!({
            "stabilizationWindowSeconds": window.min(3600),
            "selectPolicy": "Max",
            "policies": [{"type": kind, "value": value.max(1), "periodSeconds": period.clamp(1, 1800)}],
        })
    };
    let (up, down) = (behaviour.scale_up_window_s.value, behaviour.scale_down_window_s.value);
    let pods = |window, policy: &PodsPolicy| rules(window, "Pods", policy.pods.value, policy.period_s.value);
    match of.signal {
        Signal::Plan => json!({
            "scaleUp": rules(up, "Pods", of.max.value.saturating_sub(of.min.value), Wanted::PERIOD_S),
            "scaleDown": rules(down, "Percent", 100, Wanted::PERIOD_S),
        }),
        _ => {
            json!({"scaleUp": pods(up, &behaviour.scale_up), "scaleDown": pods(down, &behaviour.scale_down)})
        }
    }
}

/// A quantity in thousandths; rounded down, so that scaling comes rather too early.
fn quantity(value: f64) -> String {
    format!("{}m", ((value * 1000.0).floor() as u64).max(1))
}
