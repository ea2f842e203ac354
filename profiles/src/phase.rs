//! The phases of a cold start, in the order in which they happen.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ProfileError;

/// One phase of a cold start. `Phase::ALL` and `Ord` follow the cold-start order.
///
/// A run on a machine measures [`Phase::MACHINE`]. What a cluster tells of its pods has four: scheduling, image_pull,
/// container_start and readiness, the last of which covers from outside all that the process does until it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// From the creation of a pod, to its being bound to a node. Seen in a cluster only.
    Scheduling,
    /// From the pull request to the engine, to the end of its stream without an error and with a digest.
    ImagePull,
    /// From the create request, to the first line of the program in the container (its CLOCK_MONOTONIC, which it sends).
    /// In a cluster: from the image being there, to the runtime's start of the container.
    ContainerStart,
    /// From the exec of the child, to the first line of its `main`.
    ProcessStart,
    /// From before the driver's library is opened, to the return of its initialisation.
    DriverInit,
    /// From before the primary context is retained, to the return of a synchronising no-op.
    ContextCreate,
    /// From PTX or CUBIN handed to the driver, to all functions resolved.
    ModuleLoad,
    /// From before the first device allocation of the weights' size, to the sync after it. Device memory only.
    Alloc,
    /// From the weights' file opened, to the last copy's sync. Checking the bytes follows outside.
    WeightsLoad,
    /// From the first forward pass enqueued, to its output read back.
    FirstBatch,
    /// From the end of the first batch, to the start of the steady state.
    WarmUp,
    /// From the start of a pod's container, to the pod being ready. Seen in a cluster only.
    Readiness,
    /// Steady state only; never part of a trace.
    Throughput,
}

impl Phase {
    /// Every phase, in cold-start order.
    pub const ALL: [Phase; 13] = [
        Phase::Scheduling,
        Phase::ImagePull,
        Phase::ContainerStart,
        Phase::ProcessStart,
        Phase::DriverInit,
        Phase::ContextCreate,
        Phase::ModuleLoad,
        Phase::Alloc,
        Phase::WeightsLoad,
        Phase::FirstBatch,
        Phase::WarmUp,
        Phase::Readiness,
        Phase::Throughput,
    ];

    /// The phases that a run on a machine can measure, in cold-start order.
    pub const MACHINE: [Phase; 11] = [
        Phase::ImagePull,
        Phase::ContainerStart,
        Phase::ProcessStart,
        Phase::DriverInit,
        Phase::ContextCreate,
        Phase::ModuleLoad,
        Phase::Alloc,
        Phase::WeightsLoad,
        Phase::FirstBatch,
        Phase::WarmUp,
        Phase::Throughput,
    ];

    /// The name in JSON, on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Scheduling => "scheduling",
            Phase::ImagePull => "image_pull",
            Phase::ContainerStart => "container_start",
            Phase::ProcessStart => "process_start",
            Phase::DriverInit => "driver_init",
            Phase::ContextCreate => "context_create",
            Phase::ModuleLoad => "module_load",
            Phase::Alloc => "alloc",
            Phase::WeightsLoad => "weights_load",
            Phase::FirstBatch => "first_batch",
            Phase::WarmUp => "warm_up",
            Phase::Readiness => "readiness",
            Phase::Throughput => "throughput",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Phase {
    type Err = ProfileError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Phase::ALL
            .into_iter()
            .find(|phase| phase.name() == name)
            .ok_or_else(|| ProfileError::UnknownPhase { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_in_json_and_text() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_string(&phase).unwrap(), format!("\"{phase}\""));
            assert_eq!(phase.name().parse::<Phase>().unwrap(), phase);
        }
        assert!("warmup".parse::<Phase>().unwrap_err().to_string().contains("warm_up"));
    }

    #[test]
    fn all_is_in_order() {
        assert!(Phase::ALL.is_sorted() && Phase::MACHINE.is_sorted());
    }
}
