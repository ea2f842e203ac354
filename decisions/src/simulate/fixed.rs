//! A fixed number of replicas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::dispatch::Dispatch;
use super::language_model::LanguageServer;
use super::outcome::Outcome;
use super::recorder::{Kept, Recorder};
use super::server::Server;
use super::single_forward::SingleServer;
use crate::service::{ServiceModel, Sla};
use crate::traffic::Arrival;

/// A fixed number of replicas, all ready from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fixed {
    /// How many; none answers nothing.
    pub replicas: u32,
    /// Which replica gets a request.
    pub dispatch: Dispatch,
    /// Of all chances.
    pub seed: u64,
    /// Requests that arrive before are not counted, so that queues are as long as in the steady state.
    #[serde(default)]
    pub warm_up_ns: u64,
    /// Stop once so many requests missed their bounds; without it every request is answered.
    #[serde(default)]
    pub give_up_after: Option<u64>,
}

impl Fixed {
    /// Every request counted and answered.
    pub const fn new(replicas: u32, dispatch: Dispatch, seed: u64) -> Self {
        Fixed { replicas, dispatch, seed, warm_up_ns: 0, give_up_after: None }
    }
}

/// Simulates arrivals, in order of their times, on a fixed number of replicas until all are answered.
///
/// The same arguments give the same outcome. Memory: two or four histograms of 230 kB, and 16 bytes for each request that waits.
pub fn fixed(
    service: &ServiceModel,
    sla: &Sla,
    setup: Fixed,
    arrivals: impl IntoIterator<Item = Arrival>,
) -> Outcome {
    match service {
        ServiceModel::SingleForward(model) => {
            run::<SingleServer>(model, sla, setup, arrivals, Kept::Percentiles)
        }
        ServiceModel::LanguageModel(model) => {
            run::<LanguageServer>(model, sla, setup, arrivals, Kept::Percentiles)
        }
    }
}

/// Whether so many replicas meet the SLA, and nothing more.
pub(super) fn fixed_meets(
    service: &ServiceModel,
    sla: &Sla,
    setup: Fixed,
    arrivals: impl IntoIterator<Item = Arrival>,
) -> bool {
    let found = match service {
        ServiceModel::SingleForward(model) => run::<SingleServer>(model, sla, setup, arrivals, Kept::Counts),
        ServiceModel::LanguageModel(model) => {
            run::<LanguageServer>(model, sla, setup, arrivals, Kept::Counts)
        }
    };
    found.meets
}

fn run<S: Server>(
    model: &S::Model,
    sla: &Sla,
    setup: Fixed,
    arrivals: impl IntoIterator<Item = Arrival>,
    kept: Kept,
) -> Outcome {
    let recorder = Recorder::new(*sla, setup.warm_up_ns, S::TOKENS, kept);
    let mut cluster = Cluster::<S>::new(model, setup.dispatch, setup.seed, recorder);
    for _ in 0..setup.replicas {
        cluster.order(0, 0);
    }
    let mut now = 0;
    let give_up_after = setup.give_up_after.unwrap_or(u64::MAX);
    let mut gave_up = false;
    for arrival in arrivals {
        while cluster.next_event().is_some_and(|time| time <= arrival.time_ns) {
            cluster.step();
        }
        now = arrival.time_ns;
        cluster.arrive(arrival);
        if cluster.recorder.misses() > give_up_after {
            gave_up = true;
            break;
        }
    }
    while let Some(time) = cluster.next_event() {
        if gave_up {
            break;
        }
        now = time;
        cluster.step();
        gave_up = cluster.recorder.misses() > give_up_after;
    }
    cluster.abandon();
    cluster.recorder.outcome(cluster.utilization(now), gave_up)
}
