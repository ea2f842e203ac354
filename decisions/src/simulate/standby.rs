//! How many replicas stand by: the fewest with which the plan meets the SLA on the traffic itself.
//!
//! A difference of two replica counts — replicas(λ_now + g(L)) − replicas(λ_now), with g(L) a quantile of the growth within the
//! lead time — is where the search begins, not where it ends. On a conversation trace of Azure's it is up to nine replicas too
//! many for short cold starts: g(L) counts the noise of short windows as growth, each count already absorbs that noise, and a
//! missing replica costs a few requests, not all of them. Replacing it by the expected misses of the rate at each moment
//! (Green & Kolesar, *The pointwise stationary approximation*, Management Science 37, 1991) errs to the other side, because the
//! queue that one bad minute leaves is still there in the next. A replay counts exactly that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::autoscaled::{PolicyOutcome, Scenario, autoscaled, meets_sla};
use super::policy::{Planned, Policy, Rule};
use super::replicas::CapacityError;
use super::search::fewest;

/// The fewest replicas that stand by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Standby {
    /// Replicas beyond those that the rate needs.
    pub standby: u32,
    /// What the search began with.
    pub seed: u32,
    /// How the plan does with it.
    pub outcome: PolicyOutcome,
    /// How many numbers were simulated.
    pub simulations: u32,
}

/// The smallest standby with which `plan` meets the SLA in `scenario`, searched from `seed` on; `plan.standby` does not matter.
///
/// It relies on a larger standby never being worse. The standby is added to what the rate needs at the start, too.
///
/// Fails when the plan's largest number of replicas is not enough.
pub fn standby_for(scenario: &Scenario<'_>, plan: &Planned, seed: u32) -> Result<Standby, CapacityError> {
    let (found, simulations) = fewest_standing_by(scenario, plan, seed);
    let outcome = carried_out(scenario, plan, found.unwrap_or(plan.max_replicas));
    match found {
        Some(standby) => Ok(Standby { standby, seed, outcome, simulations }),
        None => Err(CapacityError::TooFew {
            rate_per_s: scenario.trace.mean_per_s(),
            most: plan.max_replicas,
            missed_percent: (1.0 - outcome.outcome.attainment) * 100.0,
        }),
    }
}

/// The same number alone, `None` where no standby is enough; and how many were simulated.
pub(crate) fn fewest_standing_by(scenario: &Scenario<'_>, plan: &Planned, seed: u32) -> (Option<u32>, u32) {
    let mut simulations = 0;
    let found = fewest(0, seed, plan.max_replicas, |standby| {
        simulations += 1;
        let (scenario, policy) = with(scenario, plan, standby);
        meets_sla(&scenario, &policy)
    });
    (found, simulations)
}

/// How the plan does with so many standing by.
pub(crate) fn carried_out(scenario: &Scenario<'_>, plan: &Planned, standby: u32) -> PolicyOutcome {
    let (scenario, policy) = with(scenario, plan, standby);
    autoscaled(&scenario, &policy)
}

/// The plan with so many standing by, which are there from the start.
fn with<'s>(scenario: &Scenario<'s>, plan: &Planned, standby: u32) -> (Scenario<'s>, Policy) {
    let initial_replicas = scenario.initial_replicas.saturating_add(standby);
    (Scenario { initial_replicas, ..*scenario }, planned(plan, standby))
}

fn planned(plan: &Planned, standby: u32) -> Policy {
    let name = format!("plan with {standby} standing by");
    Policy { name, rule: Rule::Planned(Planned { standby, ..plan.clone() }) }
}

/// One point of standby against attainment and cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParetoPoint {
    /// Replicas that stand by.
    pub standby: u32,
    /// Requests within all bounds ÷ requests.
    pub attainment: f64,
    /// Whether the SLA holds.
    pub meets: bool,
    /// The p99 of the latency.
    pub p99_ns: coldstart_profiles::Nanos,
    /// Hours of replicas.
    pub replica_hours: f64,
    /// Hours and misses at their prices, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Whether no other point has more attainment for as little, or as much for less: of cost where it is known, else of hours.
    pub efficient: bool,
}

/// What 0 ..= `most` standing by bring and cost.
pub fn pareto(scenario: &Scenario<'_>, plan: &Planned, most: u32) -> Vec<ParetoPoint> {
    let mut points: Vec<ParetoPoint> = (0..=most)
        .map(|standby| {
            let found = carried_out(scenario, plan, standby);
            ParetoPoint {
                standby,
                attainment: found.outcome.attainment,
                meets: found.outcome.meets,
                p99_ns: found.outcome.latency.p99_ns,
                replica_hours: found.replica_hours,
                cost: found.cost,
                efficient: false,
            }
        })
        .collect();
    let price = |point: &ParetoPoint| point.cost.unwrap_or(point.replica_hours);
    let efficient: Vec<bool> = points
        .iter()
        .map(|point| {
            !points.iter().any(|other| {
                other.attainment >= point.attainment
                    && price(other) <= price(point)
                    && (other.attainment > point.attainment || price(other) < price(point))
            })
        })
        .collect();
    for (point, efficient) in points.iter_mut().zip(efficient) {
        point.efficient = efficient;
    }
    points
}
