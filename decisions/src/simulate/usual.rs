//! The policies that a plan is compared with.

use coldstart_profiles::Nanos;

use super::policy::{Metric, Policy, Rule, Signal};
use crate::scaling::{Hpa, Keda, TargetKind};
use crate::service::{Bound, Sla};

/// What a replica's CPU shows: 10 % of its request when idle, 50 % when the device always works. One core feeds a GPU; the
/// request is rarely made for it. No profile says either: a policy that watches it is marked as assumed.
const CPU: Signal = Signal::CpuUtilization { idle: 0.1, busy: 0.4 };
/// The target that most examples of utilization have.
const UTILIZATION: f64 = 0.8;

/// The usual policies, side by side: a fixed number, CPU and GPU utilization at 80 %, queue depth, p99, concurrency, and concurrency
/// with KEDA's scale to zero.
///
/// Queue depth: half a batch of `bound` waits for each replica. Concurrency: one batch for each replica. p99: the SLA's
/// end-to-end bound, or the one on the first token. All share the bounds and the behavior of `hpa`.
pub fn usual_policies(hpa: &Hpa, bound: &Bound, sla: &Sla, replicas: u32) -> Vec<Policy> {
    let batch = f64::from(bound.batch);
    let latency = sla.end_to_end_ns.or(sla.ttft_ns).unwrap_or(Nanos::from_secs(1)).as_nanos() as f64;
    let metric = |signal, target, target_kind| Metric { signal, target, target_kind, activation: 0.0 };
    let by = |name: &str, metric: Metric| Policy {
        name: name.to_owned(),
        rule: Rule::Hpa { hpa: hpa.clone(), metrics: vec![metric] },
    };
    let queue = metric(Signal::QueueDepth, (batch / 2.0).max(1.0), TargetKind::AverageValue);
    let concurrency = metric(Signal::Concurrency, batch, TargetKind::AverageValue);
    let keda = Keda { max_replica_count: hpa.max_replicas, ..Keda::default() };
    vec![
        Policy { name: format!("static {replicas}"), rule: Rule::Static { replicas } },
        by("CPU 80 % (assumed)", metric(CPU, UTILIZATION, TargetKind::Utilization)),
        by("GPU 80 %", metric(Signal::GpuUtilization, UTILIZATION, TargetKind::AverageValue)),
        by("queue depth", queue),
        by("p99", metric(Signal::P99Latency, latency, TargetKind::Value)),
        by("concurrency", concurrency),
        Policy {
            name: "concurrency, to zero".to_owned(),
            rule: Rule::Keda { keda, hpa: hpa.clone(), metrics: vec![concurrency] },
        },
    ]
}
