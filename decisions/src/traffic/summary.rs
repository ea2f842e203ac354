//! Traffic in numbers, for plans and tables.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rates::{RateSeries, quantile};
use super::source::{Ramp, Steady, Traffic};
use super::trace::Trace;

/// What is said of traffic; a trace is not repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TrafficSummary {
    /// Numbers.
    Steady(Steady),
    /// Numbers.
    Ramp(Ramp),
    /// A trace.
    Trace {
        /// Its requests.
        requests: u64,
        /// From the first to the last.
        duration_ns: Nanos,
        /// The mean rate.
        mean_per_s: f64,
        /// The median of the rate over windows.
        median_per_s: f64,
        /// The largest rate of a window.
        peak_per_s: f64,
        /// The window of the rates.
        window_ns: Nanos,
        /// CV² of the times between arrivals; over 1.5 closed formulas are optimistic.
        cv_squared: f64,
        /// The longest time without an arrival.
        longest_gap_ns: Nanos,
        /// Tokens of prompts, where the trace has them.
        tokens_in: Option<Spread>,
        /// Tokens of answers, where the trace has them.
        tokens_out: Option<Spread>,
    },
}

/// How numbers are spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The median, by nearest rank.
    pub p50: f64,
    /// The 99th percentile, by nearest rank.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of numbers in any order; zeros without any.
    pub fn of(values: &mut [f64]) -> Self {
        let mean = if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 };
        Spread { mean, p50: quantile(values, 0.5), p99: quantile(values, 0.99), max: quantile(values, 1.0) }
    }
}

impl Traffic {
    /// In numbers, with rates of a trace over `window`.
    pub fn summary(&self, window: Nanos) -> TrafficSummary {
        match self {
            Traffic::Steady(steady) => TrafficSummary::Steady(*steady),
            Traffic::Ramp(ramp) => TrafficSummary::Ramp(*ramp),
            Traffic::Trace(trace) => of_trace(trace, window),
        }
    }
}

fn of_trace(trace: &Trace, window: Nanos) -> TrafficSummary {
    let rates = RateSeries::new(trace, window.as_nanos());
    let gaps = trace.arrivals().windows(2).map(|pair| pair[1].time_ns - pair[0].time_ns);
    let tokens = |of: fn(&super::trace::Arrival) -> u32| {
        let mut values: Vec<f64> = trace.arrivals().iter().map(|arrival| f64::from(of(arrival))).collect();
        trace.has_tokens().then(|| Spread::of(&mut values))
    };
    TrafficSummary::Trace {
        requests: trace.len() as u64,
        duration_ns: Nanos::from_nanos(trace.duration_ns()),
        mean_per_s: trace.mean_per_s(),
        median_per_s: quantile(&mut rates.values().to_vec(), 0.5),
        peak_per_s: rates.peak_per_s(),
        window_ns: Nanos::from_nanos(rates.window_ns()),
        cv_squared: trace.cv_squared(),
        longest_gap_ns: Nanos::from_nanos(gaps.max().unwrap_or(0)),
        tokens_in: tokens(|arrival| arrival.tokens_in),
        tokens_out: tokens(|arrival| arrival.tokens_out),
    }
}
