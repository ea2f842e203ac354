//! Slow creep: changes of level over many profiles of one machine, each too small or too gradual for a comparison of two.
//!
//! For nightly runs, not for pull requests: a change shows once some runs lie behind it.

mod divide;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use coldstart_profiles::stats::median;
use coldstart_profiles::{CanaryReading, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::comparable::{differences, unusable};
use super::series::{SeriesKey, series_of};
use divide::{LEAST_SEGMENT, divide, windows};

/// How a history is searched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryOptions {
    /// Runs that are looked at together; longer histories are looked at in windows that overlap by half.
    pub window: usize,
    /// The probability that a history without any change is said to have one, in whatever key.
    pub significance: f64,
    /// Changes of less than this share are not told.
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
    /// When the first run at the new level began (RFC 3339).
    pub at: String,
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
    /// Runs that can be compared with the newest one, it included.
    pub runs: usize,
    /// When the first of them began.
    pub from: String,
    /// When the last of them began.
    pub to: String,
    /// Profiles that can't be compared with the newest.
    pub left_out: Vec<LeftOut>,
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
    /// must have: what was taken back does not count, and what was taken back by half still does.
    pub fn slower_since<'h>(&'h self, since: &'h str) -> impl Iterator<Item = &'h KeyHistory> {
        let slower = move |history: &&KeyHistory| {
            let first = history.changes.iter().find(|change| change.at.as_str() >= since)?;
            let last = history.changes.last()?;
            let only = first == last && first.is_slowdown();
            Some(only || last.median_after / first.median_before > 1.0 + self.options.least)
        };
        self.keys.iter().filter(move |history| slower(history).unwrap_or_default())
    }
}

/// Fewer runs than this have no room for a change.
pub const LEAST_HISTORY: usize = 2 * LEAST_SEGMENT;

/// Searches the profiles for changes of level, key by key, in the order in which their runs began. What can't be compared with
/// the newest profile is left out, with the reason.
pub fn history(profiles: &[&Profile], options: HistoryOptions) -> History {
    let (runs, left_out) = comparable(profiles);
    let mut series: BTreeMap<SeriesKey, Vec<(usize, f64)>> = BTreeMap::new();
    for (run, profile) in runs.iter().enumerate() {
        for (key, trials) in series_of(&[profile]) {
            if let Some(median) = median(&trials.values) {
                series.entry(key).or_default().push((run, median));
            }
        }
    }
    let searches: usize = (series.values())
        .filter(|points| points.len() >= LEAST_HISTORY)
        .map(|points| windows(points.len(), options.window).len())
        .sum();
    let search = Search { runs: &runs, options, searches: searches.max(1) as f64 };
    let started =
        |profile: Option<&&Profile>| profile.map(|profile| profile.started_at.clone()).unwrap_or_default();
    History {
        options,
        runs: runs.len(),
        from: started(runs.first()),
        to: started(runs.last()),
        left_out,
        keys: series.into_iter().filter_map(|(key, points)| search.key(key, &points)).collect(),
    }
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
    runs: &'p [&'p Profile],
    options: HistoryOptions,
    /// Series and windows that are searched in all.
    searches: f64,
}

impl Search<'_> {
    /// One key at these runs.
    fn key(&self, key: SeriesKey, points: &[(usize, f64)]) -> Option<KeyHistory> {
        let (first, last) = (points.first()?.1, points.last()?.1);
        let logs: Vec<f64> = points.iter().map(|(_, value)| value.ln()).collect();
        let level = self.options.significance / self.searches;
        let mut splits = divide(&logs, self.options.window, level);
        let least = self.options.least.ln_1p();
        // The smallest goes first: what remains is compared with longer pieces then.
        while let Some((smallest, size)) = smallest(&logs, splits.iter().map(|split| split.at))
            && size < least
        {
            splits.remove(smallest);
        }
        let places: Vec<usize> = splits.iter().map(|split| split.at).collect();
        let change = |(index, split): (usize, &divide::Split)| {
            let (begin, end) = neighbours(&places, index, points.len());
            self.change(&points[begin..split.at], &points[split.at..end], split.p)
        };
        let changes = splits.iter().enumerate().filter_map(change).collect();
        Some(KeyHistory { key, runs: points.len(), first, last, changes })
    }

    fn change(&self, before: &[(usize, f64)], after: &[(usize, f64)], p: f64) -> Option<ChangePoint> {
        let level =
            |points: &[(usize, f64)]| median(&points.iter().map(|(_, value)| *value).collect::<Vec<_>>());
        let (median_before, median_after) = (level(before)?, level(after)?);
        let canary = |of: fn(&CanaryReading) -> f64| {
            Some(self.canary(after, of)? / self.canary(before, of)?).filter(|ratio| ratio.is_finite())
        };
        Some(ChangePoint {
            at: self.runs.get(after.first()?.0)?.started_at.clone(),
            after: self.runs.get(before.last()?.0)?.started_at.clone(),
            runs_before: before.len(),
            runs_after: after.len(),
            median_before,
            median_after,
            ratio: median_after / median_before,
            p: (p * self.searches).min(1.0),
            canary_copy: canary(|reading| reading.copy_ns.as_secs_f64()),
            canary_gemm: canary(|reading| reading.gemm_ns.as_secs_f64()),
        })
    }

    /// The median over these runs of the best reading of each.
    fn canary(&self, points: &[(usize, f64)], of: fn(&CanaryReading) -> f64) -> Option<f64> {
        let best = |(run, _): &(usize, f64)| {
            self.runs.get(*run)?.fitness.canary.iter().map(of).min_by(f64::total_cmp)
        };
        median(&points.iter().filter_map(best).collect::<Vec<_>>())
    }
}

/// Where the pieces on both sides of a split begin and end.
fn neighbours(places: &[usize], index: usize, count: usize) -> (usize, usize) {
    let begin = index.checked_sub(1).and_then(|before| places.get(before)).copied().unwrap_or(0);
    (begin, places.get(index + 1).copied().unwrap_or(count))
}

/// Which split has the smallest step between the medians of its neighbours, and how large that is; `None` without splits.
fn smallest(logs: &[f64], places: impl Iterator<Item = usize>) -> Option<(usize, f64)> {
    let places: Vec<usize> = places.collect();
    let step = |(index, at): (usize, &usize)| {
        let (begin, end) = neighbours(&places, index, logs.len());
        Some((index, (median(&logs[*at..end])? - median(&logs[begin..*at])?).abs()))
    };
    places.iter().enumerate().filter_map(step).min_by(|(_, a), (_, b)| a.total_cmp(b))
}
