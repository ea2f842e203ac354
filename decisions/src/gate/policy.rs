//! Calibration: how much a machine differs from itself, and what a gate on it can find.

use std::collections::BTreeMap;

use coldstart_profiles::stats::robust_deviation;
use coldstart_profiles::{Phase, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::{Judgement, LEAST_TRIALS};
use super::defaults::{Calibrated, thresholds};
use super::rules::Thresholds;
use super::series::{Metric, SeriesKey, series_of};

/// Fewer runs than this say too little about the spread between runs.
pub const LEAST_RUNS: usize = 10;
/// θ is never below this, …
const LEAST_THRESHOLD: f64 = 0.05;
/// … nor below so many standard deviations of one trial.
const DEVIATIONS: f64 = 2.5;
/// What must be found so often, …
const POWER: f64 = 0.9;
/// … slowdowns being tried in steps of 1 % up to this.
const MOST_SLOWDOWN: usize = 200;

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
    /// How far the canary may wander: the largest change within and between the runs, at least 5 %.
    pub canary_tolerance: f64,
    /// Share of comparisons of two of these runs in which something that decides would have been called slower.
    pub false_alarms: f64,
    /// Thresholds and what they are worth.
    pub keys: Vec<CalibratedKey>,
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
    /// θ = max(5 %, 2.5·s).
    pub threshold: f64,
    /// Share of comparisons of two of these runs that call it slower, though nothing changed.
    pub false_alarms: f64,
    /// The smallest slowdown that is found in 90 % of the comparisons of two of these runs, as a share; `null` where even
    /// thrice the time is not.
    pub detectable: Option<f64>,
    /// Whether it decides: not where there are too few trials a run, nor where another metric of the same load is steadier.
    pub decides: bool,
}

/// Calibrates on runs of one plan on one machine, between which nothing changed. At least two runs; ten are wanted
/// ([`LEAST_RUNS`]).
pub fn calibrate(profiles: &[&Profile]) -> Policy {
    let runs: Vec<BTreeMap<SeriesKey, Vec<f64>>> = profiles
        .iter()
        .map(|profile| series_of(&[profile]).into_iter().map(|(key, series)| (key, series.values)).collect())
        .collect();
    let together = series_of(profiles);
    let mut keys: Vec<CalibratedKey> = together
        .into_iter()
        .filter_map(|(key, series)| {
            let logs: Vec<f64> = series.values.iter().map(|value| value.ln()).collect();
            let spread = robust_deviation(&logs)?;
            let threshold = LEAST_THRESHOLD.max(DEVIATIONS * spread);
            let of_runs: Vec<&[f64]> =
                runs.iter().filter_map(|run| run.get(&key)).map(Vec::as_slice).collect();
            let calibrated = Calibrated { relative: threshold, decides: true, detectable: None };
            let limits = thresholds(&key, Some(&calibrated), series.resolution_ns);
            Some(CalibratedKey {
                trials: series.values.len(),
                spread,
                threshold,
                false_alarms: share_slower(&of_runs, limits, 1.0),
                detectable: detectable(&of_runs, limits),
                decides: of_runs.iter().all(|run| run.len() >= LEAST_TRIALS),
                key,
            })
        })
        .collect();
    choose_metric(&mut keys);
    Policy {
        version: 1,
        calibrated_at: profiles.iter().map(|profile| profile.started_at.clone()).max().unwrap_or_default(),
        runs: profiles.len(),
        machine: profiles.first().map(|profile| machine(profile)).unwrap_or_default(),
        canary_tolerance: canary_tolerance(profiles),
        false_alarms: false_alarms(&keys),
        keys,
    }
}

impl Policy {
    /// What a gate needs of it.
    pub fn calibrated(&self) -> BTreeMap<SeriesKey, Calibrated> {
        let of = |key: &CalibratedKey| Calibrated {
            relative: key.threshold,
            decides: key.decides,
            detectable: key.detectable,
        };
        self.keys.iter().map(|key| (key.key.clone(), of(key))).collect()
    }

    /// Why it can't be used for this profile; `None` where it can.
    pub fn mismatch(&self, profile: &Profile) -> Option<String> {
        let here = machine(profile);
        (here != self.machine).then(|| format!("it was made on {}, and this is {here}", self.machine))
    }
}

/// What a calibration holds for: the fingerprint of the machine.
fn machine(profile: &Profile) -> String {
    let (host, device) = (&profile.target.host, &profile.target.device);
    format!("{} × {}, {} {}", host.cores, host.cpu, device.kind, device.name)
}

/// The share of ordered pairs of runs in which the second, slowed by `factor`, is called slower than the first.
fn share_slower(runs: &[&[f64]], limits: Thresholds, factor: f64) -> f64 {
    let (mut slower, mut pairs) = (0usize, 0usize);
    for (at, baseline) in runs.iter().enumerate() {
        for (other, new) in runs.iter().enumerate() {
            if at == other {
                continue;
            }
            let slowed: Vec<f64> = new.iter().map(|value| value * factor).collect();
            let Some(judgement) = super::compare::judge_only(baseline, &slowed, limits) else { continue };
            pairs += 1;
            slower += usize::from(judgement == Judgement::Slower);
        }
    }
    if pairs == 0 { 0.0 } else { slower as f64 / pairs as f64 }
}

/// The smallest slowdown that is found often enough; the share that is found grows with it, so bisection does.
fn detectable(runs: &[&[f64]], limits: Thresholds) -> Option<f64> {
    let found = |percent: usize| share_slower(runs, limits, 1.0 + percent as f64 / 100.0) >= POWER;
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

/// The largest change of the canary within a run, or of its best from the best of all; at least 5 %.
fn canary_tolerance(profiles: &[&Profile]) -> f64 {
    let mut most = LEAST_THRESHOLD;
    let of = |profile: &Profile| -> Vec<[f64; 2]> {
        let seconds = |reading: &coldstart_profiles::CanaryReading| {
            [reading.copy_ns.as_secs_f64(), reading.gemm_ns.as_secs_f64()]
        };
        profile.fitness.canary.iter().map(seconds).collect()
    };
    for part in 0..2 {
        let best = profiles
            .iter()
            .flat_map(|profile| of(profile))
            .map(|reading| reading[part])
            .fold(f64::INFINITY, f64::min);
        for profile in profiles {
            let readings = of(profile);
            let least = readings.iter().map(|reading| reading[part]).fold(f64::INFINITY, f64::min);
            if best > 0.0 && least.is_finite() {
                most = most.max(least / best - 1.0);
            }
            if let [first, .., last] = readings.as_slice() {
                most = most.max((last[part] / first[part] - 1.0).abs());
            }
        }
    }
    most
}
