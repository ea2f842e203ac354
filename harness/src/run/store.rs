//! The profile on disk: written after every step, so that nothing measured is lost.

use std::path::{Path, PathBuf};

use coldstart_profiles::{Profile, ProfileError, RunState};

use super::error::RunError;

/// Where a run's profile goes.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    kept: Option<PathBuf>,
}

impl Store {
    /// Makes room for a new profile at `path`: a profile that is there is kept as `*.prev.json`.
    ///
    /// # Errors
    /// When a file that is no profile lies there, or the old one can't be moved.
    pub fn create(path: &Path) -> Result<Self, RunError> {
        let mut store = Store { path: path.to_owned(), kept: None };
        if std::fs::symlink_metadata(path).is_err() {
            return Ok(store);
        }
        match Profile::read(path) {
            Ok(_) | Err(ProfileError::OtherMajor { .. } | ProfileError::Edited { .. }) => {
                let previous = path.with_extension("prev.json");
                std::fs::rename(path, &previous).map_err(|source| {
                    RunError::Write(ProfileError::Io { action: "move aside", path: path.to_owned(), source })
                })?;
                store.kept = Some(previous);
                Ok(store)
            }
            Err(_) => Err(RunError::NotOurs { path: path.to_owned() }),
        }
    }

    /// Continues the partial profile at `path`, in place.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn resume(path: &Path) -> Result<(Self, Profile), RunError> {
        let profile = Profile::read(path).map_err(RunError::Resume)?;
        Ok((Store { path: path.to_owned(), kept: None }, profile))
    }

    /// Where the profile goes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where an older profile was moved to.
    pub fn kept(&self) -> Option<&Path> {
        self.kept.as_deref()
    }

    /// Writes the profile as it is now.
    ///
    /// # Errors
    /// When the directory can't be written to or the disk is full; what was written before is then still there.
    pub fn save(&self, profile: &Profile) -> Result<(), RunError> {
        profile.write(&self.path).map_err(RunError::Write)
    }

    /// Writes the profile with a new state.
    ///
    /// # Errors
    /// As [`Store::save`].
    pub fn save_as(&self, profile: &mut Profile, state: RunState) -> Result<(), RunError> {
        profile.state = state;
        self.save(profile)
    }
}
