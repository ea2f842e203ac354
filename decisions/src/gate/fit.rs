//! Whether the machine was fit to be judged by.

use coldstart_profiles::{CanaryReading, Profile, Spread};

use super::asked::name_of;
use super::verdict::Gate;
use crate::fitness::{CLOCK_DRIFT, disturbed};

/// A canary that moved by more than this, within a run or from the baseline's, was not taken on the same machine, so to speak.
const DRIFT: f64 = 0.05;

/// What speaks against judging by these profiles: each side's canary against itself, and the new side's against the
/// baseline's, and processors that others used, by the load average before a run and by what they had during it: the canary's best of
/// many readings hardly sees that, while half of the gates on runs beside builds called something slower. A policy's tolerance replaces 5 % where a calibration found that the machine's
/// canary wanders further. Where the device is a GPU, what its telemetry says counts as well. What speaks against one of several
/// profiles of a side names it.
pub(super) fn unfit(gate: &Gate<'_>) -> Vec<String> {
    let (baseline, new) = (gate.baseline, gate.new);
    let tolerance = gate.policy.map_or(DRIFT, |policy| policy.canary_tolerance);
    let names = gate.asked;
    let all: Vec<(String, &Profile)> = [("baseline", baseline, &names.baseline), ("new", new, &names.new)]
        .into_iter()
        .flat_map(|(side, profiles, names)| {
            profiles.iter().enumerate().map(move |(at, profile)| {
                let which = match profiles.len() {
                    1 => side.to_owned(),
                    _ => format!("{side}, {}", name_of(names, at)),
                };
                (which, *profile)
            })
        })
        .collect();
    let moved = all.iter().filter_map(|(which, profile)| {
        Some(format!("{which}: the canary moved during the run ({})", within(profile, tolerance)?))
    });
    let told = all.iter().flat_map(|(which, profile)| {
        disturbed(profile).into_iter().map(move |text| format!("{which}: {text}"))
    });
    let mut reasons: Vec<String> = moved.chain(told).collect();
    if let (Some(before), Some(now)) = (clock(baseline), clock(new)) {
        let change = now / before - 1.0;
        if change.abs() > CLOCK_DRIFT {
            reasons.push(format!(
                "the SM clock at the steady state is {now:.0} MHz, {:+.1} % from the baseline's: times at other clocks say nothing of the program",
                change * 100.0
            ));
        }
    }
    if let (Some(before), Some(now)) = (best(baseline), best(new)) {
        for (what, before, now) in [("copy", before.0, now.0), ("product", before.1, now.1)] {
            let change = now / before - 1.0;
            if change.abs() > tolerance {
                reasons.push(format!(
                    "the canary's {what} differs by {:+.1} % from the baseline's: not the same machine, or not in the same state",
                    change * 100.0
                ));
            }
        }
    }
    reasons
}

/// The SM clock at the steady state: the median over the runs, the lower middle one of an even number.
fn clock(profiles: &[&Profile]) -> Option<f64> {
    let clocks = profiles.iter().filter_map(|profile| profile.telemetry.steady_sm_clock_mhz());
    Some(Spread::of(clocks)?.median as f64)
}

fn seconds(reading: &CanaryReading) -> (f64, f64) {
    (reading.copy_ns.as_secs_f64(), reading.gemm_ns.as_secs_f64())
}

/// What moved by more than `tolerance` between the first and the last canary of a run.
fn within(profile: &Profile, tolerance: f64) -> Option<String> {
    let first = seconds(profile.fitness.canary.iter().find(|reading| reading.when == "before")?);
    let last = seconds(profile.fitness.canary.iter().rfind(|reading| reading.when == "after")?);
    let moved: Vec<String> = [("copy", first.0, last.0), ("product", first.1, last.1)]
        .into_iter()
        .filter(|(_, first, last)| *first > 0.0 && (last / first - 1.0).abs() > tolerance)
        .map(|(what, first, last)| format!("{what} {:+.1} %", (last / first - 1.0) * 100.0))
        .collect();
    (!moved.is_empty()).then(|| moved.join(", "))
}

/// The best copy and the best product of several runs: what the machine can do when nothing disturbs it.
fn best(profiles: &[&Profile]) -> Option<(f64, f64)> {
    let readings = profiles.iter().flat_map(|profile| &profile.fitness.canary).map(seconds);
    let best = readings
        .fold((f64::INFINITY, f64::INFINITY), |best, reading| (best.0.min(reading.0), best.1.min(reading.1)));
    (best.0.is_finite() && best.0 > 0.0 && best.1 > 0.0).then_some(best)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use coldstart_profiles::{
        ClockEvent, Nanos, TelemetrySample, TelemetryScope, TelemetryWindow, WindowKind,
    };

    use super::super::{Asked, Rules};
    use super::*;

    /// What speaks against judging these, whose names are `old 0`, `old 1` … and `new 0` …, without a calibration.
    fn unfit(baseline: &[&Profile], new: &[&Profile]) -> Vec<String> {
        let names = |side: &str, profiles: &[&Profile]| {
            (0..profiles.len()).map(|at| format!("{side} {at}")).collect()
        };
        let asked = Asked { baseline: names("old", baseline), new: names("new", new), ..Asked::default() };
        let rules = Rules::default();
        let gate = Gate { baseline, new, rules: &rules, policy: None, allow_stand_in: false, asked: &asked };
        super::unfit(&gate)
    }

    /// A profile that a run wrote, with a steady state on a GPU at this clock.
    fn at(clock: u32, events: &[ClockEvent]) -> Profile {
        let text = include_str!("../../../tests/fixtures/profiles/profile-1.0.json");
        let mut profile = Profile::from_json(text, Path::new("profile-1.0.json")).unwrap();
        profile.fitness.canary.clear();
        let sample = |index: u64| TelemetrySample {
            at_ns: Nanos::from_millis(100 * index),
            sm_clock_mhz: Some(clock),
            clock_events: Some(events.to_vec()),
            ..TelemetrySample::default()
        };
        let samples: Vec<TelemetrySample> = (0..20).map(sample).collect();
        let (of, span) = ((TelemetryScope::Trial, None), (Nanos::ZERO, Nanos::from_secs(2)));
        profile.telemetry.windows =
            vec![TelemetryWindow::cut("trial", of, WindowKind::Steady, span, None, &samples)];
        profile
    }

    #[test]
    fn a_machine_with_more_work_than_processors_judges_nothing() {
        let mut quiet = at(1_980, &[]);
        quiet.target.host.cores = 1;
        quiet.target.host.cores_online = Some(4);
        // What an earlier run leaves behind, on one of four processors, is no other work.
        quiet.fitness.load_average_before = Some(5.9);
        let mut busy = quiet.clone();
        busy.fitness.load_average_before = Some(6.1);
        assert_eq!(unfit(&[&quiet], &[&quiet]), [""; 0]);
        for (baseline, new, side) in [(&quiet, &busy, "new"), (&busy, &quiet, "baseline")] {
            let reasons = unfit(&[baseline], &[new]);
            let says =
                format!("{side}: the load average was 6.1 on the 4 cores that are online (the run had 1)");
            assert!(reasons.len() == 1 && reasons[0].starts_with(&says), "{reasons:?}");
        }
        // Where only the used ones are known they count; on a single one, runs behind each other leave more than 1.5.
        quiet.target.host.cores_online = None;
        for (load, reasons) in [(2.4, 0), (2.6, 1)] {
            quiet.fitness.load_average_before = Some(load);
            assert_eq!(unfit(&[], &[&quiet]).len(), reasons, "{load}");
        }
    }

    #[test]
    fn of_several_profiles_the_one_that_speaks_against_the_machine_is_named() {
        let mut quiet = at(1_980, &[]);
        quiet.fitness.load_average_before = Some(0.1);
        let (mut busy, mut moved) = (quiet.clone(), quiet.clone());
        busy.fitness.load_average_before = Some(900.0);
        moved.fitness.canary = [("before", 10), ("after", 20)]
            .map(|(when, ms)| CanaryReading {
                when: when.to_owned(),
                copy_ns: Nanos::from_millis(ms),
                gemm_ns: Nanos::from_millis(10),
            })
            .to_vec();
        let reasons = unfit(&[&quiet, &moved], &[&quiet, &quiet, &busy]);
        let starts = ["baseline, old 1: the canary moved", "new, new 2: the load average was 900.0"];
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        for (reason, start) in reasons.iter().zip(starts) {
            assert!(reason.starts_with(start), "{reason}");
        }
        let reasons = unfit(&[&quiet], &[&busy]);
        assert!(reasons[0].starts_with("new: the load"), "one alone needs no name: {reasons:?}");
    }

    #[test]
    fn a_gpu_at_another_clock_or_too_hot_judges_nothing() {
        let baseline = at(1_980, &[]);
        for (new, says) in [
            (at(1_900, &[ClockEvent::SwPowerCap]), None),
            (at(1_500, &[]), Some("1500 MHz, -24.2 % from the baseline's")),
            (at(1_980, &[ClockEvent::HwThermalSlowdown]), Some("new: the clocks were held down in 20 of 20")),
        ] {
            let reasons = unfit(&[&baseline, &baseline], &[&new]);
            match says {
                None => assert_eq!(reasons, [""; 0]),
                Some(says) => assert!(reasons.len() == 1 && reasons[0].contains(says), "{reasons:?}"),
            }
        }
        let mut host = at(1_980, &[]);
        host.telemetry.windows.clear();
        assert_eq!(unfit(&[&host], &[&at(1_500, &[])]), [""; 0], "what was not seen is not compared");
    }
}
