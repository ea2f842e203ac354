//! The sampler on the stand-in NVML, each fault in a library of its own.

use std::time::Duration;

use coldstart_profiles::{
    ClockEvent, DriverState, Energy, EnergySource, TelemetryScope, TelemetryWindow, WindowKind,
};
use coldstart_stand_in_nvml::{install, pci_bus_id, uuid};
use tempfile::TempDir;

use super::*;
use crate::clock;

fn stand_in(settings: &str) -> (TempDir, Library) {
    let directory = tempfile::tempdir().unwrap();
    let library = install(directory.path(), settings).unwrap();
    (directory, Library::File(library.into()))
}

fn first() -> GpuId {
    GpuId { pci_bus_id: Some(pci_bus_id(0)), uuid: Some(uuid(0)) }
}

/// Samples for a while.
fn sampled(settings: &str, id: GpuId, time: Duration) -> TelemetryReport {
    let (_directory, library) = stand_in(settings);
    let began = clock::monotonic();
    let sampler = Sampler::start_with(library, id);
    std::thread::sleep(time);
    sampler.stop(began)
}

const SHORT: Duration = Duration::from_millis(30);

#[test]
fn ten_times_a_second_from_end_to_end() {
    let (_directory, library) = stand_in("devices=2 power_mw=300000");
    let began = clock::monotonic();
    let id = GpuId { pci_bus_id: Some(pci_bus_id(1)), uuid: None };
    let sampler = Sampler::start_with(library, id);
    std::thread::sleep(Duration::from_millis(650));
    let report = sampler.collect(began);
    let gpu = report.gpu.unwrap();
    assert_eq!((report.skipped, gpu.uuid), (None, Some(uuid(1))));
    assert_eq!(gpu.pcie.unwrap().to_string(), "5.0 ×16");
    assert_eq!((gpu.persistence_mode, gpu.mig_mode, gpu.ecc_enabled), (Some(true), Some(false), Some(true)));
    assert_eq!((gpu.ecc_corrected, gpu.ecc_uncorrected), (Some(0), Some(0)));
    assert_eq!((gpu.power_limit_mw, gpu.sm_clock_max_mhz), (Some(700_000), Some(1_980)));
    assert!(gpu.unread.is_empty() && gpu.foreign_processes.is_empty(), "{:?}", gpu.unread);
    // 0, 100 … 600 ms and the one that was asked for; fewer on a busy machine.
    let samples = report.samples;
    assert!((4..=9).contains(&samples.len()), "{}", samples.len());
    assert!(samples.is_sorted_by_key(|sample| sample.at_ns));
    let one = &samples[0];
    assert_eq!((one.gpu_percent, one.memory_percent, one.power_mw), (Some(97), Some(41), Some(300_000)));
    assert_eq!(
        (one.sm_clock_mhz, one.memory_clock_mhz, one.temperature_c),
        (Some(1_980), Some(2_619), Some(54))
    );
    assert_eq!((one.pcie_generation, one.pcie_width), (Some(5), Some(16)));
    assert_eq!(one.memory_used_bytes, Some(coldstart_profiles::Bytes::new(6 << 30)));
    assert_eq!(one.clock_events, Some(vec![]));
    // The energy of all of it, against the power that the stand-in has.
    let span = (one.at_ns, samples.last().unwrap().at_ns);
    let of = (TelemetryScope::Trial, None);
    let window = TelemetryWindow::cut("one", of, WindowKind::Steady, span, None, &samples);
    let Energy::Measured { mean_power_mw, source, .. } = window.energy else { panic!("{:?}", window.energy) };
    assert_eq!(source, EnergySource::Counter);
    assert!((270_000..=330_000).contains(&mean_power_mw), "{mean_power_mw}");
    // The next report begins with the last sample of this one.
    let next = sampler.stop(began);
    assert_eq!(next.samples.first(), samples.last());
    assert!(next.samples.len() >= 2);
}

#[test]
fn a_gpu_is_found_by_its_uuid_too() {
    let bare = uuid(1).trim_start_matches("GPU-").to_owned();
    for id in [uuid(1), bare] {
        let id = GpuId { pci_bus_id: None, uuid: Some(id) };
        assert_eq!(sampled("devices=2", id, SHORT).gpu.unwrap().uuid, Some(uuid(1)));
    }
    let elsewhere = GpuId { pci_bus_id: Some("0000:7f:00.0".into()), uuid: Some(uuid(0)) };
    assert_eq!(sampled("", elsewhere, SHORT).gpu.unwrap().uuid, Some(uuid(0)));
}

#[test]
fn what_is_not_there_is_a_reason() {
    let began = clock::monotonic();
    let none = Library::File("/nowhere/libnvidia-ml.so.1".into());
    let why = Sampler::start_with(none.clone(), first()).stop(began).skipped.unwrap();
    assert!(why.starts_with("failed to open NVML: ") && why.contains("/nowhere/"), "{why}");
    assert!(look(&none, &first(), "before").unwrap_err().to_string().contains("NVIDIA_DRIVER_CAPABILITIES"));
    for (settings, id, says) in [
        ("fail=nvmlInit_v2:4", first(), "permission to perform this operation: give this user access"),
        ("fail=nvmlInit_v2:9", first(), "driver is not loaded: load the kernel driver"),
        ("fail=nvmlInit_v2:18", first(), "version mismatch: the library is not of the loaded kernel driver"),
        ("", GpuId { pci_bus_id: None, uuid: Some("GPU-0".into()) }, "failed to find GPU-0 in NVML: "),
        ("", GpuId::default(), "neither its place on the bus nor its UUID"),
    ] {
        let report = sampled(settings, id, SHORT);
        let why = report.skipped.unwrap();
        assert!(why.contains(says), "{settings}: {why}");
        assert!(report.gpu.is_none() && report.samples.is_empty());
    }
}

#[test]
fn what_a_gpu_does_not_support_is_null_with_the_reason_once() {
    let report = sampled(
        "fail=nvmlDeviceGetTotalEnergyConsumption:3 fail=nvmlDeviceGetMigMode:3 fail=nvmlDeviceGetUtilizationRates:999:1",
        first(),
        Duration::from_millis(250),
    );
    let gpu = report.gpu.unwrap();
    let whats: Vec<&str> = gpu.unread.iter().map(|unread| unread.what.as_str()).collect();
    assert_eq!(whats, ["energy_mj", "mig_mode", "utilisation"]);
    assert!(gpu.unread[0].why.contains("not available on the target device"), "{:?}", gpu.unread[0]);
    assert!(report.samples.len() >= 2);
    assert!(report.samples.iter().all(|sample| sample.energy_mj.is_none() && sample.power_mw.is_some()));
    // The first answer was good.
    assert_eq!(report.samples[0].gpu_percent, Some(97));
    assert_eq!(report.samples[1].gpu_percent, None);
}

#[test]
fn throttling_from_a_sample_on() {
    let report = sampled("clock_events=4 throttle=72 throttle_from=2", first(), Duration::from_millis(450));
    let events: Vec<Vec<ClockEvent>> =
        report.samples.into_iter().map(|sample| sample.clock_events.unwrap()).collect();
    assert!(events.len() >= 3, "{events:?}");
    assert_eq!(events[..2], [vec![ClockEvent::SwPowerCap], vec![ClockEvent::SwPowerCap]]);
    assert!(
        events[2..].iter().all(|events| *events == [ClockEvent::HwSlowdown, ClockEvent::HwThermalSlowdown]),
        "{events:?}"
    );
}

#[test]
fn other_processes_and_memory_errors_are_seen() {
    // Our parent is there, and is not us.
    let parent = std::os::unix::process::parent_id();
    let settings = format!("foreign={parent} uncorrected_from=1");
    let gpu = sampled(&settings, first(), SHORT).gpu.unwrap();
    assert_eq!(gpu.foreign_processes.len(), 1);
    assert_eq!(gpu.foreign_processes[0].pid, Some(parent));
    assert!(gpu.foreign_processes[0].name.is_some(), "{:?}", gpu.foreign_processes);
    assert!(gpu.ecc_uncorrected.unwrap() > 0);
    assert_eq!(gpu.ecc_corrected, Some(0));
    // In another namespace of process numbers we are the one.
    assert!(sampled("own=2", first(), SHORT).gpu.unwrap().foreign_processes.is_empty());
    let both = sampled("own=2 foreign=8388600", first(), SHORT).gpu.unwrap();
    assert_eq!(both.foreign_processes.iter().map(|process| process.pid).collect::<Vec<_>>(), [None]);
}

#[test]
fn a_look_says_what_holds_the_driver() {
    for (settings, state, processes) in [
        ("persistence=1 own=0", Some(DriverState::Persistent), 0),
        ("persistence=0 own=0", Some(DriverState::Unloaded), 0),
        ("persistence=0 own=0 foreign=1", Some(DriverState::Held), 1),
        ("own=0 fail=nvmlDeviceGetPersistenceMode:3", None, 0),
    ] {
        let (_directory, library) = stand_in(settings);
        let look = look(&library, &first(), "before").unwrap();
        assert_eq!((look.driver_state, look.processes.len()), (state, processes), "{settings}");
        assert_eq!((look.uuid, look.temperature_c), (Some(uuid(0)), Some(54)));
        assert!(look.open_ns > coldstart_profiles::Nanos::ZERO);
    }
}

#[test]
fn nvml_that_takes_its_time_does_not_hold_up_the_caller() {
    let (_directory, library) = stand_in("init_ms=300");
    let began = clock::monotonic();
    let sampler = Sampler::start_with(library, first());
    assert!(clock::monotonic().saturating_sub(began) < coldstart_profiles::Nanos::from_millis(200));
    let report = sampler.stop(began);
    let gpu = report.gpu.unwrap();
    assert!(gpu.opened_in_ns >= coldstart_profiles::Nanos::from_millis(300));
    assert!(!report.samples.is_empty());
    assert!(report.samples[0].at_ns >= coldstart_profiles::Nanos::from_millis(300));
}
