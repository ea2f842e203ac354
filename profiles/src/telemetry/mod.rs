//! What the GPU's own management library (NVML) said of it while it was measured: power, clocks, temperature, use.
//!
//! A process samples ten times a second, from after its context is there: an open NVML handle keeps the driver awake, and
//! would take from a cold start what is to be measured. The samples are cut into windows, so that the warm-up and the
//! steady state stand apart. Every sample of a window is kept; its summary and its energy follow from them.

mod derive;
mod energy;
mod gpu;
mod sample;
mod throttle;
mod timeline;
mod window;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use energy::{Energy, EnergySource};
pub use gpu::{DriverState, GpuFacts, GpuLook, GpuProcess, PcieLink, Unread, pcie_bytes_per_s};
pub use sample::{ClockEvent, TelemetrySample};
pub use throttle::{THROTTLED_LIMIT, throttle_marks};
pub use timeline::TelemetryTimeline;
pub use window::{
    ClockEventCount, Spread, TelemetryScope, TelemetrySummary, TelemetryWindow, WindowKind,
    summarize_telemetry,
};

/// What NVML said during a run, or why it said nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Telemetry {
    /// Why nothing was sampled, or why sampling ended early; `null` where all went well.
    pub skipped: Option<String>,
    /// The GPUs that were sampled, by UUID.
    #[serde(default)]
    pub gpus: Vec<GpuFacts>,
    /// How the GPUs were found while no process of this run used them.
    #[serde(default)]
    pub looks: Vec<GpuLook>,
    /// The samples, by process and part of its life.
    #[serde(default)]
    pub windows: Vec<TelemetryWindow>,
}

/// The windows of one kind taken together: what a report shows in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryOverview {
    /// Which measurement they belong to.
    pub scope: TelemetryScope,
    /// Which part of it.
    pub window: WindowKind,
    /// How many windows.
    pub windows: usize,
    /// The time that they cover, in nanoseconds.
    pub covered_ns: crate::Nanos,
    /// All of their samples together.
    pub summary: TelemetrySummary,
}

impl Telemetry {
    /// The state in which the run's cold starts found the driver; `None` where NVML could not be asked.
    pub fn driver_state(&self) -> Option<DriverState> {
        self.looks.first()?.driver_state
    }

    /// The SM clock at the steady state of the trials, or of the sweep where there are none: the median over the medians of
    /// the windows. Runs at other clocks are not of the same machine.
    pub fn steady_sm_clock_mhz(&self) -> Option<u64> {
        [TelemetryScope::Trial, TelemetryScope::Point].into_iter().find_map(|scope| {
            let mut clocks: Vec<u64> = self.steady_clocks(scope).map(|(_, clock)| clock).collect();
            clocks.sort_unstable();
            clocks.get(clocks.len().checked_sub(1)? / 2).copied()
        })
    }

    /// The median SM clock of every steady window of a kind.
    pub fn steady_clocks(&self, scope: TelemetryScope) -> impl Iterator<Item = (&TelemetryWindow, u64)> {
        self.windows
            .iter()
            .filter(move |window| (window.scope, window.window) == (scope, WindowKind::Steady))
            .filter_map(|window| Some((window, window.summary.sm_clock_mhz.as_ref()?.median)))
    }

    /// Processes that were not of this run and had a context on a GPU, each once.
    pub fn foreign_processes(&self) -> Vec<&GpuProcess> {
        let seen = self.gpus.iter().flat_map(|gpu| &gpu.foreign_processes);
        let looked = self.looks.iter().flat_map(|look| &look.processes);
        let mut found: Vec<&GpuProcess> = Vec::new();
        for process in looked.chain(seen) {
            let known = found.iter().any(|known| (known.pid, &known.name) == (process.pid, &process.name));
            if !known {
                found.push(process);
            }
        }
        found
    }

    /// Samples of forward passes in which the clocks were held down by heat, by the power supply or by the hardware, and all
    /// of which it is known.
    pub fn throttled(&self) -> (usize, usize) {
        let passes = self.windows.iter().filter(|window| window.window != WindowKind::WeightsLoad);
        passes.fold((0, 0), |(throttled, known), window| {
            (
                throttled + window.summary.throttled_samples.unwrap_or(0),
                known + window.summary.throttled_samples.map_or(0, |_| window.summary.samples),
            )
        })
    }

    /// The windows of each kind together, in the order in which a process passes through them.
    pub fn overview(&self) -> Vec<TelemetryOverview> {
        let mut kinds: Vec<(TelemetryScope, WindowKind)> =
            self.windows.iter().map(|window| (window.scope, window.window)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let overview = |(scope, kind): (TelemetryScope, WindowKind)| {
            let windows: Vec<&TelemetryWindow> =
                self.windows.iter().filter(|window| (window.scope, window.window) == (scope, kind)).collect();
            TelemetryOverview {
                scope,
                window: kind,
                windows: windows.len(),
                covered_ns: windows.iter().map(|window| window.length()).sum(),
                summary: summarize_telemetry(windows.iter().flat_map(|window| window.inner())),
            }
        };
        kinds.into_iter().map(overview).collect()
    }
}

#[cfg(test)]
mod tests;
