//! The service level: bounds on latencies, and the percentile that they hold at.

use std::fmt;

use coldstart_profiles::Nanos;
use coldstart_profiles::stats::Percentile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ServiceError;

/// Bounds on latencies at a percentile. At least one bound is given; each is above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sla {
    /// From the arrival to the last byte of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_to_end_ns: Option<Nanos>,
    /// From the arrival to the first token. For single forwards the same as end to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ns: Option<Nanos>,
    /// Between two tokens of one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub itl_ns: Option<Nanos>,
    /// The percentile in thousandths: 990 is p99.
    pub permille: u32,
}

/// One of the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlaPart {
    /// [`Sla::end_to_end_ns`]
    EndToEnd,
    /// [`Sla::ttft_ns`]
    Ttft,
    /// [`Sla::itl_ns`]
    Itl,
}

impl Sla {
    /// A bound on the whole request at the 99th percentile.
    pub const fn p99(end_to_end: Nanos) -> Self {
        Sla { end_to_end_ns: Some(end_to_end), ttft_ns: None, itl_ns: None, permille: 990 }
    }

    /// The percentile, p99 where the thousandths are none.
    pub fn percentile(&self) -> Percentile {
        Percentile::from_permille(self.permille).unwrap_or(Percentile::P99)
    }

    /// The bounds that are given.
    pub fn bounds(&self) -> impl Iterator<Item = (SlaPart, Nanos)> {
        [(SlaPart::EndToEnd, self.end_to_end_ns), (SlaPart::Ttft, self.ttft_ns), (SlaPart::Itl, self.itl_ns)]
            .into_iter()
            .filter_map(|(part, bound)| Some((part, bound?)))
    }

    /// Fails where no bound is given, a bound is zero, or the percentile is none.
    pub fn check(&self) -> Result<(), ServiceError> {
        let sla = |what: String| Err(ServiceError::Sla { what });
        if self.bounds().next().is_none() {
            return sla("no bound is given".to_owned());
        }
        if let Some((part, _)) = self.bounds().find(|(_, bound)| *bound == Nanos::ZERO) {
            return sla(format!("{part} is 0"));
        }
        match Percentile::from_permille(self.permille) {
            Some(_) => Ok(()),
            None => sla(format!("a percentile of {} thousandths is none", self.permille)),
        }
    }

    /// Of `requests`, how many may miss a bound.
    pub fn misses_allowed(&self, requests: u64) -> u64 {
        requests * u64::from(1000_u32.saturating_sub(self.permille)) / 1000
    }
}

impl fmt::Display for SlaPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SlaPart::EndToEnd => "the end-to-end latency",
            SlaPart::Ttft => "the time to first token",
            SlaPart::Itl => "the inter-token latency",
        })
    }
}
