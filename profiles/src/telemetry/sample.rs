//! One look at a GPU.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Nanos};

/// What NVML said at one moment. A quantity that this GPU does not tell is `null`, and the reason stands once in
/// [`GpuFacts::unread`](super::GpuFacts).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TelemetrySample {
    /// When, counted from the first line of the process's `main`: the middle of the time that the queries took.
    pub at_ns: Nanos,
    /// Share of the time in which a kernel ran, over the driver's last sampling period (a sixth of a second to a second).
    pub gpu_percent: Option<u32>,
    /// Share of the time in which device memory was read or written, over the same period.
    pub memory_percent: Option<u32>,
    /// Device memory in use, by all processes and the driver.
    pub memory_used_bytes: Option<Bytes>,
    /// Power of the whole board in milliwatts. GPUs since Ampere, A100 excepted, tell the mean of the last second.
    pub power_mw: Option<u64>,
    /// Energy of the whole board in millijoules since the driver was loaded.
    pub energy_mj: Option<u64>,
    /// Temperature of the GPU die in degrees Celsius.
    pub temperature_c: Option<u32>,
    /// Clock of the multiprocessors in megahertz.
    pub sm_clock_mhz: Option<u32>,
    /// Clock of the device memory in megahertz.
    pub memory_clock_mhz: Option<u32>,
    /// What kept the clocks from going higher; empty where nothing did.
    pub clock_events: Option<Vec<ClockEvent>>,
    /// Generation of the PCIe link at this moment; an idle link goes down to save power.
    pub pcie_generation: Option<u32>,
    /// Lanes of the PCIe link at this moment.
    pub pcie_width: Option<u32>,
}

impl TelemetrySample {
    /// The events that slow a GPU down although it has work and no setting says so; `None` where events are not told.
    pub fn throttles(&self) -> Option<impl Iterator<Item = ClockEvent>> {
        Some(self.clock_events.as_ref()?.iter().copied().filter(|event| event.is_throttle()))
    }

    /// Whether any such event is there; `None` where events are not told.
    pub fn is_throttled(&self) -> Option<bool> {
        Some(self.throttles()?.next().is_some())
    }
}

/// Why clocks are not higher (NVML calls these clock event reasons, and throttle reasons before release 535).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockEvent {
    /// There is no work.
    GpuIdle,
    /// The clocks are those that somebody set.
    ApplicationsClocksSetting,
    /// The board is at its power limit: usual under full load.
    SwPowerCap,
    /// The hardware halved the clocks or worse: heat, the power supply, or a draw that rose too fast.
    HwSlowdown,
    /// Another GPU of the same group holds this one back.
    SyncBoost,
    /// The driver lowers the clocks because of the temperature.
    SwThermalSlowdown,
    /// The hardware halved the clocks or worse because of the temperature.
    HwThermalSlowdown,
    /// The power supply asked the hardware to halve the clocks or worse.
    HwPowerBrakeSlowdown,
    /// The clocks are those of the display.
    DisplayClockSetting,
}

impl ClockEvent {
    /// Every event.
    pub const ALL: [ClockEvent; 9] = [
        ClockEvent::GpuIdle,
        ClockEvent::ApplicationsClocksSetting,
        ClockEvent::SwPowerCap,
        ClockEvent::HwSlowdown,
        ClockEvent::SyncBoost,
        ClockEvent::SwThermalSlowdown,
        ClockEvent::HwThermalSlowdown,
        ClockEvent::HwPowerBrakeSlowdown,
        ClockEvent::DisplayClockSetting,
    ];

    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            ClockEvent::GpuIdle => "gpu_idle",
            ClockEvent::ApplicationsClocksSetting => "applications_clocks_setting",
            ClockEvent::SwPowerCap => "sw_power_cap",
            ClockEvent::HwSlowdown => "hw_slowdown",
            ClockEvent::SyncBoost => "sync_boost",
            ClockEvent::SwThermalSlowdown => "sw_thermal_slowdown",
            ClockEvent::HwThermalSlowdown => "hw_thermal_slowdown",
            ClockEvent::HwPowerBrakeSlowdown => "hw_power_brake_slowdown",
            ClockEvent::DisplayClockSetting => "display_clock_setting",
        }
    }

    /// Whether it means that the machine was not fit: heat, the power supply, a slowdown by the hardware. Idling, a setting
    /// and the power limit that the board is made for do not.
    pub const fn is_throttle(self) -> bool {
        matches!(
            self,
            ClockEvent::HwSlowdown
                | ClockEvent::SwThermalSlowdown
                | ClockEvent::HwThermalSlowdown
                | ClockEvent::HwPowerBrakeSlowdown
        )
    }
}

impl fmt::Display for ClockEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
