//! Calibration: how much a machine differs from itself, and what a gate on it can find.

use std::collections::{BTreeMap, BTreeSet};

use coldstart_profiles::stats::{median, robust_deviation};
use coldstart_profiles::{Caveat, Nanos, Phase, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::comparable::Difference;
use super::defaults::{Calibrated, thresholds};
use super::pairs::{Canary, Pairs};
use super::recording::{RecordedRun, shared_conditions};
use super::series::{Metric, Series, SeriesKey};

/// Fewer runs than this say too little about the spread between runs.
pub const LEAST_RUNS: usize = 10;
/// θ is never below this.
const LEAST_THRESHOLD: f64 = 0.05;
/// θ is at least so many standard deviations of one trial.
const DEVIATIONS: f64 = 2.5;
/// A key whose trials spread by more than this is restless.
const RESTLESS: f64 = 0.1;
/// A θ from which on a key is worth nothing: twice the time is called no difference.
const BLIND_THRESHOLD: f64 = 1.0;
/// The canary's tolerance is never above this: a machine that wanders further is not fit to be judged by.
const MOST_TOLERANCE: f64 = 0.15;
/// Conditions that a policy notes, and that thresholds don't depend on: the seed only decides the order of the steps, and a model is known by
/// its hash.
const NOTED_ONLY: [&str; 3] = ["plan.seed", "target.model.source", "tool.version"];
/// Pairs of runs whose canary may move without the machine being called unfit.
const CANARY_SHARE: f64 = 0.95;

/// The policy file: thresholds for one machine, by key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// Version of this file's format.
    pub version: u32,
    /// When the newest of the runs began (RFC 3339).
    pub calibrated_at: String,
    /// How many runs it rests on.
    pub runs: usize,
    /// The machine: processor, cores, device.
    pub machine: String,
    /// What else was the same in all of its runs, by the field's name in a profile: the thresholds hold for runs of which it is the
    /// same. Empty in policies of before it was told.
    #[serde(default)]
    pub conditions: BTreeMap<String, String>,
    /// What the canary took on it; `null` where no run read it.
    #[serde(default)]
    pub canary: Option<PolicyCanary>,
    /// How far the canary may move, within a run or from the baseline's: what 95 % of the pairs of these runs kept to, at
    /// least 5 % and at most 15 %. A gate on the others would have found the machine unfit.
    pub canary_tolerance: f64,
    /// Share of comparisons of two of these runs in which something that decides would have been called slower.
    pub false_alarms: f64,
    /// Thresholds and what they are worth.
    pub keys: Vec<CalibratedKey>,
}

/// The canary of a machine: the median over the runs of each run's best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyCanary {
    /// The fixed copy.
    pub copy_ns: Nanos,
    /// The fixed product.
    pub gemm_ns: Nanos,
}

/// One key of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibratedKey {
    /// What is compared.
    pub key: SeriesKey,
    /// Trials that it rests on.
    pub trials: usize,
    /// s: 1.4826 × MAD of ln of all trials together, which holds the spread between runs as well.
    pub spread: f64,
    /// θ: the largest of 5 %, 2.5·s, and what lets 0.25 % of the comparisons of two of these runs through as false alarms, of
    /// those that a gate would have found fit; of all of them where trials spread by more than 10 %.
    pub threshold: f64,
    /// Share of comparisons of two of these runs that call it slower, though nothing changed.
    pub false_alarms: f64,
    /// The smallest slowdown that is found in 90 % of the comparisons of two of these runs, as a share; `null` where even
    /// thrice the time is not.
    pub detectable: Option<f64>,
    /// Whether it decides: not where more than a tenth of the runs have fewer than three trials of it, nor where another
    /// metric of the same load is steadier. Where nothing is detectable a gate does not decide by it either.
    pub decides: bool,
}

/// Calibrates on runs of one plan on one machine, between which nothing changed. At least two runs; ten are wanted
/// ([`LEAST_RUNS`]).
pub fn calibrate(profiles: &[&Profile]) -> Policy {
    calibrate_runs(&profiles.iter().map(|profile| RecordedRun::of(profile)).collect::<Vec<_>>())
}

/// The same of runs that were recorded.
pub fn calibrate_runs(runs: &[RecordedRun]) -> Policy {
    let canaries: Vec<Option<Canary>> = runs.iter().map(|run| Canary::of(&run.canary)).collect();
    // Thresholds rest on all that the machine does, even where a gate would call it unfit: they are the wider for it.
    // Pairs that a gate would call unfit say nothing of what it lets through.
    let tolerance = canary_tolerance(&canaries);
    let fit = |a: usize, b: usize| match (canaries[a], canaries[b]) {
        (Some(a), Some(b)) => a.apart(b) <= tolerance,
        _ => true,
    };
    let all: BTreeSet<&SeriesKey> = runs.iter().flat_map(|run| run.series.keys()).collect();
    let mut keys: Vec<CalibratedKey> =
        all.into_iter().filter_map(|key| calibrate_key(key, runs, fit)).collect();
    choose_metric(&mut keys);
    Policy {
        version: 1,
        calibrated_at: runs.iter().map(|run| run.started_at.clone()).max().unwrap_or_default(),
        runs: runs.len(),
        machine: runs.first().map(|run| run.machine.clone()).unwrap_or_default(),
        conditions: shared_conditions(runs.iter().map(|run| &run.conditions)),
        canary: typical(&canaries),
        canary_tolerance: tolerance,
        false_alarms: false_alarms(&keys),
        keys,
    }
}

/// The threshold of one key, and what it is worth, by all pairs of runs that have it and would have been judged.
fn calibrate_key(
    key: &SeriesKey,
    runs: &[RecordedRun],
    fit: impl Fn(usize, usize) -> bool,
) -> Option<CalibratedKey> {
    let having: Vec<(usize, &Series)> =
        runs.iter().enumerate().filter_map(|(at, run)| Some((at, run.series.get(key)?))).collect();
    let values: Vec<&[f64]> = having.iter().map(|(_, series)| series.values.as_slice()).collect();
    let logs: Vec<f64> = values.concat().iter().map(|value| value.ln()).collect();
    let spread = robust_deviation(&logs)?;
    // The canary explains why a steady key moves; of a restless one it does not, and every pair counts.
    let pairs = Pairs::of(runs.len(), &values, |a, b| spread > RESTLESS || fit(having[a].0, having[b].0));
    let resolution = having.iter().map(|(_, series)| series.resolution_ns).fold(0.0, f64::max);
    let limits = |relative: f64| {
        let calibrated = Calibrated { relative, decides: true, detectable: None };
        thresholds(key, Some(&calibrated), resolution)
    };
    let floor = limits(0.0).floor;
    let resampled = pairs.threshold(floor).filter(|_| pairs.decisive);
    let threshold = LEAST_THRESHOLD.max(DEVIATIONS * spread).max(resampled.unwrap_or(0.0));
    let limits = limits(threshold);
    Some(CalibratedKey {
        key: key.clone(),
        trials: logs.len(),
        spread,
        threshold,
        false_alarms: pairs.slower(1.0, limits),
        detectable: pairs.detectable(limits),
        decides: pairs.decisive,
    })
}

/// The medians over the runs of the best copy and the best product of each.
fn typical(canaries: &[Option<Canary>]) -> Option<PolicyCanary> {
    let part =
        |part: usize| median(&canaries.iter().flatten().map(|canary| canary.best[part]).collect::<Vec<_>>());
    let nanos = |seconds: f64| Nanos::from_nanos_f64(seconds * 1e9);
    Some(PolicyCanary { copy_ns: nanos(part(0)?), gemm_ns: nanos(part(1)?) })
}

impl Policy {
    /// What a gate needs of it.
    pub fn calibrated(&self) -> BTreeMap<SeriesKey, Calibrated> {
        let of = |key: &CalibratedKey| Calibrated {
            relative: key.threshold,
            decides: key.decides && key.detectable.is_some(),
            detectable: key.detectable,
        };
        self.keys.iter().map(|key| (key.key.clone(), of(key))).collect()
    }

    /// Keys that would decide, but in which a slowdown to twice the time, or any at all, goes unseen.
    pub fn blind(&self) -> impl Iterator<Item = &CalibratedKey> {
        let sees = |key: &CalibratedKey| key.detectable.is_some() && key.threshold < BLIND_THRESHOLD;
        self.keys.iter().filter(move |key| key.decides && !sees(key))
    }

    /// What speaks against judging this profile by it: another machine, model or way of measuring, each by the field that
    /// differs, and a canary that is not what it was.
    pub fn mismatches(&self, profile: &Profile) -> Vec<Caveat> {
        let here = RecordedRun::of(profile);
        let mut found = Vec::new();
        let mut tell = |code: &str, what: String| {
            let text = format!("the calibration may not hold here: {what}");
            found.push(Caveat { code: code.to_owned(), text });
        };
        if here.machine != self.machine {
            tell(
                "policy_machine",
                format!("`machine` is {} in the policy, and {} here", self.machine, here.machine),
            );
        }
        for Difference { field, baseline, new } in differing(&self.conditions, &here.conditions) {
            tell("policy_conditions", format!("`{field}` is {baseline} in the policy, and {new} here"));
        }
        if let Some((name, by)) = self.canary_moved(&here) {
            let by = by * 100.0;
            tell(
                "policy_canary",
                format!("the canary's {name} differs by {by:+.1} % from what it took then"),
            );
        }
        found
    }

    /// What the canary of a run takes by more than the tolerance longer, or shorter, than it took in the calibration, and by
    /// how much, as a share; not where this is another machine.
    pub(super) fn canary_moved(&self, run: &RecordedRun) -> Option<(&'static str, f64)> {
        let (then, now) = (self.canary?, Canary::of(&run.canary)?);
        let change = |now: f64, then: Nanos| now / then.as_secs_f64() - 1.0;
        let moved =
            [("copy", change(now.best[0], then.copy_ns)), ("product", change(now.best[1], then.gemm_ns))];
        let beyond = |(_, by): &(&str, f64)| by.abs() > self.canary_tolerance;
        moved.into_iter().find(beyond).filter(|_| run.machine == self.machine)
    }
}

/// Conditions that both know, that count, and that are not the same.
fn differing(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<Difference> {
    let counts = |field: &str| !NOTED_ONLY.contains(&field);
    let known = one.iter().filter(|(field, _)| counts(field));
    let both = known.filter_map(|(field, value)| Some((field, value, other.get(field)?)));
    both.filter(|(_, value, other)| value != other)
        .map(|(field, value, other)| Difference {
            field: field.clone(),
            baseline: value.clone(),
            new: other.clone(),
        })
        .collect()
}

/// Fields by which two runs are not of one plan under one set of conditions: they can't be calibrated on together.
pub fn condition_differences(one: &Profile, other: &Profile) -> Vec<Difference> {
    differing(&RecordedRun::of(one).conditions, &RecordedRun::of(other).conditions)
}

/// Of the time of a load and its ratio to the limit the steadier one decides.
fn choose_metric(keys: &mut [CalibratedKey]) {
    let ratios: Vec<(SeriesKey, f64)> = keys
        .iter()
        .filter(|key| key.key.metric == Metric::TimesLimit)
        .map(|key| (SeriesKey { metric: Metric::Time, ..key.key.clone() }, key.spread))
        .collect();
    for (time_key, ratio_spread) in ratios {
        let is_transfer = time_key.phase == Phase::WeightsLoad;
        let time_spread = keys.iter().find(|key| key.key == time_key).map(|key| key.spread);
        let ratio_decides = is_transfer && time_spread.is_none_or(|spread| ratio_spread < spread);
        for key in keys.iter_mut() {
            let same = SeriesKey { metric: Metric::Time, ..key.key.clone() } == time_key;
            if same {
                key.decides &= (key.key.metric == Metric::TimesLimit) == ratio_decides;
            }
        }
    }
}

/// The share of comparisons with a false alarm in any key that decides, taken as independent: 1 − Π(1 − rate).
fn false_alarms(keys: &[CalibratedKey]) -> f64 {
    let none = keys.iter().filter(|key| key.decides).map(|key| 1.0 - key.false_alarms).product::<f64>();
    1.0 - none
}

/// How far the canary of these pairs moved at most, a twentieth of them left out as disturbed; from 5 to 15 %.
pub(super) fn canary_tolerance(canaries: &[Option<Canary>]) -> f64 {
    let known: Vec<Canary> = canaries.iter().copied().flatten().collect();
    let mut apart: Vec<f64> = (known.iter().enumerate())
        .flat_map(|(index, a)| known[index + 1..].iter().map(|b| a.apart(*b)))
        .collect();
    apart.sort_unstable_by(f64::total_cmp);
    let most = apart.get(((apart.len() as f64 * CANARY_SHARE) as usize).min(apart.len().saturating_sub(1)));
    most.copied().unwrap_or(0.0).clamp(LEAST_THRESHOLD, MOST_TOLERANCE)
}
