//! Encoders and classifiers: a batch runs to its end.

use coldstart_profiles::stats::{FitQuality, LinearFit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ServiceError;
use super::tail::Tail;
use super::variation::Variation;

/// T(n) = α + β·n for a batch of n requests, up to the largest batch that fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SingleForward {
    /// α in nanoseconds.
    pub alpha_ns: f64,
    /// β in nanoseconds a request.
    pub beta_ns: f64,
    /// The largest batch: of those measured, or that memory allows.
    pub max_batch: u32,
    /// The slow end, by batch.
    #[serde(default)]
    pub tail: Tail,
    /// How equal batches differ.
    #[serde(default)]
    pub variation: Variation,
    /// How well the line fits; absent for a model given by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<FitQuality>,
}

impl SingleForward {
    /// From a measured line.
    ///
    /// Fails where a batch of 1 would take no time, a larger one less than a smaller one, or no batch fits.
    pub fn from_fit(fit: &LinearFit, max_batch: u32) -> Result<Self, ServiceError> {
        let model = SingleForward {
            quality: Some(fit.quality.clone()),
            ..SingleForward::by_hand(fit.alpha_ns, fit.beta_ns, max_batch)
        };
        model.check()?;
        Ok(model)
    }

    /// From coefficients that are given, without tail or variation.
    pub fn by_hand(alpha_ns: f64, beta_ns: f64, max_batch: u32) -> Self {
        SingleForward {
            alpha_ns,
            beta_ns,
            max_batch,
            tail: Tail::default(),
            variation: Variation::default(),
            quality: None,
        }
    }

    /// T(n) in nanoseconds.
    pub fn time(&self, n: u32) -> f64 {
        self.alpha_ns + self.beta_ns * f64::from(n)
    }

    /// T_hi(n) in nanoseconds.
    pub fn time_hi(&self, n: u32) -> f64 {
        self.time(n) * self.tail.factor(f64::from(n))
    }

    /// Fails on what [`Self::from_fit`] fails on.
    pub fn check(&self) -> Result<(), ServiceError> {
        if self.max_batch == 0 {
            return Err(ServiceError::NothingFits { what: "the largest batch" });
        }
        let coefficient = |what, value| Err(ServiceError::Coefficient { what, value });
        if !(self.alpha_ns.is_finite() && self.time(1) > 0.0) {
            return coefficient("the time of a batch of 1", self.time(1));
        }
        if !(self.beta_ns.is_finite() && self.beta_ns >= 0.0) {
            return coefficient("the time of one more request", self.beta_ns);
        }
        Ok(())
    }
}
