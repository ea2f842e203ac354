//! Was the GPU fit to be measured, by what its management library said during the run?

use coldstart_profiles::{
    Caveat, ClockEvent, Profile, THROTTLED_LIMIT, Telemetry, TelemetryScope, TelemetryWindow, WindowKind,
};

/// Steady clocks under the same work that are further apart than this are not of the same machine.
pub(crate) const CLOCK_DRIFT: f64 = 0.05;

/// What speaks against the GPU; nothing for one that was fit, or could not be asked.
pub(super) fn judge(profile: &Profile) -> Vec<Caveat> {
    let telemetry = &profile.telemetry;
    let caveat = |code: &str, text: Option<String>| text.map(|text| Caveat { code: code.to_owned(), text });
    [
        caveat("foreign_process", foreign(telemetry)),
        caveat("throttled", throttled(profile)),
        caveat("clock_moved", clocks(telemetry)),
        caveat("ecc_errors", ecc(telemetry)),
        caveat("pcie_below_best", pcie(telemetry)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What makes times useless for a comparison. A link that is always narrow is part of the machine.
pub(crate) fn unfit_gpu(profile: &Profile) -> impl Iterator<Item = Caveat> {
    judge(profile).into_iter().filter(|caveat| caveat.code != "pcie_below_best")
}

fn foreign(telemetry: &Telemetry) -> Option<String> {
    let processes = telemetry.foreign_processes();
    (!processes.is_empty()).then(|| {
        let names: Vec<String> = processes.iter().map(ToString::to_string).collect();
        format!(
            "other processes had a context on the GPU: {}: what they took is in the times",
            names.join(", ")
        )
    })
}

/// Throttled samples, or marked iterations of any one measurement, over 5 %.
fn throttled(profile: &Profile) -> Option<String> {
    let (held, known) = profile.telemetry.throttled();
    let over = |part: usize, whole: usize| part as f64 > THROTTLED_LIMIT * whole as f64;
    let measured = profile.measurements.iter().filter_map(|row| Some(row.outcome.as_measured()?.0));
    let series = measured.chain(profile.warm_up.iter().map(|curve| &curve.samples));
    let marked = series
        .map(|samples| (samples.throttled(), samples.len()))
        .filter(|(marked, all)| over(*marked, *all))
        .max_by(|one, two| (one.0 * two.1).cmp(&(two.0 * one.1)));
    if !over(held, known) && marked.is_none() {
        return None;
    }
    let mut text = format!("the clocks were held down in {held} of {known} samples");
    let events: Vec<String> = (ClockEvent::ALL.into_iter())
        .filter(|event| event.is_throttle())
        .map(|event| (event, count(&profile.telemetry, event)))
        .filter(|(_, samples)| *samples > 0)
        .map(|(event, samples)| format!("{event} in {samples}"))
        .collect();
    if !events.is_empty() {
        text.push_str(&format!(" ({})", events.join(", ")));
    }
    if let Some((marked, all)) = marked {
        text.push_str(&format!(", and {marked} of {all} iterations of one measurement ran in such a time"));
    }
    text.push_str(": cool the machine, or find out what its power supply lacks, and measure again");
    Some(text)
}

fn count(telemetry: &Telemetry, event: ClockEvent) -> usize {
    let counts = telemetry.windows.iter().flat_map(|window| &window.summary.clock_events);
    counts.filter(|count| count.event == event).map(|count| count.samples).sum()
}

fn clocks(telemetry: &Telemetry) -> Option<String> {
    let clocks = || telemetry.steady_clocks(TelemetryScope::Trial).map(|(_, clock)| clock);
    let (least, most) = (clocks().min()?, clocks().max()?);
    (most as f64 > least as f64 * (1.0 + CLOCK_DRIFT)).then(|| {
        format!(
            "the SM clock at the steady state differed between trials, from {least} MHz to {most} MHz: lock it with `nvidia-smi --lock-gpu-clocks`, or compare cycles rather than times"
        )
    })
}

fn ecc(telemetry: &Telemetry) -> Option<String> {
    let errors = telemetry.gpus.iter().filter_map(|gpu| gpu.ecc_uncorrected).fold(0_u64, u64::saturating_add);
    (errors > 0).then(|| {
        format!("{errors} memory errors that ECC could not correct were counted during the run: the GPU needs a reset, or a repair")
    })
}

/// The link at its best while weights went over it, against what GPU and machine both support.
fn pcie(telemetry: &Telemetry) -> Option<String> {
    telemetry.windows.iter().filter(|window| window.window == WindowKind::WeightsLoad).find_map(|window| {
        let gpu = telemetry.gpus.iter().find(|gpu| gpu.uuid == window.uuid)?;
        let best = gpu.pcie?;
        let (generation, width) = link(window)?;
        (generation < u64::from(best.generation) || width < u64::from(best.width)).then(|| {
            format!(
                "the PCIe link ran at {generation}.0 ×{width} during `{}` although GPU and machine support {best}: uploads are bound by it",
                window.step
            )
        })
    })
}

fn link(window: &TelemetryWindow) -> Option<(u64, u64)> {
    Some((window.summary.pcie_generation?.max, window.summary.pcie_width?.max))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use coldstart_profiles::{
        GpuFacts, GpuProcess, Mark, Nanos, Outcome, PcieLink, Samples, TelemetrySample, TelemetryWindow,
    };

    use super::*;

    /// A profile that a run wrote, on a machine that was quiet.
    fn profile() -> Profile {
        let text = include_str!("../../../tests/fixtures/profiles/profile-1.0.json");
        let mut profile = Profile::from_json(text, Path::new("profile-1.0.json")).unwrap();
        profile.fitness.canary.clear();
        profile.fitness.load_average_before = None;
        profile
    }

    fn sample(index: u64, clock: u32, events: Vec<ClockEvent>) -> TelemetrySample {
        TelemetrySample {
            at_ns: Nanos::from_millis(100 * index),
            sm_clock_mhz: Some(clock),
            clock_events: Some(events),
            pcie_generation: Some(4),
            pcie_width: Some(8),
            ..TelemetrySample::default()
        }
    }

    /// A hundred samples, the first `throttled` of them under a slowdown.
    fn window(
        step: &str,
        kind: WindowKind,
        clock: u32,
        throttled: u64,
        event: ClockEvent,
    ) -> TelemetryWindow {
        let events = |index| if index < throttled { vec![event] } else { vec![] };
        let samples: Vec<TelemetrySample> =
            (0..100).map(|index| sample(index, clock, events(index))).collect();
        let span = (Nanos::ZERO, Nanos::from_secs(10));
        TelemetryWindow::cut(step, (TelemetryScope::Trial, None), kind, span, Some("GPU-a".into()), &samples)
    }

    fn codes(profile: &Profile) -> Vec<String> {
        super::super::judge_fitness(profile).into_iter().map(|caveat| caveat.code).collect()
    }

    fn text(profile: &Profile) -> String {
        super::super::judge_fitness(profile).into_iter().map(|caveat| caveat.text).collect()
    }

    #[test]
    fn a_gpu_that_was_not_asked_is_not_judged() {
        assert!(codes(&profile()).is_empty());
    }

    #[test]
    fn heat_counts_from_five_percent_on_and_the_power_limit_does_not() {
        for (throttled, event, unfit) in [
            (5, ClockEvent::SwThermalSlowdown, false),
            (6, ClockEvent::SwThermalSlowdown, true),
            (6, ClockEvent::HwPowerBrakeSlowdown, true),
            (6, ClockEvent::HwSlowdown, true),
            (100, ClockEvent::SwPowerCap, false),
            (100, ClockEvent::ApplicationsClocksSetting, false),
            (100, ClockEvent::GpuIdle, false),
        ] {
            let mut profile = profile();
            profile.telemetry.windows = vec![window("one", WindowKind::Steady, 1_980, throttled, event)];
            let expected: &[&str] = if unfit { &["throttled"] } else { &[] };
            assert_eq!(codes(&profile), expected, "{throttled} {event}");
            if unfit {
                assert!(text(&profile).contains(&format!("in 6 of 100 samples ({event} in 6)")));
            }
        }
    }

    #[test]
    fn marked_iterations_count_too() {
        let mut profile = profile();
        let row = profile.measurements.iter_mut().find(|row| row.outcome.as_measured().is_some()).unwrap();
        let mark = |index| Mark { index, reason: "throttled: hw_slowdown".into(), excluded: false };
        for (marks, unfit) in [(vec![mark(0)], false), (vec![mark(0), mark(1), mark(1)], true)] {
            row.outcome =
                Outcome::measured(Samples::with_marks(vec![Nanos::from_nanos(7); 20], marks).unwrap());
            let mut judged = Profile { measurements: vec![row.clone()], ..profile_without_rows() };
            judged.warm_up.clear();
            assert_eq!(codes(&judged) == ["throttled"], unfit);
            if unfit {
                assert!(text(&judged).contains("2 of 20 iterations"), "{}", text(&judged));
            }
        }
    }

    fn profile_without_rows() -> Profile {
        Profile { measurements: vec![], ..profile() }
    }

    #[test]
    fn trials_at_other_clocks_are_told() {
        for (clocks, moved) in [([1_900, 1_980], false), ([1_800, 1_980], true)] {
            let mut profile = profile();
            profile.telemetry.windows =
                clocks.map(|clock| window("one", WindowKind::Steady, clock, 0, ClockEvent::GpuIdle)).into();
            assert_eq!(codes(&profile) == ["clock_moved"], moved, "{clocks:?}");
        }
    }

    #[test]
    fn others_errors_and_narrow_links_are_told() {
        let mut profile = profile();
        let process = GpuProcess { pid: Some(4_711), name: Some("python3".into()), memory_bytes: None };
        profile.telemetry.gpus = vec![GpuFacts {
            uuid: Some("GPU-a".into()),
            pcie: Some(PcieLink::new(4, 16)),
            ecc_uncorrected: Some(2),
            foreign_processes: vec![process],
            ..GpuFacts::default()
        }];
        profile.telemetry.windows =
            vec![window("one", WindowKind::WeightsLoad, 1_980, 0, ClockEvent::GpuIdle)];
        assert_eq!(codes(&profile), ["foreign_process", "ecc_errors", "pcie_below_best"]);
        for says in ["python3 (4711)", "2 memory errors", "4.0 ×8 during `one`", "support 4.0 ×16"] {
            assert!(text(&profile).contains(says), "{says}: {}", text(&profile));
        }
        profile.telemetry.gpus[0].pcie = Some(PcieLink::new(4, 8));
        assert_eq!(codes(&profile), ["foreign_process", "ecc_errors"]);
    }
}
