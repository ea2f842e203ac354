//! The policies that a plan is compared with.

use super::policy::{Metric, Policy, Rule, Signal};
use crate::scaling::{Hpa, Keda, TargetKind};
use crate::service::Bound;

/// What a replica's CPU shows: 10 % of its request when idle, 50 % when the device always works. One core feeds a GPU; the
/// request is rarely made for it. No profile says either: a policy that watches it is marked as assumed.
const CPU: Signal = Signal::CpuUtilization { idle: 0.1, busy: 0.4 };
/// The target that most examples of utilization have.
const UTILIZATION: f64 = 0.8;

/// What is usually set up without a plan: CPU utilization at 80 % (without a GPU the CPU is what works, and nothing is assumed), where
/// there is a GPU its utilization, too, and KEDA's defaults on the concurrency (one batch of `bound` for each replica), with its scale to zero. All share the bounds and the behavior of `hpa`.
pub fn usual_policies(hpa: &Hpa, bound: &Bound, gpu: bool) -> Vec<Policy> {
    let metric = |signal, target, target_kind| Metric { signal, target, target_kind, activation: 0.0 };
    let by = |name: &str, metric: Metric| Policy {
        name: name.to_owned(),
        rule: Rule::Hpa { hpa: hpa.clone(), metrics: vec![metric] },
    };
    let concurrency = metric(Signal::Concurrency, f64::from(bound.batch), TargetKind::AverageValue);
    let keda = Keda { max_replica_count: hpa.max_replicas, ..Keda::default() };
    let cpu = match gpu {
        true => by("CPU 80 % (assumed)", metric(CPU, UTILIZATION, TargetKind::Utilization)),
        false => {
            let works = Signal::CpuUtilization { idle: 0.0, busy: 1.0 };
            by("CPU 80 %", metric(works, UTILIZATION, TargetKind::Utilization))
        }
    };
    let of_gpu =
        gpu.then(|| by("GPU 80 %", metric(Signal::GpuUtilization, UTILIZATION, TargetKind::AverageValue)));
    let to_zero = Policy {
        name: "concurrency, to zero".to_owned(),
        rule: Rule::Keda { keda, hpa: hpa.clone(), metrics: vec![concurrency] },
    };
    [Some(cpu), of_gpu, Some(to_zero)].into_iter().flatten().collect()
}
