//! Expected starts over the size of the model, for plots.

use super::Locality;
use super::strategy::{Strategy, StrategyOutcome};

/// Sizes of the plot, in bytes: 100 MB to 1 TB, four a decade.
const FROM: f64 = 1e8;
const STEPS: i32 = 16;

/// One strategy over the size of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct SizeCurve {
    /// Which.
    pub strategy: Strategy,
    /// Sizes in bytes with the expected start in nanoseconds.
    pub points: Vec<(f64, f64)>,
}

impl Locality {
    /// The expected start of every possible strategy from 100 MB to 1 TB.
    pub fn expected_by_size(&self) -> Vec<SizeCurve> {
        let curve = |figures: &super::StrategyFigures, strategy| {
            let size = |step: i32| FROM * 10_f64.powf(f64::from(step) / 4.0);
            let time = |bytes: f64| figures.expected_at_zero_ns + figures.expected_per_byte_ns * bytes;
            let points = (0..=STEPS).map(|step| (size(step), time(size(step)))).collect();
            SizeCurve { strategy, points }
        };
        let possible = self.strategies.iter().filter_map(|time| match &time.outcome {
            StrategyOutcome::Possible(figures) => Some(curve(figures, time.strategy)),
            StrategyOutcome::Impossible { .. } => None,
        });
        possible.collect()
    }
}
