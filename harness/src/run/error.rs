//! Why a run ended without a profile.

use std::path::PathBuf;

use coldstart_profiles::ProfileError;

/// Why nothing can be recorded. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The profile can't be written.
    #[error("{0}: choose another place with `--out`")]
    Write(ProfileError),
    /// A file that is no profile lies where the profile is to go.
    #[error("write the profile to {}: a file lies there that is not a coldstart profile: choose another place with `--out`", path.display())]
    NotOurs {
        /// Where the profile was to go.
        path: PathBuf,
    },
    /// The profile to continue can't be read.
    #[error("continue the run: {0}")]
    Resume(ProfileError),
    /// The profile to continue was measured under other conditions.
    #[error("continue {}: {what} was {then} and is {now}: start a new run", path.display())]
    Changed {
        /// The profile.
        path: PathBuf,
        /// Which condition.
        what: &'static str,
        /// Its value in the profile.
        then: String,
        /// Its value now.
        now: String,
    },
}
