//! The warm-ups of several trials, side by side.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::samples::Samples;
use crate::stats::{OrderStatistics, Percentile};
use crate::units::Nanos;
use crate::warm_up::classify::{WarmUpAnalysis, WarmUpClass, analyse};
use crate::warm_up::stop::StopReason;

/// The iterations of one trial and what they say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WarmUpCurve {
    /// The step of the plan that the trial belongs to.
    pub step: String,
    /// Every iteration from the first; the first batch is number 0.
    pub samples: Samples,
    /// The same iterations on the device's own clock; empty on the host device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_ns: Vec<Nanos>,
    /// The least step of the clock.
    pub resolution_ns: Nanos,
    /// Why it stopped iterating.
    pub stop: StopReason,
    /// `analyse` of the samples.
    pub analysis: WarmUpAnalysis,
}

impl WarmUpCurve {
    /// Analyses the iterations of one trial.
    pub fn new(step: impl Into<String>, samples: Samples, resolution: Nanos, stop: StopReason) -> Self {
        let analysis = analyse(samples.as_slice(), resolution);
        let device_ns = Vec::new();
        WarmUpCurve { step: step.into(), samples, device_ns, resolution_ns: resolution, stop, analysis }
    }

    /// Between which times nine of ten steady iterations lie: their 5th and 95th percentiles by nearest rank. `None` without a steady
    /// state.
    pub fn steady_band(&self) -> Option<(Nanos, Nanos)> {
        let steady = self.samples.as_slice().get(self.analysis.steady_start?..)?;
        let order = OrderStatistics::new(steady.to_vec()).ok()?;
        let at = |permille| Some(order.nearest_rank(Percentile::from_permille(permille)?));
        Some((at(50)?, at(950)?))
    }
}

/// The least, middle and largest of one number over trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spread<T> {
    /// The least.
    pub min: T,
    /// The median by nearest rank: of an even number the lower middle one.
    pub median: T,
    /// The largest.
    pub max: T,
}

impl<T: Copy + Ord> Spread<T> {
    /// The spread of some values; `None` of none.
    pub fn of(values: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut values: Vec<T> = values.into_iter().collect();
        values.sort_unstable();
        let (min, max) = (*values.first()?, *values.last()?);
        Some(Spread { min, median: values[(values.len() - 1) / 2], max })
    }
}

/// How many trials were of each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ClassCounts {
    /// Steady from the first iteration.
    pub flat: usize,
    /// Slower before the steady state.
    pub warmup: usize,
    /// Faster before the steady state.
    pub slowdown: usize,
    /// Without a steady state.
    pub no_steady_state: usize,
}

/// Whether the trials warmed up alike, and what it cost them. Costs are over the trials that reached a steady state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialsAgreement {
    /// How many trials there are.
    pub trials: usize,
    /// Whether all are of one class. If not, the profile is `inconsistent`.
    pub consistent: bool,
    /// How many are of each class.
    pub classes: ClassCounts,
    /// Time before the steady state; `null` when no trial reached one.
    pub time_to_steady_ns: Option<Spread<Nanos>>,
    /// Time above the steady level before it; `null` when no trial reached one.
    pub warmup_cost_ns: Option<Spread<i64>>,
    /// The steady medians; `null` when no trial reached one.
    pub steady_median_ns: Option<Spread<Nanos>>,
}

impl TrialsAgreement {
    /// Compares trials; `None` without any.
    pub fn of<'a>(trials: impl IntoIterator<Item = &'a WarmUpAnalysis>) -> Option<Self> {
        let trials: Vec<&WarmUpAnalysis> = trials.into_iter().collect();
        let first = trials.first()?;
        let mut classes = ClassCounts::default();
        for trial in &trials {
            *match trial.class {
                WarmUpClass::Flat => &mut classes.flat,
                WarmUpClass::Warmup => &mut classes.warmup,
                WarmUpClass::Slowdown => &mut classes.slowdown,
                WarmUpClass::NoSteadyState => &mut classes.no_steady_state,
            } += 1;
        }
        Some(TrialsAgreement {
            trials: trials.len(),
            consistent: trials.iter().all(|trial| trial.class == first.class),
            classes,
            time_to_steady_ns: Spread::of(trials.iter().filter_map(|trial| trial.time_to_steady_ns)),
            warmup_cost_ns: Spread::of(trials.iter().filter_map(|trial| trial.warmup_cost_ns)),
            steady_median_ns: Spread::of(trials.iter().filter_map(|trial| trial.steady_median_ns)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(slow: usize, n: usize) -> WarmUpAnalysis {
        let readings: Vec<Nanos> =
            (0..n).map(|i| Nanos::from_nanos(if i < slow { 3000 } else { 1000 })).collect();
        analyse(&readings, Nanos::from_nanos(1))
    }

    #[test]
    fn trials_of_one_class_agree_and_show_their_spread() {
        let trials = [trial(40, 200), trial(20, 200), trial(30, 200)];
        let agreement = TrialsAgreement::of(&trials).unwrap();
        assert!(agreement.consistent);
        assert_eq!(agreement.classes, ClassCounts { warmup: 3, ..ClassCounts::default() });
        assert_eq!(agreement.warmup_cost_ns, Some(Spread { min: 40_000, median: 60_000, max: 80_000 }));
        let times = [60_000, 90_000, 120_000].map(Nanos::from_nanos);
        assert_eq!(agreement.time_to_steady_ns, Spread::of(times));
    }

    #[test]
    fn a_steady_band_holds_nine_of_ten_iterations() {
        // The steady part begins after ten slow iterations, and counts from 1001 to 1100.
        let readings =
            (0..110_u64).map(|i| Nanos::from_nanos(if i < 10 { 9_000 } else { 991 + i })).collect();
        let samples = Samples::new(readings).unwrap();
        let mut curve = WarmUpCurve::new("trial", samples, Nanos::from_nanos(1), StopReason::Budget);
        curve.analysis.steady_start = Some(10);
        assert_eq!(curve.steady_band(), Some((Nanos::from_nanos(1005), Nanos::from_nanos(1095))));
        curve.analysis.steady_start = None;
        assert_eq!(curve.steady_band(), None);
    }

    #[test]
    fn trials_of_several_classes_do_not() {
        let trials = [trial(0, 200), trial(30, 200), trial(0, 20)];
        let agreement = TrialsAgreement::of(&trials).unwrap();
        assert!(!agreement.consistent);
        assert_eq!(agreement.classes, ClassCounts { flat: 1, warmup: 1, no_steady_state: 1, slowdown: 0 });
        assert_eq!(agreement.warmup_cost_ns, Some(Spread { min: 0, median: 0, max: 60_000 }));
        assert_eq!(TrialsAgreement::of(&[]), None);
        let none = TrialsAgreement::of(&[trial(0, 20)]).unwrap();
        assert_eq!((none.consistent, none.steady_median_ns), (true, None));
    }
}
