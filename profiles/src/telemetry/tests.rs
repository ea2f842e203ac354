use super::*;
use crate::units::{Bytes, Nanos};
use crate::{ForwardMode, Key, Params, Phase, StopReason, ThroughputPoint};

fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

/// Ten samples a second, the first at zero: power and an energy counter that follows it.
fn samples(power_mw: &[u64]) -> Vec<TelemetrySample> {
    let mut energy_uj = 5_000_000_000_u64;
    let sample = |(index, power): (usize, &u64)| {
        if index > 0 {
            energy_uj += (power_mw[index - 1] + power) * 100 / 2;
        }
        TelemetrySample {
            at_ns: ms(100 * index as u64),
            power_mw: Some(*power),
            energy_mj: Some(energy_uj / 1_000),
            sm_clock_mhz: Some(1_980),
            clock_events: Some(vec![]),
            memory_used_bytes: Some(Bytes::from_mib(100 * index as u64)),
            ..TelemetrySample::default()
        }
    };
    power_mw.iter().enumerate().map(sample).collect()
}

fn without_counter(samples: &[TelemetrySample]) -> Vec<TelemetrySample> {
    samples.iter().map(|sample| TelemetrySample { energy_mj: None, ..sample.clone() }).collect()
}

fn measured(energy_mj: u64, mean_power_mw: u64, source: EnergySource) -> Energy {
    Energy::Measured { energy_mj, mean_power_mw, source }
}

fn why(energy: Energy) -> String {
    match energy {
        Energy::Skipped { why } => why,
        Energy::Measured { .. } => panic!("{energy:?}"),
    }
}

#[test]
fn energy_by_the_counter_is_interpolated_at_both_ends() {
    // 300 W throughout: from 0.25 s to 2.25 s that is 600 J, whatever the samples' times.
    let steady = samples(&[300_000; 31]);
    let energy = Energy::of(&steady, ms(250), ms(2_250));
    assert_eq!(energy, measured(600_000, 300_000, EnergySource::Counter));
    assert_eq!(energy.energy_mj(), Some(600_000));
}

#[test]
fn energy_by_power_is_the_area_under_it() {
    // A ramp from 0 to 300 W over 3 s: ∫ 100 W/s · t dt from 0.5 s to 2.5 s = 50 · (6.25 − 0.25) = 300 J.
    let ramp: Vec<u64> = (0..31).map(|index| index * 10_000).collect();
    let samples = without_counter(&samples(&ramp));
    assert_eq!(Energy::of(&samples, ms(500), ms(2_500)), measured(300_000, 150_000, EnergySource::Power));
    // Ends between two samples: 50 · (2.55² − 0.45²) = 315 J.
    assert_eq!(Energy::of(&samples, ms(450), ms(2_550)), measured(315_000, 150_000, EnergySource::Power));
}

#[test]
fn energy_is_withheld_rather_than_guessed() {
    let all = samples(&[300_000; 31]);
    let powers = without_counter(&all);
    assert!(why(Energy::of(&[], ms(0), ms(1))).contains("fewer than two"));
    assert!(why(Energy::of(&all, ms(100), ms(400))).contains("is shorter than 500 ms"));
    assert!(why(Energy::of(&powers, ms(100), ms(1_400))).contains("is shorter than 2.00 s"));
    assert!(why(Energy::of(&all[3..], ms(100), ms(1_400))).contains("both ends"));
    assert!(why(Energy::of(&all, ms(100), ms(3_100))).contains("both ends"));
    let mut gap = powers.clone();
    gap.drain(5..17);
    assert!(why(Energy::of(&gap, ms(100), ms(2_900))).contains("more than 1.00 s apart"));
    let mut reset = all.clone();
    reset[20].energy_mj = Some(3);
    assert!(why(Energy::of(&reset, ms(100), ms(2_000))).contains("backwards"));
    let mute: Vec<TelemetrySample> =
        powers.iter().map(|sample| TelemetrySample { power_mw: None, ..sample.clone() }).collect();
    assert!(why(Energy::of(&mute, ms(100), ms(2_900))).contains("neither"));
    let far = [
        TelemetrySample { energy_mj: Some(0), ..all[0].clone() },
        TelemetrySample { energy_mj: Some(u64::MAX), ..all[6].clone() },
    ];
    assert_eq!(Energy::of(&far, ms(0), ms(600)).energy_mj(), None, "a mean power that no number holds");
}

#[test]
fn a_window_keeps_its_samples_and_one_on_each_side() {
    let all = samples(&[300_000; 31]);
    let cut = |begin, end| {
        let span = (ms(begin), ms(end));
        TelemetryWindow::cut("trial", (TelemetryScope::Trial, None), WindowKind::Steady, span, None, &all)
    };
    let window = cut(950, 1_650);
    let times = |window: &TelemetryWindow| -> Vec<u64> {
        window.samples.iter().map(|sample| sample.at_ns.as_nanos() / 1_000_000).collect()
    };
    assert_eq!(times(&window), [900, 1_000, 1_100, 1_200, 1_300, 1_400, 1_500, 1_600, 1_700]);
    assert_eq!((window.summary.samples, window.inner().count()), (7, 7));
    assert_eq!(window.energy, measured(210_000, 300_000, EnergySource::Counter));
    assert!(window.is_consistent());
    // Between two samples there is none, and both neighbours stay.
    let short = cut(1_010, 1_020);
    assert_eq!((times(&short), short.summary.samples), (vec![1_000, 1_100], 0));
    assert_eq!(short.summary, TelemetrySummary::default());
    assert_eq!(times(&cut(0, 0)), [0, 100]);
    assert_eq!(times(&cut(9_000, 9_100)), [3_000]);
    let mut edited = window.clone();
    edited.samples[3].power_mw = Some(1);
    assert!(!edited.is_consistent());
}

#[test]
fn summaries_are_medians_of_what_was_told() {
    let mut all = samples(&[100_000, 300_000, 200_000, 400_000]);
    all[0].clock_events = Some(vec![ClockEvent::GpuIdle]);
    all[1].clock_events = Some(vec![ClockEvent::SwPowerCap, ClockEvent::SwThermalSlowdown]);
    all[3].clock_events = None;
    all[3].power_mw = None;
    let summary = summarize_telemetry(&all);
    assert_eq!(summary.power_mw, Some(Spread { min: 100_000, median: 200_000, max: 300_000 }));
    assert_eq!((summary.samples, summary.throttled_samples, summary.gpu_percent), (4, Some(1), None));
    let events: Vec<(ClockEvent, usize)> =
        summary.clock_events.iter().map(|count| (count.event, count.samples)).collect();
    assert_eq!(
        events,
        [(ClockEvent::GpuIdle, 1), (ClockEvent::SwPowerCap, 1), (ClockEvent::SwThermalSlowdown, 1)]
    );
    assert_eq!(Spread::of([4, 1, 3, 2]), Some(Spread { min: 1, median: 2, max: 4 }));
    let silent = TelemetrySample::default();
    assert_eq!(summarize_telemetry([&silent]).throttled_samples, None);
}

#[test]
fn iterations_under_a_throttled_sample_are_marked() {
    let mut all = samples(&[300_000; 11]);
    all[3].clock_events = Some(vec![ClockEvent::HwThermalSlowdown]);
    all[7].clock_events = Some(vec![ClockEvent::SwPowerCap]);
    all[10].clock_events = Some(vec![ClockEvent::HwPowerBrakeSlowdown, ClockEvent::HwSlowdown]);
    // Twenty iterations of 50 ms: sample 3 speaks for 250 ms to 350 ms, sample 10 for 950 ms on.
    let iterations = (0..24).map(|index| (ms(50 * index), ms(50)));
    let marks = throttle_marks(&all, iterations);
    let indices: Vec<usize> = marks.iter().map(|mark| mark.index).collect();
    assert_eq!(indices, [5, 6, 19, 20, 21, 22, 23]);
    assert_eq!(marks[0].reason, "throttled: hw_thermal_slowdown");
    assert_eq!(marks[2].reason, "throttled: hw_power_brake_slowdown, hw_slowdown");
    assert!(marks.iter().all(|mark| !mark.excluded));
    // A long iteration that a throttled sample lies inside of; one a second after the last sample is not known.
    assert_eq!(throttle_marks(&all, [(ms(0), ms(900)), (ms(2_000), ms(50))]).len(), 1);
    assert!(throttle_marks(&without_counter(&samples(&[1; 5])), [(ms(0), ms(500))]).is_empty());
    assert!(throttle_marks(&[], [(ms(0), ms(500))]).is_empty());
}

#[test]
fn pcie_rates_are_those_of_the_standard() {
    for (generation, width, rate) in [
        (1, 16, Some(4_000_000_000)),
        (2, 8, Some(4_000_000_000)),
        (3, 16, Some(15_753_846_153)),
        (4, 16, Some(31_507_692_307)),
        (5, 16, Some(63_015_384_615)),
        (5, 1, Some(3_938_461_538)),
        (6, 16, Some(121_000_000_000)),
        (0, 16, None),
        (7, 16, None),
        (4, 0, None),
        (4, 64, None),
    ] {
        assert_eq!(pcie_bytes_per_s(generation, width), rate, "{generation} x{width}");
    }
    assert_eq!(PcieLink::new(4, 16).to_string(), "4.0 ×16");
}

#[test]
fn the_state_of_the_driver() {
    for (persistence, processes, state) in [
        (Some(true), 0, Some(DriverState::Persistent)),
        (Some(true), 3, Some(DriverState::Persistent)),
        (Some(false), 1, Some(DriverState::Held)),
        (None, 1, Some(DriverState::Held)),
        (Some(false), 0, Some(DriverState::Unloaded)),
        (None, 0, None),
    ] {
        assert_eq!(DriverState::of(persistence, processes), state);
    }
}

fn gpu(uuid: &str, corrected: Option<u64>, pids: &[u32]) -> GpuFacts {
    let process = |pid: &u32| GpuProcess { pid: Some(*pid), name: None, memory_bytes: None };
    GpuFacts {
        uuid: Some(uuid.into()),
        ecc_corrected: corrected,
        foreign_processes: pids.iter().map(process).collect(),
        ..GpuFacts::default()
    }
}

#[test]
fn processes_that_sample_one_gpu_stand_together() {
    let all = samples(&[300_000; 31]);
    let window = |step: &str, kind, begin, end| {
        let span = (ms(begin), ms(end));
        TelemetryWindow::cut(step, (TelemetryScope::Trial, None), kind, span, Some("GPU-a".into()), &all)
    };
    let mut telemetry = Telemetry::default();
    telemetry.enter(Some(gpu("GPU-a", Some(1), &[7])), vec![window("one", WindowKind::Steady, 0, 900)]);
    telemetry.enter(Some(gpu("GPU-a", Some(2), &[7, 8])), vec![window("two", WindowKind::Steady, 0, 1_900)]);
    telemetry.enter(Some(gpu("GPU-b", None, &[])), vec![]);
    // Taken again when a run goes on.
    telemetry.enter(None, vec![window("one", WindowKind::Steady, 0, 990)]);
    assert_eq!(telemetry.gpus.len(), 2);
    assert_eq!(telemetry.gpus[0].ecc_corrected, Some(3));
    assert_eq!(telemetry.foreign_processes().len(), 2);
    assert_eq!(telemetry.windows.len(), 2);
    assert_eq!(telemetry.steady_sm_clock_mhz(), Some(1_980));
    let overview = telemetry.overview();
    assert_eq!(overview.len(), 1);
    assert_eq!((overview[0].windows, overview[0].summary.samples), (2, 30));
    assert_eq!(overview[0].covered_ns, ms(2_890));
    assert_eq!(telemetry.throttled(), (0, 30));
    assert_eq!(Telemetry::default().steady_sm_clock_mhz(), None);
}

#[test]
fn a_point_gets_the_energy_of_its_steady_window() {
    let key = Key::host(Phase::Throughput, Params::new().with("batch", 1));
    let mut point = ThroughputPoint {
        key: key.clone(),
        mode: ForwardMode::Decode,
        batch: 1,
        tokens: 128,
        items_per_s: 100.0,
        tokens_per_s: 100.0,
        window_ns: ms(2_000),
        flops: 1,
        read_bytes: Bytes::new(1),
        workspace_bytes: Bytes::new(1),
        stop: StopReason::Budget,
        dtype: None,
        replay: None,
        power_mw: None,
        energy_per_token_uj: None,
        utilisation_percent: None,
    };
    let mut all = samples(&[300_000; 31]);
    all.iter_mut().for_each(|sample| sample.gpu_percent = Some(97));
    let window = |uuid: &str, kind, scope, key: &Key| {
        let span = (ms(500), ms(2_500));
        TelemetryWindow::cut("sweep", (scope, Some(key.clone())), kind, span, Some(uuid.into()), &all)
    };
    let other = Key::host(Phase::Throughput, Params::new().with("batch", 2));
    let mut telemetry = Telemetry::default();
    let points = std::slice::from_mut(&mut point);
    telemetry.enter(
        None,
        vec![
            window("GPU-a", WindowKind::WarmUp, TelemetryScope::Point, &key),
            window("GPU-a", WindowKind::Steady, TelemetryScope::Point, &other),
        ],
    );
    telemetry.rate(points);
    assert_eq!((points[0].power_mw, points[0].energy_per_token_uj), (None, None));
    // 600 J over 200 tokens.
    telemetry.enter(None, vec![window("GPU-a", WindowKind::Steady, TelemetryScope::Point, &key)]);
    telemetry.rate(points);
    let of = |point: &ThroughputPoint| (point.power_mw, point.energy_per_token_uj, point.utilisation_percent);
    assert_eq!(of(&points[0]), (Some(300_000), Some(3_000_000), Some(97)));
    // Two GPUs that worked on it together.
    telemetry.enter(None, vec![window("GPU-b", WindowKind::Steady, TelemetryScope::Point, &key)]);
    telemetry.rate(points);
    assert_eq!(of(&points[0]), (Some(600_000), Some(6_000_000), Some(97)));
}
