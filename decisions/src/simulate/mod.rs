//! Discrete-event simulation: requests, the service model, replicas that take time to start.

#[expect(dead_code, reason = "runs with an autoscaler come next")]
mod cluster;
mod dispatch;
mod fixed;
mod language_model;
mod outcome;
mod recorder;
mod replicas;
mod server;
mod single_forward;
#[cfg(test)]
mod tests;

pub use dispatch::Dispatch;
pub use fixed::{Fixed, fixed};
pub use outcome::{Latency, Outcome, RESOLUTION};
pub use replicas::{CapacityError, Load, Replicas, Search, outcome_with, replicas_for};
