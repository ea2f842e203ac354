//! What a calibration needs of a run, and many runs in one small file.

use std::collections::{BTreeMap, BTreeSet};

use coldstart_profiles::{CanaryReading, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::comparable;
use super::series::{Series, SeriesKey, series_of};
use crate::fitness::{LoadedCores, busy, disturbed, disturbing, taken};

/// The condition that says how many processors a load average is counted over.
const CORES_ONLINE: &str = "target.host.cores_online";

/// What a calibration needs of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRun {
    /// When it began (RFC 3339).
    pub started_at: String,
    /// Processor, cores and device.
    pub machine: String,
    /// What else its numbers depend on, by the field's name in a profile; empty where it was not recorded.
    pub conditions: BTreeMap<String, String>,
    /// The canary before and after it.
    pub canary: Vec<CanaryReading>,
    /// What makes its times useless for comparisons, beside the canary.
    pub disturbed: Vec<String>,
    /// One number a trial, by key.
    pub series: BTreeMap<SeriesKey, Series>,
}

impl RecordedRun {
    /// What a profile says of its run.
    pub fn of(profile: &Profile) -> Self {
        RecordedRun {
            started_at: profile.started_at.clone(),
            machine: machine(profile),
            conditions: conditions(profile),
            canary: profile.fitness.canary.clone(),
            disturbed: disturbed(profile),
            series: series_of(&[profile]),
        }
    }
}

/// What a calibration holds for: the fingerprint of the machine.
pub(super) fn machine(profile: &Profile) -> String {
    let (host, device) = (&profile.target.host, &profile.target.device);
    comparable::cut(format!("{} × {}, {} {}", host.cores, host.cpu, device.kind, device.name))
}

/// What the numbers of a run depend on beside the machine, by the field's name in a profile: model, method, device, plan, and what
/// single keys depend on.
fn conditions(profile: &Profile) -> BTreeMap<String, String> {
    let (target, plan) = (&profile.target, &profile.plan);
    // The machine has a name of its own.
    let machine = ["target.device.kind", "target.device.name", "target.host.cores"];
    let fields = comparable::fields(profile).into_iter().filter(|(field, _)| !machine.contains(field));
    let mut all: BTreeMap<String, String> = fields.map(|(field, value)| (field.to_owned(), value)).collect();
    let model = target.model.as_ref();
    let engine = target.engine.as_ref();
    let known = [
        ("target.model.source", model.map(|model| model.source.clone())),
        ("target.model.file_system", model.and_then(|model| model.file_system.clone())),
        ("target.engine.version", engine.map(|engine| comparable::minor(&engine.version))),
        ("target.engine.storage", engine.map(|engine| engine.storage.clone())),
        ("tool.version", Some(profile.tool.version.clone())),
        (CORES_ONLINE, target.host.cores_online.map(|cores| cores.to_string())),
        ("plan.quick", Some(plan.quick.to_string())),
        ("plan.trials", Some(plan.trials.to_string())),
        ("plan.strategy", Some(plan.strategy.clone())),
        ("plan.seed", Some(plan.seed.to_string())),
    ];
    all.extend(known.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))));
    all.into_iter().map(|(field, value)| (field, comparable::cut(value))).collect()
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
    /// What else was the same in all of them, by the field's name in a profile; empty where it was not recorded.
    #[serde(default)]
    pub conditions: BTreeMap<String, String>,
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
    /// The share, 0 to 1, of the processors that it needed which others had while it measured; `null` where that was not recorded.
    #[serde(default)]
    pub others: Option<f64>,
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
            others: taken(profile).map(rounded),
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
            conditions: shared_conditions(runs.iter().map(|(_, _, run)| &run.conditions)),
            resolutions_ns: keys.iter().map(resolution).collect(),
            runs: runs.iter().map(row).collect(),
            keys: keys.into_iter().cloned().collect(),
        })
    }

    /// The number of cores that load averages are counted over: those that were online; where that was not recorded those
    /// that were used, which stand first in the machine's name.
    fn cores(&self) -> LoadedCores {
        let number = |text: Option<&str>| text.and_then(|cores| cores.parse().ok());
        let used = number(self.machine.split(' ').next());
        let online = number(self.conditions.get(CORES_ONLINE).map(String::as_str));
        LoadedCores::new(online, used.unwrap_or(1))
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
            conditions: self.conditions.clone(),
            canary: row.canary.clone(),
            disturbed: (row.load_average.and_then(|load| busy(load, self.cores())).into_iter())
                .chain(row.others.and_then(disturbing))
                .collect(),
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

/// What is the same in all runs.
pub(super) fn shared_conditions<'r>(
    runs: impl IntoIterator<Item = &'r BTreeMap<String, String>>,
) -> BTreeMap<String, String> {
    let mut runs = runs.into_iter();
    let mut shared = runs.next().cloned().unwrap_or_default();
    for run in runs {
        shared.retain(|field, value| run.get(field) == Some(value));
    }
    shared
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
