//! What a parent asks of a fresh process, and what it gets back: the JSON between the two.

use coldstart_profiles::{
    CanaryReading, DriverConditions, ForwardPlan, LimitKind, LimitMeasurement, Nanos, PageCache, Product,
    Reading, Replay, StopReason, SweepPoint,
};
use serde::{Deserialize, Serialize};

use super::describe::Described;
use crate::DeviceName;
use crate::telemetry::{GpuId, TelemetryReport};

use crate::self_test::{SelfTestEvent, SelfTestSpec};

/// One measurement in a fresh process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum ChildSpec {
    /// A look at a GPU, for the plan.
    Describe {
        /// Which.
        device: DeviceName,
    },
    /// A reading of the canary on a GPU.
    Canary {
        /// Which.
        device: DeviceName,
        /// `before` or `after`.
        when: String,
    },
    /// One cold start, or one load of the weights.
    Trial(TrialSpec),
    /// One reading of a limit.
    Limit(LimitSpec),
    /// The throughput sweep.
    Sweep(SweepSpec),
    /// The self-test of a device.
    SelfTest(SelfTestSpec),
}

/// The model, and the device that it goes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The device; of several the first, unless it is said otherwise.
    pub device: DeviceName,
    /// Directory or file of the model.
    pub model: String,
    /// Whether links out of the directory are followed.
    pub follow_symlinks: bool,
    /// Seed of the token ids.
    pub seed: u64,
}

/// One cold start, or one load of the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialSpec {
    /// What is loaded, and where to.
    pub subject: Subject,
    /// What the parent prepared of the driver; `None` on the host device, which has none.
    pub driver: Option<DriverConditions>,
    /// Whether the weights go to all devices at once, and nothing else is measured.
    pub together: bool,
    /// Whether it ends when the kernels are on the device.
    pub startup_only: bool,
    /// How the weights are loaded.
    pub strategy: String,
    /// What the parent prepared. A trial that finds something else marks its reading.
    pub page_cache: PageCache,
    /// Whether the bytes on the device are compared with the files, after all timed regions.
    pub verify: bool,
    /// The forward passes that follow; `None` for a load alone.
    pub forward: Option<ForwardPlan>,
    /// The GPU that is sampled from the context on; `None` where none is.
    #[serde(default)]
    pub sampled: Option<GpuId>,
}

/// One reading of a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitSpec {
    /// Which limit.
    pub kind: LimitKind,
    /// The files that reads read, and the device that products run on.
    pub subject: Subject,
}

/// The throughput sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepSpec {
    /// What is loaded, and where to.
    pub subject: Subject,
    /// How the weights are loaded.
    pub strategy: String,
    /// The points, in order.
    pub points: Vec<SweepPoint>,
    /// Passes of a steady window at least.
    pub least: usize,
    /// The GPU that is sampled; `None` where none is.
    #[serde(default)]
    pub sampled: Option<GpuId>,
}

/// What a child printed: one line of JSON each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum ChildLine {
    /// What a GPU is, or that there is none: the only line.
    Described(Described),
    /// A reading of the canary: its only line.
    Canary(CanaryReading),
    /// A trial's result: its only line.
    Trial(TrialReport),
    /// A limit's result: its only line.
    Limit(LimitMeasurement),
    /// One point of a sweep, as soon as it is measured.
    Point(PointReport),
    /// Which implementation ran which product of the sweep so far. The step is for the parent to name.
    Products {
        /// All since the sweep began.
        products: Vec<Product>,
    },
    /// A step of a self-test.
    SelfTest(SelfTestEvent),
    /// What went wrong, in words; nothing follows.
    Error {
        /// Completes "failed to …".
        what: String,
    },
}

/// One trial as the child saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialReport {
    /// The monotonic clock at the first line of `main`.
    pub main_ns: Nanos,
    /// The phases in order, their begins counted from the first line of `main`. After a failure: those that ended.
    pub readings: Vec<Reading>,
    /// From the first line of `main` to the end of the last phase.
    pub total_ns: Nanos,
    /// The forward passes; `None` without any.
    pub curve: Option<CurveReport>,
    /// What the GPU's management library said meanwhile; `None` where it was not to be asked.
    #[serde(default)]
    pub telemetry: Option<TelemetryReport>,
    /// Which implementation ran which product. The step is for the parent to name.
    #[serde(default)]
    pub products: Vec<Product>,
    /// What went wrong after the last reading; `None` if all went well.
    pub error: Option<String>,
    /// Whether that is something that this machine can't do at all, so that nothing failed.
    pub refused: bool,
}

/// Every forward pass of a trial from the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveReport {
    /// What each pass did.
    pub forward: ForwardPlan,
    /// When each began, counted from the first line of `main`.
    pub begins_ns: Vec<Nanos>,
    /// The times in the order taken.
    pub samples_ns: Vec<Nanos>,
    /// The same passes by the device's own clock; empty where it has none.
    pub device_ns: Vec<Nanos>,
    /// Why it stopped.
    pub stop: StopReason,
}

/// One point of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointReport {
    /// Which point.
    pub point: SweepPoint,
    /// The times of all passes in the order taken, or why there are none.
    pub samples_ns: Result<Vec<Nanos>, NoSamples>,
    /// The same passes by the device's own clock; empty where it has none.
    pub device_ns: Vec<Nanos>,
    /// When each pass began, counted from the begin of the sweep.
    #[serde(default)]
    pub begins_ns: Vec<Nanos>,
    /// What the GPU's management library said meanwhile, on the same clock; `None` where it was not to be asked.
    #[serde(default)]
    pub telemetry: Option<TelemetryReport>,
    /// The index of the first pass of the steady window.
    pub steady_from: usize,
    /// From the begin of that pass to the end of the last.
    pub window_ns: Nanos,
    /// Operations of one iteration.
    pub flops: u64,
    /// Bytes that one iteration reads at least once.
    pub read_bytes: u64,
    /// Device memory besides the weights.
    pub workspace_bytes: u64,
    /// The format of activations.
    pub dtype: Option<String>,
    /// How decode steps ran on a device with graphs.
    pub replay: Option<Replay>,
    /// Why it stopped.
    pub stop: Option<StopReason>,
}

/// Why a point has no samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoSamples {
    /// It can't be measured here: the device has not the memory.
    Skipped(String),
    /// It was tried and failed.
    Failed(String),
}
