//! Runs of a calibration, kept one by one: what breaks off loses none of them.

use std::path::{Path, PathBuf};

use coldstart_decisions::gate::{condition_differences, differences, unusable};
use coldstart_profiles::Profile;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::command::{AbError, run_one};
use crate::say::say;

/// Where a run's profile goes until it is whole.
const PART: &str = "part.json";

/// Finished runs in a directory, as `run-001.json` and so on.
#[derive(Debug)]
pub struct Kept {
    directory: PathBuf,
    /// The directory, where nobody asked for one: it is kept only where there is something left to do.
    scratch: Option<TempDir>,
    paths: Vec<PathBuf>,
    profiles: Vec<Profile>,
}

impl Kept {
    /// The runs in `directory`, which is made where it is not there; in a temporary one without.
    ///
    /// # Errors
    /// When the directory can't be made or read, or a `run-*.json` in it is no profile.
    pub fn open(directory: Option<&Path>) -> Result<Kept, AbError> {
        let Some(directory) = directory else {
            let scratch = tempfile::Builder::new()
                .prefix("coldstart-calibrate-")
                .tempdir()
                .map_err(AbError::Scratch)?;
            let directory = scratch.path().to_owned();
            return Ok(Kept { directory, scratch: Some(scratch), paths: Vec::new(), profiles: Vec::new() });
        };
        let failed = |source| AbError::Keep { directory: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if number(&path).is_some() {
                paths.push(path);
            }
        }
        paths.sort_by_key(|path| number(path));
        let profiles = paths.iter().map(|path| Profile::read(path)).collect::<Result<_, _>>()?;
        Ok(Kept { directory: directory.to_owned(), scratch: None, paths, profiles })
    }

    /// The profiles, in the order of their numbers.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// Where each of them lies.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Runs the command until there are `runs` profiles. Each is kept as soon as it is whole and like the first.
    ///
    /// # Errors
    /// At the first run that gives no such profile; those before it stay.
    pub async fn fill(
        &mut self,
        command: &str,
        runs: usize,
        allow_stand_in: bool,
        cancel: &CancellationToken,
    ) -> Result<(), AbError> {
        if !self.profiles.is_empty() {
            say(format_args!("{} runs are in {} already", self.profiles.len(), self.directory.display()));
        }
        while self.profiles.len() < runs {
            if cancel.is_cancelled() {
                return Err(AbError::Interrupted);
            }
            say(format_args!("run {} of {runs}", self.profiles.len() + 1));
            let part = self.directory.join(PART);
            let keep = |source| AbError::Keep { directory: self.directory.clone(), source };
            match std::fs::remove_file(&part) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(keep(error)),
                _ => {}
            }
            let profile = run_one(command, &part, cancel).await?;
            let unlike = |first: &Profile| {
                let conditions = condition_differences(first, &profile);
                differences(first, &profile).into_iter().chain(conditions).next()
            };
            let why = unusable(&profile, allow_stand_in).or_else(|| {
                let first = self.paths.first()?;
                let difference = unlike(self.profiles.first()?)?;
                Some(format!(
                    "its profile is not like {}: `{}` is {} there and {} here",
                    first.display(),
                    difference.field,
                    difference.baseline,
                    difference.new
                ))
            });
            if let Some(why) = why {
                return Err(AbError::Failed { command: command.to_owned(), why });
            }
            let next = self.paths.last().and_then(|path| number(path)).unwrap_or(0) + 1;
            let path = self.directory.join(format!("run-{next:03}.json"));
            std::fs::rename(&part, &path).map_err(keep)?;
            self.paths.push(path);
            self.profiles.push(profile);
        }
        Ok(())
    }

    /// What to tell of the runs at the end. A temporary directory is gone where all is `done`, or nothing is in it.
    pub fn close(self, done: bool) -> Option<String> {
        let Kept { directory, scratch, paths, .. } = self;
        let (count, shown) = (paths.len(), directory.display().to_string());
        match (scratch, done, count) {
            (Some(_), true, _) | (_, false, 0) => None,
            (Some(scratch), false, _) => {
                // From now on nobody removes it.
                let _ = scratch.keep();
                Some(format!("{count} finished runs are kept in {shown}: go on with --keep {shown}"))
            }
            (None, true, _) => Some(format!("{count} runs are kept in {shown}")),
            (None, false, _) => {
                Some(format!("{count} finished runs are kept in {shown}: the same command goes on"))
            }
        }
    }
}

/// 7 of `run-007.json`.
fn number(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix("run-")?.strip_suffix(".json")?.parse().ok()
}
