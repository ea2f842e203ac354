//! What can be carried out — a fixed number, and what `coldstart export` writes — replayed on the traffic, and the cheapest of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cheapest::Fewest;
use crate::autoscaler::Signal;
use crate::basis::{Basis, Figure};
use crate::simulate::PolicyOutcome;

/// What scales has to be cheaper than a fixed number by more than this share to be advised in its place.
const WORTH_SCALING: f64 = 0.02;

/// One way to run the replicas, replayed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Course {
    /// Its name, also among the policies of the comparison.
    pub name: String,
    /// What `coldstart export hpa` and `keda` write with `--signal`; `null` for a fixed number, and for the plan carried out exactly.
    pub export: Option<Signal>,
    /// Whether only KEDA carries it out: it goes to zero.
    pub to_zero: bool,
    /// The fewest replicas that it keeps.
    pub min_replicas: Figure<u32>,
    /// What fewer would take that meet the SLA as well; `null` where this is the fewest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fewest: Option<Fewest>,
    /// Whether it meets the SLA.
    pub meets: bool,
    /// Requests within all bounds ÷ requests.
    pub attainment: Figure<f64>,
    /// Hours of replicas, from being ordered on.
    pub replica_hours: Figure<f64>,
    /// Hours and misses at their prices; `null` without prices.
    pub cost: Option<Figure<f64>>,
    /// Whether it is the least number of replicas that meets the SLA, and no threshold: as many as a fixed number would take.
    pub floor_carries: bool,
}

/// Every way that was replayed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Courses {
    /// replicas(rate) + standby carried out exactly: what no autoscaler can do, and exports are measured by. Of numbers with the standby
    /// of the formula, whether that is enough on what was drawn or not; of a trace `null` where no standby is enough.
    pub exactly: Option<Course>,
    /// What can be carried out: first the fixed number, then exports.
    pub carried_out: Vec<Course>,
    /// The cheapest of `carried_out` that meets the SLA: by cost where prices are known, else by hours; the fixed number where nothing is
    /// cheaper by more than 2 %. `null` where none does.
    pub cheapest: Option<Course>,
}

impl Course {
    pub(super) fn of(
        found: &PolicyOutcome,
        export: Option<Signal>,
        (min_replicas, least): (u32, &str),
        basis: &Basis,
    ) -> Self {
        let of = |formula: &str| Basis { formula: format!("{formula}, {}", basis.formula), ..basis.clone() };
        Course {
            name: found.policy.name.clone(),
            export,
            to_zero: false,
            min_replicas: Figure::new(min_replicas, of(least)),
            fewest: None,
            meets: found.outcome.meets,
            attainment: Figure::new(found.outcome.attainment, of("requests within the SLA ÷ requests")),
            replica_hours: Figure::new(
                found.replica_hours,
                of("Σ from ordering a replica to its end, in hours"),
            ),
            cost: found.cost.map(|cost| Figure::new(cost, of("replica-hours and misses at their prices"))),
            floor_carries: false,
        }
    }

    fn price(&self) -> f64 {
        self.cost.as_ref().unwrap_or(&self.replica_hours).value
    }
}

impl Courses {
    pub(super) fn new(exactly: Option<Course>, carried_out: Vec<Course>) -> Self {
        let meets = carried_out.iter().filter(|course| course.meets);
        let least = meets.min_by(|a, b| a.price().total_cmp(&b.price()));
        // A fixed number asks for nothing, and what begins with one replica less is ahead of it by that start.
        let fixed = carried_out.iter().find(|course| course.export.is_none() && course.meets);
        let as_cheap = fixed.filter(|fixed| {
            least.is_some_and(|least| fixed.price() <= least.price() * (1.0 + WORTH_SCALING))
        });
        let cheapest = as_cheap.or(least).cloned();
        Courses { exactly, carried_out, cheapest }
    }

    /// What the export of a signal does while it keeps its least number of replicas.
    pub fn of_export(&self, signal: Signal) -> Option<&Course> {
        self.carried_out.iter().find(|course| course.export == Some(signal) && !course.to_zero)
    }

    /// What the export of a signal does that goes to zero in pauses.
    pub fn to_zero(&self, signal: Signal) -> Option<&Course> {
        self.carried_out.iter().find(|course| course.export == Some(signal) && course.to_zero)
    }

    /// The cheapest way that meets the SLA and can be exported: what scales nothing, since its least number carries everything, is none.
    pub fn cheapest_export(&self) -> Option<&Course> {
        let exported = self
            .carried_out
            .iter()
            .filter(|course| course.meets && course.export.is_some() && !course.floor_carries);
        exported.min_by(|a, b| a.price().total_cmp(&b.price()))
    }
}
