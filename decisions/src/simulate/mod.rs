//! Discrete-event simulation: requests, the service model, replicas that take time to start.

mod autoscaled;
mod cluster;
mod controller;
mod dispatch;
mod fixed;
mod language_model;
mod largest_rates;
mod meter;
mod outcome;
mod policy;
mod recorder;
mod replicas;
mod search;
mod server;
mod single_forward;
mod standby;
#[cfg(test)]
mod tests;
mod usual;

pub(crate) use autoscaled::meets_sla;
pub use autoscaled::{PolicyOutcome, Prices, ReplicasAt, Scenario, autoscaled};
pub use dispatch::Dispatch;
pub use fixed::{Fixed, fixed};
pub use largest_rates::largest_rates;
pub use outcome::{Latency, Outcome, RESOLUTION};
pub use policy::{Metric, Monitoring, Planned, Policy, Rule, Signal};
pub use recorder::Slice;
pub use replicas::{CapacityError, Load, Replicas, Search, outcome_with, replicas_for};
pub(crate) use replicas::{MOST_REPLICAS, meets};
pub(crate) use search::fewest;
pub use standby::{ParetoPoint, Standby, pareto, standby_for};
pub(crate) use standby::{carried_out, fewest_standing_by};
pub use usual::usual_policies;
