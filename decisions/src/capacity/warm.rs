//! Replicas that must be warm.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::basis::Figure;

/// What one replica completes in full batches within the service level. Of requests that come at random it carries fewer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlaBound {
    /// n*: the largest batch that a request may wait for and then be part of.
    pub batch: Figure<u32>,
    /// T(n*).
    pub time_ns: Figure<Nanos>,
    /// T_hi(n*).
    pub time_hi_ns: Figure<Nanos>,
    /// μ_SLA = n* ÷ T(n*), in requests per second.
    pub rate_per_s: Figure<f64>,
    /// Whether n* meets the bound; false where the batch of 1 stands in.
    pub sufficient: bool,
    /// What a request alone takes, its slow end: no service level below it can be met.
    pub alone_hi_ns: Figure<Nanos>,
    /// The most that one replica completes when it never waits for work, in requests per second.
    pub most_per_s: Figure<f64>,
}

/// Replicas for the rate now and for what it may grow to within the lead time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Warm {
    /// λ_now: the rate that was given, or the mean of the trace.
    pub now_per_s: Figure<f64>,
    /// g(L): by how much it grows within the lead time, at the quantile.
    pub growth_per_s: Figure<f64>,
    /// λ_peak = λ_now + g(L).
    pub peak_per_s: Figure<f64>,
    /// Replicas for λ_now.
    pub replicas_now: Figure<u32>,
    /// Replicas for λ_peak: so many are kept warm.
    pub replicas_peak: Figure<u32>,
    /// The difference: so many of them stand by.
    pub standby: Figure<u32>,
}
