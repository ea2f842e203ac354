//! From what a process sampled to the windows of a profile. Pure.

use coldstart_profiles::{
    Key, Nanos, Phase, Reading, Telemetry, TelemetryScope, TelemetryWindow, WindowKind,
};

use super::report::TelemetryReport;

/// Forward passes on the clock of the process that made them.
#[derive(Debug, Clone, Copy)]
pub struct Passes<'p> {
    /// When each began.
    pub begins: &'p [Nanos],
    /// How long each took.
    pub samples: &'p [Nanos],
    /// The index of the first steady one; `None` where none is.
    pub steady_from: Option<usize>,
}

impl Passes<'_> {
    /// Begin and duration of each pass.
    pub fn iterations(&self) -> impl Iterator<Item = (Nanos, Nanos)> {
        self.begins.iter().copied().zip(self.samples.iter().copied())
    }

    /// The spans of warm-up and steady state. Without a steady state all of it is warm-up.
    fn spans(&self) -> Vec<(WindowKind, Nanos, Nanos)> {
        let (Some(first), Some((last, took))) = (self.begins.first(), self.iterations().last()) else {
            return Vec::new();
        };
        let end = last.saturating_add(took);
        let steady = self.steady_from.and_then(|from| self.begins.get(from)).copied();
        let warm_up = (WindowKind::WarmUp, *first, steady.unwrap_or(end));
        let steady = steady.map(|begin| (WindowKind::Steady, begin, end));
        [Some(warm_up).filter(|(_, begin, end)| begin < end), steady].into_iter().flatten().collect()
    }
}

/// The windows of a cold start: the load of the weights, the warm-up, the steady state.
pub fn trial_windows(
    telemetry: &mut Telemetry,
    step: &str,
    report: TelemetryReport,
    readings: &[Reading],
    passes: Option<Passes<'_>>,
) {
    let load = readings.iter().find(|reading| reading.phase == Phase::WeightsLoad).map(|reading| {
        (WindowKind::WeightsLoad, reading.begin_ns, reading.begin_ns.saturating_add(reading.duration_ns))
    });
    let spans = load.into_iter().chain(passes.iter().flat_map(Passes::spans));
    enter(telemetry, step, (TelemetryScope::Trial, None), report, spans);
}

/// The windows of a point of the sweep: the warm-up, and the steady state.
pub fn point_windows(
    telemetry: &mut Telemetry,
    step: &str,
    key: &Key,
    report: TelemetryReport,
    passes: Passes<'_>,
) {
    enter(telemetry, step, (TelemetryScope::Point, Some(key.clone())), report, passes.spans());
}

fn enter(
    telemetry: &mut Telemetry,
    step: &str,
    of: (TelemetryScope, Option<Key>),
    report: TelemetryReport,
    spans: impl IntoIterator<Item = (WindowKind, Nanos, Nanos)>,
) {
    if let Some(why) = report.skipped {
        telemetry.skipped.get_or_insert(why);
    }
    let Some(gpu) = report.gpu else { return };
    let cut = |(kind, begin, end)| {
        TelemetryWindow::cut(step, of.clone(), kind, (begin, end), gpu.uuid.clone(), &report.samples)
    };
    let windows = spans.into_iter().map(cut).collect();
    telemetry.enter(Some(gpu), windows);
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::{GpuFacts, Params, TelemetrySample};

    use super::*;

    fn ms(millis: u64) -> Nanos {
        Nanos::from_millis(millis)
    }

    fn report(samples: u64) -> TelemetryReport {
        let sample = |index| TelemetrySample {
            at_ns: ms(100 * index),
            power_mw: Some(100 * index),
            ..TelemetrySample::default()
        };
        let gpu = GpuFacts { uuid: Some("GPU-a".into()), ..GpuFacts::default() };
        TelemetryReport { skipped: None, gpu: Some(gpu), samples: (0..samples).map(sample).collect() }
    }

    fn load() -> Reading {
        Reading {
            phase: Phase::WeightsLoad,
            params: Params::new(),
            begin_ns: ms(200),
            duration_ns: ms(400),
            device_ns: None,
            work: None,
            mark: None,
            detail: None,
        }
    }

    fn spans(telemetry: &Telemetry) -> Vec<(WindowKind, u64, u64, usize)> {
        let span = |window: &TelemetryWindow| {
            let [begin, end] = [window.begin_ns, window.end_ns].map(|at| at.as_nanos() / 1_000_000);
            (window.window, begin, end, window.summary.samples)
        };
        telemetry.windows.iter().map(span).collect()
    }

    #[test]
    fn a_trial_has_three_windows() {
        let begins: Vec<Nanos> = (0..10).map(|index| ms(1_000 + 150 * index)).collect();
        let passes = Passes { begins: &begins, samples: &[ms(140); 10], steady_from: Some(2) };
        let mut telemetry = Telemetry::default();
        trial_windows(&mut telemetry, "trial-0", report(31), &[load()], Some(passes));
        assert_eq!(
            spans(&telemetry),
            [
                (WindowKind::WeightsLoad, 200, 600, 5),
                (WindowKind::WarmUp, 1_000, 1_300, 4),
                (WindowKind::Steady, 1_300, 2_490, 12),
            ]
        );
        assert_eq!(telemetry.gpus.len(), 1);
        let unsteady = Passes { steady_from: None, ..passes };
        let mut telemetry = Telemetry::default();
        trial_windows(&mut telemetry, "trial-0", report(31), &[], Some(unsteady));
        assert_eq!(spans(&telemetry), [(WindowKind::WarmUp, 1_000, 2_490, 15)]);
        let mut telemetry = Telemetry::default();
        trial_windows(&mut telemetry, "load-0", report(31), &[load()], None);
        assert_eq!(spans(&telemetry).len(), 1);
    }

    #[test]
    fn a_series_that_is_steady_from_the_first_has_no_warm_up() {
        let key = Key::host(Phase::Throughput, Params::new().with("batch", 1));
        let begins = [ms(0), ms(500)];
        let passes = Passes { begins: &begins, samples: &[ms(400); 2], steady_from: Some(0) };
        let mut telemetry = Telemetry::default();
        point_windows(&mut telemetry, "sweep", &key, report(31), passes);
        assert_eq!(spans(&telemetry), [(WindowKind::Steady, 0, 900, 10)]);
        assert_eq!(telemetry.windows[0].key, Some(key));
    }

    #[test]
    fn what_was_not_sampled_says_why_once() {
        let mut telemetry = Telemetry::default();
        for why in ["failed to open NVML: no such file", "another reason"] {
            let report = TelemetryReport { skipped: Some(why.into()), ..TelemetryReport::default() };
            trial_windows(&mut telemetry, "trial-0", report, &[load()], None);
        }
        assert_eq!(telemetry.skipped.as_deref(), Some("failed to open NVML: no such file"));
        assert!(telemetry.windows.is_empty() && telemetry.gpus.is_empty());
    }
}
