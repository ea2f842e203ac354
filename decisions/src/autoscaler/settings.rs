//! All settings of an autoscaler together.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::behaviour::{Behaviour, ceil_seconds};
use super::target::{Hopeless, Target};
use crate::basis::{Basis, Figure, Quantity};
use crate::capacity::{LeadTime, PlanError, Planner, SlaBound, Warm};
use crate::cluster::ClusterFacts;
use crate::measured::MemoryFacts;
use crate::service::{RequestSize, ServiceModel, Sla};

/// What an autoscaler is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Autoscaler {
    /// ρ = λ ÷ (λ + g(L)): the share of its capacity that a replica may be loaded with, so that the rest covers the growth. The
    /// standby covers the same growth: take one of the two, or know that you pay twice.
    pub headroom: Figure<f64>,
    /// The targets.
    pub targets: Vec<Target>,
    /// Why no threshold on the queue or the latency can save the service level; `null` where one can.
    pub hopeless: Option<Hopeless>,
    /// How fast the number of replicas may change.
    pub behaviour: Behaviour,
    /// The fewest replicas.
    pub min_replicas: Figure<u32>,
    /// The most replicas.
    pub max_replicas: Figure<u32>,
    /// The largest rate of the traffic, in requests per second: what the most replicas are for.
    pub largest_per_s: Figure<f64>,
    /// How often the metrics are looked at, in whole seconds.
    pub polling_interval_s: Figure<u32>,
}

/// What the settings follow from.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The service model.
    pub service: &'a ServiceModel,
    /// The service level.
    pub sla: &'a Sla,
    /// The mean request.
    pub size: RequestSize,
    /// Facts of the cluster.
    pub cluster: &'a ClusterFacts,
    /// What one replica completes in full batches within the service level.
    pub bound: &'a SlaBound,
    /// Warm replicas.
    pub warm: &'a Warm,
    /// The lead time.
    pub lead: &'a LeadTime,
    /// C_hi.
    pub cold_start: &'a Figure<Nanos>,
    /// Memory of a replica.
    pub memory: &'a MemoryFacts,
    /// Whether replicas run on the host device: it has no memory of its own to watch.
    pub host: bool,
}

impl Autoscaler {
    /// Derives every setting. `lowest_per_s` and `largest_per_s` are the ends of the traffic: its rate at the complement of the
    /// quantile, and its largest.
    ///
    /// # Errors
    /// When no number of replicas carries one of the ends.
    pub fn derive(
        situation: &Situation<'_>,
        planner: &Planner<'_>,
        (lowest_per_s, largest_per_s): (f64, Figure<f64>),
    ) -> Result<Self, PlanError> {
        let headroom = headroom(situation.warm);
        let hopeless = Hopeless::of(situation);
        let rate_target = situation.rate_target(&headroom);
        let polling = situation.cluster.scrape_interval_ns;
        let polling_interval_s = Figure::new(
            ceil_seconds(polling).max(1),
            Basis::of("the scrape interval: nothing new is to be seen in between")
                .input("scrape interval", Quantity::Nanos(polling)),
        );
        let min_replicas = least(situation.warm, planner, lowest_per_s)?;
        let max_replicas = most(situation, planner, &largest_per_s)?;
        Ok(Autoscaler {
            targets: situation.targets(&headroom, hopeless.as_ref()),
            behaviour: Behaviour::of(situation, &rate_target, &max_replicas),
            min_replicas,
            max_replicas,
            largest_per_s,
            headroom,
            hopeless,
            polling_interval_s,
        })
    }
}

/// ρ; 1 where nothing grows.
fn headroom(warm: &Warm) -> Figure<f64> {
    let (now, growth) = (&warm.now_per_s, &warm.growth_per_s);
    let basis = Basis::of("ρ = λ_now ÷ (λ_now + g(L))")
        .figure("λ_now", Quantity::PerSecond(now.value), "capacity.warm.now_per_s", &now.basis)
        .figure("g(L)", Quantity::PerSecond(growth.value), "capacity.warm.growth_per_s", &growth.basis);
    let peak = now.value + growth.value;
    Figure::new(if peak > 0.0 { now.value / peak } else { 1.0 }, basis)
}

/// Replicas for the lowest rate and what it may grow by before a new replica helps.
fn least(warm: &Warm, planner: &Planner<'_>, lowest_per_s: f64) -> Result<Figure<u32>, PlanError> {
    let growth = &warm.growth_per_s;
    let replicas = planner.replicas(lowest_per_s + growth.value)?.min(warm.replicas_peak.value);
    let basis = Basis::of("replicas(λ_low + g(L)): also at its lowest the traffic may grow within L")
        .input("λ_low", Quantity::PerSecond(lowest_per_s))
        .figure("g(L)", Quantity::PerSecond(growth.value), "capacity.warm.growth_per_s", &growth.basis)
        .resting_on(&planner.replicas_basis());
    Ok(Figure::new(replicas, basis))
}

/// Replicas for the largest rate; what there may be at most where that was given.
fn most(
    situation: &Situation<'_>,
    planner: &Planner<'_>,
    largest_per_s: &Figure<f64>,
) -> Result<Figure<u32>, PlanError> {
    let peak = &situation.warm.replicas_peak;
    if let Some(most) = situation.cluster.max_replicas {
        let basis =
            Basis::of("given with --max-replicas").input("--max-replicas", Quantity::Count(u64::from(most)));
        return Ok(Figure::new(most, basis));
    }
    let replicas = planner.replicas(largest_per_s.value)?.max(peak.value);
    let basis = Basis::of("the larger of replicas(λ_max) and replicas(λ_peak)")
        .figure(
            "λ_max",
            Quantity::PerSecond(largest_per_s.value),
            "autoscaler.largest_per_s",
            &largest_per_s.basis,
        )
        .figure(
            "replicas(λ_peak)",
            Quantity::Count(u64::from(peak.value)),
            "capacity.warm.replicas_peak",
            &peak.basis,
        );
    Ok(Figure::new(replicas, basis))
}
