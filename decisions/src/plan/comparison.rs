//! The plan and its alternatives, simulated on the same trace.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::serving_plan::ServingPlan;
use crate::basis::Basis;
use crate::simulate::{ParetoPoint, PolicyOutcome};

/// What several policies do with one trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyComparison {
    /// Requests of the trace.
    pub requests: u64,
    /// From the first arrival to the last.
    pub duration_ns: Nanos,
    /// Whether the trace was drawn from numbers (Poisson arrivals).
    pub drawn: bool,
    /// What each policy did: the fixed number, the usual ones, what `coldstart export` writes, and last the plan carried out exactly.
    pub policies: Vec<PolicyOutcome>,
    /// The plan, carried out exactly, with more and with less standby.
    pub pareto: Vec<ParetoPoint>,
    /// What all of it rests on.
    pub basis: Basis,
}

/// A stretch of the traffic under one policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// When it begins.
    pub from_ns: Nanos,
    /// Requests per second that arrived in it.
    pub arrivals_per_s: f64,
    /// Of those, per second, that missed a bound.
    pub missed_per_s: f64,
    /// The fewest ready replicas in it.
    pub ready: u32,
    /// What those complete in full batches: ready × μ_SLA.
    pub capacity_per_s: f64,
}

impl ServingPlan {
    /// What arrived, what was ready and what missed, stretch by stretch.
    pub fn over_time(&self, policy: &PolicyOutcome) -> Vec<Moment> {
        let seconds = policy.slice_ns.as_secs_f64();
        let carries = self.capacity.bound.rate_per_s.value;
        let mut timeline = policy.timeline.iter().peekable();
        let mut ready = 0;
        let mut moments = Vec::with_capacity(policy.slices.len());
        for (slice, index) in policy.slices.iter().zip(0u64..) {
            let from = policy.slice_ns.as_nanos().saturating_mul(index);
            let until = from.saturating_add(policy.slice_ns.as_nanos());
            let mut fewest = ready;
            while let Some(at) = timeline.next_if(|at| at.time_ns.as_nanos() < until) {
                // What changes right at the begin holds for all of the stretch.
                let begins = at.time_ns.as_nanos() <= from;
                ready = at.ready;
                fewest = if begins { ready } else { fewest.min(ready) };
            }
            let per_s = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
            moments.push(Moment {
                from_ns: Nanos::from_nanos(from),
                arrivals_per_s: per_s(slice.requests),
                missed_per_s: per_s(slice.missed),
                ready: fewest,
                capacity_per_s: f64::from(fewest) * carries,
            });
        }
        moments
    }
}
