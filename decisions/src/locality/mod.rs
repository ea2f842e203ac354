//! Where the model should live: how long a load takes from each place, what each way of keeping weights near the device costs,
//! and from which size on another one is better.
//!
//! Places differ by queue, latency and bandwidth ([`Tier`], [`TierTime`]); strategies by how often a start finds the weights on
//! its node and what it does otherwise ([`Strategy`]). Every expected time is a line over the size of the model, so sizes
//! at which the choice changes follow from where lines meet ([`Segment`]).

mod affinity;
mod crossover;
mod curves;
mod line;
mod places;
mod strategy;
#[cfg(test)]
mod tests;
mod tier;

use coldstart_profiles::{Bytes, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::basis::{Basis, Figure, Quantity};
use crate::cluster::{ClusterFacts, Prices};

pub use affinity::{AffinityWeight, NodeTime, affinity_weights};
pub use crossover::Segment;
pub use curves::SizeCurve;
pub use places::{PlacesByHand, places_of};
pub use strategy::{Strategy, StrategyFigures, StrategyOutcome, StrategyTime};
pub use tier::{MissingTier, Place, Tier, TierTime};

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Bytes of all tensors.
    pub model_bytes: Bytes,
    /// The places whose rates are known.
    pub places: Vec<Place>,
    /// The others, and why they are not.
    pub missing: Vec<MissingTier>,
    /// What a start does besides loading: from its process to the steady state; or why that can't be told from the load.
    pub around_ns: Result<Figure<Nanos>, String>,
    /// The pull of the image, which comes on top wherever the weights are; `None` where it is not known.
    pub pull_ns: Option<Figure<Nanos>>,
    /// Bytes per second at which the engine unpacks layers; `None` where it was not measured.
    pub unpack_bytes_per_s: Option<Figure<f64>>,
    /// Replicas that load at once, m: they share what is shared. At least 1.
    pub simultaneous: Figure<u32>,
    /// Share of the starts that find the weights on their node where the scheduler prefers such nodes, 0 to 1.
    pub hit_ratio: Figure<f64>,
    /// Number of nodes and the disk of each.
    pub cluster: ClusterFacts,
    /// What disks cost.
    pub prices: Prices,
}

/// Where the model should live, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Locality {
    /// The size that it is about.
    pub model_bytes: Figure<Bytes>,
    /// Replicas that load at once.
    pub simultaneous: Figure<u32>,
    /// The pull of the image in the cold start: a start that has to pull takes so much more, wherever the weights are, and no time here holds it.
    /// `null` where the cold start has no pull, or none that can be told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_ns: Option<Figure<Nanos>>,
    /// How long a start takes with the weights in each place, from the nearest on; only the device where a start can't be told from its load.
    pub tiers: Vec<TierTime>,
    /// Places of which too little is known.
    pub missing: Vec<MissingTier>,
    /// Every strategy, the best first; those that are not possible last.
    pub strategies: Vec<StrategyTime>,
    /// The choice: of the strategies that fit the disk, and whose expected start is within 5 % of the least, the one that takes the least
    /// disk; of several the quickest.
    /// `null` where no strategy can be computed.
    pub choice: Option<Strategy>,
    /// The choice in a sentence.
    pub why: String,
    /// Which strategy the same rule chooses at which sizes, from the smallest sizes on: `choice` is that of the segment of `model_bytes`.
    pub crossovers: Vec<Segment>,
}

/// Answers the question.
///
/// t = queue + latency + bytes ÷ bandwidth + what a start does besides; a shared place gives each of m loads 1/m of its
/// bandwidth; a strategy's expected start is h·t_hit + (1 − h)·t_miss.
pub fn locality(question: &Question) -> Locality {
    let tiers = tier::times(question);
    let lines = strategy::lines(question);
    let mut strategies: Vec<StrategyTime> =
        Strategy::ALL.iter().map(|strategy| strategy::time(question, *strategy, &lines)).collect();
    strategies.sort_by(strategy::order);
    let choice = strategy::choice(&lines, &question.cluster, question.model_bytes.get());
    Locality {
        model_bytes: Figure::new(
            question.model_bytes,
            Basis::of("bytes of all tensors, by the headers of the model's files")
                .input("bytes", Quantity::Bytes(question.model_bytes)),
        ),
        simultaneous: question.simultaneous.clone(),
        tiers,
        missing: question.missing.clone(),
        why: strategy::why(choice, &strategies, question.pull_ns.as_ref()),
        pull_ns: question.pull_ns.clone(),
        choice,
        strategies,
        crossovers: crossover::segments(&lines, &question.cluster),
    }
}
