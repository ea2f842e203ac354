//! Profiles, rules and policies from files.

use std::path::{Path, PathBuf};

use coldstart_decisions::gate::{Policy, Rules};
use coldstart_profiles::{Profile, ProfileError, read_text, remedy_of_reading};

use crate::say::say;

/// The policy format that this version reads and writes.
const POLICY_VERSION: u32 = 1;

/// Why the files of a gate can't be used. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum GateFiles {
    /// A profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Rules, a policy, or a directory of profiles that can't be read.
    #[error("read {what} {}: {source}{}", path.display(), remedy_of_reading(source))]
    Io {
        /// What it is taken for.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Rules that make no sense.
    #[error("{why} ({})", path.display())]
    Rules {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A policy that makes no sense.
    #[error("read the policy {}: {why}: make a new one with `coldstart calibrate`", path.display())]
    Policy {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The baseline is not there.
    #[error("read the baseline {}: there is no such file: make one with `coldstart run --out FILE` on this kind of machine", path.display())]
    NoBaseline {
        /// Which file.
        path: PathBuf,
    },
}

/// Reads a rules file.
///
/// # Errors
/// When it can't be read, or makes no sense.
pub fn read_rules(path: &Path) -> Result<Rules, GateFiles> {
    let text = read("the rules", path)?;
    Rules::from_toml(&text)
        .map_err(|error| GateFiles::Rules { path: path.to_owned(), why: error.to_string() })
}

/// Reads a policy file.
///
/// # Errors
/// When it can't be read, is none, or is of another version.
pub fn read_policy(path: &Path) -> Result<Policy, GateFiles> {
    let wrong = |why: String| GateFiles::Policy { path: path.to_owned(), why };
    let policy: Policy =
        serde_json::from_str(&read("the policy", path)?).map_err(|error| wrong(error.to_string()))?;
    match policy.version {
        POLICY_VERSION => Ok(policy),
        other => {
            Err(wrong(format!("it has version {other}, and this coldstart reads version {POLICY_VERSION}")))
        }
    }
}

/// Reads profiles of the baseline: a missing file is told apart, because a gate then ends with its own exit code.
pub(crate) fn read_baseline(paths: &[PathBuf]) -> Result<Vec<Profile>, GateFiles> {
    paths
        .iter()
        .map(|path| match path.try_exists() {
            Ok(false) => Err(GateFiles::NoBaseline { path: path.clone() }),
            // What is there and can't be reached says why when it is read.
            Ok(true) | Err(_) => Ok(Profile::read(path)?),
        })
        .collect()
}

/// The profiles of a directory, by the names of their files. What else lies there is told and left alone.
///
/// # Errors
/// When the directory can't be read.
pub(crate) fn profiles_in(directory: &Path) -> Result<Vec<Profile>, GateFiles> {
    let io = |source| GateFiles::Io { what: "the profiles in", path: directory.to_owned(), source };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut profiles = Vec::with_capacity(paths.len());
    for path in paths {
        match Profile::read(&path) {
            Ok(profile) => profiles.push(profile),
            Err(error) => say(format_args!("left out of the history: failed to {error}")),
        }
    }
    Ok(profiles)
}

fn read(what: &'static str, path: &Path) -> Result<String, GateFiles> {
    read_text(path).map_err(|source| GateFiles::Io { what, path: path.to_owned(), source })
}
