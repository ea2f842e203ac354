//! What the user says of the cluster and its prices.

use coldstart_profiles::{Bytes, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the cluster watches and scales, and what it has. Facts of the user's, not measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterFacts {
    /// Between two readings of a replica's metrics.
    pub scrape_interval_ns: Nanos,
    /// The window of the query that a rate or percentile is taken over.
    pub query_window_ns: Nanos,
    /// Between two looks of the autoscaler.
    pub sync_interval_ns: Nanos,
    /// Until a new node is there; zero where nodes are there already.
    pub provisioning_ns: Nanos,
    /// How far a metric may be from its target before an autoscaler acts, as a share.
    pub tolerance: f64,
    /// Number of nodes; `null` where it was not said.
    pub nodes: Option<u32>,
    /// Disk of one node that models and images may take; `null` where it was not said.
    pub disk_per_node_bytes: Option<Bytes>,
    /// The most replicas that there can be; `null` where it was not said.
    pub max_replicas: Option<u32>,
}

impl Default for ClusterFacts {
    /// Prometheus' 15 s, a window of two scrapes (the least that has a rate), the horizontal pod autoscaler's 15 s and 10 %.
    fn default() -> Self {
        ClusterFacts {
            scrape_interval_ns: Nanos::from_secs(15),
            query_window_ns: Nanos::from_secs(30),
            sync_interval_ns: Nanos::from_secs(15),
            provisioning_ns: Nanos::ZERO,
            tolerance: 0.1,
            nodes: None,
            disk_per_node_bytes: None,
            max_replicas: None,
        }
    }
}

impl ClusterFacts {
    /// D: from a change of the traffic until the autoscaler acts on it, at the latest but for half a window: scrape interval +
    /// half the query window + sync interval.
    pub const fn detection_ns(&self) -> Nanos {
        let half = Nanos::from_nanos(self.query_window_ns.as_nanos() / 2);
        self.scrape_interval_ns.saturating_add(half).saturating_add(self.sync_interval_ns)
    }
}

/// What things cost, in any one currency. Every price that is `null` was not given, and what needs it is left out with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Prices {
    /// One replica for one hour.
    pub replica_hour: Option<f64>,
    /// One gigabyte (10⁹ bytes) of a node's disk for one month.
    pub disk_gb_month: Option<f64>,
    /// One gigabyte of the registry or object store for one month.
    pub registry_gb_month: Option<f64>,
    /// One request that missed its service level.
    pub miss: Option<f64>,
}
