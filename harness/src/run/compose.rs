//! From what a child reported to a trace. Pure: tested on scripted reports, exact to the digit.

use coldstart_profiles::{
    ContainerDetail, Detail, Nanos, Params, Phase, Product, Reading, Samples, Scope, Telemetry,
    TelemetrySample, TotalKind, Trace, TraceEnd, WarmUpCurve, throttle_marks,
};

use crate::telemetry::{Passes, trial_windows};
use crate::trial::{CurveReport, TrialReport};

/// What the parent knows of a trial.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Id of the plan's step.
    pub(crate) step: String,
    /// Which repetition.
    pub(crate) trial: u32,
    /// How much of a cold start it covers.
    pub(crate) scope: Scope,
    /// Conditions of the whole trace.
    pub(crate) params: Params,
    /// Resolution of the clock.
    pub(crate) resolution: Nanos,
}

/// How the process came to be.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// Started by the parent at this reading of the monotonic clock.
    Process {
        /// Just before the fork.
        spawned_ns: Nanos,
    },
    /// Started by the engine; the create request went out at this reading of the monotonic clock.
    Container {
        /// Just before the request.
        created_ns: Nanos,
        /// Create and start apart.
        detail: ContainerDetail,
    },
}

/// What one trial gave.
#[derive(Debug)]
pub(crate) struct Composed {
    /// Its phases.
    pub(crate) trace: Trace,
    /// Its warm-up curve, where it made forward passes.
    pub(crate) curve: Option<WarmUpCurve>,
    /// What the GPU's management library said, where it was asked.
    pub(crate) telemetry: Telemetry,
    /// Which implementation ran which product.
    pub(crate) products: Vec<Product>,
}

/// The trace of a trial, its warm-up curve where it made forward passes, and the telemetry of its windows.
///
/// The trace begins where its origin lies, ends where its last phase ends, and holds the phases in between. The steady
/// state is only known when all iterations are: warm_up ends where the first iteration of the steady state began.
pub(crate) fn compose(context: Context, origin: Origin, report: TrialReport, stderr: String) -> Composed {
    let (total_kind, begin, first) = first_reading(origin, report.main_ns);
    let lead = report.main_ns.saturating_sub(begin);
    let mut telemetry = Telemetry::default();
    let on_clock = report.readings.clone();
    let mut readings = vec![first];
    readings.extend(
        report
            .readings
            .into_iter()
            .map(|reading| Reading { begin_ns: reading.begin_ns.saturating_add(lead), ..reading }),
    );
    let mut total = report.total_ns.saturating_add(lead);
    let mut curve = None;
    let sampled = report.telemetry.as_ref().map_or(&[][..], |telemetry| &telemetry.samples);
    if let (Some(passes), None) = (&report.curve, &report.error)
        && let Some((analysed, warm_up)) = warm_up(&context, passes, lead, sampled)
    {
        curve = Some(analysed);
        if let Some(reading) = warm_up {
            total = reading.begin_ns.saturating_add(reading.duration_ns);
            readings.push(reading);
        }
    }
    if let Some(sampled) = report.telemetry {
        let steady_from = curve.as_ref().and_then(|curve| curve.analysis.steady_start);
        let passes = report.curve.as_ref().filter(|_| curve.is_some()).map(|passes| Passes {
            begins: &passes.begins_ns,
            samples: &passes.samples_ns,
            steady_from,
        });
        trial_windows(&mut telemetry, &context.step, sampled, &on_clock, passes);
    }
    let end = match report.error {
        Some(what) => TraceEnd::Failed { why: format!("failed to {what}"), stderr },
        None => Trace::completed(&readings, total),
    };
    let trace = Trace {
        step: context.step,
        trial: context.trial,
        scope: context.scope,
        total_kind,
        params: context.params,
        readings,
        end,
    };
    Composed { trace, curve, telemetry, products: report.products }
}

/// The phase before the first line of `main`, and where it began.
fn first_reading(origin: Origin, main_ns: Nanos) -> (TotalKind, Nanos, Reading) {
    let reading = |phase: Phase, begin: Nanos, detail: Option<Detail>| Reading {
        phase,
        params: Params::new(),
        begin_ns: Nanos::ZERO,
        duration_ns: main_ns.saturating_sub(begin),
        device_ns: None,
        work: None,
        mark: None,
        detail,
    };
    match origin {
        Origin::Process { spawned_ns } => {
            (TotalKind::Process, spawned_ns, reading(Phase::ProcessStart, spawned_ns, None))
        }
        Origin::Container { created_ns, detail } => {
            let detail = Some(Detail::Container(detail));
            (TotalKind::Container, created_ns, reading(Phase::ContainerStart, created_ns, detail))
        }
    }
}

/// The analysed curve, and the reading of warm_up where there is a steady state.
fn warm_up(
    context: &Context,
    passes: &CurveReport,
    lead: Nanos,
    sampled: &[TelemetrySample],
) -> Option<(WarmUpCurve, Option<Reading>)> {
    let iterations = passes.begins_ns.iter().copied().zip(passes.samples_ns.iter().copied());
    let marks = throttle_marks(sampled, iterations);
    let samples = Samples::with_marks(passes.samples_ns.clone(), marks).ok()?;
    let curve = WarmUpCurve {
        device_ns: passes.device_ns.clone(),
        ..WarmUpCurve::new(context.step.clone(), samples, context.resolution, passes.stop)
    };
    let first_end = passes.begins_ns.first()?.saturating_add(*passes.samples_ns.first()?);
    let reading = curve.analysis.steady_start.map(|start| {
        // Where even the first pass is steady there was no warm-up.
        let end = passes.begins_ns.get(start).copied().unwrap_or(first_end).max(first_end);
        Reading {
            phase: Phase::WarmUp,
            params: forward_params(passes),
            begin_ns: first_end.saturating_add(lead),
            duration_ns: end.saturating_sub(first_end),
            device_ns: None,
            work: None,
            mark: None,
            detail: None,
        }
    });
    Some((curve, reading))
}

/// The conditions of the passes.
fn forward_params(passes: &CurveReport) -> Params {
    crate::phases::forward_params(passes.forward.mode, passes.forward.batch, passes.forward.tokens)
}

/// The trace of a trial that gave no report at all.
pub(crate) fn failed(context: Context, total_kind: TotalKind, why: String, stderr: String) -> Trace {
    Trace {
        step: context.step,
        trial: context.trial,
        scope: context.scope,
        total_kind,
        params: context.params,
        readings: Vec::new(),
        end: TraceEnd::Failed { why, stderr },
    }
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::{ClockEvent, ForwardMode, ForwardPlan, GpuFacts, StopReason, WindowKind};

    use super::*;
    use crate::telemetry::TelemetryReport;

    fn context() -> Context {
        Context {
            step: "000-trial".into(),
            trial: 0,
            scope: Scope::ColdStart,
            params: Params::new(),
            resolution: Nanos::from_nanos(1),
        }
    }

    fn reading(phase: Phase, begin: u64, duration: u64) -> Reading {
        Reading {
            phase,
            params: Params::new(),
            begin_ns: Nanos::from_nanos(begin),
            duration_ns: Nanos::from_nanos(duration),
            device_ns: None,
            work: None,
            mark: None,
            detail: None,
        }
    }

    /// A first pass of 900 µs, then 59 of 100 µs, 7 µs apart.
    fn passes() -> CurveReport {
        let mut begins = vec![Nanos::from_nanos(5_000_000)];
        let mut samples = vec![Nanos::from_nanos(900_000)];
        for i in 0..59_u64 {
            begins.push(Nanos::from_nanos(5_907_000 + i * 107_000));
            samples.push(Nanos::from_nanos(100_000 + i % 3));
        }
        CurveReport {
            forward: ForwardPlan {
                mode: ForwardMode::Prefill,
                batch: 1,
                tokens: 16,
                max_iterations: 500,
                max_time_ns: Nanos::from_secs(1),
            },
            begins_ns: begins,
            samples_ns: samples,
            device_ns: Vec::new(),
            stop: StopReason::SteadyInterval,
        }
    }

    #[test]
    fn parts_and_unattributed_are_the_total_to_the_digit() {
        let report = TrialReport {
            main_ns: Nanos::from_nanos(1_002_000),
            readings: vec![
                reading(Phase::Alloc, 10_000, 20_000),
                reading(Phase::WeightsLoad, 40_000, 3_000_000),
                reading(Phase::FirstBatch, 5_000_000, 900_000),
            ],
            total_ns: Nanos::from_nanos(5_900_000),
            curve: Some(passes()),
            telemetry: None,
            products: Vec::new(),
            error: None,
            refused: false,
        };
        let origin = Origin::Process { spawned_ns: Nanos::from_nanos(2_000) };
        let Composed { trace, curve, .. } = compose(context(), origin, report, String::new());
        // The steady state begins with the second pass: warm_up is the 7 µs between the two.
        assert_eq!(curve.unwrap().analysis.steady_start, Some(1));
        assert_eq!(trace.total(), Some((Nanos::from_nanos(6_907_000), Nanos::from_nanos(1_980_000))));
        let parts: Vec<(Phase, u64, u64)> = (trace.readings.iter())
            .map(|reading| (reading.phase, reading.begin_ns.as_nanos(), reading.duration_ns.as_nanos()))
            .collect();
        assert_eq!(
            parts,
            [
                (Phase::ProcessStart, 0, 1_000_000),
                (Phase::Alloc, 1_010_000, 20_000),
                (Phase::WeightsLoad, 1_040_000, 3_000_000),
                (Phase::FirstBatch, 6_000_000, 900_000),
                (Phase::WarmUp, 6_900_000, 7_000),
            ]
        );
        let last = trace.readings.last().unwrap();
        assert_eq!(trace.total().unwrap().0, last.begin_ns.saturating_add(last.duration_ns));
    }

    /// Ten samples a second, throttled from 5 s to 5.3 s; counted from the first line of `main`, as the passes are.
    fn sampled() -> TelemetryReport {
        let sample = |index: u64| TelemetrySample {
            at_ns: Nanos::from_millis(100 * index),
            clock_events: Some(if (50..53).contains(&index) { vec![ClockEvent::HwSlowdown] } else { vec![] }),
            ..TelemetrySample::default()
        };
        let gpu = GpuFacts { uuid: Some("GPU-a".into()), ..GpuFacts::default() };
        TelemetryReport { skipped: None, gpu: Some(gpu), samples: (0..90).map(sample).collect() }
    }

    /// Sixty passes of 50 ms from 5 s on, the first of 400 ms.
    fn slow_passes() -> CurveReport {
        let begin = |index: u64| Nanos::from_millis(if index == 0 { 5_000 } else { 5_350 + 50 * index });
        let took = |index: u64| Nanos::from_millis(if index == 0 { 400 } else { 50 });
        CurveReport {
            begins_ns: (0..60).map(begin).collect(),
            samples_ns: (0..60).map(took).collect(),
            ..passes()
        }
    }

    #[test]
    fn telemetry_lies_on_the_clock_of_the_passes_however_late_main_began() {
        let report = TrialReport {
            main_ns: Nanos::from_nanos(9_000_000_000),
            readings: vec![reading(Phase::WeightsLoad, 1_000_000_000, 500_000_000)],
            total_ns: Nanos::from_millis(5_400),
            curve: Some(slow_passes()),
            telemetry: Some(sampled()),
            products: Vec::new(),
            error: None,
            refused: false,
        };
        let origin = Origin::Process { spawned_ns: Nanos::from_nanos(8_000_000_000) };
        let composed = compose(context(), origin, report, String::new());
        let curve = composed.curve.unwrap();
        assert_eq!(curve.analysis.steady_start, Some(1));
        // The first pass overlaps with the throttled samples, the second begins 50 ms behind the last one's reach.
        let marks: Vec<usize> = curve.samples.marks().iter().map(|mark| mark.index).collect();
        assert_eq!((marks, curve.samples.throttled()), (vec![0], 1));
        let windows: Vec<(WindowKind, u64, u64, usize)> = (composed.telemetry.windows.iter())
            .map(|window| {
                let [begin, end] = [window.begin_ns, window.end_ns].map(|at| at.as_nanos() / 1_000_000);
                (window.window, begin, end, window.summary.samples)
            })
            .collect();
        assert_eq!(
            windows,
            [
                (WindowKind::WeightsLoad, 1_000, 1_500, 6),
                (WindowKind::WarmUp, 5_000, 5_400, 5),
                (WindowKind::Steady, 5_400, 8_350, 30),
            ]
        );
        assert_eq!(composed.telemetry.windows[1].summary.throttled_samples, Some(3));
    }

    #[test]
    fn a_failure_keeps_the_phases_that_ended() {
        let report = TrialReport {
            main_ns: Nanos::from_nanos(100),
            readings: vec![reading(Phase::Alloc, 10, 20)],
            total_ns: Nanos::from_nanos(30),
            curve: None,
            telemetry: None,
            products: Vec::new(),
            error: Some("load the weights: disk on fire".into()),
            refused: false,
        };
        let Composed { trace, curve, .. } = compose(
            context(),
            Origin::Process { spawned_ns: Nanos::from_nanos(60) },
            report,
            "smoke\n".into(),
        );
        assert!(curve.is_none());
        assert_eq!(trace.readings.len(), 2);
        let TraceEnd::Failed { why, stderr } = trace.end else { panic!("{:?}", trace.end) };
        assert_eq!((why.as_str(), stderr.as_str()), ("failed to load the weights: disk on fire", "smoke\n"));
    }
}
