//! Statistics of repeated readings: order statistics, intervals, tails, fits and rates.
//!
//! Everything here is a pure function of its arguments. Where the data cannot carry an answer the
//! answer is `None` or an error, never a NaN.

mod binomial;
mod fit;
mod least_squares;
mod mean;
mod order;
mod percentile;
mod rate;
mod two_samples;

pub use fit::{FitQuality, LinearFit, PlaneFit, fit_line, fit_plane};
pub use mean::{MeanInterval, lag1_autocorrelation, mean_interval};
pub use order::{OrderStatistics, min_max_coverage};
pub use percentile::{Percentile, PercentileConvention};
pub use rate::{Completion, throughput_per_s};
pub use two_samples::{MannWhitney, cliffs_delta, mann_whitney, median, ratio_interval, robust_deviation};
