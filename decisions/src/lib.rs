//! Decisions from coldstart profiles. Pure functions: profiles in, an answer with the numbers that it rests on out.

#![forbid(unsafe_code)]

mod draws;
mod fitness;
pub mod gate;
pub mod service;
pub mod simulate;
pub mod traffic;

pub use fitness::{FITNESS_CODES, judge_fitness};
