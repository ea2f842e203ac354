//! What a GPU is by NVML, and how it was found while nothing of ours ran on it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Nanos};

/// A GPU as NVML describes it, with what was seen of it over all processes that sampled it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GpuFacts {
    /// Such as `GPU-8f6d…`; tells it from every other.
    pub uuid: Option<String>,
    /// Where it sits, such as `00000000:01:00.0`.
    pub pci_bus_id: Option<String>,
    /// The maker's name of it.
    pub name: Option<String>,
    /// The driver's version.
    pub driver: Option<String>,
    /// The PCIe link at its best in this machine, and what it could carry.
    pub pcie: Option<PcieLink>,
    /// The highest clock of the multiprocessors in megahertz.
    pub sm_clock_max_mhz: Option<u32>,
    /// The highest clock of the device memory in megahertz.
    pub memory_clock_max_mhz: Option<u32>,
    /// The power that it is held to, in milliwatts.
    pub power_limit_mw: Option<u64>,
    /// Whether the driver stays loaded while nothing uses it.
    pub persistence_mode: Option<bool>,
    /// Whether it is split into instances (MIG). Telemetry is then that of the whole GPU.
    pub mig_mode: Option<bool>,
    /// Whether its memory is protected by ECC.
    pub ecc_enabled: Option<bool>,
    /// Memory errors that ECC corrected while it was sampled.
    pub ecc_corrected: Option<u64>,
    /// Memory errors that ECC could not correct while it was sampled.
    pub ecc_uncorrected: Option<u64>,
    /// Time between two samples.
    pub interval_ns: Nanos,
    /// How long opening NVML took in the process that sampled, beside what was measured there; the longest.
    pub opened_in_ns: Nanos,
    /// Processes that are not of this run and had a context on it while it was sampled.
    #[serde(default)]
    pub foreign_processes: Vec<GpuProcess>,
    /// What it does not tell, and why.
    #[serde(default)]
    pub unread: Vec<Unread>,
}

impl GpuFacts {
    /// Whether both are the same GPU.
    pub fn is_same(&self, other: &GpuFacts) -> bool {
        match (&self.uuid, &other.uuid) {
            (Some(one), Some(two)) => one == two,
            _ => self.pci_bus_id == other.pci_bus_id,
        }
    }

    /// Takes in what a later process saw of the same GPU: its facts, with errors added up and processes kept.
    pub fn merge(&mut self, later: GpuFacts) {
        let sum = |one: Option<u64>, two: Option<u64>| match (one, two) {
            (Some(one), Some(two)) => Some(one.saturating_add(two)),
            (one, two) => one.or(two),
        };
        let earlier = std::mem::replace(self, later);
        self.ecc_corrected = sum(earlier.ecc_corrected, self.ecc_corrected);
        self.ecc_uncorrected = sum(earlier.ecc_uncorrected, self.ecc_uncorrected);
        self.opened_in_ns = self.opened_in_ns.max(earlier.opened_in_ns);
        for process in earlier.foreign_processes {
            if !self.foreign_processes.iter().any(|known| known.pid == process.pid) {
                self.foreign_processes.push(process);
            }
        }
        for unread in earlier.unread {
            if !self.unread.iter().any(|known| known.what == unread.what) {
                self.unread.push(unread);
            }
        }
    }
}

/// A quantity that a GPU does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unread {
    /// The key that is `null`.
    pub what: String,
    /// What NVML answered.
    pub why: String,
}

/// A process with a context on a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuProcess {
    /// Its number; `null` where NVML counts by another namespace than ours, so that nobody can tell it from our own.
    pub pid: Option<u32>,
    /// Its name; `null` where this process may not read it.
    pub name: Option<String>,
    /// Device memory that it holds; `null` where the driver does not tell.
    pub memory_bytes: Option<Bytes>,
}

impl fmt::Display for GpuProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (&self.name, self.pid) {
            (Some(name), Some(pid)) => format!("{name} ({pid})"),
            (None, Some(pid)) => format!("process {pid}"),
            (Some(name), None) => name.clone(),
            (None, None) => "a process outside of this container".to_owned(),
        };
        f.pad(&text)
    }
}

/// In which state a cold start finds the driver. It decides how long initialisation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriverState {
    /// Persistence mode keeps the GPU initialised.
    Persistent,
    /// Another process uses the GPU and thereby keeps it initialised.
    Held,
    /// Nothing keeps it initialised: a cold start pays for it.
    Unloaded,
}

impl DriverState {
    /// The name in JSON and keys.
    pub const fn name(self) -> &'static str {
        match self {
            DriverState::Persistent => "persistent",
            DriverState::Held => "held",
            DriverState::Unloaded => "unloaded",
        }
    }

    /// The state by persistence mode and the number of processes on the GPU, none of which is ours; `None` where
    /// persistence mode is not known and nothing else tells.
    pub const fn of(persistence_mode: Option<bool>, processes: usize) -> Option<Self> {
        match (persistence_mode, processes) {
            (Some(true), _) => Some(DriverState::Persistent),
            (_, 1..) => Some(DriverState::Held),
            (Some(false), 0) => Some(DriverState::Unloaded),
            (None, 0) => None,
        }
    }
}

impl fmt::Display for DriverState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A GPU as it was found while no process of this run used it. NVML was opened for the look, and closed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuLook {
    /// `before` or `after` the run's steps.
    pub when: String,
    /// The GPU.
    pub uuid: Option<String>,
    /// What keeps the driver initialised; `null` where NVML does not tell.
    pub driver_state: Option<DriverState>,
    /// Whether the driver stays loaded while nothing uses it.
    pub persistence_mode: Option<bool>,
    /// Processes with a context on the GPU, none of which is of this run.
    pub processes: Vec<GpuProcess>,
    /// Temperature of the GPU die in degrees Celsius.
    pub temperature_c: Option<u32>,
    /// How long NVML was open.
    pub open_ns: Nanos,
    /// From closing NVML to the start of the next process of this run; `null` where none followed. A driver that nothing
    /// holds needs about a second to let the GPU go.
    pub idle_after_ns: Option<Nanos>,
}

/// A PCIe link, and what it carries at best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PcieLink {
    /// The generation that GPU and machine both support.
    pub generation: u32,
    /// The lanes that both have.
    pub width: u32,
    /// Bytes per second in one direction by the standard, after line encoding: a theoretical figure, above what any copy
    /// reaches, since packet headers are not taken off. `null` for a generation that is not known here.
    pub bytes_per_s: Option<u64>,
}

impl PcieLink {
    /// A link with its theoretical rate.
    pub fn new(generation: u32, width: u32) -> Self {
        PcieLink { generation, width, bytes_per_s: pcie_bytes_per_s(generation, width) }
    }
}

/// `4.0 ×16`.
impl fmt::Display for PcieLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.0 ×{}", self.generation, self.width))
    }
}

/// Bytes per second that a PCIe link of `width` lanes carries in one direction, after line encoding.
///
/// PCI Express Base Specification: 2.5 and 5 GT/s a lane with 8b/10b (generations 1 and 2); 8, 16 and 32 GT/s with
/// 128b/130b (3 to 5); 64 GT/s in flits of 256 bytes of which 242 are not error correction (6). Headers of packets are not
/// taken off.
pub const fn pcie_bytes_per_s(generation: u32, width: u32) -> Option<u64> {
    // Millions of transfers a second, each of one bit a lane; payload and encoded length.
    let (transfers, payload, encoded) = match generation {
        1 => (2_500, 8, 10),
        2 => (5_000, 8, 10),
        3 => (8_000, 128, 130),
        4 => (16_000, 128, 130),
        5 => (32_000, 128, 130),
        6 => (64_000, 242, 256),
        _ => return None,
    };
    if width == 0 || width > 32 {
        return None;
    }
    Some(transfers * 1_000_000 * payload * width as u64 / encoded / 8)
}
