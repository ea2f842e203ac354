//! Results of other tools as profiles.

mod criterion;

pub use criterion::{ImportError, criterion};
