//! Which nodes a scheduler should prefer, by the times of starts on them.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::basis::{Basis, Figure, Quantity};

/// A node, or a class of nodes, and how long a start takes there.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeTime {
    /// Its name, or its class's.
    pub node: String,
    /// The median of its cold starts.
    pub start_ns: Figure<Nanos>,
}

/// How much a scheduler should prefer a node, on Kubernetes' scale of 1 to 100.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AffinityWeight {
    /// Its name, or its class's.
    pub node: String,
    /// A start there.
    pub start_ns: Figure<Nanos>,
    /// round(1 + 99·(t_max − t) ÷ (t_max − t_min)); 100 where all are equal.
    pub weight: Figure<u32>,
}

/// A weight for each node, the fastest first.
pub fn affinity_weights(nodes: &[NodeTime]) -> Vec<AffinityWeight> {
    let times = || nodes.iter().map(|node| node.start_ns.value);
    let (Some(least), Some(most)) = (times().min(), times().max()) else { return Vec::new() };
    let mut weights: Vec<AffinityWeight> = nodes
        .iter()
        .map(|node| {
            let start = node.start_ns.value;
            let span = most.saturating_sub(least).as_nanos() as f64;
            let weight = match span {
                0.0 => 100,
                span => (1.0 + 99.0 * most.saturating_sub(start).as_nanos() as f64 / span).round() as u32,
            };
            let basis = Basis::of("round(1 + 99·(t_max − t) ÷ (t_max − t_min)); 100 where all are equal")
                .input("t", Quantity::Nanos(start))
                .input("t_min", Quantity::Nanos(least))
                .input("t_max", Quantity::Nanos(most))
                .resting_on(&node.start_ns.basis);
            AffinityWeight {
                node: node.node.clone(),
                start_ns: node.start_ns.clone(),
                weight: Figure::new(weight, basis),
            }
        })
        .collect();
    weights.sort_by(|a, b| (a.start_ns.value, &a.node).cmp(&(b.start_ns.value, &b.node)));
    weights
}
