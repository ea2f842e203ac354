//! Samples of one part of a process's life.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::energy::Energy;
use super::sample::{ClockEvent, TelemetrySample};
use crate::key::Key;
use crate::units::Nanos;

/// Which measurement a window belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TelemetryScope {
    /// A cold start.
    Trial,
    /// A point of the throughput sweep.
    Point,
}

impl TelemetryScope {
    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            TelemetryScope::Trial => "trial",
            TelemetryScope::Point => "point",
        }
    }
}

/// Which part of a measurement a window covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// The phase weights_load.
    WeightsLoad,
    /// From the begin of the first forward pass to the begin of the first steady one.
    WarmUp,
    /// From the begin of the first steady pass to the end of the last.
    Steady,
}

impl WindowKind {
    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            WindowKind::WeightsLoad => "weights_load",
            WindowKind::WarmUp => "warm_up",
            WindowKind::Steady => "steady",
        }
    }
}

impl fmt::Display for WindowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Samples of one GPU in one part of one measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TelemetryWindow {
    /// The step of the plan.
    pub step: String,
    /// The GPU.
    pub uuid: Option<String>,
    /// Which measurement.
    pub scope: TelemetryScope,
    /// The point of the sweep; `null` for a trial, which its step names.
    pub key: Option<Key>,
    /// Which part of it.
    pub window: WindowKind,
    /// Its begin, counted from the first line of the process's `main`.
    pub begin_ns: Nanos,
    /// Its end, on the same clock.
    pub end_ns: Nanos,
    /// What the samples between begin and end say. It is computed again when a profile is read.
    pub summary: TelemetrySummary,
    /// What the GPU used between begin and end. It is computed again when a profile is read.
    pub energy: Energy,
    /// The samples in order: those between begin and end, and one on each side where there is one, for the energy.
    pub samples: Vec<TelemetrySample>,
}

impl TelemetryWindow {
    /// The window from `begin` to `end` of what a process sampled.
    pub fn cut(
        step: impl Into<String>,
        (scope, key): (TelemetryScope, Option<Key>),
        window: WindowKind,
        (begin_ns, end_ns): (Nanos, Nanos),
        uuid: Option<String>,
        samples: &[TelemetrySample],
    ) -> Self {
        let first = samples.partition_point(|sample| sample.at_ns < begin_ns);
        let last = samples.partition_point(|sample| sample.at_ns <= end_ns);
        let around = first.saturating_sub(1)..samples.len().min(last.saturating_add(1));
        let samples = samples.get(around).unwrap_or_default().to_vec();
        let energy = Energy::of(&samples, begin_ns, end_ns);
        let inside = samples.iter().filter(|sample| (begin_ns..=end_ns).contains(&sample.at_ns));
        let summary = summarize_telemetry(inside);
        TelemetryWindow {
            step: step.into(),
            uuid,
            scope,
            key,
            window,
            begin_ns,
            end_ns,
            summary,
            energy,
            samples,
        }
    }

    /// How long it is.
    pub fn length(&self) -> Nanos {
        self.end_ns.saturating_sub(self.begin_ns)
    }

    /// The samples between its begin and its end.
    pub fn inner(&self) -> impl Iterator<Item = &TelemetrySample> {
        let span = self.begin_ns..=self.end_ns;
        self.samples.iter().filter(move |sample| span.contains(&sample.at_ns))
    }

    /// Whether summary and energy follow from the samples.
    pub(crate) fn is_consistent(&self) -> bool {
        self.summary == summarize_telemetry(self.inner())
            && self.energy == Energy::of(&self.samples, self.begin_ns, self.end_ns)
    }
}

/// Least, median and largest value of one quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// The least.
    pub min: u64,
    /// The median; of an even number the lower middle one.
    pub median: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    /// The spread of some values; `None` without any.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut values: Vec<u64> = values.into_iter().collect();
        values.sort_unstable();
        let median = *values.get(values.len().checked_sub(1)? / 2)?;
        Some(Spread { min: *values.first()?, median, max: *values.last()? })
    }
}

/// How many samples showed an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockEventCount {
    /// The event.
    pub event: ClockEvent,
    /// In how many samples.
    pub samples: usize,
}

/// What the samples of a window say, each quantity by itself; `null` where no sample holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TelemetrySummary {
    /// How many samples.
    pub samples: usize,
    /// In how many of them heat, the power supply or the hardware held the clocks down; `null` where events are not told.
    pub throttled_samples: Option<usize>,
    /// The events that were seen.
    pub clock_events: Vec<ClockEventCount>,
    /// Share of the time in which a kernel ran.
    pub gpu_percent: Option<Spread>,
    /// Share of the time in which device memory was read or written.
    pub memory_percent: Option<Spread>,
    /// Device memory in use, in bytes.
    pub memory_used_bytes: Option<Spread>,
    /// Power of the board in milliwatts.
    pub power_mw: Option<Spread>,
    /// Temperature in degrees Celsius.
    pub temperature_c: Option<Spread>,
    /// Clock of the multiprocessors in megahertz.
    pub sm_clock_mhz: Option<Spread>,
    /// Clock of the device memory in megahertz.
    pub memory_clock_mhz: Option<Spread>,
    /// Generation of the PCIe link.
    pub pcie_generation: Option<Spread>,
    /// Lanes of the PCIe link.
    pub pcie_width: Option<Spread>,
}

/// Summarises samples: integer arithmetic, so that a reader comes to the same to the digit.
pub fn summarize_telemetry<'a>(samples: impl IntoIterator<Item = &'a TelemetrySample>) -> TelemetrySummary {
    let samples: Vec<&TelemetrySample> = samples.into_iter().collect();
    let spread = |of: &dyn Fn(&TelemetrySample) -> Option<u64>| {
        Spread::of(samples.iter().filter_map(|sample| of(sample)))
    };
    let count = |event: ClockEvent| {
        let has = |sample: &&&TelemetrySample| {
            sample.clock_events.as_ref().is_some_and(|events| events.contains(&event))
        };
        samples.iter().filter(has).count()
    };
    let counts = ClockEvent::ALL.map(|event| ClockEventCount { event, samples: count(event) });
    let told = samples.iter().any(|sample| sample.clock_events.is_some());
    TelemetrySummary {
        samples: samples.len(),
        throttled_samples: told
            .then(|| samples.iter().filter(|sample| sample.is_throttled() == Some(true)).count()),
        clock_events: counts.into_iter().filter(|count| count.samples > 0).collect(),
        gpu_percent: spread(&|sample| sample.gpu_percent.map(u64::from)),
        memory_percent: spread(&|sample| sample.memory_percent.map(u64::from)),
        memory_used_bytes: spread(&|sample| Some(sample.memory_used_bytes?.get())),
        power_mw: spread(&|sample| sample.power_mw),
        temperature_c: spread(&|sample| sample.temperature_c.map(u64::from)),
        sm_clock_mhz: spread(&|sample| sample.sm_clock_mhz.map(u64::from)),
        memory_clock_mhz: spread(&|sample| sample.memory_clock_mhz.map(u64::from)),
        pcie_generation: spread(&|sample| sample.pcie_generation.map(u64::from)),
        pcie_width: spread(&|sample| sample.pcie_width.map(u64::from)),
    }
}
