use coldstart_profiles::{
    Bytes, ClockEvent, DriverState, GpuFacts, GpuLook, GpuProcess, Key, Nanos, PcieLink, Profile, Samples,
    TelemetrySample, TelemetryScope, TelemetryWindow, Unread, WindowKind, throttle_marks,
};

use super::ms;

const UUID: &str = "GPU-c01d57a2-7000-4000-8000-000000000000";

/// Telemetry of a GPU: every trial loads, warms up and is steady; the last two get hot towards their end.
pub(crate) fn add(profile: &mut Profile) {
    let device = &mut profile.target.device;
    (device.kind, device.name, device.stand_in) = ("cuda".into(), "coldstart stand-in".into(), true);
    (device.memory_bytes, device.threads) = (Bytes::from_mib(81_920), None);
    profile.telemetry.gpus.push(facts());
    for (when, state, celsius) in [("before", DriverState::Unloaded, 33), ("after", DriverState::Held, 61)] {
        profile.telemetry.looks.push(look(when, state, celsius));
    }
    for trial in 0..5 {
        let hot = if trial > 2 { 38 } else { usize::MAX };
        trial_windows(profile, trial, &samples(60, hot));
    }
    let points: Vec<Key> = profile.throughput.iter().map(|point| point.key.clone()).collect();
    for (index, key) in points.into_iter().enumerate() {
        // The last point was too short for its energy.
        let length = if index == 19 { ms(420.0) } else { ms(1_000.0) };
        let begin = ms(300.0);
        let spans = [
            (WindowKind::WarmUp, ms(100.0), begin),
            (WindowKind::Steady, begin, begin.saturating_add(length)),
        ];
        let samples = samples(20, usize::MAX);
        let of = (TelemetryScope::Point, Some(key));
        let windows = spans.map(|(kind, begin, end)| {
            TelemetryWindow::cut("sweep", of.clone(), kind, (begin, end), Some(UUID.into()), &samples)
        });
        profile.telemetry.enter(None, windows.into());
    }
}

fn trial_windows(profile: &mut Profile, trial: usize, samples: &[TelemetrySample]) {
    let step = format!("trial-cold-direct-{trial}");
    let spans = [
        (WindowKind::WeightsLoad, ms(75.0), ms(475.0)),
        (WindowKind::WarmUp, ms(480.0), ms(700.0)),
        (WindowKind::Steady, ms(700.0), ms(4_300.0)),
    ];
    let windows = spans.map(|(kind, begin, end)| {
        let of = (TelemetryScope::Trial, None);
        TelemetryWindow::cut(&step, of, kind, (begin, end), Some(UUID.into()), samples)
    });
    profile.telemetry.enter(None, windows.into());
    let Some(curve) = profile.warm_up.iter_mut().find(|curve| curve.step == step) else { return };
    let mut begin = ms(480.0);
    let iterations: Vec<(Nanos, Nanos)> = (curve.samples.as_slice().iter())
        .map(|sample| {
            let iteration = (begin, *sample);
            begin = begin.saturating_add(*sample);
            iteration
        })
        .collect();
    let marks = throttle_marks(samples, iterations);
    curve.samples = Samples::with_marks(curve.samples.as_slice().to_vec(), marks).unwrap();
}

/// Ten a second: 400 W under the power limit, and a slowdown from `hot` on.
fn samples(count: usize, hot: usize) -> Vec<TelemetrySample> {
    let sample = |index: usize| TelemetrySample {
        at_ns: ms(100.0 * index as f64),
        gpu_percent: Some(if index < 5 { 3 } else { 98 }),
        memory_percent: Some(if index < 5 { 1 } else { 61 }),
        memory_used_bytes: Some(Bytes::from_mib(1_100)),
        power_mw: Some(if index < 5 { 120_000 } else { 400_000 + 500 * index as u64 }),
        energy_mj: Some(40_000 * index as u64),
        temperature_c: Some(40 + index as u32 / 3),
        sm_clock_mhz: Some(if index >= hot { 1_005 } else { 1_980 }),
        memory_clock_mhz: Some(2_619),
        clock_events: Some(match index {
            _ if index >= hot => vec![ClockEvent::SwThermalSlowdown],
            0..5 => vec![ClockEvent::GpuIdle],
            _ => vec![ClockEvent::SwPowerCap],
        }),
        pcie_generation: Some(4),
        pcie_width: Some(16),
    };
    (0..count).map(sample).collect()
}

fn facts() -> GpuFacts {
    GpuFacts {
        uuid: Some(UUID.into()),
        pci_bus_id: Some("00000000:01:00.0".into()),
        name: Some("coldstart stand-in".into()),
        driver: Some("580.00.00".into()),
        pcie: Some(PcieLink::new(5, 16)),
        sm_clock_max_mhz: Some(1_980),
        memory_clock_max_mhz: Some(2_619),
        power_limit_mw: Some(400_000),
        persistence_mode: Some(false),
        mig_mode: None,
        ecc_enabled: Some(true),
        ecc_corrected: Some(2),
        ecc_uncorrected: Some(0),
        interval_ns: ms(100.0),
        opened_in_ns: ms(31.0),
        foreign_processes: vec![GpuProcess {
            pid: Some(4_711),
            name: Some("python3".into()),
            memory_bytes: None,
        }],
        unread: vec![Unread {
            what: "mig_mode".into(),
            why: "the requested operation is not available on the target device".into(),
        }],
    }
}

fn look(when: &str, state: DriverState, celsius: u32) -> GpuLook {
    GpuLook {
        when: when.into(),
        uuid: Some(UUID.into()),
        driver_state: Some(state),
        persistence_mode: Some(false),
        processes: Vec::new(),
        temperature_c: Some(celsius),
        open_ns: ms(42.0),
        idle_after_ns: (when == "before").then(|| ms(1_900.0)),
    }
}
