//! One cold start of one fresh process, phase by phase.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::ObservedDetail;
use crate::key::Params;
use crate::load::{LoadDetail, TogetherDetail};
use crate::phase::Phase;
use crate::pull::{ContainerDetail, PullDetail};
use crate::startup::{DriverDetail, ModuleDetail};
use crate::units::{Bytes, Nanos};
use crate::work::Work;

/// One timed pass through one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reading {
    /// The phase.
    pub phase: Phase,
    /// Conditions of this phase (`staging=mmap,page_cache=cold`), as they enter its key.
    pub params: Params,
    /// When it began, counted from the begin of the trace.
    pub begin_ns: Nanos,
    /// How long it took on the host's clock.
    pub duration_ns: Nanos,
    /// How long it took on the device's own clock; `null` on the host device.
    pub device_ns: Option<Nanos>,
    /// What was done in that time.
    pub work: Option<Work>,
    /// Why this reading stands apart (`partial: …`); such readings are kept and left out of summaries.
    pub mark: Option<String>,
    /// What else was seen in this phase.
    pub detail: Option<Detail>,
}

/// What else was seen in a phase. Overlapping sub-spans live here and never enter a sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Detail {
    /// Of image_pull: layers, bytes, what bounded it.
    Pull(PullDetail),
    /// Of container_start: create and start apart.
    Container(ContainerDetail),
    /// Of driver_init: opening and initialising apart.
    Driver(DriverDetail),
    /// Of module_load: loading and resolving apart.
    Module(ModuleDetail),
    /// Of alloc: free memory of the device before and after.
    Alloc(AllocDetail),
    /// Of weights_load: read, stage and upload apart, residency.
    Load(LoadDetail),
    /// Of weights_load to several devices at once: the share of each.
    Together(TogetherDetail),
    /// Of a phase that a cluster told: what its ends rest on, and how sure they are.
    Observed(ObservedDetail),
}

/// Memory of the device around the first allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AllocDetail {
    /// Bytes asked for.
    pub requested_bytes: Bytes,
    /// Free device memory before.
    pub free_before_bytes: Bytes,
    /// Free device memory after.
    pub free_after_bytes: Bytes,
}

/// How much of a cold start a trace covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// From the start of the process or container to the steady state.
    ColdStart,
    /// From the start of the process to the weights on the device; no forward pass.
    Load,
    /// From the start of the process to the kernels on the device; nothing is allocated.
    Startup,
    /// One image pull.
    Pull,
}

/// Which phases a total chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TotalKind {
    /// From the exec of a process.
    Process,
    /// From the create request of a container.
    Container,
    /// An image pull by itself. Never added to another total.
    Pull,
    /// From the creation of a pod until it is ready, as a cluster told it.
    Pod,
}

impl TotalKind {
    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            TotalKind::Process => "process",
            TotalKind::Container => "container",
            TotalKind::Pull => "pull",
            TotalKind::Pod => "pod",
        }
    }
}

/// One cold start: its parts in order, and its measured total.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// The step of the plan that it belongs to.
    pub step: String,
    /// Which repetition, counted from 0.
    pub trial: u32,
    /// How much of a cold start it covers.
    pub scope: Scope,
    /// Which phases its total chains.
    pub total_kind: TotalKind,
    /// Conditions of the whole trace.
    pub params: Params,
    /// The parts in the order in which they happened. After a failure: those that ended.
    pub readings: Vec<Reading>,
    /// How it ended.
    pub end: TraceEnd,
}

/// How a trace ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum TraceEnd {
    /// It reached its last phase.
    Completed {
        /// From its begin to the end of its last phase, on one clock.
        total_ns: Nanos,
        /// Total minus the sum of the parts; never spread over them.
        unattributed_ns: Nanos,
    },
    /// The process crashed, hung until its time limit, was killed, or said what went wrong.
    Failed {
        /// What happened.
        why: String,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
}

impl Trace {
    /// Sum of the parts.
    pub fn parts_ns(&self) -> Nanos {
        self.readings.iter().map(|reading| reading.duration_ns).sum()
    }

    /// How a trace ended whose `readings` took `total` in all.
    /// Parts never overlap, so their sum can't pass the total.
    pub fn completed(readings: &[Reading], total: Nanos) -> TraceEnd {
        let parts: Nanos = readings.iter().map(|reading| reading.duration_ns).sum();
        TraceEnd::Completed { total_ns: total, unattributed_ns: total.saturating_sub(parts) }
    }

    /// Total and unattributed time of a completed trace.
    pub fn total(&self) -> Option<(Nanos, Nanos)> {
        match self.end {
            TraceEnd::Completed { total_ns, unattributed_ns } => Some((total_ns, unattributed_ns)),
            TraceEnd::Failed { .. } => None,
        }
    }

    /// Whether any part is marked: a trial whose cache was not cold, for instance.
    pub fn mark(&self) -> Option<&str> {
        self.readings.iter().find_map(|reading| reading.mark.as_deref())
    }

    /// The reading of one phase.
    pub fn reading(&self, phase: Phase) -> Option<&Reading> {
        self.readings.iter().find(|reading| reading.phase == phase)
    }
}
