//! What a calibration needs of a run, and many runs in one small file.

use std::collections::{BTreeMap, BTreeSet};

use coldstart_profiles::{CanaryReading, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::series::{Series, SeriesKey, series_of};

/// What a calibration needs of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRun {
    /// When it began (RFC 3339).
    pub started_at: String,
    /// Processor, cores and device.
    pub machine: String,
    /// The canary before and after it.
    pub canary: Vec<CanaryReading>,
    /// One number a trial, by key.
    pub series: BTreeMap<SeriesKey, Series>,
}

impl RecordedRun {
    /// What a profile says of its run.
    pub fn of(profile: &Profile) -> Self {
        RecordedRun {
            started_at: profile.started_at.clone(),
            machine: machine(profile),
            canary: profile.fitness.canary.clone(),
            series: series_of(&[profile]),
        }
    }
}

/// What a calibration holds for: the fingerprint of the machine.
pub(super) fn machine(profile: &Profile) -> String {
    let (host, device) = (&profile.target.host, &profile.target.device);
    format!("{} × {}, {} {}", host.cores, host.cpu, device.kind, device.name)
}

/// Many runs of one plan on one machine, between which nothing changed: every trial and every reading of a limit, and
/// nothing else of their profiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recordings {
    /// Processor, cores and device.
    pub machine: String,
    /// The program that made the runs, with its version.
    pub tool: String,
    /// Trials of each run.
    pub trials: u32,
    /// What the columns of `values` are.
    pub keys: Vec<SeriesKey>,
    /// The least step of the clock behind each of them, in nanoseconds.
    pub resolutions_ns: Vec<f64>,
    /// The runs, in order of time.
    pub runs: Vec<RecordedRow>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedRow {
    /// What else the machine was doing: `idle`, `load`.
    pub state: String,
    /// When it began (RFC 3339).
    pub started_at: String,
    /// Load average over a minute before it.
    pub load_average: Option<f64>,
    /// The canary before and after it.
    pub canary: Vec<CanaryReading>,
    /// Every reading of every limit, in its unit per second.
    pub limits: BTreeMap<String, Vec<f64>>,
    /// One number a trial for each key, nanoseconds or a ratio; empty where the run lacks it.
    pub values: Vec<Vec<f64>>,
}

impl Recordings {
    /// Records profiles, each with what the machine was doing. `None` of none.
    pub fn of(profiles: &[(String, Profile)]) -> Option<Self> {
        let (_, first) = profiles.first()?;
        let mut runs: Vec<(&String, &Profile, RecordedRun)> =
            profiles.iter().map(|(state, profile)| (state, profile, RecordedRun::of(profile))).collect();
        runs.sort_by(|(_, _, a), (_, _, b)| a.started_at.cmp(&b.started_at));
        let keys: BTreeSet<&SeriesKey> = runs.iter().flat_map(|(_, _, run)| run.series.keys()).collect();
        let resolution = |key: &&SeriesKey| {
            let series = runs.iter().filter_map(|(_, _, run)| run.series.get(*key));
            series.map(|series| series.resolution_ns).fold(0.0, f64::max)
        };
        let row = |(state, profile, run): &(&String, &Profile, RecordedRun)| RecordedRow {
            state: (*state).clone(),
            started_at: run.started_at.clone(),
            load_average: profile.fitness.load_average_before,
            canary: run.canary.clone(),
            limits: limits(profile),
            values: keys
                .iter()
                .map(|key| {
                    let values = run.series.get(*key).map(|series| series.values.as_slice());
                    values.unwrap_or_default().iter().map(|value| rounded(*value)).collect()
                })
                .collect(),
        };
        Some(Recordings {
            machine: machine(first),
            tool: format!("{} {}", first.tool.name, first.tool.version),
            trials: first.plan.trials,
            resolutions_ns: keys.iter().map(resolution).collect(),
            runs: runs.iter().map(row).collect(),
            keys: keys.into_iter().cloned().collect(),
        })
    }

    /// What the machine was doing in these runs, without repetition.
    pub fn states(&self) -> BTreeSet<&str> {
        self.runs.iter().map(|run| run.state.as_str()).collect()
    }

    /// The runs of one state, as a calibration takes them.
    pub fn of_state(&self, state: &str) -> Vec<RecordedRun> {
        let run = |row: &RecordedRow| RecordedRun {
            started_at: row.started_at.clone(),
            machine: self.machine.clone(),
            canary: row.canary.clone(),
            series: (self.keys.iter().zip(&self.resolutions_ns).zip(&row.values))
                .filter(|(_, values)| !values.is_empty())
                .map(|((key, resolution), values)| {
                    (key.clone(), Series { values: values.clone(), resolution_ns: *resolution })
                })
                .collect(),
        };
        self.runs.iter().filter(|row| row.state == state).map(run).collect()
    }
}

/// Every reading of every limit, in its unit per second.
fn limits(profile: &Profile) -> BTreeMap<String, Vec<f64>> {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for limit in &profile.limits {
        let Some((samples, _)) = limit.outcome.as_measured() else { continue };
        let rates = samples.included().into_iter().filter_map(|time| limit.work.rate(time));
        all.entry(limit.kind.name().to_owned()).or_default().extend(rates.map(rounded));
    }
    all
}

/// Six significant digits: more than any clock's steps are worth.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 5 - value.abs().log10().floor() as i32;
    let scale = 10f64.powi(digits.abs());
    if digits >= 0 { (value * scale).round() / scale } else { (value / scale).round() * scale }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_was_recorded_is_what_a_calibration_would_have_seen() {
        let text = include_str!("../../../tests/fixtures/profiles/profile-1.0.json");
        let profile = Profile::from_json(text, Path::new("profile-1.0.json")).unwrap();
        let (mut later, mut other) = (profile.clone(), profile.clone());
        later.started_at = "2027-01-01T00:00:00Z".to_owned();
        other.measurements.retain(|row| row.key.phase == coldstart_profiles::Phase::Alloc);
        let given = [("idle", later.clone()), ("load", other), ("idle", profile.clone())];
        let recordings = Recordings::of(&given.map(|(state, profile)| (state.to_owned(), profile))).unwrap();
        let text = serde_json::to_string(&recordings).unwrap();
        let recordings: Recordings = serde_json::from_str(&text).unwrap();
        assert_eq!(recordings.states(), ["idle", "load"].into());
        let idle = recordings.of_state("idle");
        assert_eq!((idle.len(), recordings.of_state("load").len()), (2, 1));
        for (recorded, profile) in idle.iter().zip([&profile, &later]) {
            let seen = RecordedRun::of(profile);
            assert_eq!((&recorded.started_at, &recorded.canary), (&seen.started_at, &seen.canary));
            assert!(recorded.series.keys().eq(seen.series.keys()));
            for (recorded, seen) in recorded.series.values().zip(seen.series.values()) {
                let close = |(a, b): (&f64, &f64)| (a / b - 1.0).abs() < 1e-5;
                assert!(recorded.values.iter().zip(&seen.values).all(close), "{recorded:?} {seen:?}");
                assert_eq!(recorded.resolution_ns, seen.resolution_ns);
            }
        }
        assert_eq!(Recordings::of(&[]), None);
        assert_eq!((rounded(1_234_567.0), rounded(0.012_345_67)), (1_234_570.0, 0.012_345_7));
    }
}
