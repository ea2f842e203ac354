//! A ScaledObject of KEDA (keda.sh/v1alpha1, 2.21).

use coldstart_decisions::autoscaler::{Advice, MetricType, Signal};
use coldstart_decisions::plan::ServingPlan;
use coldstart_decisions::{Basis, Figure, Quantity};
use serde_json::json;

use super::hpa::{behavior, scaling_up};
use super::kubernetes::{Annotations, explained, manifest, metadata, shortened};
use super::metrics::{Watched, by_arrivals, number, replayed, watched};
use super::{ExportError, ExportSettings, Exported};

const NAME: &str = "keda";
/// KEDA names its autoscaler `keda-hpa-NAME` and labels it with that, which may have 63 characters; its admission
/// refuses longer names (kedacore/keda#7762), and older releases fail at the label.
const LONGEST_NAME: usize = 54;
/// Failed looks at the metrics in a row after which the fallback holds.
const FAILURES: u32 = 3;
/// Older releases take a fallback for metrics of type AverageValue only, and their admission refuses others.
const FALLBACK_ON_VALUE: &str = "KEDA 2.18 or newer: it is the first that takes a fallback with a metric of type Value; for an older one remove spec.fallback, \
     which leaves the replicas as they are while metrics are gone";

/// A ScaledObject on Prometheus; without metrics the replicas of now and the standby that the plan keeps stay.
pub(super) fn export(
    name: &str,
    plan: &ServingPlan,
    settings: &ExportSettings,
) -> Result<Exported, ExportError> {
    let workload = settings.needs_workload(NAME)?;
    let (of, annotations) = watched(NAME, name, plan, settings)?;
    let (cooldown, fallback) = (&plan.keep_alive.cooldown_s, fallback(plan, of.min.value));
    let annotations = scaling_up(annotations, &of, plan)
        .with("fallback", &explained(fallback.value, &fallback.basis))
        .with("cooldown", &explained(cooldown.value, &cooldown.basis));
    let annotations = match of.metric_type {
        MetricType::Value => annotations.with("requires", FALLBACK_ON_VALUE),
        MetricType::AverageValue => annotations,
    };
    let (idle, annotations) = idle(&of, plan, settings, annotations);
    let mut metadata_of_trigger = json!({
        "serverAddress": settings.prometheus,
        "query": of.query,
        "threshold": number(of.threshold),
        // KEDA takes a missing series for 0 by default; as an error it lets the fallback hold.
        "ignoreNullValues": "false",
    });
    let mut spec = json!({
        "scaleTargetRef": {"apiVersion": workload.api_version, "kind": workload.kind, "name": workload.name},
        "pollingInterval": plan.autoscaler.polling_interval_s.value.max(1),
        "cooldownPeriod": cooldown.value,
        "minReplicaCount": of.min.value.max(1),
        "maxReplicaCount": of.max.value.max(of.min.value).max(1),
        "fallback": {"failureThreshold": FAILURES, "replicas": fallback.value},
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior(&of, plan)}},
    });
    if idle {
        // The only number that KEDA supports.
        spec["idleReplicaCount"] = json!(0);
        metadata_of_trigger["activationThreshold"] = json!(activation(&of, plan).to_string());
    }
    spec["triggers"] = json!([{
        "type": "prometheus",
        "name": of.signal.name().replace('_', "-"),
        "metricType": of.metric_type.name(),
        "metadata": metadata_of_trigger,
    }]);
    Ok(Exported::File(manifest(&json!({
        "apiVersion": settings.api_version.as_deref().unwrap_or("keda.sh/v1alpha1"),
        "kind": "ScaledObject",
        "metadata": metadata(&shortened(&workload.name, LONGEST_NAME), settings, annotations),
        "spec": spec,
    }))))
}

/// Whether the last replicas go in pauses, with the reason: only where the plan advises it, and where the trigger is still there without
/// a replica.
fn idle(
    of: &Watched,
    plan: &ServingPlan,
    settings: &ExportSettings,
    annotations: Annotations,
) -> (bool, Annotations) {
    let course = plan.courses.as_ref().map(|courses| courses.to_zero(of.signal));
    let (idle, why) = match &plan.keep_alive.advice {
        Advice::KeepOne { why } => (false, format!("none: {why}")),
        Advice::Unknown { why } => (false, format!("none: {why}")),
        Advice::ScaleToZero if !by_arrivals(of.signal) || settings.request_metric.is_none() => (
            false,
            "none, though it would pay: this metric is gone with the last replica, and nothing would wake it up: name a \
             gateway's counter with --request-metric"
                .to_owned(),
        ),
        // Where the plan was replayed, only what the replay of this very signal shows.
        Advice::ScaleToZero if matches!(course, Some(None)) => {
            (false, format!("none: no way to zero was replayed for --signal {}", of.signal.flag()))
        }
        Advice::ScaleToZero if course.flatten().is_some_and(|course| !course.meets) => {
            (false, "none, though pauses are long enough: the replay to zero misses the SLA".to_owned())
        }
        Advice::ScaleToZero => (
            true,
            format!(
                "0 after {} s without requests; the first then wait {} in the gateway, which has to hold them",
                plan.keep_alive.cooldown_s.value, plan.keep_alive.lead_time_ns.value
            ),
        ),
    };
    let annotations = annotations.with("idle-replicas", &why);
    let replayed = course.flatten().filter(|_| idle).and_then(|course| replayed(plan, Some(course)));
    let annotations = match replayed {
        Some(text) => annotations.with("replayed", &text),
        None => annotations,
    };
    (idle, annotations)
}

/// A trigger is active above it: of the replicas that are wanted it is those that are wanted without any traffic.
fn activation(of: &Watched, plan: &ServingPlan) -> f64 {
    match (of.signal, &plan.wanted) {
        (Signal::Plan, Some(wanted)) => wanted.without_traffic(),
        _ => 0.0,
    }
}

/// What stays where the metrics are gone: as warm as the plan keeps it, and never less than the least.
fn fallback(plan: &ServingPlan, min: u32) -> Figure<u32> {
    let kept = plan.capacity.kept(plan.request.cluster.max_replicas);
    let formula = format!("{}, at least minReplicaCount", kept.basis.formula);
    let basis = Basis { formula, ..kept.basis }.input("minReplicaCount", Quantity::Count(u64::from(min)));
    Figure::new(kept.value.max(min), basis)
}
