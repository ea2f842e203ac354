//! What a calibrated gate is worth on runs that it was not calibrated on.

use std::collections::BTreeMap;

use coldstart_profiles::Phase;

use super::compare::{Judgement, LEAST_TRIALS};
use super::defaults::thresholds;
use super::pairs::{Canary, Pair};
use super::policy::Policy;
use super::recording::RecordedRun;
use super::series::{Metric, SeriesKey};

/// Slowdowns that are injected.
pub const INJECTED: [f64; 2] = [1.1, 1.2];

/// How often comparisons of one key came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyWorth {
    /// Comparisons of two runs between which nothing changed.
    pub compared: usize,
    /// Those that were called slower.
    pub false_alarms: usize,
    /// Those that were inconclusive.
    pub inconclusive: usize,
    /// Those that were called slower with each of [`INJECTED`] on the new side.
    pub found: [usize; 2],
}

/// How often gates on two runs between which nothing changed came to what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Worth {
    /// All of them.
    pub gates: usize,
    /// The canary had moved too far, or other work kept the cores busy before a run: no verdict.
    pub unfit: usize,
    /// Some key that decides was called slower.
    pub alarmed: usize,
    /// None was, but some key that decides was inconclusive.
    pub inconclusive: usize,
    /// Each key that decides.
    pub keys: BTreeMap<SeriesKey, KeyWorth>,
}

impl Worth {
    /// Adds the counts of another split of the runs.
    pub fn add(&mut self, other: &Worth) {
        self.gates += other.gates;
        self.unfit += other.unfit;
        self.alarmed += other.alarmed;
        self.inconclusive += other.inconclusive;
        for (key, worth) in &other.keys {
            let sum = self.keys.entry(key.clone()).or_default();
            sum.compared += worth.compared;
            sum.false_alarms += worth.false_alarms;
            sum.inconclusive += worth.inconclusive;
            for (sum, found) in sum.found.iter_mut().zip(worth.found) {
                *sum += found;
            }
        }
    }
}

/// Whether a key times computing: what is not bound by a disk, the operating system or an engine.
pub fn is_compute(key: &SeriesKey) -> bool {
    matches!(
        (key.phase, key.metric),
        (Phase::FirstBatch | Phase::Throughput, Metric::Time) | (_, Metric::SteadyTime)
    )
}

/// Judges each run of `new` against each of `baseline` by `policy`, as it is and with slowdowns. Where both are the
/// same slice no run is judged against itself.
pub fn worth(policy: &Policy, baseline: &[RecordedRun], new: &[RecordedRun]) -> Worth {
    let mut worth = Worth::default();
    for baseline in baseline {
        for new in new.iter().filter(|new| !std::ptr::eq(*new, baseline)) {
            gate(policy, baseline, new, &mut worth);
        }
    }
    worth
}

fn gate(policy: &Policy, baseline: &RecordedRun, new: &RecordedRun, worth: &mut Worth) {
    worth.gates += 1;
    let canaries = Canary::of(&baseline.canary).zip(Canary::of(&new.canary));
    let moved = canaries.is_some_and(|(before, after)| before.apart(after) > policy.canary_tolerance);
    if moved || !baseline.disturbed.is_empty() || !new.disturbed.is_empty() {
        worth.unfit += 1;
        return;
    }
    let calibrated = policy.calibrated();
    let (mut alarmed, mut inconclusive) = (false, false);
    for (key, calibrated) in calibrated.iter().filter(|(_, calibrated)| calibrated.decides) {
        let (Some(before), Some(after)) = (baseline.series.get(key), new.series.get(key)) else { continue };
        let resolution = before.resolution_ns.max(after.resolution_ns);
        let limits = thresholds(key, Some(calibrated), resolution);
        if before.values.len().min(after.values.len()) < LEAST_TRIALS {
            // Shown, and not decided on.
            continue;
        }
        let Some(pair) = Pair::of(&before.values, &after.values) else { continue };
        let counts = worth.keys.entry(key.clone()).or_default();
        counts.compared += 1;
        match pair.judge(1.0, limits) {
            Judgement::Slower => {
                counts.false_alarms += 1;
                alarmed = true;
            }
            Judgement::Inconclusive { .. } => {
                counts.inconclusive += 1;
                inconclusive = true;
            }
            _ => {}
        }
        for (found, factor) in counts.found.iter_mut().zip(INJECTED) {
            *found += usize::from(pair.judge(factor, limits) == Judgement::Slower);
        }
    }
    worth.alarmed += usize::from(alarmed);
    worth.inconclusive += usize::from(inconclusive && !alarmed);
}
