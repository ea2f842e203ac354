//! Two commands in turn: what a machine does in between then happens to both.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use coldstart_kernels::checksum;
use coldstart_profiles::{Profile, ProfileError};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::say::say;

/// The place in a command where the profile's path goes.
const OUT: &str = "{out}";

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbPlan {
    /// The command of the baseline, for `sh -c`, with `{out}` where the profile goes.
    pub baseline: String,
    /// The command of the new side.
    pub new: String,
    /// Runs of each.
    pub runs: usize,
    /// Decides who goes first in each pair.
    pub seed: u64,
}

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
    /// What it wrote is no profile.
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
    /// The user stopped it.
    #[error("finish the comparison: it was interrupted")]
    Interrupted,
}

/// Runs both commands in pairs, the order within each pair from the seed, and gives the profiles of each side. `done` is how
/// many pairs ran before: their order is not repeated.
///
/// # Errors
/// At the first command that gives no profile.
pub async fn run_ab(
    plan: &AbPlan,
    done: usize,
    cancel: &CancellationToken,
) -> Result<(Vec<Profile>, Vec<Profile>), AbError> {
    let scratch = tempfile::tempdir().map_err(AbError::Scratch)?;
    let (mut baseline, mut new) = (Vec::new(), Vec::new());
    for pair in done..done + plan.runs {
        let new_first = checksum::pattern(plan.seed, pair as u64) & 1 == 1;
        for is_new in [new_first, !new_first] {
            let (side, command) = if is_new { ("new", &plan.new) } else { ("baseline", &plan.baseline) };
            say(format_args!("pair {} of {}: {side}", pair - done + 1, plan.runs));
            let out = scratch.path().join(format!("{side}-{pair}.json"));
            let profile = run_one(command, &out, cancel).await?;
            if is_new { new.push(profile) } else { baseline.push(profile) }
        }
    }
    Ok((baseline, new))
}

/// Runs a command and reads the profile that it wrote to `out`. Its stdout goes to our stderr: ours carries the verdict.
pub(super) async fn run_one(
    command: &str,
    out: &Path,
    cancel: &CancellationToken,
) -> Result<Profile, AbError> {
    let line = line(command, out)?;
    let failed = |why: String| AbError::Failed { command: line.clone(), why };
    let mut child = Command::new("sh")
        .args(["-c", &line])
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("could not start sh: {error}")))?;
    let status = tokio::select! {
        status = child.wait() => status.map_err(|error| failed(error.to_string()))?,
        () = cancel.cancelled() => {
            // It got the same Ctrl-C: it cleans up and ends by itself.
            let _ = child.wait().await;
            return Err(AbError::Interrupted);
        }
    };
    // A failed phase (exit 5) leaves a profile that says so.
    if !status.success() && !out.exists() {
        return Err(failed(format!("it ended with {status} and wrote no profile")));
    }
    Ok(Profile::read(out)?)
}

/// The command with the quoted path in place.
fn line(command: &str, out: &Path) -> Result<String, AbError> {
    if !command.contains(OUT) {
        return Err(AbError::NoOut { command: command.to_owned() });
    }
    Ok(command.replace(OUT, &quoted(&PathBuf::from(out))))
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_one_word_in_its_place() {
        let out = Path::new("/tmp/it's here/p.json");
        assert_eq!(line("run --out {out} -v", out).unwrap(), r"run --out '/tmp/it'\''s here/p.json' -v");
        assert!(line("run", out).unwrap_err().to_string().contains("{out}"));
    }

    #[tokio::test]
    async fn pairs_are_interleaved_in_an_order_from_the_seed() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profiles/profile-1.0.json");
        let log = dir.path().join("log");
        let command = |side| format!("echo {side} >> '{}'; cp {fixture} {{out}}", log.display());
        let plan = AbPlan { baseline: command("a"), new: command("b"), runs: 6, seed: 3 };
        let (baseline, new) = run_ab(&plan, 0, &CancellationToken::new()).await.unwrap();
        assert_eq!((baseline.len(), new.len()), (6, 6));
        let order = std::fs::read_to_string(&log).unwrap().replace('\n', "");
        assert!(order.as_bytes().chunks(2).all(|pair| pair[0] != pair[1]), "{order}");
        assert!(order.contains("abba") || order.contains("baab"), "one side always goes first: {order}");
        let (out, cancel) = (dir.path().join("p.json"), CancellationToken::new());
        let error = run_one("exit 9 # {out}", &out, &cancel).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 9") && error.contains("no profile"), "{error}");
    }
}
