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
                store.kept = Some(move_aside(path).map_err(|source| {
                    RunError::Write(ProfileError::Io { action: "move aside", path: path.to_owned(), source })
                })?);
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

/// Gives the file at `path` the first free one of the names `*.prev.json`, `*.prev-2.json`, …; nothing is replaced.
fn move_aside(path: &Path) -> std::io::Result<PathBuf> {
    let mut number = 1_u32;
    loop {
        let extension = if number == 1 { "prev.json".to_owned() } else { format!("prev-{number}.json") };
        let previous = path.with_extension(extension);
        // A second name, and then the first one away: unlike a rename this fails where the name is taken.
        match std::fs::hard_link(path, &previous) {
            Ok(()) => {
                std::fs::remove_file(path)?;
                return Ok(previous);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 10_000 => number += 1,
            // A file system without hard links.
            Err(_) if !previous.exists() => return std::fs::rename(path, &previous).map(|()| previous),
            Err(error) => return Err(error),
        }
    }
}
