//! A plan as data.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::comparison::PolicyComparison;
use super::courses::Courses;
use super::format::PlanFormat;
use super::request::PlanRequest;
use crate::autoscaler::{Autoscaler, KeepAlive, Wanted};
use crate::basis::{Basis, Figure, Quantity};
use crate::capacity::{LeadTime, Sensitivity, SlaBound, Warm, at_most};
use crate::locality::{AffinityWeight, Locality};
use crate::measured::Fleet;
use crate::mitigations::Mitigation;
use crate::service::{RequestSize, ServiceModel};
use crate::traffic::TrafficSummary;

/// The answer of `coldstart plan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServingPlan {
    /// The version of this format.
    pub format: PlanFormat,
    /// The version of the program that made it.
    pub tool_version: String,
    /// What was asked for.
    pub request: PlanRequest,
    /// What the profiles say, by class of nodes.
    pub fleet: Fleet,
    /// The class that the plan is for.
    pub node_class: String,
    /// The traffic in numbers.
    pub traffic: TrafficSummary,
    /// The service model.
    pub service: ServicePlan,
    /// From a growth of the traffic until a new replica carries its part of it.
    pub lead_time: LeadTime,
    /// How many replicas.
    pub capacity: Capacity,
    /// The autoscaler's settings.
    pub autoscaler: Autoscaler,
    /// replicas(λ) + standby as a line that an autoscaler follows: what `coldstart export --signal plan` writes. `null` where a rate of
    /// the traffic can't be carried.
    pub wanted: Option<Wanted>,
    /// What can be carried out, replayed on the traffic, and the cheapest of it; of numbers on arrivals that are drawn of them. `null` where
    /// those would say nothing: a caveat says why.
    pub courses: Option<Courses>,
    /// Scaling to zero.
    pub keep_alive: KeepAlive,
    /// Where the model should live.
    pub locality: Locality,
    /// How much a scheduler should prefer each class of nodes, the fastest first.
    pub affinity: Vec<AffinityWeight>,
    /// What would make cold starts shorter, or their length matter less, the best for its price first.
    pub mitigations: Vec<Mitigation>,
    /// The same question for every class of the fleet.
    pub classes: Vec<ClassOutlook>,
    /// The plan and its alternatives on the traffic; `null` where they were not simulated.
    pub comparison: Option<PolicyComparison>,
    /// What a reader must know before following it.
    pub caveats: Vec<String>,
}

/// How one replica serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServicePlan {
    /// The model.
    pub model: ServiceModel,
    /// The mean request.
    pub size: RequestSize,
    /// What it rests on.
    pub basis: Basis,
}

/// How many replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Capacity {
    /// What one replica completes in full batches within the service level.
    pub bound: SlaBound,
    /// Warm replicas.
    pub warm: Warm,
    /// The fewest replicas standing by with which the SLA holds on the trace itself, found by replaying it: what to keep. `warm.standby` is
    /// where that search begins, and all there is for numbers. `null` for those, and where no standby is enough.
    ///
    /// They come on top of replicas(rate), which follows the traffic: `warm.replicas_now` at its mean rate, up to `replayed_peak`.
    pub replayed_standby: Option<Figure<u32>>,
    /// The most replicas without standby that following the trace took; `null` where `replayed_standby` is.
    pub replayed_peak: Option<Figure<u32>>,
    /// The fewest replicas that meet the SLA on the trace when their number never changes. `null` for numbers, and where none are
    /// enough.
    pub fixed_replicas: Option<Figure<u32>>,
    /// The answer at half, once and twice the cold start.
    pub sensitivity: Vec<Sensitivity>,
    /// What the warm replicas cost in an hour; `null` without a price.
    pub cost_per_hour: Option<Figure<f64>>,
}

impl Capacity {
    /// Those that stand by: what the replay of the trace needs, where there was one; else those of the formula.
    pub fn standby(&self) -> &Figure<u32> {
        self.replayed_standby.as_ref().unwrap_or(&self.warm.standby)
    }

    /// Warm replicas to keep at the rate now, of `most` that there may be. The standby that a replay found may exceed what is left of
    /// those: with it the replay, too, had no more than `most`.
    pub fn kept(&self, most: Option<u32>) -> Figure<u32> {
        let (now, standby) = (&self.warm.replicas_now, self.standby());
        let basis = Basis::of("replicas(λ_now) + standby")
            .input("replicas(λ_now)", Quantity::Count(u64::from(now.value)))
            .input("standby", Quantity::Count(u64::from(standby.value)))
            .resting_on(&now.basis)
            .resting_on(&standby.basis);
        at_most(now.value.saturating_add(standby.value).max(1), most, basis)
    }
}

/// The answer for one class of nodes, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassOutlook {
    /// The class.
    pub node_class: String,
    /// How many of its nodes were measured.
    pub nodes: Figure<usize>,
    /// The median cold start; `null` where none is known.
    pub cold_median_ns: Option<Figure<Nanos>>,
    /// C_hi; `null` where none is known.
    pub cold_hi_ns: Option<Figure<Nanos>>,
    /// μ_SLA of one replica; `null` without an answer.
    pub rate_per_s: Option<Figure<f64>>,
    /// Warm replicas at the peak; `null` without an answer.
    pub replicas_peak: Option<Figure<u32>>,
    /// Those of them that stand by; `null` without an answer. By the formula.
    pub standby: Option<Figure<u32>>,
    /// Those that stand by where the trace was replayed on this class; `null` for numbers, and where no standby is enough.
    pub replayed_standby: Option<Figure<u32>>,
    /// The fewest replicas that meet the SLA on the trace without ever changing; `null` for numbers, and where none are enough.
    pub fixed_replicas: Option<Figure<u32>>,
    /// Why there is no answer; `null` where there is one.
    pub why: Option<String>,
}
