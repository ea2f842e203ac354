//! What came out of a step, entered into the profile. Pure.

use coldstart_profiles::{
    Clock, ForwardMode, Key, LimitMeasurement, Mark, Measurement, Nanos, Outcome, Params, Phase, Product,
    Profile, Samples, SweepPoint, ThroughputPoint, ThroughputTrial, Trace, WarmUpCurve, Work, throttle_marks,
};

use super::compose::Composed;
use crate::phases::forward_params;
use crate::telemetry::{Passes, point_windows};
use crate::trial::{NoSamples, PointReport};

/// Enters a trial: its trace, its warm-up curve, its telemetry.
pub(crate) fn trial(profile: &mut Profile, composed: Composed) {
    profile.telemetry.merge(composed.telemetry);
    products(profile, &composed.trace.step, composed.products);
    trace(profile, composed.trace, composed.curve);
}

/// Enters a trace, and the warm-up curve that belongs to it.
pub(crate) fn trace(profile: &mut Profile, trace: Trace, curve: Option<WarmUpCurve>) {
    if let Some(curve) = curve {
        if let (None, why) = (curve.analysis.steady_start, &curve.analysis.why) {
            let why = why.clone().unwrap_or_else(|| "no steady state".to_owned());
            profile.caveat("no_steady_state", format!("`{}` reached no steady state: {why}", trace.step));
        }
        profile.warm_up.retain(|known| known.step != curve.step);
        profile.warm_up.push(curve);
    }
    // A step that was stopped after its trace was entered is taken again when the run goes on.
    profile.traces.retain(|known| known.step != trace.step);
    profile.traces.push(trace);
}

/// Enters which implementation ran the products of a step; what was known of that step before is replaced.
pub(crate) fn products(profile: &mut Profile, step: &str, products: Vec<Product>) {
    profile.products.retain(|known| known.step != step);
    profile.products.extend(products.into_iter().map(|product| Product { step: step.to_owned(), ..product }));
}

/// Enters a reading of a limit. Readings of one kind, taken in one way, stand together.
pub(crate) fn limit(profile: &mut Profile, reading: LimitMeasurement) {
    // A failure after the first of its kind says nothing new.
    let told = |known: &LimitMeasurement| known.kind == reading.kind && known.outcome == reading.outcome;
    if reading.outcome.as_measured().is_none() && profile.limits.iter().any(told) {
        return;
    }
    let same = profile.limits.iter_mut().find(|known| {
        (known.kind, &known.params, known.work) == (reading.kind, &reading.params, reading.work)
    });
    if let Some(known) = same
        && let (Some((samples, _)), Some((more, _))) =
            (known.outcome.as_measured(), reading.outcome.as_measured())
    {
        known.outcome = outcome_of([samples.as_slice(), more.as_slice()].concat());
    } else {
        profile.limits.push(reading);
    }
}

/// What these samples say; without any, that there are none.
fn outcome_of(samples: Vec<Nanos>) -> Outcome {
    Samples::new(samples)
        .map_or_else(|error| Outcome::failed(format!("failed to {error}")), Outcome::measured)
}

/// Enters one point of the sweep of `step`; one that was there is replaced.
pub(crate) fn point(profile: &mut Profile, step: &str, report: &PointReport) {
    let key = point_key(&report.point);
    let device_key = Key { clock: Clock::Device, ..key.clone() };
    profile.measurements.retain(|row| row.key != key && row.key != device_key);
    profile.throughput.retain(|point| point.key != key);
    let work = Work::Tokens(tokens_per_iteration(&report.point));
    let marks = throttled(report);
    let outcome = match &report.samples_ns {
        Ok(samples) => steady_outcome(samples.clone(), report.steady_from, &marks),
        Err(NoSamples::Skipped(why)) => Outcome::skipped(why.clone()),
        Err(NoSamples::Failed(why)) => Outcome::failed(why.clone()),
    };
    if let (Some((samples, _)), Some(stop)) = (outcome.as_measured(), report.stop) {
        let steady = samples.included().len() as u64;
        let per_s =
            |each: u64| (each * steady) as f64 / report.window_ns.max(Nanos::from_nanos(1)).as_secs_f64();
        profile.throughput.push(ThroughputPoint {
            key: key.clone(),
            mode: report.point.mode,
            batch: report.point.batch,
            tokens: report.point.tokens,
            items_per_s: per_s(u64::from(report.point.batch)),
            tokens_per_s: per_s(work.amount()),
            flops: report.flops,
            read_bytes: coldstart_profiles::Bytes::new(report.read_bytes),
            window_ns: report.window_ns,
            workspace_bytes: coldstart_profiles::Bytes::new(report.workspace_bytes),
            stop,
            power_mw: None,
            energy_per_token_uj: None,
            utilisation_percent: None,
            dtype: report.dtype.clone(),
            replay: report.replay.clone(),
        });
        if let (Some(telemetry), Ok(samples)) = (report.telemetry.clone(), &report.samples_ns) {
            let steady_from = Some(report.steady_from);
            let passes = Passes { begins: &report.begins_ns, samples, steady_from };
            point_windows(&mut profile.telemetry, step, &key, telemetry, passes);
        }
        if !report.device_ns.is_empty() {
            let outcome = steady_outcome(report.device_ns.clone(), report.steady_from, &marks);
            profile.measurements.push(Measurement {
                key: device_key,
                work: Some(work),
                limit: None,
                outcome,
            });
        }
    }
    profile.measurements.push(Measurement { key, work: Some(work), limit: None, outcome });
}

/// Marks on the passes that ran while the GPU was held down.
fn throttled(report: &PointReport) -> Vec<Mark> {
    let (Some(telemetry), Ok(samples)) = (&report.telemetry, &report.samples_ns) else { return Vec::new() };
    let passes = report.begins_ns.iter().copied().zip(samples.iter().copied());
    throttle_marks(&telemetry.samples, passes)
}

/// The samples of a point: what came before the steady window is kept and left out of the summary; what ran throttled is
/// pointed at.
fn steady_outcome(samples: Vec<Nanos>, steady_from: usize, throttled: &[Mark]) -> Outcome {
    let mark = |index| Mark { index, reason: "before the steady state".to_owned(), excluded: true };
    let before = (0..steady_from.min(samples.len())).map(mark);
    let marks = before.chain(throttled.iter().filter(|mark| mark.index < samples.len()).cloned()).collect();
    match Samples::with_marks(samples, marks) {
        Ok(samples) => Outcome::measured(samples),
        Err(error) => Outcome::failed(format!("failed to {error}")),
    }
}

/// A sweep that gave no points at all, or broke off: what is missing stands in the table with the reason.
pub(crate) fn sweep_failed(profile: &mut Profile, points: &[SweepPoint], why: &str) {
    for point in points {
        let key = point_key(point);
        if profile.measurement(&key).is_none() {
            profile.measurements.push(Measurement::without_samples(key, Outcome::failed(why)));
        }
    }
}

/// Enters the steady state at one point in a process of its own.
pub(crate) fn steady_state(profile: &mut Profile, (step, trial): (&str, u32), report: &PointReport) {
    let marks = throttled(report);
    let outcome = match &report.samples_ns {
        Ok(samples) => steady_outcome(samples.clone(), report.steady_from, &marks),
        Err(NoSamples::Skipped(why)) => Outcome::skipped(why.clone()),
        Err(NoSamples::Failed(why)) => Outcome::failed(why.clone()),
    };
    let key = point_key(&report.point);
    profile.throughput_trials.push(ThroughputTrial { step: step.to_owned(), trial, key, outcome });
}

/// A process that broke off: what is missing stands there with the reason.
pub(crate) fn steady_state_failed(
    profile: &mut Profile,
    (step, trial): (&str, u32),
    points: &[SweepPoint],
    why: &str,
) {
    for key in points.iter().map(point_key) {
        if !profile.throughput_trials.iter().any(|known| known.step == step && known.key == key) {
            let outcome = Outcome::failed(why);
            profile.throughput_trials.push(ThroughputTrial { step: step.to_owned(), trial, key, outcome });
        }
    }
}

/// The key of a point.
pub(crate) fn point_key(point: &SweepPoint) -> Key {
    Key::host(Phase::Throughput, params_of(point))
}

fn params_of(point: &SweepPoint) -> Params {
    forward_params(point.mode, point.batch, point.tokens)
}

/// Tokens that one iteration reads or generates.
fn tokens_per_iteration(point: &SweepPoint) -> u64 {
    match point.mode {
        ForwardMode::Prefill | ForwardMode::Encode => u64::from(point.batch) * u64::from(point.tokens),
        ForwardMode::Decode => u64::from(point.batch),
    }
}
