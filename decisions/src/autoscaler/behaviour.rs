//! How fast the number of replicas may change.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings::Situation;
use crate::basis::{Basis, Figure, Quantity};

/// The longest period of a policy that Kubernetes takes, in seconds.
const LONGEST_PERIOD_S: f64 = 1800.0;
/// The longest stabilisation window that Kubernetes takes, in seconds.
const LONGEST_WINDOW_S: f64 = 3600.0;
/// Kubernetes' own scale-down window, in seconds: the plan's is never shorter.
const USUAL_WINDOW_S: f64 = 300.0;
/// How many cold starts a replica is kept for.
const DOWN_FACTOR: f64 = 3.0;

/// Scaling policies and windows, as `behavior` of a horizontal pod autoscaler takes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Behaviour {
    /// Replicas that may be added, and in which time.
    pub scale_up: PodsPolicy,
    /// How long a recommendation to add must hold, in seconds: 0.
    pub scale_up_window_s: Figure<u32>,
    /// Replicas that may be removed, and in which time.
    pub scale_down: PodsPolicy,
    /// How long a recommendation to remove must hold, in seconds.
    pub scale_down_window_s: Figure<u32>,
}

/// A policy of type Pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodsPolicy {
    /// So many replicas …
    pub pods: Figure<u32>,
    /// … within so many seconds.
    pub period_s: Figure<u32>,
}

impl Behaviour {
    /// What suits a cold start, a target of requests per second, and the most replicas.
    pub(super) fn of(situation: &Situation<'_>, rate_target: &Figure<f64>, max: &Figure<u32>) -> Self {
        let cold = situation.cold_start;
        let seconds = cold.value.as_secs_f64().ceil();
        let growth = &situation.warm.growth_per_s;
        let of_cold = |formula: &str| {
            Basis::of(formula).figure(
                "C_hi",
                Quantity::Nanos(cold.value),
                "lead_time.cold_start_ns",
                &cold.basis,
            )
        };
        let pods = Basis::of("min(ceil(g(L) ÷ target), max − 1 replicas), at least 1")
            .figure("g(L)", Quantity::PerSecond(growth.value), "capacity.warm.growth_per_s", &growth.basis)
            .figure(
                "target",
                Quantity::PerSecond(rate_target.value),
                "autoscaler.targets.request_rate.value",
                &rate_target.basis,
            )
            .figure("max", Quantity::Count(u64::from(max.value)), "autoscaler.max_replicas", &max.basis);
        // Exports keep another least number than the formula's: one replica at least is there.
        let room = f64::from(max.value.saturating_sub(1));
        let added = match rate_target.value {
            target if target > 0.0 => (growth.value / target).ceil().min(room).max(1.0),
            _ => 1.0,
        };
        let period = || {
            let basis =
                of_cold("min(1800 s, ceil(C_hi)), at least 1 s: what still starts is not ordered again");
            Figure::new(seconds.clamp(1.0, LONGEST_PERIOD_S) as u32, basis)
        };
        let window = (DOWN_FACTOR * seconds).clamp(USUAL_WINDOW_S, LONGEST_WINDOW_S);
        let window_basis = of_cold(
            "max(300 s, k·C_hi), at most 3600 s: removing a replica costs a cold start if it was wrong",
        )
        .input("k", Quantity::Number(DOWN_FACTOR));
        Behaviour {
            scale_up: PodsPolicy { pods: Figure::new(added as u32, pods), period_s: period() },
            scale_up_window_s: Figure::new(0, Basis::of("0: a replica takes long enough as it is")),
            scale_down: PodsPolicy {
                pods: Figure::new(1, Basis::of("1: no faster than one comes back")),
                period_s: period(),
            },
            scale_down_window_s: Figure::new(window as u32, window_basis),
        }
    }
}

/// Whole seconds of a time, rounded up.
pub(super) fn ceil_seconds(time: Nanos) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
}
