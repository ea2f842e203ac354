//! The cheapest of the settings that meet the SLA. The fewest replicas need not be it: where a miss has its price, more of them may pay,
//! and a threshold that too few replicas keep exceeding orders many at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::replay::Replay;
use crate::basis::Figure;
use crate::simulate::PolicyOutcome;

/// So many settings are tried beside the fewest, spread evenly, and then around the best of them as many, until none lies between: a
/// minimum that lies elsewhere between two of them is not found. Up to so many more than the fewest are all tried.
const TRIED: u32 = 12;

/// What the fewest replicas that meet the SLA take, where more are cheaper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fewest {
    /// How many they are; of `--signal plan`: that stand by.
    pub replicas: Figure<u32>,
    /// Hours of replicas.
    pub replica_hours: Figure<f64>,
    /// Hours and misses at their prices; `null` without prices.
    pub cost: Option<Figure<f64>>,
}

/// The setting that was chosen.
pub(super) struct Cheapest {
    pub(super) replicas: u32,
    pub(super) outcome: PolicyOutcome,
    /// `None` where it is the fewest itself.
    pub(super) fewest: Option<Fewest>,
}

/// By cost where prices are known, else by hours.
fn price(outcome: &PolicyOutcome) -> f64 {
    outcome.cost.unwrap_or(outcome.replica_hours)
}

impl Replay<'_> {
    /// The cheapest that is found of the numbers from `fewest`, with which the SLA holds, to `most`. `hours_of` is what a number takes
    /// at least, and grows with it: where that alone is no cheaper the search ends.
    pub(super) fn cheapest(
        &self,
        (fewest, most): (u32, u32),
        hours_of: impl Fn(u32, &PolicyOutcome) -> f64,
        mut run: impl FnMut(u32) -> PolicyOutcome,
    ) -> Cheapest {
        let per_hour = self.alternatives.request.prices.replica_hour.unwrap_or(1.0);
        let first = run(fewest);
        let mut best = Cheapest { replicas: fewest, outcome: first.clone(), fewest: None };
        let (mut from, mut to) = (fewest, most);
        loop {
            let step = to.saturating_sub(from).div_ceil(TRIED).max(1);
            let known = best.replicas;
            let untried = |replicas: &u32| *replicas != fewest && *replicas != known;
            for replicas in (from..=to).step_by(step as usize).filter(untried) {
                if hours_of(replicas, &first) * per_hour >= price(&best.outcome) {
                    break;
                }
                let outcome = run(replicas);
                if outcome.outcome.meets && price(&outcome) < price(&best.outcome) {
                    best = Cheapest { replicas, outcome, fewest: Some(self.fewest(fewest, &first)) };
                }
            }
            if step == 1 {
                return best;
            }
            // What lies between the best and its neighbours.
            from = best.replicas.saturating_sub(step - 1).max(fewest);
            to = best.replicas.saturating_add(step - 1).min(most);
        }
    }

    fn fewest(&self, replicas: u32, outcome: &PolicyOutcome) -> Fewest {
        let of = |what: &str| self.basis(&format!("{what} with the fewest that meet the SLA, replayed"));
        Fewest {
            replicas: Figure::new(replicas, of("replicas")),
            replica_hours: Figure::new(outcome.replica_hours, of("replica-hours")),
            cost: outcome.cost.map(|cost| Figure::new(cost, of("replica-hours and misses at their prices"))),
        }
    }

    /// Where the search above a number of replicas that is known to be enough ends.
    pub(super) fn beyond(&self, enough: u32) -> u32 {
        let most = self.alternatives.request.cluster.max_replicas.unwrap_or(u32::MAX);
        enough.saturating_add(enough.max(TRIED)).min(most).max(enough)
    }

    /// Hours of the traffic.
    pub(super) fn hours(&self) -> f64 {
        self.trace.duration_ns() as f64 / 3.6e12
    }
}
