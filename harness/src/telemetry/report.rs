//! What a process sampled, on its way to the parent.

use coldstart_profiles::{GpuFacts, Nanos, TelemetrySample};
use serde::{Deserialize, Serialize};

/// What one process saw of one GPU.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TelemetryReport {
    /// Why there are no samples, or no more; `None` where all went well.
    #[serde(default)]
    pub skipped: Option<String>,
    /// The GPU; `None` where it could not be asked.
    #[serde(default)]
    pub gpu: Option<GpuFacts>,
    /// The samples in order, on the process's clock. The first may be the last of the report before.
    #[serde(default)]
    pub samples: Vec<TelemetrySample>,
}

impl TelemetryReport {
    /// A report of nothing, with the reason.
    pub(super) fn skipped(why: impl std::fmt::Display) -> Self {
        TelemetryReport { skipped: Some(format!("failed to {why}")), ..TelemetryReport::default() }
    }

    /// The same with times counted from `began` instead of from the start of the monotonic clock. What came before it is
    /// left out.
    pub(super) fn since(mut self, began: Nanos) -> Self {
        self.samples.retain(|sample| sample.at_ns >= began);
        for sample in &mut self.samples {
            sample.at_ns = sample.at_ns.saturating_sub(began);
        }
        self
    }
}
