//! Telemetry of a run on the stand-ins of the driver and of NVML.

use std::os::unix::fs::symlink;
use std::path::Path;

use coldstart_profiles::{ClockEvent, Profile, TelemetryScope, WindowKind, exit};

use crate::support::{Ran, Scratch, words};

/// A run of a few seconds with trials and two points of the sweep.
const RUN: &str = "run --quick --synthetic tiny --device cuda:0 --out p.json --trials 3 --budget 90 --batches 1 \
     --prompts 16 --contexts 16 --strategies buffered --phases alloc,weights_load,first_batch,warm_up,throughput";
/// A run whose trials allocate, and no more.
const SHORT_RUN: &str = "run --synthetic tiny --out p.json --trials 3 --budget 90 --phases alloc";

/// A run with the libraries in `directory`, and these settings of NVML's: its profile and its report.
fn profile_of(scratch: &Scratch, line: &str, directory: &Path, settings: &str) -> (Profile, String) {
    let mut command = scratch.coldstart(&words(line));
    command
        .env("LD_LIBRARY_PATH", coldstart_stand_in::library_path(directory))
        .env(coldstart_stand_in_nvml::SETTINGS_VARIABLE, settings);
    let ran = Ran::of(command.output().unwrap());
    let text = ran.expect_code(exit::OK).stdout.clone();
    (scratch.profile("p.json"), text)
}

fn says(profile: &Profile, code: &str) -> Option<String> {
    profile.caveats.iter().find(|caveat| caveat.code == code).map(|caveat| caveat.text.clone())
}

#[test]
fn a_hot_gpu_that_somebody_else_uses() {
    let Some(directory) = coldstart_stand_in::available() else { return };
    let scratch = Scratch::new();
    // Each process has an NVML of its own: it is hot from its first sample on.
    let (profile, text) =
        profile_of(&scratch, RUN, &directory, "throttle_from=0 foreign=1 persistence=0 pcie=4x8");
    let telemetry = &profile.telemetry;
    assert_eq!(telemetry.skipped, None);
    let [gpu] = &telemetry.gpus[..] else { panic!("{:?}", telemetry.gpus) };
    assert_eq!(gpu.uuid, profile.target.device.uuid);
    assert_eq!(gpu.uuid.as_deref(), Some(coldstart_stand_in_nvml::uuid(0).as_str()));
    assert_eq!(profile.target.device.pci_bus_id.as_deref(), Some("0000:01:00.0"));
    let whens: Vec<&str> = telemetry.looks.iter().map(|look| look.when.as_str()).collect();
    assert_eq!(whens, ["before", "after"]);
    assert!(telemetry.looks[0].idle_after_ns.is_some() && telemetry.looks[1].idle_after_ns.is_none());

    // Three trials and two points, each with its windows.
    let count = |scope, kind| {
        telemetry.windows.iter().filter(|window| (window.scope, window.window) == (scope, kind)).count()
    };
    assert_eq!(count(TelemetryScope::Trial, WindowKind::WeightsLoad), 3);
    assert_eq!(count(TelemetryScope::Point, WindowKind::Steady), 2);
    assert!(count(TelemetryScope::Trial, WindowKind::WarmUp) > 0);
    for window in telemetry.windows.iter().flat_map(|window| &window.samples) {
        assert_eq!(window.clock_events.as_deref(), Some(&[ClockEvent::HwThermalSlowdown][..]));
    }
    // Marked, and not left out.
    let (marked, all) = profile.throttled_iterations();
    assert!(marked > 0 && marked <= all, "{marked} of {all}");
    for point in &profile.throughput {
        let (samples, summary) = profile.measurement(&point.key).unwrap().outcome.as_measured().unwrap();
        assert!(samples.throttled() > 0 && summary.n > 0);
        assert!(point.utilisation_percent == Some(97) || point.window_ns.as_secs_f64() < 0.3, "{point:?}");
    }
    assert!(says(&profile, "throttled").unwrap().contains("hw_thermal_slowdown"));
    assert!(says(&profile, "foreign_process").unwrap().contains("(1)"));
    assert!(text.contains("Telemetry") && text.contains("iterations are marked"), "{text}");
}

#[test]
fn a_machine_without_nvml() {
    let Some(directory) = coldstart_stand_in::available() else { return };
    let without = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&directory).unwrap().map(Result::unwrap) {
        if !entry.file_name().to_string_lossy().starts_with("libnvidia-ml") {
            symlink(entry.path(), without.path().join(entry.file_name())).unwrap();
        }
    }
    let scratch = Scratch::new();
    let (profile, text) = profile_of(&scratch, &format!("{SHORT_RUN} --device cuda:0"), without.path(), "");
    let why = profile.telemetry.skipped.as_deref().unwrap();
    assert!(why.starts_with("failed to open NVML: libnvidia-ml.so.1: cannot open"), "{why}");
    assert!(profile.telemetry.windows.is_empty() && profile.telemetry.gpus.is_empty());
    assert!(profile.throughput.iter().all(|point| point.power_mw.is_none()));
    let line = text.lines().find(|line| line.trim_start().starts_with("telemetry"));
    assert!(line.is_some_and(|line| line.contains("NVML")), "{text}");
}

#[test]
fn the_host_device_has_none() {
    let scratch = Scratch::new();
    let ran = scratch.run(&words(&format!("{SHORT_RUN} --device host")));
    ran.expect_code(exit::OK);
    assert_eq!(scratch.profile("p.json").telemetry.skipped.as_deref(), Some("the host device has none"));
    assert!(ran.stdout.contains("telemetry"), "{}", ran.stdout);
}
