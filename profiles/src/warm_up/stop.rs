//! When enough iterations have been measured.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::{OrderStatistics, Percentile};
use crate::units::Nanos;
use crate::warm_up::classify::judge;
use crate::warm_up::locate::{Located, locate};

/// Iterations that must follow the start of the steady state.
const STEADY_ITERATIONS: usize = 50;
/// How close both ends of the interval of the steady median must come to it.
const INTERVAL: f64 = 0.01;
/// How many noise estimates in a row must agree, and how closely.
const NOISE_ESTIMATES: usize = 64;
const NOISE_AGREEMENT: f64 = 0.05;
/// Nobody stops a series of zeros by time, so it ends here.
const MOST_ITERATIONS: usize = 1_000_000;
/// What an analysis costs for each iteration it looks at, roughly and on the high side.
const ANALYSIS_NS: u64 = 2_000;
/// Analyses may take one part in this many of the time measured.
const ANALYSIS_SHARE: u64 = 20;

/// Why a trial stopped iterating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The 95 % interval of the steady median came within ±1 %.
    SteadyInterval,
    /// The noise of the steady state is known and stays: further iterations would not narrow it.
    NoiseFlat,
    /// The most iterations were made.
    MaxIterations,
    /// The most time was spent.
    MaxTime,
    /// The run's budget had no more time for it.
    Budget,
}

impl StopReason {
    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            StopReason::SteadyInterval => "steady_interval",
            StopReason::NoiseFlat => "noise_flat",
            StopReason::MaxIterations => "max_iterations",
            StopReason::MaxTime => "max_time",
            StopReason::Budget => "budget",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Between how many iterations, and how much measured time, the rule may stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopLimits {
    /// Never fewer than this, whatever they take.
    pub min_iterations: usize,
    /// Not fewer than this unless time runs out: what a percentile of the samples needs.
    pub wanted_iterations: usize,
    /// Not more than this, once the least time is over.
    pub max_iterations: usize,
    /// Not less time than this.
    pub min_time: Nanos,
    /// Not more time than this, once the least number of iterations is made.
    pub max_time: Nanos,
    /// The share of the run's budget, if it has one. Not exceeded either, once the least number of iterations is made.
    pub budget: Option<Nanos>,
}

/// Without a budget: 50 to 500 iterations, 3 s to 60 s.
impl Default for StopLimits {
    fn default() -> Self {
        StopLimits {
            min_iterations: 50,
            wanted_iterations: 0,
            max_iterations: 500,
            min_time: Nanos::from_secs(3),
            max_time: Nanos::from_secs(60),
            budget: None,
        }
    }
}

impl StopLimits {
    /// Within a share of the run's budget: the 3 s are then the most that is spent and not the least.
    pub fn within_budget(share: Nanos) -> Self {
        let budget = Some(share.min(Nanos::from_secs(3)));
        StopLimits { min_time: Nanos::ZERO, budget, ..StopLimits::default() }
    }

    /// Within a share of the run's budget, all of which may be spent on reaching `iterations`: 662 for a certified p99.
    pub fn for_tail(iterations: usize, share: Nanos) -> Self {
        let limits = StopLimits::default();
        StopLimits {
            wanted_iterations: iterations,
            max_iterations: limits.max_iterations.max(iterations),
            min_time: Nanos::ZERO,
            budget: Some(share),
            ..limits
        }
    }
}

/// Says after each iteration whether to stop.
///
/// It has no clock: elapsed time is the sum of the readings fed to it, so time between timed regions counts for
/// nothing and a caller with a deadline must watch that itself. Most calls cost a comparison or two; the
/// series is analysed at growing intervals, such that these analyses together take about a twentieth of the time
/// measured, and once more, for about a millisecond, when the most iterations are made.
///
/// In this order, once the least number of iterations is made: out of budget; out of time; and, with the least
/// time and the wanted iterations done: at least 50 iterations past the start of a steady state and either the
/// interval of its median within ±1 % or 64 noise estimates within 5 %; the most iterations.
#[derive(Debug, Clone)]
pub struct StopRule {
    limits: StopLimits,
    resolution: Nanos,
    readings: Vec<Nanos>,
    elapsed: Nanos,
    next_analysis: usize,
    analysed_at: Nanos,
    reason: Option<StopReason>,
}

impl StopRule {
    /// A rule that has seen nothing. `resolution` is the least step of the clock that takes the readings.
    pub fn new(limits: StopLimits, resolution: Nanos) -> Self {
        let next_analysis = limits.min_iterations.max(limits.wanted_iterations);
        StopRule {
            limits,
            resolution,
            readings: Vec::new(),
            elapsed: Nanos::ZERO,
            next_analysis,
            analysed_at: Nanos::ZERO,
            reason: None,
        }
    }

    /// Takes the reading of one iteration, the first iteration included. Some reason means: stop. It stays.
    pub fn push(&mut self, reading: Nanos) -> Option<StopReason> {
        self.readings.push(reading);
        self.elapsed = self.elapsed.saturating_add(reading);
        self.reason = self.reason.or_else(|| self.decide());
        self.reason
    }

    /// The readings so far, in the order taken.
    pub fn readings(&self) -> &[Nanos] {
        &self.readings
    }

    /// The readings so far, without copying them.
    pub fn into_readings(self) -> Vec<Nanos> {
        self.readings
    }

    /// The sum of the readings.
    pub fn elapsed(&self) -> Nanos {
        self.elapsed
    }

    fn decide(&mut self) -> Option<StopReason> {
        let n = self.readings.len();
        if n < self.limits.min_iterations {
            return None;
        }
        if self.limits.budget.is_some_and(|budget| self.elapsed >= budget) {
            return Some(StopReason::Budget);
        }
        if self.elapsed >= self.limits.max_time {
            return Some(StopReason::MaxTime);
        }
        let last = n >= MOST_ITERATIONS;
        if !last && (n < self.limits.wanted_iterations || self.elapsed < self.limits.min_time) {
            return None;
        }
        let last = last || n >= self.limits.max_iterations;
        let steady = if last || self.analysis_is_due() { self.steady_enough() } else { None };
        steady.or(last.then_some(StopReason::MaxIterations))
    }

    fn analysis_is_due(&self) -> bool {
        let cost = ANALYSIS_NS.saturating_mul(self.readings.len() as u64);
        let since = self.elapsed.saturating_sub(self.analysed_at).as_nanos();
        self.readings.len() >= self.next_analysis && since >= cost.saturating_mul(ANALYSIS_SHARE)
    }

    fn steady_enough(&mut self) -> Option<StopReason> {
        let n = self.readings.len();
        self.next_analysis = n + (n / 8).max(10);
        self.analysed_at = self.elapsed;
        let located = locate(&self.readings, self.resolution);
        if n - located.start < STEADY_ITERATIONS {
            return None;
        }
        let reason = if self.interval_is_narrow(&located) {
            StopReason::SteadyInterval
        } else if noise_is_flat(&located.logs[located.start..]) {
            StopReason::NoiseFlat
        } else {
            return None;
        };
        // The test for a trend is the dearest part, so it comes last.
        judge(&located).is_steady().then_some(reason)
    }

    fn interval_is_narrow(&self, located: &Located) -> bool {
        let Ok(order) = OrderStatistics::new(self.readings[located.start..].to_vec()) else { return false };
        let median = located.steady_median.as_nanos() as f64;
        order.interval(Percentile::P50).is_some_and(|(low, high)| {
            low.as_nanos() as f64 >= median * (1.0 - INTERVAL)
                && high.as_nanos() as f64 <= median * (1.0 + INTERVAL)
        })
    }
}

/// Whether the standard deviations of the last 64 growing prefixes lie within 5 % of the largest of them
/// (the idea is that of NVBench's `stdrel` criterion; here on logarithms with spikes pulled in, so that one spike
/// does not restart the wait).
fn noise_is_flat(logs: &[f64]) -> bool {
    let Some(first) = logs.len().checked_sub(NOISE_ESTIMATES).filter(|first| *first >= 1) else {
        return false;
    };
    let (mut mean, mut squares) = (0.0, 0.0);
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for (index, value) in logs.iter().enumerate() {
        // Welford 1962
        let delta = value - mean;
        mean += delta / (index + 1) as f64;
        squares += delta * (value - mean);
        if index >= first {
            let deviation = (squares / index as f64).sqrt();
            low = low.min(deviation);
            high = high.max(deviation);
        }
    }
    high - low <= NOISE_AGREEMENT * high
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::warm_up::curves::{ar1, shape, spike, to_nanos};

    const TICK: Nanos = Nanos::from_nanos(30);

    fn series(sd: f64, spikes: f64, unit_ns: f64, factor: impl Fn(usize) -> f64) -> Vec<Nanos> {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut values = ar1(&mut rng, 20_000, 0.0, sd);
        spike(&mut rng, &mut values, spikes);
        shape(&mut values, factor);
        to_nanos(&values, unit_ns)
    }

    /// After how many iterations the rule stops, and why.
    fn stop(limits: StopLimits, series: &[Nanos]) -> (usize, StopReason) {
        let mut rule = StopRule::new(limits, TICK);
        series
            .iter()
            .enumerate()
            .find_map(|(index, reading)| Some((index + 1, rule.push(*reading)?)))
            .expect("the series is long enough")
    }

    fn millis(millis: u64) -> Nanos {
        Nanos::from_millis(millis)
    }

    #[test]
    fn a_quiet_series_stops_at_the_least_counts() {
        // 50 iterations of 100 ms are 5 s; of 10 ms the 3 s bind.
        assert_eq!(
            stop(StopLimits::default(), &series(0.005, 0.0, 1e8, |_| 1.0)),
            (50, StopReason::SteadyInterval)
        );
        let (n, reason) = stop(StopLimits::default(), &series(0.005, 0.0, 1e7, |_| 1.0));
        assert_eq!(reason, StopReason::SteadyInterval);
        assert!((299..=302).contains(&n), "{n}");
        let within = StopLimits::within_budget(Nanos::from_secs(20));
        assert_eq!(stop(within, &series(0.005, 0.0, 1e7, |_| 1.0)), (50, StopReason::SteadyInterval));
    }

    #[test]
    fn fifty_iterations_follow_the_start_of_the_steady_state() {
        let warm_up = |i: usize| if i < 30 { 2.0 } else { 1.0 };
        let limits = StopLimits { min_time: Nanos::ZERO, ..StopLimits::default() };
        let (n, reason) = stop(limits, &series(0.005, 0.02, 1e8, warm_up));
        assert_eq!(reason, StopReason::SteadyInterval);
        assert!((80..=92).contains(&n), "{n}");
    }

    #[test]
    fn a_noisy_series_stops_when_its_noise_is_known() {
        // At 20 % noise the interval needs thousands of iterations.
        let limits = StopLimits { max_iterations: 5000, ..StopLimits::default() };
        let (n, reason) = stop(limits, &series(0.2, 0.02, 1.2e7, |_| 1.0));
        assert_eq!(reason, StopReason::NoiseFlat);
        assert!((114..1000).contains(&n), "{n}");
    }

    #[test]
    fn caps_bind_in_their_order() {
        let rising = |i: usize| 1.0 + i as f64 * 0.02;
        let limits = StopLimits { min_time: Nanos::ZERO, ..StopLimits::default() };
        assert_eq!(stop(limits.clone(), &series(0.01, 0.0, 1e6, rising)), (500, StopReason::MaxIterations));
        // 50 iterations take 100 s and are made nevertheless.
        let slow = series(0.001, 0.0, 2e9, |_| 1.0);
        assert_eq!(stop(StopLimits::default(), &slow), (50, StopReason::MaxTime));
        assert_eq!(stop(StopLimits::within_budget(millis(500)), &slow), (50, StopReason::Budget));
        // Under a budget 3 s are the most.
        let (n, reason) =
            stop(StopLimits::within_budget(Nanos::from_secs(20)), &series(0.01, 0.0, 1e7, rising));
        assert_eq!(reason, StopReason::Budget);
        assert!((125..=145).contains(&n), "Σ 10 ms · (1 + 0.02 i) reaches 3 s at i = 130: {n}");
    }

    #[test]
    fn a_tail_has_its_samples_where_the_budget_allows() {
        let quiet = series(0.005, 0.0, 1e7, |_| 1.0);
        assert_eq!(
            stop(StopLimits::for_tail(662, Nanos::from_secs(20)), &quiet),
            (662, StopReason::SteadyInterval)
        );
        let (n, reason) = stop(StopLimits::for_tail(662, Nanos::from_secs(4)), &quiet);
        assert_eq!(reason, StopReason::Budget);
        assert!((399..=402).contains(&n), "{n}");
    }

    #[test]
    fn the_reason_stays_and_readings_are_kept() {
        let mut rule = StopRule::new(StopLimits::within_budget(millis(10)), TICK);
        for _ in 0..49 {
            assert_eq!(rule.push(millis(1)), None);
        }
        assert_eq!(rule.push(millis(1)), Some(StopReason::Budget));
        assert_eq!(rule.push(millis(1)), Some(StopReason::Budget));
        assert_eq!((rule.readings().len(), rule.elapsed()), (51, millis(51)));
    }

    #[test]
    fn readings_of_zero_end_too() {
        let mut rule = StopRule::new(StopLimits::default(), TICK);
        let n = (1..).find(|_| rule.push(Nanos::ZERO).is_some()).unwrap();
        assert!(n <= MOST_ITERATIONS, "{n}");
    }
}
