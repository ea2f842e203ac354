//! Closed formulas of queues: seeds of searches, and what the simulation is checked against.
//!
//! All assume Poisson arrivals; with bursts (CV² over 1.5) they are optimistic. Times are in nanoseconds, rates in requests a
//! second; `None` where the queue has no steady state or an argument means nothing.

mod birth_death;
mod erlang;
mod pollaczek;

pub use birth_death::{BirthDeath, SteadyState};
pub use erlang::{erlang_c, erlang_c_mean_wait_ns};
pub use pollaczek::{md1_mean_wait_ns, mg1_mean_wait_ns};
