//! What can be wrong with a service model or a service level.

use coldstart_profiles::Nanos;

use super::sla::SlaPart;

/// Why a service model or a service level can't be used. Messages complete "failed to …".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ServiceError {
    /// A coefficient that no hardware has.
    #[error("use the service model: {what} is {value}: measure more batch sizes, or give the model by hand")]
    Coefficient {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// A limit of zero.
    #[error("use the service model: {what} is 0: one request must fit")]
    NothingFits {
        /// Which limit.
        what: &'static str,
    },
    /// A service level without any bound, or with a bound of zero.
    #[error("use the SLA: {what}: give a time above zero, such as 100ms")]
    Sla {
        /// What is wrong.
        what: String,
    },
    /// No number of replicas makes one request faster than it is alone.
    #[error(
        "meet the SLA: {part} of {asked} is below what a request takes alone, {needed}{whose}: no number of replicas changes \
         that; allow more time, or make the model faster"
    )]
    BelowBatchOne {
        /// Which bound.
        part: SlaPart,
        /// What was asked for.
        asked: Nanos,
        /// What one request takes on an idle replica.
        needed: Nanos,
        /// Of which requests that is, in brackets; empty where all are alike.
        whose: &'static str,
    },
    /// One request needs more key-value memory than a replica has.
    #[error(
        "serve a request of {tokens} tokens: its keys and values need {needed_bytes} bytes, and a replica has \
         {free_bytes} free: use a device with more memory"
    )]
    RequestTooLarge {
        /// Tokens in and out.
        tokens: u64,
        /// What they need.
        needed_bytes: u64,
        /// What is there.
        free_bytes: u64,
    },
}
