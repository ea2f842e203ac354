//! Decisions from coldstart profiles. Pure functions: profiles in, an answer with the numbers that it rests on out.

#![forbid(unsafe_code)]

mod fitness;
pub mod gate;

pub use fitness::{FITNESS_CODES, judge_fitness};
