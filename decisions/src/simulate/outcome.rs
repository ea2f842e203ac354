//! What a simulation found.

use coldstart_profiles::Nanos;
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Percentiles come from a histogram with three significant digits: at most 0.1 % (or 1 µs) above the true value.
/// Misses, attainment, means and maxima are exact.
pub const RESOLUTION: f64 = 0.001;

/// What a simulation found. Requests that arrived in its warm-up are not counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Requests that were counted, unanswered ones included.
    pub requests: u64,
    /// Requests that found no replica until the end, or that no replica can hold.
    pub unanswered: u64,
    /// From the arrival to the end of the answer.
    pub latency: Latency,
    /// From the arrival to the first token; language models only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft: Option<Latency>,
    /// Between two tokens of a request, every gap counted; language models only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub itl: Option<Latency>,
    /// The mean wait before a replica takes a request.
    pub mean_wait_ns: f64,
    /// The mean number of requests of a batch or, for language models, of a decode step.
    pub mean_batch: f64,
    /// Requests within all bounds ÷ requests; of a request's gaps between tokens the mean counts. 1 without requests.
    pub attainment: f64,
    /// Whether every bound holds at its percentile, by counting misses.
    pub meets: bool,
    /// Busy time ÷ ready time of all replicas.
    pub utilization: f64,
    /// From the first arrival to the last answer.
    pub duration_ns: Nanos,
    /// Whether it stopped early because the bounds could no longer be met; everything else describes the part before.
    pub gave_up: bool,
}

/// One kind of latency.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// The mean, exact.
    pub mean_ns: f64,
    /// The median.
    pub p50_ns: Nanos,
    /// The 90th percentile.
    pub p90_ns: Nanos,
    /// The 99th percentile.
    pub p99_ns: Nanos,
    /// The SLA's percentile.
    pub at_sla_ns: Nanos,
    /// The largest, exact.
    pub max_ns: Nanos,
}

/// Latencies in bounded memory.
#[derive(Debug)]
pub(super) struct Latencies {
    /// `None` where nobody asks for percentiles.
    histogram: Option<Histogram<u64>>,
    count: u64,
    sum: u128,
    max: u64,
}

/// A day: longer latencies saturate in percentiles (not in means and maxima).
const LONGEST_NS: u64 = 86_400_000_000_000;
/// What is shorter than a microsecond counts as one.
const SHORTEST_NS: u64 = 1_000;

impl Latencies {
    #[expect(clippy::expect_used, reason = "constant bounds, which the histogram accepts")]
    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(SHORTEST_NS, LONGEST_NS, 3).expect("valid bounds");
        Latencies { histogram: Some(histogram), count: 0, sum: 0, max: 0 }
    }

    /// Counts alone, for verdicts: a histogram takes a sixth of a simulation's time.
    pub(super) const fn counting() -> Self {
        Latencies { histogram: None, count: 0, sum: 0, max: 0 }
    }

    pub(super) fn record(&mut self, nanos: u64, count: u64) {
        self.count += count;
        let Some(histogram) = &mut self.histogram else { return };
        histogram.saturating_record_n(nanos, count);
        self.sum += u128::from(nanos) * u128::from(count);
        self.max = self.max.max(nanos);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn summary(&self, sla_fraction: f64) -> Latency {
        let quantile = |fraction| self.histogram.as_ref().map_or(0, |all| all.value_at_quantile(fraction));
        let at = |fraction| Nanos::from_nanos(quantile(fraction).min(self.max));
        let count = self.count();
        Latency {
            count,
            mean_ns: if count == 0 { 0.0 } else { self.sum as f64 / count as f64 },
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            at_sla_ns: at(sla_fraction),
            max_ns: Nanos::from_nanos(self.max),
        }
    }
}
