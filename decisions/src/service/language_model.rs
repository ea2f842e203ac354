//! Language models: iterations of prefill and decode, as many requests as their keys and values fit.

use coldstart_profiles::Bytes;
use coldstart_profiles::stats::{FitQuality, LinearFit, PlaneFit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ServiceError;
use super::model::RequestSize;
use super::tail::Tail;
use super::variation::Variation;

/// Prefill, decode and memory of a replica that batches continuously (Yu et al., Orca, OSDI 2022).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LanguageModel {
    /// The time of a prompt.
    pub prefill: Prefill,
    /// The time of one more token for each running request.
    pub decode: Decode,
    /// Keys and values of one token of one request.
    pub kv_bytes_per_token: Bytes,
    /// What is left for keys and values beside weights and activations.
    pub free_bytes: Bytes,
    /// The most requests that run at once.
    pub max_batch: u32,
    /// How equal iterations differ.
    #[serde(default)]
    pub variation: Variation,
}

/// T_pre(tokens) = α_p + β_p·tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prefill {
    /// α_p in nanoseconds.
    pub alpha_ns: f64,
    /// β_p in nanoseconds a token.
    pub beta_ns: f64,
    /// The slow end, by tokens.
    #[serde(default)]
    pub tail: Tail,
    /// How well the line fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<FitQuality>,
}

/// T_dec(n, ctx) = α_d + β_d·n + γ·n·ctx.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decode {
    /// α_d in nanoseconds.
    pub alpha_ns: f64,
    /// β_d in nanoseconds a request.
    pub beta_ns: f64,
    /// γ in nanoseconds a token of context.
    pub gamma_ns: f64,
    /// The slow end, by requests in the step.
    #[serde(default)]
    pub tail: Tail,
    /// How well the plane fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<FitQuality>,
}

impl Prefill {
    /// From a measured line.
    pub fn from_fit(fit: &LinearFit, tail: Tail) -> Self {
        Prefill { alpha_ns: fit.alpha_ns, beta_ns: fit.beta_ns, tail, quality: Some(fit.quality.clone()) }
    }

    /// T_pre in nanoseconds; never below zero.
    pub fn time(&self, tokens: f64) -> f64 {
        (self.alpha_ns + self.beta_ns * tokens).max(0.0)
    }

    /// The slow end of T_pre.
    pub fn time_hi(&self, tokens: f64) -> f64 {
        self.time(tokens) * self.tail.factor(tokens)
    }
}

impl Decode {
    /// From a measured plane.
    pub fn from_fit(fit: &PlaneFit, tail: Tail) -> Self {
        Decode {
            alpha_ns: fit.alpha_ns,
            beta_ns: fit.beta_ns,
            gamma_ns: fit.gamma_ns,
            tail,
            quality: Some(fit.quality.clone()),
        }
    }

    /// T_dec in nanoseconds of `n` requests that hold `context` tokens together (n·ctx); never below zero.
    pub fn time(&self, n: f64, context: f64) -> f64 {
        (self.alpha_ns + self.beta_ns * n + self.gamma_ns * context).max(0.0)
    }

    /// The slow end of T_dec.
    pub fn time_hi(&self, n: f64, context: f64) -> f64 {
        self.time(n, context) * self.tail.factor(n)
    }
}

impl LanguageModel {
    /// How many tokens' keys and values fit.
    pub fn token_limit(&self) -> u64 {
        self.free_bytes.get().checked_div(self.kv_bytes_per_token.get()).unwrap_or(u64::MAX)
    }

    /// How many requests of this size run at once: KV(n, ctx) ≤ free memory, and the limit on requests. Zero when not even
    /// one fits.
    pub fn batch_limit(&self, size: RequestSize) -> u32 {
        let fit = self.token_limit() / size.tokens().max(1);
        self.max_batch.min(u32::try_from(fit).unwrap_or(u32::MAX))
    }

    /// Fails on coefficients that no hardware has, and where nothing fits.
    pub fn check(&self) -> Result<(), ServiceError> {
        for (what, value) in [
            ("the time of one more token of a prompt", self.prefill.beta_ns),
            ("the time of one more request in a decode step", self.decode.beta_ns),
            ("the time of one more token of context", self.decode.gamma_ns),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(ServiceError::Coefficient { what, value });
            }
        }
        for (what, value) in [
            ("the time of a prompt of 1 token", self.prefill.alpha_ns + self.prefill.beta_ns),
            ("the time of a decode step", self.decode.alpha_ns + self.decode.beta_ns),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return Err(ServiceError::Coefficient { what, value });
            }
        }
        if self.max_batch == 0 {
            return Err(ServiceError::NothingFits { what: "the most requests at once" });
        }
        if self.token_limit() == 0 {
            return Err(ServiceError::NothingFits { what: "the memory for keys and values" });
        }
        Ok(())
    }
}
