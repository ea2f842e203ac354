//! Slow creep: changes of level over many profiles of one machine, each too small or too gradual for a comparison of two.
//!
//! For nightly runs, not for pull requests: a change shows once some runs lie behind it.

mod changes;
mod divide;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use coldstart_profiles::stats::{median, robust_deviation};
use coldstart_profiles::{CanaryReading, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::comparable::{Difference, differences, key_differences, unusable};
use super::pairs::Canary;
use super::policy::{Policy, canary_tolerance};
use super::recording::RecordedRun;
use super::series::SeriesKey;
use changes::{Change, changes};
use divide::{LEAST_SEGMENT, windows};

/// Without a calibration a change is told from so many standard deviations of a run's median on, as a gate's threshold is.
const DEVIATIONS: f64 = 2.5;

/// How a history is searched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryOptions {
    /// Runs that are looked at together; longer histories are looked at in windows that overlap by half.
    pub window: usize,
    /// The probability that a history without any change is said to have one, in whatever key.
    pub significance: f64,
    /// Changes of less than this share are not told; where the machine is less steady, of less than a key's own.
    pub least: f64,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        HistoryOptions { window: 50, significance: 0.05, least: 0.05 }
    }
}

/// Where one key changed its level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangePoint {
    /// When the first run at the new level began (RFC 3339); of a change in several steps in one direction the first step.
    pub at: String,
    /// When the last step of several began; `null` for a single one.
    #[serde(default)]
    pub until: Option<String>,
    /// When the last run at the old level began.
    pub after: String,
    /// Runs at the old level, back to the change before.
    pub runs_before: usize,
    /// Runs at the new level, up to the next change.
    pub runs_after: usize,
    /// The old level: the median of its runs, each the median of its trials; in nanoseconds, or a ratio.
    pub median_before: f64,
    /// The new level.
    pub median_after: f64,
    /// New ÷ old.
    pub ratio: f64,
    /// The probability of such a split by chance, times the number of series and windows that were searched (Bonferroni).
    pub p: f64,
    /// What became of the canary's copy between the same runs, new ÷ old; `null` where it was not read.
    pub canary_copy: Option<f64>,
    /// What became of the canary's product.
    pub canary_gemm: Option<f64>,
}

impl ChangePoint {
    /// Whether it became slower.
    pub fn is_slowdown(&self) -> bool {
        self.ratio > 1.0
    }
}

/// One key over the runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyHistory {
    /// What was compared.
    pub key: SeriesKey,
    /// Runs that have it.
    pub runs: usize,
    /// Its median in the first of them; in nanoseconds, or a ratio.
    pub first: f64,
    /// Its median in the last of them.
    pub last: f64,
    /// The least change that is told, as a share: what was asked for, or what this machine does by itself: θ of the calibration,
    /// and without one 2.5 standard deviations between successive runs.
    #[serde(default)]
    pub least: f64,
    /// Told, and not decided on: the calibration says that it does not decide.
    #[serde(default)]
    pub advisory: bool,
    /// Its changes, in order.
    pub changes: Vec<ChangePoint>,
}

/// A profile that is not part of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// When its run began.
    pub started_at: String,
    /// Why not.
    pub why: String,
}

/// What became of the keys over many runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// How it was searched.
    pub options: HistoryOptions,
    /// Runs that were searched: those that can be compared with the newest one, without unfit ones.
    pub runs: usize,
    /// When the first of them began.
    pub from: String,
    /// When the last of them began.
    pub to: String,
    /// Profiles that can't be compared with the newest, or of which some keys can't.
    pub left_out: Vec<LeftOut>,
    /// Runs on a machine that was not fit to be measured: set aside, with the reason.
    #[serde(default)]
    pub unfit: Vec<LeftOut>,
    /// Every key, with its changes.
    pub keys: Vec<KeyHistory>,
}

impl History {
    /// Changes of all keys with their keys, in order of time.
    pub fn changes(&self) -> Vec<(&SeriesKey, &ChangePoint)> {
        let mut all: Vec<_> = (self.keys.iter())
            .flat_map(|history| history.changes.iter().map(move |change| (&history.key, change)))
            .collect();
        all.sort_by(|(_, a), (_, b)| a.at.cmp(&b.at));
        all
    }

    /// Keys whose latest level is slower than the one before their first change at `since` or later, by as much as a change
    /// must have: what was taken back does not count, and what was taken back by half still does. Advisory keys never are.
    pub fn slower_since<'h>(&'h self, since: &'h str) -> impl Iterator<Item = &'h KeyHistory> {
        let slower = move |history: &&KeyHistory| {
            let first = history.changes.iter().find(|change| change.at.as_str() >= since)?;
            let last = history.changes.last()?;
            let only = first == last && first.is_slowdown();
            Some(only || last.median_after / first.median_before > 1.0 + history.least)
        };
        let deciding = self.keys.iter().filter(|history| !history.advisory);
        deciding.filter(move |history| slower(history).unwrap_or_default())
    }
}

/// Fewer runs than this have no room for a change.
pub const LEAST_HISTORY: usize = 2 * LEAST_SEGMENT;

/// Searches the profiles for changes of level, key by key, in the order in which their runs began. What can't be compared with
/// the newest profile is left out, and runs on an unfit machine are set aside, with the reasons. `policy` says how steady each key is
/// on this machine, and what its canary took.
pub fn history(profiles: &[&Profile], options: HistoryOptions, policy: Option<&Policy>) -> History {
    let (profiles, mut left_out) = comparable(profiles);
    let mut runs: Vec<RecordedRun> = profiles.iter().map(|profile| RecordedRun::of(profile)).collect();
    if let Some(newest) = profiles.last() {
        let of_one = profiles.iter().zip(&mut runs);
        left_out.extend(of_one.filter_map(|(profile, run)| without_incomparable(profile, newest, run)));
    }
    History { left_out, ..history_of_runs(&runs, options, policy) }
}

/// Takes keys from a run that can't be compared with the newest one's, and says which field that is for.
fn without_incomparable(profile: &Profile, newest: &Profile, run: &mut RecordedRun) -> Option<LeftOut> {
    let mut found: Option<Difference> = None;
    let before = run.series.len();
    run.series.retain(|key, _| {
        let difference = key_differences(profile, newest, key).into_iter().next();
        let same = difference.is_none();
        found = found.take().or(difference);
        same
    });
    let Difference { field, baseline, new } = found?;
    let keys = before - run.series.len();
    let why = format!("`{field}` is {baseline}, and {new} in the newest run ({keys} of its keys)");
    Some(LeftOut { started_at: run.started_at.clone(), why })
}

/// The same of runs that were recorded, all of one plan on one machine, in the order of time.
pub fn history_of_runs(runs: &[RecordedRun], options: HistoryOptions, policy: Option<&Policy>) -> History {
    let (runs, unfit) = fit(runs, policy);
    let mut series: BTreeMap<&SeriesKey, Vec<(usize, f64)>> = BTreeMap::new();
    for (at, run) in runs.iter().enumerate() {
        for (key, trials) in &run.series {
            if let Some(median) = median(&trials.values) {
                series.entry(key).or_default().push((at, median));
            }
        }
    }
    let searches: usize = (series.iter())
        .filter(|(key, points)| points.len() >= LEAST_HISTORY && !key.is_whole())
        .map(|(_, points)| windows(points.len(), options.window).len())
        .sum();
    let search = Search { runs: &runs, options, policy, searches: searches.max(1) as f64 };
    let started = |run: Option<&&RecordedRun>| run.map(|run| run.started_at.clone()).unwrap_or_default();
    History {
        options,
        runs: runs.len(),
        from: started(runs.first()),
        to: started(runs.last()),
        left_out: Vec::new(),
        unfit,
        keys: series.into_iter().filter_map(|(key, points)| search.key(key, &points)).collect(),
    }
}

/// The runs that say something, and the others: those that were disturbed, and those whose canary moved further than the machine's
/// usually does, or is not what it was in the calibration.
fn fit<'r>(runs: &'r [RecordedRun], policy: Option<&Policy>) -> (Vec<&'r RecordedRun>, Vec<LeftOut>) {
    let canaries: Vec<Option<Canary>> = runs.iter().map(|run| Canary::of(&run.canary)).collect();
    let tolerance = policy.map_or_else(|| canary_tolerance(&canaries), |policy| policy.canary_tolerance);
    let why_not = |run: &RecordedRun, canary: Option<Canary>| {
        let moved = canary
            .filter(|canary| canary.moved > tolerance)
            .map(|canary| format!("the canary moved during the run, by {:.0} %", canary.moved * 100.0));
        let apart = || {
            let (name, by) = policy?.canary_moved(run)?;
            Some(format!("the canary's {name} differs by {:+.0} % from the calibration's", by * 100.0))
        };
        run.disturbed.first().cloned().or(moved).or_else(apart)
    };
    let (mut good, mut unfit) = (Vec::new(), Vec::new());
    for (run, canary) in runs.iter().zip(canaries) {
        match why_not(run, canary) {
            None => good.push(run),
            Some(why) => unfit.push(LeftOut { started_at: run.started_at.clone(), why }),
        }
    }
    (good, unfit)
}

/// The profiles that can be compared with the newest usable one, in order of time, and the others.
fn comparable<'p>(profiles: &[&'p Profile]) -> (Vec<&'p Profile>, Vec<LeftOut>) {
    let mut sorted: Vec<&Profile> = profiles.to_vec();
    sorted.sort_by(|a, b| a.started_at.cmp(&b.started_at));
    let newest = sorted.iter().rev().find(|profile| unusable(profile, false).is_none()).copied();
    let why_not = |profile: &Profile| {
        if let Some(why) = unusable(profile, false) {
            return Some(why);
        }
        let difference = differences(profile, newest?).into_iter().next()?;
        Some(format!(
            "`{}` is {}, and {} in the newest run",
            difference.field, difference.baseline, difference.new
        ))
    };
    let (mut runs, mut left_out) = (Vec::new(), Vec::new());
    for profile in sorted {
        match why_not(profile) {
            None => runs.push(profile),
            Some(why) => left_out.push(LeftOut { started_at: profile.started_at.clone(), why }),
        }
    }
    (runs, left_out)
}

/// What every key is searched with.
struct Search<'p> {
    runs: &'p [&'p RecordedRun],
    options: HistoryOptions,
    policy: Option<&'p Policy>,
    /// Series and windows that are searched in all.
    searches: f64,
}

impl Search<'_> {
    /// One key at these runs.
    fn key(&self, key: &SeriesKey, points: &[(usize, f64)]) -> Option<KeyHistory> {
        let (first, last) = (points.first()?.1, points.last()?.1);
        let logs: Vec<f64> = points.iter().map(|(_, value)| value.ln()).collect();
        let calibrated = self.policy.and_then(|policy| policy.keys.iter().find(|known| known.key == *key));
        let own = calibrated.map_or_else(|| DEVIATIONS * between(&logs), |calibrated| calibrated.threshold);
        let least = self.options.least.max(own);
        let level = self.options.significance / self.searches;
        let found = changes(&logs, self.options.window, level, least.ln_1p());
        let changes = found.iter().filter_map(|change| self.change(points, change)).collect();
        // A whole cold start is made of others, which decide; so it costs them no significance either.
        let advisory = key.is_whole()
            || calibrated.is_some_and(|calibrated| !calibrated.decides || calibrated.detectable.is_none());
        Some(KeyHistory { key: key.clone(), runs: points.len(), first, last, least, advisory, changes })
    }

    fn change(&self, points: &[(usize, f64)], change: &Change) -> Option<ChangePoint> {
        let (before, after) = (points.get(change.before.clone())?, points.get(change.after.clone())?);
        let level =
            |points: &[(usize, f64)]| median(&points.iter().map(|(_, value)| *value).collect::<Vec<_>>());
        let (median_before, median_after) = (level(before)?, level(after)?);
        let canary = |of: fn(&CanaryReading) -> f64| {
            Some(self.canary(after, of)? / self.canary(before, of)?).filter(|ratio| ratio.is_finite())
        };
        let began = |at: usize| Some(self.runs.get(points.get(at)?.0)?.started_at.clone());
        Some(ChangePoint {
            at: began(change.before.end)?,
            until: (change.after.start > change.before.end).then(|| began(change.after.start)).flatten(),
            after: began(change.before.end.checked_sub(1)?)?,
            runs_before: before.len(),
            runs_after: after.len(),
            median_before,
            median_after,
            ratio: median_after / median_before,
            p: (change.p * self.searches).min(1.0),
            canary_copy: canary(|reading| reading.copy_ns.as_secs_f64()),
            canary_gemm: canary(|reading| reading.gemm_ns.as_secs_f64()),
        })
    }

    /// The median over these runs of the best reading of each.
    fn canary(&self, points: &[(usize, f64)], of: fn(&CanaryReading) -> f64) -> Option<f64> {
        let best =
            |(run, _): &(usize, f64)| self.runs.get(*run)?.canary.iter().map(of).min_by(f64::total_cmp);
        median(&points.iter().filter_map(best).collect::<Vec<_>>())
    }
}

/// The standard deviation of a run by the differences between successive ones, which a change of level hardly enters: 1.4826 × MAD of
/// the differences ÷ √2.
fn between(logs: &[f64]) -> f64 {
    let steps: Vec<f64> = logs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    robust_deviation(&steps).unwrap_or(0.0) / std::f64::consts::SQRT_2
}
