//! Why no plan could be made.

use coldstart_profiles::{Nanos, ProfileError};

use crate::docker::DockerError;
use crate::weights::WeightsError;

/// Why no plan could be made. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A device that does not exist.
    #[error("use the device `{name}`: {why}")]
    Device {
        /// What was asked for.
        name: String,
        /// Which devices there are, or what is missing.
        why: String,
    },
    /// A device that is there and can't be used.
    #[error("use the device `{name}`: {why}")]
    BrokenDevice {
        /// What was asked for.
        name: String,
        /// What was tried, and what went wrong.
        why: String,
    },
    /// A run to be continued that never was one.
    #[error("continue what was imported from {source_name}: measure with `coldstart run` instead")]
    Imported {
        /// Where the cold starts come from.
        source_name: String,
    },
    /// A phase that does not exist.
    #[error(transparent)]
    Phase(ProfileError),
    /// A length that the model does not take.
    #[error(
        "measure {what} of {asked} tokens: the model takes at most {longest}: use shorter `--prompts` and `--contexts`"
    )]
    Length {
        /// `prompts` or `contexts`.
        what: &'static str,
        /// What was asked for.
        asked: u32,
        /// The longest.
        longest: u32,
    },
    /// Text that is no image reference.
    #[error(transparent)]
    Image(#[from] DockerError),
    /// A way of loading that does not exist here.
    #[error("use the strategy `{name}`: on this device the strategies are {known}")]
    Strategy {
        /// What was asked for.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// A model that can't be opened or made.
    #[error(transparent)]
    Model(#[from] WeightsError),
    /// A model whose config.json or tensors are not what they must be.
    #[error("{0}")]
    Config(String),
    /// A budget that is too short for the least that a result needs.
    #[error(
        "plan within {budget}: the least that a result needs ({least_counts}) takes about {least} here: \
         raise `--budget`, or leave something out with `--phases`, `--strategies`, `--batches` or `--quick`"
    )]
    Budget {
        /// What was given.
        budget: Nanos,
        /// What is needed.
        least: Nanos,
        /// Which least counts stand behind it.
        least_counts: String,
    },
    /// The user stopped it.
    #[error("go on: interrupted before anything was measured")]
    Interrupted,
    /// Phases that can't be measured here at all.
    #[error("measure anything: {why}")]
    Nothing {
        /// Why each was skipped.
        why: String,
    },
}
