//! What an autoscaler can watch.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A metric of the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The replicas that the plan wants at the rate of the moment: standby + base + replicas for each request per second.
    Plan,
    /// Requests per second that arrive.
    RequestRate,
    /// Requests that wait.
    QueueDepth,
    /// Requests that wait or run.
    Concurrency,
    /// The tail of the latency.
    TailLatency,
    /// The share of the device's memory that is in use.
    MemoryPressure,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Signal; 6] = [
        Signal::Plan,
        Signal::RequestRate,
        Signal::QueueDepth,
        Signal::Concurrency,
        Signal::TailLatency,
        Signal::MemoryPressure,
    ];

    /// What `coldstart export --signal` calls it.
    pub const fn flag(self) -> &'static str {
        match self {
            Signal::Plan => "plan",
            Signal::RequestRate => "rate",
            Signal::QueueDepth => "queue",
            Signal::Concurrency => "concurrency",
            Signal::TailLatency => "p99",
            Signal::MemoryPressure => "memory",
        }
    }

    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Signal::Plan => "plan",
            Signal::RequestRate => "request_rate",
            Signal::QueueDepth => "queue_depth",
            Signal::Concurrency => "concurrency",
            Signal::TailLatency => "tail_latency",
            Signal::MemoryPressure => "memory_pressure",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How the horizontal pod autoscaler compares a metric with its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MetricType {
    /// The sum over all replicas ÷ their number: for what adds up, such as requests that wait.
    AverageValue,
    /// The metric as it is: for what does not add up. A percentile that is averaged would be divided by the replicas.
    Value,
}

impl MetricType {
    /// The name in manifests and tables.
    pub const fn name(self) -> &'static str {
        match self {
            MetricType::AverageValue => "AverageValue",
            MetricType::Value => "Value",
        }
    }
}
