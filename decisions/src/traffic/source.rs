//! Traffic of any kind: its rate now, how fast it grows, its arrivals.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::TrafficError;
use super::poisson::Poisson;
use super::rates::RateSeries;
use super::trace::{Sizes, Trace};
use crate::service::RequestSize;

/// The slowest rate that numbers may have, in requests a second: one in eleven days. What a percentile of slower ones needs to be
/// seen lasts for centuries.
pub const SLOWEST_PER_S: f64 = 1e-6;

/// What arrives.
#[derive(Debug, Clone, PartialEq)]
pub enum Traffic {
    /// Poisson arrivals at one rate.
    Steady(Steady),
    /// Poisson arrivals whose rate climbs from a base to a peak.
    Ramp(Ramp),
    /// Arrivals as they were.
    Trace(Trace),
}

/// Poisson arrivals at one rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Steady {
    /// Requests a second.
    pub rate_per_s: f64,
    /// The size of each request.
    pub size: RequestSize,
}

/// A rate that climbs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ramp {
    /// Requests a second before the climb.
    pub base_per_s: f64,
    /// Requests a second at the top; at least the base.
    pub peak_per_s: f64,
    /// By how many requests a second the rate grows each second.
    pub growth_per_s_per_s: f64,
    /// The size of each request.
    pub size: RequestSize,
}

impl Ramp {
    /// The rate `after_ns` into the climb.
    pub fn rate_per_s(&self, after_ns: u64) -> f64 {
        (self.base_per_s + self.growth_per_s_per_s * (after_ns as f64 / 1e9)).min(self.peak_per_s)
    }
}

impl Traffic {
    /// Fails on rates that are not finite or below [`SLOWEST_PER_S`], a peak below the base, and a ramp that never climbs to its peak.
    pub fn check(&self) -> Result<(), TrafficError> {
        let number = |what, value, remedy| Err(TrafficError::Number { what, value, remedy });
        let possible = |value: f64| value.is_finite() && value >= SLOWEST_PER_S;
        match self {
            Traffic::Steady(steady) if !possible(steady.rate_per_s) => {
                number("the rate", steady.rate_per_s, "requests a second, at least 0.000001")
            }
            Traffic::Ramp(ramp) if !possible(ramp.base_per_s) => {
                number("the base rate", ramp.base_per_s, "requests a second, at least 0.000001")
            }
            Traffic::Ramp(ramp) if !(ramp.peak_per_s.is_finite() && ramp.peak_per_s >= ramp.base_per_s) => {
                number("the peak rate", ramp.peak_per_s, "at least the base rate")
            }
            Traffic::Ramp(ramp)
                if !(ramp.growth_per_s_per_s.is_finite() && ramp.growth_per_s_per_s >= 0.0) =>
            {
                number("the ramp", ramp.growth_per_s_per_s, "requests a second each second, not below zero")
            }
            _ => Ok(()),
        }
    }

    /// λ_now in requests a second: the rate, the base, or a trace's mean.
    pub fn now_per_s(&self) -> f64 {
        match self {
            Traffic::Steady(steady) => steady.rate_per_s,
            Traffic::Ramp(ramp) => ramp.base_per_s,
            Traffic::Trace(trace) => trace.mean_per_s(),
        }
    }

    /// g(L): what the rate grows by within `lead`, in requests a second; of a trace the q-quantile over windows of `window`.
    pub fn growth_per_s(&self, lead: Nanos, q: f64, window: Nanos) -> f64 {
        match self {
            Traffic::Steady(_) => 0.0,
            Traffic::Ramp(ramp) => ramp.rate_per_s(lead.as_nanos()) - ramp.base_per_s,
            Traffic::Trace(trace) => RateSeries::new(trace, window.as_nanos()).growth(lead.as_nanos(), q),
        }
    }

    /// λ_peak = λ_now + g(L), or base + ramp·L up to the peak.
    pub fn peak_per_s(&self, lead: Nanos, q: f64, window: Nanos) -> f64 {
        self.now_per_s() + self.growth_per_s(lead, q, window)
    }

    /// The sizes of its requests.
    pub fn sizes(&self) -> Sizes<'_> {
        match self {
            Traffic::Steady(steady) => Sizes::One(steady.size),
            Traffic::Ramp(ramp) => Sizes::One(ramp.size),
            Traffic::Trace(trace) => Sizes::Of(trace),
        }
    }

    /// The trace itself; for numbers Poisson arrivals over `duration`, in which a ramp starts to climb after a quarter.
    ///
    /// Fails when that gives no two requests at different times.
    pub fn to_trace(&self, duration: Nanos, seed: u64) -> Result<Trace, TrafficError> {
        self.check()?;
        let before = duration.as_nanos() / 4;
        let (most, size) = match self {
            Traffic::Trace(trace) => return Ok(trace.clone()),
            Traffic::Steady(steady) => (steady.rate_per_s, steady.size),
            Traffic::Ramp(ramp) => (ramp.peak_per_s, ramp.size),
        };
        let rate = |time: u64| match self {
            Traffic::Ramp(ramp) => ramp.rate_per_s(time.saturating_sub(before)),
            _ => most,
        };
        let arrivals = Poisson::new(most, Sizes::One(size), seed)
            .take_while(|arrival| arrival.time_ns <= duration.as_nanos());
        let mut thin = super::poisson::Thinning::new(seed);
        let kept = arrivals.filter(|arrival| thin.keep(rate(arrival.time_ns) / most)).collect();
        Trace::new(kept, false)
    }
}
