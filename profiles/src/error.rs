//! What can be wrong with a profile.

use std::path::PathBuf;

use crate::format::FormatVersion;
use crate::phase::Phase;

/// Why a profile could not be read, written or computed on. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A phase that does not exist, or that no run on a machine measures.
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
    /// A fit over too few points to show a deviation.
    #[error(
        "fit a service time to {found} distinct points: at least {needed} are needed; sweep more batch sizes or lengths"
    )]
    TooFewPoints {
        /// How many it takes.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// A fit over points that do not determine it.
    #[error(
        "fit a service time: the points lie on a line or are too large; vary batch size and context independently"
    )]
    DegeneratePoints,
    /// A file of another major version of the format.
    #[error(
        "read {}: it has format {found}, and this coldstart reads format {}: use the coldstart release that reads format {found}",
        path.display(), FormatVersion::CURRENT.major
    )]
    OtherMajor {
        /// The profile's path.
        path: PathBuf,
        /// The major version found.
        found: u32,
    },
    /// JSON, but no profile.
    #[error("read {}: it is JSON but has no `format` version: give a profile that `coldstart run` wrote", path.display())]
    NotAProfile {
        /// The file's path.
        path: PathBuf,
    },
    /// Not JSON, or JSON of another shape.
    #[error("read {} as a profile: {source}: give a profile that `coldstart run` wrote", path.display())]
    Json {
        /// The file's path.
        path: PathBuf,
        /// Where and why parsing ended.
        source: serde_json::Error,
    },
    /// A profile that was changed by hand.
    #[error("accept {}: {what}: it was edited or damaged; measure again", path.display())]
    Edited {
        /// The profile's path.
        path: PathBuf,
        /// What disagrees.
        what: String,
    },
    /// A profile that has no JSON.
    #[error("write the profile as JSON: {0}")]
    Serialize(serde_json::Error),
    /// The file could not be read or written.
    #[error("{action} {}: {source}{}", path.display(), remedy(action, source))]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The profile's path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What helps, where the system's own words do not say it.
fn remedy(action: &str, source: &std::io::Error) -> &'static str {
    match (action, source.kind()) {
        ("read", std::io::ErrorKind::IsADirectory) => ": give the profiles in it",
        _ => "",
    }
}

fn phase_names() -> String {
    Phase::MACHINE.map(Phase::name).join(", ")
}
