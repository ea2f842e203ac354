//! Decisions from coldstart profiles. Pure functions: profiles in, an answer with the numbers that it rests on out.

#![forbid(unsafe_code)]

pub mod autoscaler;
mod basis;
pub mod capacity;
mod cluster;
mod draws;
pub mod emulation;
mod fitness;
pub mod gate;
pub mod locality;
pub mod measured;
pub mod mitigations;
pub mod plan;
pub mod queue;
pub mod rollout;
pub mod scaling;
mod schema;
pub mod service;
pub mod simulate;
#[cfg(test)]
mod testing;
pub mod traffic;

pub use basis::{Basis, Figure, Input, Quantity};
pub use cluster::{ClusterFacts, Prices};
pub use fitness::{FITNESS_CODES, LoadedCores, judge_fitness};
pub use schema::{history_schema, policy_schema, rules_schema, verdict_schema};
