//! What decides how many replicas there are.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scaling::{Hpa, Keda, TargetKind};

/// A named way to decide how many replicas there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// How it is called in tables.
    pub name: String,
    /// How it decides.
    pub rule: Rule,
}

/// How the number of replicas is decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Rule {
    /// Always the same number.
    Static {
        /// How many.
        replicas: u32,
    },
    /// A HorizontalPodAutoscaler.
    Hpa {
        /// Its spec.
        hpa: Hpa,
        /// Its metrics; the largest number that one asks for counts.
        metrics: Vec<Metric>,
    },
    /// A ScaledObject: KEDA between zero and one, its HPA from one on.
    Keda {
        /// Its spec; its bounds replace those of the HPA.
        keda: Keda,
        /// The HPA that it makes.
        hpa: Hpa,
        /// Its triggers.
        metrics: Vec<Metric>,
    },
    /// replicas(rate) + standby: the plan carried out as it was computed.
    Planned(Planned),
}

/// Follows the rate by the table that the plan was made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// The largest rate that 1, 2, 3 … replicas carry within the SLA, in requests a second; not falling.
    pub largest_rates_per_s: Vec<f64>,
    /// Replicas beyond those that the rate needs.
    pub standby: u32,
    /// No fewer than these.
    pub min_replicas: u32,
    /// No more than these.
    pub max_replicas: u32,
    /// How often it looks.
    pub period_ns: Nanos,
    /// Replicas are removed when for so long fewer were needed.
    pub scale_down_window_ns: Nanos,
}

impl Planned {
    /// replicas(rate) + standby, within the bounds.
    pub fn replicas(&self, rate_per_s: f64) -> u32 {
        let fewer = self.largest_rates_per_s.partition_point(|largest| *largest < rate_per_s);
        let needed = u32::try_from(fewer + 1).unwrap_or(u32::MAX);
        needed.saturating_add(self.standby).clamp(self.min_replicas, self.max_replicas.max(self.min_replicas))
    }
}

/// A signal with its target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// What is measured.
    pub signal: Signal,
    /// What it should be, in the signal's unit.
    pub target: f64,
    /// How it is compared. Signals of pods (utilizations) are means over pods whatever is said here.
    pub target_kind: TargetKind,
    /// A KEDA trigger is active above this; 0 by default.
    #[serde(default)]
    pub activation: f64,
}

/// What an autoscaler can look at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "signal", rename_all = "snake_case")]
pub enum Signal {
    /// CPU use of a pod ÷ its request, from the metrics server. A model on a GPU uses the CPU little, and differently:
    /// `idle + busy · the share of time in which the replica works`.
    CpuUtilization {
        /// Of an idle replica.
        idle: f64,
        /// What full work adds.
        busy: f64,
    },
    /// The share of time in which a replica works, as NVML's utilization shows it: one request at a time is enough for 1.
    GpuUtilization,
    /// Requests that no replica works on yet, at the gateway and in all replicas.
    QueueDepth,
    /// Arrivals a second at the gateway.
    RequestRate,
    /// Replicas wanted at that rate, by a straight line: `base + per_request_per_s · rate`.
    Wanted {
        /// Without any traffic, what stands by included.
        base: f64,
        /// More for each request a second.
        per_request_per_s: f64,
    },
    /// The SLA's percentile of the answers of a window, in nanoseconds.
    TailLatency,
    /// The SLA's percentile of the times to the first token that came in a window, in nanoseconds; of single forwards that of the answers.
    TailFirstToken,
    /// Requests that wait or run.
    Concurrency,
    /// Device memory for keys and values in use (for single forwards: the batch ÷ the largest), mean over ready replicas, 0..1.
    MemoryPressure,
}

impl Signal {
    /// Whether it is a metric of each pod.
    pub(super) fn of_pods(self) -> bool {
        matches!(self, Signal::CpuUtilization { .. } | Signal::GpuUtilization)
    }

    /// Whether it can be read without a replica: it comes from the gateway.
    pub fn from_gateway(self) -> bool {
        matches!(self, Signal::QueueDepth | Signal::RequestRate | Signal::Wanted { .. } | Signal::Concurrency)
    }
}

/// How signals are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Monitoring {
    /// Between two scrapes; an autoscaler sees the last one.
    pub scrape_ns: Nanos,
    /// Rates, percentiles and the use of a GPU are over the scrapes within this window before a look, as Prometheus has it. The use of a CPU
    /// comes from the metrics server, from one scrape to the next.
    pub window_ns: Nanos,
}

impl Default for Monitoring {
    /// A scrape every 15 s and windows of a minute.
    fn default() -> Self {
        Monitoring { scrape_ns: Nanos::from_secs(15), window_ns: Nanos::from_secs(60) }
    }
}
