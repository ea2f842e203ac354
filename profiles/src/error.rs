//! What can be wrong with a profile.

use std::path::PathBuf;

use crate::phase::Phase;

/// Why a profile could not be read, written or computed on. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A phase that does not exist.
    #[error("know the phase `{name}`: the phases are {}", phase_names())]
    UnknownPhase {
        /// What was asked for.
        name: String,
    },
    /// A measurement without samples.
    #[error("accept a measurement without samples: a thing not measured must be `skipped` with its reason")]
    NoSamples,
    /// A mark that points past the samples.
    #[error("accept a mark on sample {index} of {n}")]
    MarkOutOfRange {
        /// Where the mark points.
        index: usize,
        /// How many samples there are.
        n: usize,
    },
    /// The file could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The profile's path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn phase_names() -> String {
    Phase::ALL.map(Phase::name).join(", ")
}
