//! What can be wrong with a profile.

use std::io::ErrorKind;
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
    /// JSON of another kind that is known.
    #[error("read {} as a profile: it is {what}", path.display())]
    Mistaken {
        /// The file's path.
        path: PathBuf,
        /// What it is, and which command takes it.
        what: &'static str,
    },
    /// JSON, but no profile.
    #[error("read {}: it is JSON but has no `format` version: give a profile that `coldstart run` wrote", path.display())]
    NotAProfile {
        /// The file's path.
        path: PathBuf,
    },
    /// Not JSON, or JSON of another shape.
    #[error("read {} as a profile: {source}: {}", path.display(), not_json(source))]
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
        ("read", ErrorKind::NotFound) => {
            ": correct the path, or make a profile with `coldstart run --out FILE`"
        }
        ("read", ErrorKind::IsADirectory) => ": give the profiles in it",
        ("read", _) => remedy_of_reading(source),
        _ => remedy_of_links(source),
    }
}

/// What helps against a file that can't be read as text, to be put behind the system's own words; empty where these say it all.
pub fn remedy_of_reading(source: &std::io::Error) -> &'static str {
    match source.kind() {
        // An error with a text of our own says what helps.
        ErrorKind::InvalidData if source.get_ref().is_some() => "",
        ErrorKind::NotFound => ": correct the path",
        ErrorKind::IsADirectory => ": it is a directory: give a file",
        ErrorKind::NotADirectory => ": correct the path: what stands for a directory in it is a file",
        ErrorKind::PermissionDenied => ": let this user read it",
        ErrorKind::InvalidData => ": it is another kind of file, or text that must be saved as UTF-8 first",
        _ => remedy_of_links(source),
    }
}

/// What helps against links that lead in a circle, to be put behind the system's own words; empty of every other error.
pub fn remedy_of_links(source: &std::io::Error) -> &'static str {
    // The standard library has no stable kind for it.
    match rustix::io::Errno::from_io_error(source) {
        Some(rustix::io::Errno::LOOP) => {
            ": links in this path lead in a circle: give the file itself, or make the link anew"
        }
        _ => "",
    }
}

/// What helps against text that is no JSON, or JSON of another shape.
fn not_json(source: &serde_json::Error) -> &'static str {
    match (source.is_eof(), source.line(), source.column()) {
        (true, 0 | 1, 0) => "the file is empty: give a profile that `coldstart run` wrote",
        (true, ..) => "the file is cut off: copy it again, or measure again",
        (false, ..) => "give a profile that `coldstart run` wrote",
    }
}

fn phase_names() -> String {
    Phase::MACHINE.map(Phase::name).join(", ")
}
