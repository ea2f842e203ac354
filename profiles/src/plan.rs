//! What a run is going to do, decided before it starts and stored in the profile.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::load::PageCache;
use crate::phase::Phase;
use crate::startup::{JitCache, ModuleLoading};
use crate::target::ImageSource;
use crate::units::{Bytes, Nanos};
use crate::work::LimitKind;

/// Every decision of a run. Two runs of equal plans do the same work in the same order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Seed of the order of interleaved steps and of all synthetic contents.
    pub seed: u64,
    /// Whether it is the short form of a run.
    pub quick: bool,
    /// Time for all steps together; making a synthetic model is outside of it.
    pub budget_ns: Nanos,
    /// The device, such as `host` or `cuda:0`.
    pub device: String,
    /// The model.
    pub model: ModelSpec,
    /// The image that is pulled; `null` when no pull is planned.
    pub image: Option<ImageSpec>,
    /// Phases that were asked for, in order.
    pub phases: Vec<Phase>,
    /// Fresh processes for each cold measurement.
    pub trials: u32,
    /// A trial that takes longer is killed and counts as failed.
    pub trial_timeout_ns: Nanos,
    /// The strategy of whole trials.
    pub strategy: String,
    /// The quick look at the machine that the estimates rest on.
    pub probe: Probe,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What is not measured in this run, and why.
    pub skipped: Vec<SkippedPhase>,
}

impl Plan {
    /// What all steps are expected to take.
    pub fn estimate_ns(&self) -> Nanos {
        self.steps.iter().map(|step| step.estimate_ns).sum()
    }
}

/// Where the model comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelSpec {
    /// Made by coldstart from a fixed seed.
    Synthetic {
        /// `tiny`, `small`, `1b` or `8b`.
        size: String,
        /// Where it was made.
        path: String,
    },
    /// The user's own.
    Directory {
        /// A directory, or one safetensors file.
        path: String,
        /// Whether links out of the directory are followed.
        follow_symlinks: bool,
    },
    /// Nobody told which: cold starts that were imported.
    Unknown {
        /// Where they were imported from.
        source: String,
    },
}

impl ModelSpec {
    /// The directory or file; empty where it is unknown.
    pub fn path(&self) -> &str {
        match self {
            ModelSpec::Unknown { .. } => "",
            ModelSpec::Synthetic { path, .. } | ModelSpec::Directory { path, .. } => path,
        }
    }

    /// Whether links out of the directory are followed.
    pub fn follow_symlinks(&self) -> bool {
        matches!(self, ModelSpec::Directory { follow_symlinks: true, .. })
    }
}

/// `synthetic:small`, or the path.
impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelSpec::Synthetic { size, .. } => f.pad(&format!("synthetic:{size}")),
            ModelSpec::Directory { path, .. } => f.pad(path),
            ModelSpec::Unknown { source } => f.pad(&format!("unknown ({source})")),
        }
    }
}

/// The image that is pulled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageSpec {
    /// Where it comes from.
    pub source: ImageSource,
    /// The reference to pull; for a synthetic image the repository's name.
    pub reference: String,
    /// The contents of a synthetic image; `null` for a user's.
    pub synthetic: Option<SyntheticImage>,
}

/// The contents of a synthetic image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SyntheticImage {
    /// Unpacked size of all layers.
    pub size_bytes: Bytes,
    /// Number of layers.
    pub layers: u32,
    /// Share of the bytes that compression removes, 0 to 1.
    pub compressibility: f64,
    /// `gzip` or `zstd`.
    pub codec: String,
}

/// Rates seen in a fraction of a second before the run, for its estimates only. No result rests on them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// Copying in memory.
    pub memcpy_bytes_per_s: f64,
    /// Matrix products.
    pub gemm_flops_per_s: f64,
    /// Reading the model's files past the page cache.
    pub read_bytes_per_s: f64,
    /// What else a device of its own showed; `null` on the host device.
    #[serde(default)]
    pub device: Option<DeviceProbe>,
}

/// What a GPU showed in a process that only looked at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceProbe {
    /// Copying from pinned host memory to it.
    pub upload_bytes_per_s: f64,
    /// Bytes read and written by copies within its memory.
    pub memory_bytes_per_s: f64,
    /// Loading the driver and making a context.
    pub open_ns: Nanos,
    /// Loading the kernels, compiled on the spot.
    pub kernels_ns: Nanos,
}

/// A phase that is not measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedPhase {
    /// The phase.
    pub phase: Phase,
    /// The reason.
    pub why: String,
}

/// One unit of work, after which the profile is on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Unique in the plan, such as `trial-cold-mmap-0`; a resumed run leaves out those that are done.
    pub id: String,
    /// What is done.
    pub kind: StepKind,
    /// What it is expected to take.
    pub estimate_ns: Nanos,
    /// Its share of the budget.
    pub allowance_ns: Nanos,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum StepKind {
    /// One reading of a limit.
    Limit {
        /// Which.
        limit: LimitKind,
    },
    /// One whole cold start in a fresh process; without forward passes where the model has none.
    Trial {
        /// Which repetition.
        trial: u32,
        /// How the weights are loaded.
        strategy: String,
        /// What the page cache holds of the files before.
        page_cache: PageCache,
        /// Whether the bytes on the device are checked afterwards, outside of all timed regions.
        verify: bool,
        /// The forward passes, from the first batch to the steady state.
        forward: Option<ForwardPlan>,
    },
    /// One fresh process that comes as far as having its kernels on the device: what is left of a cold start's way there
    /// under other conditions than those of whole trials, which find a cold JIT cache and load lazily.
    Startup {
        /// Which repetition.
        trial: u32,
        /// What the driver's cache of compiled kernels holds.
        jit_cache: JitCache,
        /// When the driver loads kernels.
        loading: ModuleLoading,
    },
    /// One load of the weights in a fresh process, without a forward pass.
    Load {
        /// Which repetition.
        trial: u32,
        /// How the weights are loaded.
        strategy: String,
        /// What the page cache holds of the files before.
        page_cache: PageCache,
        /// Whether the bytes on the device are checked afterwards, outside of all timed regions.
        verify: bool,
    },
    /// One load of the weights to all devices of the run at once, in a fresh process.
    Uploads {
        /// Which repetition.
        trial: u32,
        /// How the weights are loaded.
        strategy: String,
        /// What the page cache holds of the files before.
        page_cache: PageCache,
        /// Whether the bytes on the devices are checked afterwards, outside of all timed regions.
        verify: bool,
    },
    /// One pull of the image.
    Pull {
        /// Which repetition.
        trial: u32,
    },
    /// One whole cold start in a fresh container.
    Container {
        /// Which repetition.
        trial: u32,
        /// How the weights are loaded.
        strategy: String,
        /// What the page cache holds of the files before.
        page_cache: PageCache,
        /// The forward passes, from the first batch to the steady state.
        forward: Option<ForwardPlan>,
    },
    /// Steady-state throughput over batch sizes, in one process.
    Sweep {
        /// How the weights are loaded.
        strategy: String,
        /// The points, in order.
        points: Vec<SweepPoint>,
    },
    /// The steady state at the smallest batch of each length, in a fresh process: what the one process of the sweep can't
    /// show is how much processes differ.
    SteadyState {
        /// Which repetition.
        trial: u32,
        /// How the weights are loaded.
        strategy: String,
        /// The points, in order.
        points: Vec<SweepPoint>,
    },
}

/// The forward passes of a trial: the same one again and again, every one recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardPlan {
    /// What one pass does.
    pub mode: ForwardMode,
    /// Sequences at a time.
    pub batch: u32,
    /// Tokens of each.
    pub tokens: u32,
    /// Iterations at most.
    pub max_iterations: u32,
    /// Time at most: the trial's share of the budget.
    pub max_time_ns: Nanos,
}

/// One point of a throughput sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SweepPoint {
    /// What one iteration does.
    pub mode: ForwardMode,
    /// Sequences at a time.
    pub batch: u32,
    /// Tokens of each prompt (prefill, encode), or tokens already in the cache (decode).
    pub tokens: u32,
    /// Iterations at which it stops at the latest.
    pub max_iterations: u32,
    /// Its share of the sweep's time.
    pub allowance_ns: Nanos,
}

/// What one forward pass does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardMode {
    /// Reads a prompt and gives the first token.
    Prefill,
    /// Gives one more token for each sequence.
    Decode,
    /// Turns texts into vectors.
    Encode,
}

impl ForwardMode {
    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            ForwardMode::Prefill => "prefill",
            ForwardMode::Decode => "decode",
            ForwardMode::Encode => "encode",
        }
    }

    /// What the token count of a point means: `prompt` or `context`.
    pub const fn tokens_name(self) -> &'static str {
        match self {
            ForwardMode::Prefill | ForwardMode::Encode => "prompt",
            ForwardMode::Decode => "context",
        }
    }
}
