//! From what was asked to a plan: profiles of a fleet, a trace, numbers with units.

mod files;
mod order;
pub mod quantity;
pub mod times;

pub use files::{PlanFiles, Profiles, read_plan, read_profiles, read_trace};
pub use order::{Arrivals, Order, OrderError, make};
