//! A ScaledObject of KEDA (keda.sh/v1alpha1, 2.21).

use coldstart_decisions::plan::ServingPlan;
use coldstart_decisions::{Basis, Figure, Quantity};
use serde_json::{Value, json};

use super::hpa::behavior;
use super::kubernetes::{explained, manifest, metadata};
use super::metrics::{kept_standby, number, query, watched};
use super::{ExportError, ExportSettings, Exported};

const NAME: &str = "keda";
/// Failed looks at the metrics in a row after which the fallback holds.
const FAILURES: u32 = 3;

/// A ScaledObject on Prometheus; without metrics the replicas of now and the standby that the plan keeps stay.
pub(super) fn export(
    name: &str,
    plan: &ServingPlan,
    settings: &ExportSettings,
) -> Result<Exported, ExportError> {
    let workload = settings.needs_workload(NAME)?;
    let (found, annotations) = watched(NAME, name, plan, settings)?;
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
    let fallback = fallback(plan, min);
    let annotations = annotations
        .with("min-replicas", &explained(min, &autoscaler.min_replicas.basis))
        .with("max-replicas", &explained(max, &autoscaler.max_replicas.basis))
        .with("fallback", &explained(fallback.value, &fallback.basis))
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
            "fallback": {"failureThreshold": FAILURES, "replicas": fallback.value},
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior(&autoscaler.behaviour)}},
            "triggers": triggers,
        },
    }))))
}

/// What stays where the metrics are gone: as warm as the plan keeps it, and never less than the least.
fn fallback(plan: &ServingPlan, min: u32) -> Figure<u32> {
    let (now, standby) = (&plan.capacity.warm.replicas_now, kept_standby(plan));
    let basis = Basis::of("replicas(λ_now) + standby, at least minReplicaCount")
        .input("replicas(λ_now)", Quantity::Count(u64::from(now.value)))
        .input("standby", Quantity::Count(u64::from(standby.value)))
        .input("minReplicaCount", Quantity::Count(u64::from(min)))
        .resting_on(&now.basis)
        .resting_on(&standby.basis);
    Figure::new(now.value.saturating_add(standby.value).max(min).max(1), basis)
}
