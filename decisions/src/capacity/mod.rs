//! How many replicas must be warm: for the traffic now, for what it may grow to before a new replica helps, and the
//! difference, which has to stand by.
//!
//! L = D + C is the lead time, g(L) the growth within it at a chosen quantile. Replicas for a rate come from a simulation
//! of the stated dispatch, not from a rule per replica: queues pool.

mod lead_time;
mod planner;
mod sensitivity;
#[cfg(test)]
mod tests;
mod warm;

pub use lead_time::LeadTime;
pub use planner::{AtColdStart, Demand, PlanError, Planner};
pub use sensitivity::{Sensitivity, sensitivity};
pub(crate) use sensitivity::{at_most, standby_at};
pub use warm::{SlaBound, Warm};
