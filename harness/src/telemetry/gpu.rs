//! One GPU as NVML answers for it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use coldstart_profiles::{
    Bytes, ClockEvent, DeviceTarget, GpuFacts, Nanos, PcieLink, TelemetrySample, Unread,
};
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};
use serde::{Deserialize, Serialize};

use super::error::TelemetryError;
use super::processes::Seen;

/// Which GPU is meant, in words that both CUDA and NVML know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GpuId {
    /// Its place on the bus, such as `0000:01:00.0`.
    pub pci_bus_id: Option<String>,
    /// Its UUID, with or without `GPU-` before it.
    pub uuid: Option<String>,
}

impl GpuId {
    /// The GPU of a run; `None` on the host device.
    pub fn of(device: &DeviceTarget) -> Option<Self> {
        (device.kind == "cuda")
            .then(|| GpuId { pci_bus_id: device.pci_bus_id.clone(), uuid: device.uuid.clone() })
    }
}

impl std::fmt::Display for GpuId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.uuid.as_deref().or(self.pci_bus_id.as_deref());
        f.pad(name.unwrap_or("a GPU without a name"))
    }
}

/// Which NVML is opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Library {
    /// `libnvidia-ml.so.1`, where the loader looks.
    #[default]
    System,
    /// The file of this name.
    File(OsString),
}

impl Library {
    /// Opens NVML and initialises it. No GPU is touched yet.
    pub(super) fn open(&self) -> Result<Nvml, TelemetryError> {
        let opened = match self {
            Library::System => Nvml::init(),
            Library::File(path) => Nvml::builder().lib_path(path).init(),
        };
        opened.map_err(TelemetryError::init)
    }
}

/// A GPU, and what it did not tell.
pub(super) struct Gpu<'n> {
    nvml: &'n Nvml,
    device: Device<'n>,
    /// Quantities that it did not tell, and why. What it does not support is not asked for again.
    unread: BTreeMap<&'static str, (String, bool)>,
    /// Memory errors when it was opened: corrected, and not.
    ecc_before: [Option<u64>; 2],
}

impl<'n> Gpu<'n> {
    /// The GPU by its place on the bus, which makes NVML touch no other one; by its UUID where that fails.
    pub(super) fn find(nvml: &'n Nvml, id: &GpuId) -> Result<Self, TelemetryError> {
        let mut refused = None;
        if let Some(bus) = &id.pci_bus_id {
            match nvml.device_by_pci_bus_id(bus.as_str()) {
                Ok(device) => return Ok(Gpu::new(nvml, device)),
                Err(error) => refused = Some(error),
            }
        }
        for uuid in id.uuid.iter().flat_map(|uuid| uuids(uuid)) {
            match nvml.device_by_uuid(uuid) {
                // The instance of a split GPU has next to no telemetry: the whole one is watched.
                Ok(device) => return Ok(Gpu::new(nvml, device.mig_parent_device().unwrap_or(device))),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(match refused {
            Some(source) => TelemetryError::NotFound { gpu: id.to_string(), source },
            None => TelemetryError::Nameless,
        })
    }

    /// The GPU of a number, which is of use only where all of them are looked at.
    pub(super) fn at(nvml: &'n Nvml, index: u32) -> Result<Self, TelemetryError> {
        match nvml.device_by_index(index) {
            Ok(device) => Ok(Gpu::new(nvml, device)),
            Err(source) => Err(TelemetryError::NotFound { gpu: format!("GPU {index}"), source }),
        }
    }

    fn new(nvml: &'n Nvml, device: Device<'n>) -> Self {
        let mut gpu = Gpu { nvml, device, unread: BTreeMap::new(), ecc_before: [None; 2] };
        gpu.ecc_before = gpu.ecc();
        gpu
    }

    /// What it answers to one question; the reason where it does not is kept once.
    fn ask<T>(
        &mut self,
        what: &'static str,
        question: impl FnOnce(&Device<'n>) -> Result<T, NvmlError>,
    ) -> Option<T> {
        if self.unread.get(what).is_some_and(|(_, forever)| *forever) {
            return None;
        }
        match question(&self.device) {
            Ok(answer) => Some(answer),
            Err(error) => {
                let forever = matches!(error, NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_));
                let known = self.unread.entry(what).or_insert_with(|| (error.to_string(), forever));
                known.1 |= forever;
                None
            }
        }
    }

    /// What it does not tell, so far.
    pub(super) fn unread(&self) -> Vec<Unread> {
        let unread = |(what, (why, _)): (&&'static str, &(String, bool))| Unread {
            what: (*what).to_owned(),
            why: why.clone(),
        };
        self.unread.iter().map(unread).collect()
    }

    /// One look at everything that changes. The time is that of its middle, on the monotonic clock.
    pub(super) fn sample(&mut self, now: impl Fn() -> Nanos) -> TelemetrySample {
        let begin = now();
        let utilization = self.ask("utilisation", |gpu| gpu.utilization_rates());
        let mut sample = TelemetrySample {
            at_ns: begin,
            gpu_percent: utilization.as_ref().map(|rates| rates.gpu),
            memory_percent: utilization.map(|rates| rates.memory),
            memory_used_bytes: self
                .ask("memory_used_bytes", |gpu| gpu.memory_info())
                .map(|memory| Bytes::new(memory.used)),
            power_mw: self.ask("power_mw", |gpu| gpu.power_usage()).map(u64::from),
            energy_mj: self.ask("energy_mj", |gpu| gpu.total_energy_consumption()),
            temperature_c: self.temperature(),
            sm_clock_mhz: self.ask("sm_clock_mhz", |gpu| gpu.clock_info(Clock::SM)),
            memory_clock_mhz: self.ask("memory_clock_mhz", |gpu| gpu.clock_info(Clock::Memory)),
            clock_events: self.ask("clock_events", |gpu| gpu.current_throttle_reasons()).map(clock_events),
            pcie_generation: self.ask("pcie_generation", |gpu| gpu.current_pcie_link_gen()),
            pcie_width: self.ask("pcie_width", |gpu| gpu.current_pcie_link_width()),
        };
        sample.at_ns = Nanos::from_nanos(begin.as_nanos().midpoint(now().as_nanos()));
        sample
    }

    pub(super) fn temperature(&mut self) -> Option<u32> {
        self.ask("temperature_c", |gpu| gpu.temperature(TemperatureSensor::Gpu))
    }

    pub(super) fn uuid(&mut self) -> Option<String> {
        self.ask("uuid", |gpu| gpu.uuid())
    }

    pub(super) fn persistence_mode(&mut self) -> Option<bool> {
        self.ask("persistence_mode", |gpu| gpu.is_in_persistent_mode())
    }

    /// Processes that compute on it.
    pub(super) fn compute_processes(&mut self) -> Vec<Seen> {
        let processes = self.ask("processes", |gpu| gpu.running_compute_processes());
        processes.unwrap_or_default().iter().map(seen).collect()
    }

    /// Processes that draw on it.
    pub(super) fn graphics_processes(&mut self) -> Vec<Seen> {
        let processes = self.ask("graphics_processes", |gpu| gpu.running_graphics_processes());
        processes.unwrap_or_default().iter().map(seen).collect()
    }

    /// What it is, and the memory errors since it was opened.
    pub(super) fn facts(&mut self) -> GpuFacts {
        let generation = self.ask("pcie_generation_max", |gpu| gpu.max_pcie_link_gen());
        let width = self.ask("pcie_width_max", |gpu| gpu.max_pcie_link_width());
        let now = self.ecc();
        let since = |which: usize| {
            let (before, now): (Option<u64>, Option<u64>) = (self.ecc_before[which], now[which]);
            Some(now?.saturating_sub(before?))
        };
        let (ecc_corrected, ecc_uncorrected) = (since(0), since(1));
        let driver = self.nvml.sys_driver_version().ok();
        GpuFacts {
            uuid: self.uuid(),
            pci_bus_id: self.ask("pci_bus_id", |gpu| gpu.pci_info()).map(|pci| pci.bus_id),
            name: self.ask("name", |gpu| gpu.name()),
            driver,
            pcie: generation.zip(width).map(|(generation, width)| PcieLink::new(generation, width)),
            sm_clock_max_mhz: self.ask("sm_clock_max_mhz", |gpu| gpu.max_clock_info(Clock::SM)),
            memory_clock_max_mhz: self.ask("memory_clock_max_mhz", |gpu| gpu.max_clock_info(Clock::Memory)),
            power_limit_mw: self.ask("power_limit_mw", |gpu| gpu.enforced_power_limit()).map(u64::from),
            persistence_mode: self.persistence_mode(),
            // Supported by GPUs that can be split only.
            mig_mode: self.ask("mig_mode", |gpu| gpu.mig_mode()).map(|mode| mode.current != 0),
            ecc_enabled: self.ask("ecc_enabled", |gpu| gpu.is_ecc_enabled()).map(|ecc| ecc.currently_enabled),
            ecc_corrected,
            ecc_uncorrected,
            ..GpuFacts::default()
        }
    }

    /// Memory errors since the driver was loaded: corrected, and not. A GPU without ECC tells none.
    fn ecc(&mut self) -> [Option<u64>; 2] {
        [MemoryError::Corrected, MemoryError::Uncorrected]
            .map(|kind| self.ask("ecc_errors", |gpu| gpu.total_ecc_errors(kind, EccCounter::Volatile)))
    }
}

/// A UUID as NVML may want it: of a whole GPU, of an instance, or as it is.
fn uuids(uuid: &str) -> Vec<String> {
    match uuid.split_once('-') {
        Some(("GPU" | "MIG", _)) => vec![uuid.to_owned()],
        _ => vec![format!("GPU-{uuid}"), format!("MIG-{uuid}")],
    }
}

fn seen(process: &ProcessInfo) -> Seen {
    let memory = match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(Bytes::new(bytes)),
        UsedGpuMemory::Unavailable => None,
    };
    Seen { pid: process.pid, memory }
}

/// Events by their bits; bits that are not known here are passed over.
fn clock_events(bits: ThrottleReasons) -> Vec<ClockEvent> {
    const EVENTS: [(ThrottleReasons, ClockEvent); 9] = [
        (ThrottleReasons::GPU_IDLE, ClockEvent::GpuIdle),
        (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, ClockEvent::ApplicationsClocksSetting),
        (ThrottleReasons::SW_POWER_CAP, ClockEvent::SwPowerCap),
        (ThrottleReasons::HW_SLOWDOWN, ClockEvent::HwSlowdown),
        (ThrottleReasons::SYNC_BOOST, ClockEvent::SyncBoost),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, ClockEvent::SwThermalSlowdown),
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, ClockEvent::HwThermalSlowdown),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, ClockEvent::HwPowerBrakeSlowdown),
        (ThrottleReasons::DISPLAY_CLOCK_SETTING, ClockEvent::DisplayClockSetting),
    ];
    EVENTS.into_iter().filter(|(bit, _)| bits.contains(*bit)).map(|(_, event)| event).collect()
}
