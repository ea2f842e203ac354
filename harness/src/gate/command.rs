//! Commands that make profiles.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use coldstart_profiles::{Profile, ProfileError, RunState};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// The place in a command where the profile's path goes.
const OUT: &str = "{out}";

/// Why a command gave no profile. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum AbError {
    /// A command without a place for its profile.
    #[error(
        "run `{command}`: it must hold {OUT}, where the path of the profile goes: such as `coldstart run --out {OUT}`"
    )]
    NoOut {
        /// The command.
        command: String,
    },
    /// It could not be run, or failed.
    #[error("run `{command}`: {why}")]
    Failed {
        /// The command.
        command: String,
        /// What happened.
        why: String,
    },
    /// A profile in a directory of runs that is none.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Nowhere to put profiles.
    #[error("make a directory for the profiles: {0}")]
    Scratch(std::io::Error),
    /// A directory of runs that can't be used.
    #[error("keep the runs in {}: {source}", directory.display())]
    Keep {
        /// Which.
        directory: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A directory in which runs of another comparison lie.
    #[error("keep the runs in {}: {name} is there already: give another directory, or move it away first", directory.display())]
    Taken {
        /// Which.
        directory: PathBuf,
        /// The file that is in the way.
        name: String,
    },
    /// The user stopped it.
    #[error("finish the runs: interrupted")]
    Interrupted,
}

/// That a command has a place for its profile.
///
/// # Errors
/// When it has none.
pub(super) fn has_place(command: &str) -> Result<(), AbError> {
    match command.contains(OUT) {
        true => Ok(()),
        false => Err(AbError::NoOut { command: command.to_owned() }),
    }
}

/// Runs a command and reads the profile that it wrote to `out`, where nothing lies before. Its stdout goes to our stderr: ours
/// carries the verdict.
///
/// # Errors
/// When it has no place for `out`, gives no profile, or none of a whole run; what it wrote stays. When it was interrupted, unless it
/// ended well nevertheless.
pub(super) async fn run_one(
    command: &str,
    out: &Path,
    cancel: &CancellationToken,
) -> Result<Profile, AbError> {
    has_place(command)?;
    let line = command.replace(OUT, &quoted(out));
    let failed = |why: String| AbError::Failed { command: line.clone(), why };
    let mut child = Command::new("sh")
        .args(["-c", &line])
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("could not start sh: {error}")))?;
    // Of a Ctrl-C it hears as well: it cleans up and ends by itself. A signal to us alone finds it at work, and it may finish.
    let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
    let ended = match status.success() {
        true => "it ended well".to_owned(),
        false => format!("it ended with {status}"),
    };
    // A failed phase (exit 5) leaves a profile that says so.
    let profile = match out.exists() {
        true => Profile::read(out).map_err(|error| format!("{ended}, and coldstart failed to {error}")),
        false => Err(format!("{ended} and wrote no profile")),
    };
    let whole = profile.and_then(|profile| match profile.state {
        RunState::Complete => Ok(profile),
        RunState::Partial | RunState::Interrupted => Err(format!("{ended} before its run was whole")),
    });
    match whole {
        Ok(profile) => Ok(profile),
        Err(_) if cancel.is_cancelled() => Err(AbError::Interrupted),
        Err(why) => Err(failed(why)),
    }
}

/// A path as one word of a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%=".contains(&byte);
    let text = path.display().to_string();
    match !text.is_empty() && text.bytes().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(quoted(Path::new("/tmp/p-1.json")), "/tmp/p-1.json");
        assert_eq!(quoted(Path::new("/tmp/it's here/p.json")), r"'/tmp/it'\''s here/p.json'");
        assert_eq!(quoted(Path::new("/tmp/$HOME/*")), "'/tmp/$HOME/*'");
    }

    #[tokio::test]
    async fn what_gives_no_whole_profile_says_how_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let fixture =
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profiles/profile-1.0.json"));
        let mut partial = Profile::read(fixture).unwrap();
        partial.state = RunState::Partial;
        let partial_at = dir.path().join("partial");
        partial.write(&partial_at).unwrap();
        let out = dir.path().join("it's p.json");
        for (command, parts) in [
            ("run", vec!["{out}"]),
            ("exit 9 # {out}", vec!["exit status: 9", "wrote no profile"]),
            ("true {out}", vec!["ended well", "wrote no profile"]),
            ("echo nonsense > {out}", vec!["ended well", "it's p.json"]),
            (&format!("cp {} {{out}}; kill -9 $$", quoted(&partial_at)), vec!["signal: 9", "whole"]),
        ] {
            let error = run_one(command, &out, &CancellationToken::new()).await.unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{command}: {error}");
        }
        // A failed phase ends a run with code 5, and its profile says so.
        let failed = format!("cp {} {{out}}; exit 5", quoted(fixture));
        run_one(&failed, &out, &CancellationToken::new()).await.unwrap();
    }
}
