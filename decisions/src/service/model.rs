//! Either kind of service.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ServiceError;
use super::language_model::LanguageModel;
use super::single_forward::SingleForward;
use super::sla::{Sla, SlaPart};

/// What one replica does with requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ServiceModel {
    /// A batch runs to its end.
    SingleForward(SingleForward),
    /// Prefill, then decode steps, with continuous batching.
    LanguageModel(LanguageModel),
}

/// The work of one request. Single forwards don't look at it: their batches were measured at one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct RequestSize {
    /// Tokens of the prompt.
    pub tokens_in: u32,
    /// Tokens of the answer; the first comes with the prefill.
    pub tokens_out: u32,
}

impl RequestSize {
    /// One token in, one out: a request whose size does not matter.
    pub const ONE: RequestSize = RequestSize { tokens_in: 1, tokens_out: 1 };

    /// All tokens that it holds at its end.
    pub fn tokens(self) -> u64 {
        u64::from(self.tokens_in) + u64::from(self.tokens_out)
    }

    /// The mean context of its decode steps.
    fn mean_context(self) -> f64 {
        f64::from(self.tokens_in) + f64::from(self.tokens_out) / 2.0
    }

    /// Decode steps after the prefill.
    pub(crate) fn steps(self) -> u32 {
        self.tokens_out.saturating_sub(1)
    }
}

impl ServiceModel {
    /// How many requests of this size a replica takes at once; zero when not even one fits.
    pub fn batch_limit(&self, size: RequestSize) -> u32 {
        match self {
            ServiceModel::SingleForward(model) => model.max_batch,
            ServiceModel::LanguageModel(model) => model.batch_limit(size),
        }
    }

    /// T(n): nanoseconds for `n` requests that run together from start to end.
    ///
    /// For language models the n prefills, one after the other, and the decode steps of all at the mean context.
    pub fn time(&self, n: u32, size: RequestSize) -> f64 {
        match self {
            ServiceModel::SingleForward(model) => model.time(n),
            ServiceModel::LanguageModel(model) => {
                let n = f64::from(n);
                n * model.prefill.time(f64::from(size.tokens_in))
                    + f64::from(size.steps()) * model.decode.time(n, n * size.mean_context())
            }
        }
    }

    /// T_hi(n): the slow end of [`Self::time`].
    pub fn time_hi(&self, n: u32, size: RequestSize) -> f64 {
        match self {
            ServiceModel::SingleForward(model) => model.time_hi(n),
            ServiceModel::LanguageModel(model) => {
                let n = f64::from(n);
                n * model.prefill.time_hi(f64::from(size.tokens_in))
                    + f64::from(size.steps()) * model.decode.time_hi(n, n * size.mean_context())
            }
        }
    }

    /// The slow end of what a request alone takes to its first token.
    pub fn ttft_hi(&self, size: RequestSize) -> f64 {
        match self {
            ServiceModel::SingleForward(model) => model.time_hi(1),
            ServiceModel::LanguageModel(model) => model.prefill.time_hi(f64::from(size.tokens_in)),
        }
    }

    /// The slow end of the gap between two tokens of a request among `n`; zero for single forwards.
    pub fn itl_hi(&self, n: u32, size: RequestSize) -> f64 {
        match self {
            ServiceModel::SingleForward(_) => 0.0,
            ServiceModel::LanguageModel(model) => {
                model.decode.time_hi(f64::from(n), f64::from(n) * size.mean_context())
            }
        }
    }

    /// The most requests a second that one replica can complete when it never waits for work: max n ÷ T(n).
    pub fn most_per_s(&self, size: RequestSize) -> f64 {
        let limit = self.batch_limit(size);
        (1..=limit).map(|n| f64::from(n) / self.time(n, size) * 1e9).fold(0.0, f64::max)
    }

    /// Fails on coefficients that no hardware has, and where nothing fits.
    pub fn check(&self) -> Result<(), ServiceError> {
        match self {
            ServiceModel::SingleForward(model) => model.check(),
            ServiceModel::LanguageModel(model) => model.check(),
        }
    }

    /// Fails when a request of this size misses a bound although it is alone: T_hi(1) > S. No number of replicas helps then.
    pub fn can_meet(&self, sla: &Sla, size: RequestSize) -> Result<(), ServiceError> {
        if self.batch_limit(size) == 0 {
            let ServiceModel::LanguageModel(model) = self else {
                return Err(ServiceError::NothingFits { what: "the largest batch" });
            };
            return Err(ServiceError::RequestTooLarge {
                tokens: size.tokens(),
                needed_bytes: size.tokens().saturating_mul(model.kv_bytes_per_token.get()),
                free_bytes: model.free_bytes.get(),
            });
        }
        for (part, asked) in sla.bounds() {
            let needed = Nanos::from_nanos_f64(match part {
                SlaPart::EndToEnd => self.time_hi(1, size),
                SlaPart::Ttft => self.ttft_hi(size),
                SlaPart::Itl => self.itl_hi(1, size),
            });
            if needed > asked {
                return Err(ServiceError::BelowBatchOne { part, asked, needed, whose: "" });
            }
        }
        Ok(())
    }
}
