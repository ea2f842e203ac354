//! What is asked for.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterFacts, Prices};
use crate::measured::ByHand;
use crate::service::Sla;
use crate::simulate::Dispatch;

/// Everything but profiles and traffic that a plan depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanRequest {
    /// The service level.
    pub sla: Sla,
    /// Where the traffic comes from.
    pub traffic_from: TrafficSource,
    /// The window of the rate.
    pub window_ns: Nanos,
    /// The quantile of the growth, above 0 and below 1.
    pub quantile: f64,
    /// How requests are spread over replicas.
    pub dispatch: Dispatch,
    /// What of the directories that were given could not be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOutProfile>,
    /// Facts of the cluster.
    pub cluster: ClusterFacts,
    /// Prices.
    pub prices: Prices,
    /// Values in place of measurements.
    pub by_hand: ByHand,
    /// What is said of the places that weights may be in.
    #[serde(default)]
    pub places: PlacesRequest,
    /// The largest batch or number of concurrent requests of a server; `null`: the largest that was measured.
    pub max_batch: Option<u32>,
    /// The class of nodes to plan for; `null`: that of the first profile.
    pub node_class: Option<String>,
    /// Whether profiles of a stand-in driver are taken.
    pub allow_stand_in: bool,
    /// Whether policies are simulated on the traffic.
    pub simulate: bool,
    /// Seed of every simulation.
    pub seed: u64,
}

/// A file of a fleet's directory that could not be used: the others of its class stand without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOutProfile {
    /// The file.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// Places that weights may be in, where no profile tells them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PlacesRequest {
    /// Bytes per second that a single node gets of the shared storage.
    pub shared_bytes_per_s: Option<f64>,
    /// Share of the starts that find the weights on their node where the scheduler prefers such nodes.
    pub hit_ratio: Option<f64>,
}

/// Where the traffic comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TrafficSource {
    /// Numbers that were given.
    Numbers,
    /// A trace.
    Trace {
        /// Its file.
        name: String,
        /// What is to be known about it.
        caveats: Vec<String>,
    },
}
