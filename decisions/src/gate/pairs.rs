//! Resampling recorded runs: every ordered pair of them is a comparison in which nothing changed.

use coldstart_profiles::CanaryReading;
use coldstart_profiles::stats::median;

use super::compare::{Judgement, LEAST_TRIALS, judgement};
use super::rules::Thresholds;

/// What must be found so often, …
const POWER: f64 = 0.9;
/// … slowdowns being tried in steps of 1 % up to this.
const MOST_SLOWDOWN: usize = 200;
/// A key decides where so large a share of the runs has enough trials of it.
const DECISIVE: f64 = 0.9;
/// Pairs that a threshold may let through as false alarms.
const FALSE_ALARMS: f64 = 0.0025;

/// One comparison of two runs of the same program, as far as it is decided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    ratios: [f64; 2],
    before: f64,
    after: f64,
    trials: usize,
}

impl Pair {
    pub(super) fn of(baseline: &[f64], new: &[f64]) -> Option<Pair> {
        let least = |values: &[f64]| values.iter().copied().min_by(f64::total_cmp);
        let (before, after) = (median(baseline)?, median(new)?);
        let ratios = [after / before, least(new)? / least(baseline)?];
        Some(Pair { ratios, before, after, trials: baseline.len().min(new.len()) })
    }

    /// The judgement, had the new side been slower by `factor`.
    pub(super) fn judge(self, factor: f64, limits: Thresholds) -> Judgement {
        let ratios = self.ratios.map(|ratio| ratio * factor);
        judgement(ratios, self.after * factor - self.before, self.trials, limits)
    }

    /// The largest θ at which it would be called slower.
    fn alarm(self, floor: f64) -> f64 {
        if self.after - self.before <= floor { 0.0 } else { self.ratios[0].min(self.ratios[1]) - 1.0 }
    }
}

/// All comparisons of one key between runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pairs {
    pairs: Vec<Pair>,
    /// Runs that have enough trials to decide by: only these are paired.
    pub(super) runs: usize,
    /// Whether nine of ten of all runs have.
    pub(super) decisive: bool,
}

impl Pairs {
    /// Every ordered pair of runs with enough trials that `fit` lets through; `runs` are the trials of each run that has any,
    /// of `all` runs.
    pub(super) fn of(all: usize, runs: &[&[f64]], fit: impl Fn(usize, usize) -> bool) -> Pairs {
        let enough: Vec<usize> = (0..runs.len()).filter(|run| runs[*run].len() >= LEAST_TRIALS).collect();
        let ordered = enough.iter().flat_map(|a| enough.iter().map(move |b| (*a, *b)));
        let pairs = ordered.filter(|(a, b)| a != b && fit(*a, *b));
        Pairs {
            pairs: pairs.filter_map(|(a, b)| Pair::of(runs[a], runs[b])).collect(),
            runs: enough.len(),
            decisive: enough.len() as f64 >= DECISIVE * all as f64,
        }
    }

    /// The share of them that are called slower when the new side is slower by `factor`.
    pub(super) fn slower(&self, factor: f64, limits: Thresholds) -> f64 {
        let slower = self.pairs.iter().filter(|pair| pair.judge(factor, limits) == Judgement::Slower).count();
        if self.pairs.is_empty() { 0.0 } else { slower as f64 / self.pairs.len() as f64 }
    }

    /// The least θ that lets 0.25 % of them through as false alarms: half of a half percent, because other runs than these are
    /// judged by it.
    pub(super) fn threshold(&self, floor: f64) -> Option<f64> {
        let mut alarms: Vec<f64> = self.pairs.iter().map(|pair| pair.alarm(floor)).collect();
        alarms.sort_unstable_by(|a, b| b.total_cmp(a));
        alarms.get((alarms.len() as f64 * FALSE_ALARMS) as usize).copied()
    }

    /// The smallest slowdown that is found in nine of ten comparisons; the share that is found grows with it, so bisection
    /// does. `None` where even thrice the time is not found.
    pub(super) fn detectable(&self, limits: Thresholds) -> Option<f64> {
        let found = |percent: usize| self.slower(1.0 + percent as f64 / 100.0, limits) >= POWER;
        if !found(MOST_SLOWDOWN) {
            return None;
        }
        let (mut below, mut above) = (0, MOST_SLOWDOWN);
        while above - below > 1 {
            let middle = usize::midpoint(below, above);
            if found(middle) { above = middle } else { below = middle }
        }
        Some(above as f64 / 100.0)
    }
}

/// The canary of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Canary {
    /// The best copy and the best product, in seconds.
    pub(super) best: [f64; 2],
    /// The larger of their changes during the run.
    pub(super) moved: f64,
}

impl Canary {
    pub(super) fn of(readings: &[CanaryReading]) -> Option<Canary> {
        let seconds =
            |reading: &CanaryReading| [reading.copy_ns.as_secs_f64(), reading.gemm_ns.as_secs_f64()];
        let (first, last) = (seconds(readings.first()?), seconds(readings.last()?));
        let best = [0, 1]
            .map(|part| readings.iter().map(|reading| seconds(reading)[part]).fold(f64::INFINITY, f64::min));
        best.iter().all(|best| *best > 0.0).then(|| Canary { best, moved: furthest(first, last) })
    }

    /// How far the canary of a gate on these two runs would have moved.
    pub(super) fn apart(self, other: Canary) -> f64 {
        self.moved.max(other.moved).max(furthest(self.best, other.best))
    }
}

/// The larger of two relative changes.
fn furthest(before: [f64; 2], after: [f64; 2]) -> f64 {
    let change = |part: usize| (after[part] / before[part] - 1.0).abs();
    change(0).max(change(1))
}
