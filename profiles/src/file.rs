//! Profiles on disk: written whole or not at all, and checked when read.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path};

use serde::Deserialize;

use crate::error::ProfileError;
use crate::format::FormatVersion;
use crate::measurement::Outcome;
use crate::mistaken::mistaken;
use crate::profile::Profile;
use crate::summary::summarize;
use crate::text::read_text;
use crate::trace::TraceEnd;

/// The only part of a file that every version shares.
#[derive(Deserialize)]
struct Versioned {
    format: FormatVersion,
}

impl Profile {
    /// Reads and checks a profile.
    ///
    /// # Errors
    /// When the file can't be read, is not a profile, is of another major version, or was edited so that a summary
    /// does not follow from its samples, or a total from its parts.
    pub fn read(path: &Path) -> Result<Profile, ProfileError> {
        let text = read_text(path).map_err(|source| ProfileError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        Profile::from_json(&text, path)
    }

    /// Checks the text of a profile; `path` names it in errors.
    ///
    /// # Errors
    /// As [`Profile::read`].
    pub fn from_json(text: &str, path: &Path) -> Result<Profile, ProfileError> {
        let json = |source| ProfileError::Json { path: path.to_owned(), source };
        // Some editors put a byte order mark in front, which JSON does not know.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match serde_json::from_str::<Versioned>(text) {
            Ok(Versioned { format }) if format.major != FormatVersion::CURRENT.major => {
                return Err(ProfileError::OtherMajor { path: path.to_owned(), found: format.major });
            }
            Ok(_) => {}
            Err(source) if source.is_data() => {
                let path = path.to_owned();
                return Err(match mistaken(text) {
                    Some(what) => ProfileError::Mistaken { path, what },
                    None => ProfileError::NotAProfile { path },
                });
            }
            Err(source) => return Err(json(source)),
        }
        let profile: Profile = serde_json::from_str(text).map_err(json)?;
        profile.check(path)?;
        Ok(profile)
    }

    /// The text of this profile: pretty-printed JSON with a final newline.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn to_json(&self) -> Result<String, ProfileError> {
        let mut text = serde_json::to_string_pretty(self).map_err(ProfileError::Serialize)?;
        text.push('\n');
        Ok(text)
    }

    /// Writes the profile under `path`, whole or not at all: to a temporary file beside it, synced, then renamed.
    ///
    /// # Errors
    /// When the directory can't be written to, or the disk is full; the old file is then still there.
    pub fn write(&self, path: &Path) -> Result<(), ProfileError> {
        write_atomic(path, self.to_json()?.as_bytes())
    }

    /// That every summary follows from its samples, and every total from its parts.
    fn check(&self, path: &Path) -> Result<(), ProfileError> {
        let edited = |what: String| ProfileError::Edited { path: path.to_owned(), what };
        let outcomes = (self.measurements.iter().map(|row| (row.key.to_string(), &row.outcome)))
            .chain(self.totals.iter().map(|row| (format!("total {{{}}}", row.params), &row.outcome)))
            .chain(self.limits.iter().map(|row| (format!("limit {}", row.kind), &row.outcome)))
            .chain(
                self.throughput_trials.iter().map(|row| (format!("{} {}", row.step, row.key), &row.outcome)),
            );
        for (name, outcome) in outcomes {
            if let Outcome::Measured { samples, summary } = outcome
                && summarize(samples) != **summary
            {
                return Err(edited(format!("the summary of `{name}` does not follow from its samples")));
            }
        }
        if let Some(window) = self.telemetry.windows.iter().find(|window| !window.is_consistent()) {
            return Err(edited(format!(
                "the summary of telemetry window `{} {}` does not follow from its samples",
                window.step, window.window
            )));
        }
        for trace in &self.traces {
            if let TraceEnd::Completed { total_ns, unattributed_ns } = trace.end
                && trace.parts_ns().saturating_add(unattributed_ns) != total_ns
            {
                return Err(edited(format!(
                    "parts and unattributed time of trace `{}` are not its total",
                    trace.step
                )));
            }
        }
        Ok(())
    }
}

/// Writes `contents` under `path`, whole or not at all. Where a link leads to a file, that file is replaced and the link stays. What
/// is no file, such as a pipe or `/dev/stdout`, is written to as it is.
///
/// # Errors
/// When the directory can't be written to, or the disk is full; an old file is then still there.
pub fn write_atomic(path: &Path, contents: &[u8]) -> Result<(), ProfileError> {
    let failed = |source| ProfileError::Io { action: "write", path: path.to_owned(), source };
    let place = match std::fs::metadata(path) {
        // A rename would put a file in place of the device.
        Ok(there) if !there.is_file() && !there.is_dir() => {
            let mut open = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
            return open.write_all(contents).map_err(failed);
        }
        Ok(there) if there.is_file() => std::fs::canonicalize(path).map_err(failed)?,
        _ => path.to_owned(),
    };
    stage(&place, contents)?.persist(&place).map(drop).map_err(|error| failed(error.error))
}

/// Writes several files into `directory`, all of them or none: every one is written and synced beside its place before the first
/// is renamed. The directory is made if it is not there, but not its parent; other files in it stay. Names are plain: no separators.
///
/// # Errors
/// When a name is none, or the directory can't be made or written to, or the disk is full. Old files are then still there,
/// unless the system fails between two renames.
pub fn write_directory(directory: &Path, files: &[(&str, &[u8])]) -> Result<(), ProfileError> {
    let failed = |path: &Path, source| ProfileError::Io { action: "write", path: path.to_owned(), source };
    for (name, _) in files {
        let mut parts = Path::new(name).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == *name) {
            let source = std::io::Error::new(ErrorKind::InvalidInput, "this is no plain file name");
            return Err(failed(&directory.join(name), source));
        }
    }
    let made = match std::fs::create_dir(directory) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::AlreadyExists && directory.is_dir() => false,
        Err(error) => return Err(failed(directory, error)),
    };
    let stage = |(name, contents): &(&str, &[u8])| stage(&directory.join(name), contents);
    let staged: Result<Vec<_>, _> = files.iter().map(stage).collect();
    let written = staged.and_then(|staged| {
        staged.into_iter().zip(files).try_for_each(|(file, (name, _))| {
            let path = directory.join(name);
            file.persist(&path).map(drop).map_err(|error| failed(&path, error.error))
        })
    });
    if written.is_err() && made {
        // Only if nothing is in it.
        let _ = std::fs::remove_dir(directory);
    }
    written
}

/// A temporary file beside `path` with these contents, on the disk; gone when it is dropped.
fn stage(path: &Path, contents: &[u8]) -> Result<tempfile::NamedTempFile, ProfileError> {
    let failed = |source| ProfileError::Io { action: "write", path: path.to_owned(), source };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Opened and written to by hand: the crate's own errors name the temporary file, which nobody asked for.
    let file = tempfile::Builder::new()
        .prefix(".coldstart-")
        .make_in(directory, |temporary| {
            std::fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(temporary)
        })
        .map_err(failed)?;
    file.as_file().write_all(contents).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    Ok(file)
}

/// As an ordinary file: the umask decides.
const MODE: u32 = 0o666;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_links() {
        let scratch = tempfile::tempdir().unwrap();
        let (file, link, device) =
            (scratch.path().join("file"), scratch.path().join("link"), scratch.path().join("device"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::os::unix::fs::symlink("/dev/null", &device).unwrap();
        write_atomic(&link, b"new").unwrap();
        write_atomic(&device, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        for link in [link, device] {
            assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink(), "{}", link.display());
        }
        assert!(write_atomic(scratch.path(), b"x").is_err(), "a directory is no file");
        let nowhere = scratch.path().join("no/such");
        let error = write_atomic(&nowhere, b"x").unwrap_err().to_string();
        assert!(error.contains("no/such") && !error.contains(".coldstart-"), "{error}");
    }

    #[test]
    fn a_directory_is_written_whole_or_not_at_all() {
        let scratch = tempfile::tempdir().unwrap();
        let place = scratch.path().join("out");
        let files: [(&str, &[u8]); 2] = [("a.json", b"1"), ("b.json", b"2")];
        write_directory(&place, &files).unwrap();
        std::fs::write(place.join("other"), "mine").unwrap();
        write_directory(&place, &[("a.json", b"3")]).unwrap();
        let mut found: Vec<(String, String)> = std::fs::read_dir(&place)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (path.file_name().unwrap().display().to_string(), std::fs::read_to_string(path).unwrap())
            })
            .collect();
        found.sort();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(found, [("a.json", "3"), ("b.json", "2"), ("other", "mine")]);

        for bad in ["", ".", "..", "a/b", "/etc/x", "a/"] {
            let new = scratch.path().join("new");
            assert!(write_directory(&new, &[("fine", b""), (bad, b"")]).is_err(), "{bad:?}");
            assert!(!new.exists(), "{bad:?} left a directory");
        }
        // The second can't take its place: a directory is there.
        std::fs::create_dir(scratch.path().join("full")).unwrap();
        std::fs::create_dir_all(scratch.path().join("full/a.json/x")).unwrap();
        assert!(write_directory(&scratch.path().join("full"), &files).is_err());
        let names = std::fs::read_dir(scratch.path().join("full")).unwrap().count();
        assert_eq!(names, 1, "temporary files are gone");
        assert!(write_directory(&scratch.path().join("no/such"), &files).is_err());
        let file = scratch.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(write_directory(&file, &files).is_err(), "a file is no directory");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
    }
}
