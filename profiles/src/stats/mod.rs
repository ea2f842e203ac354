//! Statistics of repeated readings: order statistics, intervals, tails, fits and rates.
//!
//! Everything here is a pure function of its arguments. Where the data cannot carry an answer the
//! answer is `None` or an error, never a NaN.

mod binomial;
mod order;
mod percentile;

pub use order::{OrderStatistics, min_max_coverage};
pub use percentile::{Percentile, PercentileConvention};
