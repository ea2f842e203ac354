//! From a growth of the traffic until a new replica carries its part of it.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::basis::{Basis, Figure, Quantity};
use crate::cluster::ClusterFacts;

/// L and its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeadTime {
    /// D: until the autoscaler acts.
    pub detection_ns: Figure<Nanos>,
    /// Until a node is there; zero where nodes are there already.
    pub provisioning_ns: Figure<Nanos>,
    /// C: the cold start of the replica, its slow end.
    pub cold_start_ns: Figure<Nanos>,
    /// L = D + provisioning + C.
    pub total_ns: Figure<Nanos>,
}

impl LeadTime {
    /// Adds up what the cluster and the cold start take.
    pub fn new(cluster: &ClusterFacts, cold_start: &Figure<Nanos>) -> Self {
        let nanos = Quantity::Nanos;
        let detection = Basis::of("D = scrape interval + query window ÷ 2 + sync interval")
            .input("scrape interval", nanos(cluster.scrape_interval_ns))
            .input("query window", nanos(cluster.query_window_ns))
            .input("sync interval", nanos(cluster.sync_interval_ns));
        let detection_ns = Figure::new(cluster.detection_ns(), detection);
        let provisioning = Basis::of("what a new node takes, as given with --provisioning; zero without")
            .input("--provisioning", nanos(cluster.provisioning_ns));
        let provisioning_ns = Figure::new(cluster.provisioning_ns, provisioning);
        let total = detection_ns.value.saturating_add(provisioning_ns.value).saturating_add(cold_start.value);
        let basis = Basis::of("L = D + provisioning + C")
            .figure("D", nanos(detection_ns.value), "lead_time.detection_ns", &detection_ns.basis)
            .figure(
                "provisioning",
                nanos(provisioning_ns.value),
                "lead_time.provisioning_ns",
                &provisioning_ns.basis,
            )
            .figure("C", nanos(cold_start.value), "lead_time.cold_start_ns", &cold_start.basis);
        LeadTime {
            detection_ns,
            provisioning_ns,
            cold_start_ns: cold_start.clone(),
            total_ns: Figure::new(total, basis),
        }
    }
}
