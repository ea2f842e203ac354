//! Two commands in turn: what a machine does in between then happens to both.

use std::path::{Path, PathBuf};

use coldstart_kernels::checksum;
use coldstart_profiles::Profile;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::command::{AbError, has_place, quoted, run_one};
use crate::say::say;

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbPlan {
    /// The command of the baseline, for `sh -c`, with `{out}` where the profile goes.
    pub baseline: String,
    /// The command of the new side.
    pub new: String,
    /// Decides who goes first in each pair.
    pub seed: u64,
}

/// Pairs of runs, each profile in a file of its own from when its command wrote it: what breaks off loses none of them.
#[derive(Debug)]
pub struct AbRuns {
    plan: AbPlan,
    directory: PathBuf,
    /// The directory, where nobody asked for one: it is kept only where there is something left to judge.
    scratch: Option<TempDir>,
    pairs: usize,
    baseline: Runs,
    new: Runs,
    /// What a command wrote that broke off.
    broken: Option<PathBuf>,
}

/// The whole runs of one command, in their order.
#[derive(Debug, Default)]
struct Runs {
    paths: Vec<PathBuf>,
    profiles: Vec<Profile>,
}

impl AbRuns {
    /// No run yet; profiles will be `baseline-001.json`, `new-001.json` and so on in `keep`, which is made where it is not there, or
    /// in a temporary directory without.
    ///
    /// # Errors
    /// When a command has no place for its profile, the directory can't be made or read, or profiles of such names are in it.
    pub fn open(plan: AbPlan, keep: Option<&Path>) -> Result<AbRuns, AbError> {
        has_place(&plan.baseline)?;
        has_place(&plan.new)?;
        let (directory, scratch) = match keep {
            Some(directory) => {
                vacant(directory)?;
                (directory.to_owned(), None)
            }
            None => {
                let scratch = tempfile::Builder::new().prefix("coldstart-gate-").tempdir();
                let scratch = scratch.map_err(AbError::Scratch)?;
                (scratch.path().to_owned(), Some(scratch))
            }
        };
        let (baseline, new) = (Runs::default(), Runs::default());
        Ok(AbRuns { plan, directory, scratch, pairs: 0, baseline, new, broken: None })
    }

    /// The profiles of the baseline, one a pair.
    pub fn baseline(&self) -> &[Profile] {
        &self.baseline.profiles
    }

    /// Those of the new side.
    pub fn new_side(&self) -> &[Profile] {
        &self.new.profiles
    }

    /// What was asked for.
    pub fn plan(&self) -> &AbPlan {
        &self.plan
    }

    /// Runs both commands in pairs, the order within each pair from the seed, until there are `pairs` of them. Pairs that ran before
    /// count, and their order is not repeated. `of` is how many there are going to be, which is told.
    ///
    /// # Errors
    /// At the first command that gives no whole profile; those before it stay.
    pub async fn fill(&mut self, pairs: usize, of: usize, cancel: &CancellationToken) -> Result<(), AbError> {
        while self.pairs < pairs {
            let new_first = checksum::pattern(self.plan.seed, self.pairs as u64) & 1 == 1;
            for is_new in [new_first, !new_first] {
                if cancel.is_cancelled() {
                    return Err(AbError::Interrupted);
                }
                let (name, command, side) = match is_new {
                    true => ("new", &self.plan.new, &mut self.new),
                    false => ("baseline", &self.plan.baseline, &mut self.baseline),
                };
                say(format_args!("pair {} of {of}: {name}", self.pairs + 1));
                let out = self.directory.join(format!("{name}-{:03}.json", self.pairs + 1));
                match run_one(command, &out, cancel).await {
                    Ok(profile) => side.profiles.push(profile),
                    Err(error) => {
                        self.broken = Profile::read(&out).is_ok().then_some(out);
                        return Err(error);
                    }
                }
                side.paths.push(out);
            }
            self.pairs += 1;
        }
        Ok(())
    }

    /// What to tell of the profiles at the end; `options` are those by which a gate would judge the files. A temporary directory is
    /// gone where all is `done`, or nothing is in it.
    pub fn close(self, done: bool, options: &str) -> Option<String> {
        let AbRuns { directory, scratch, baseline, new, broken, .. } = self;
        let finished = baseline.paths.len() + new.paths.len();
        if (done && scratch.is_some()) || (finished == 0 && broken.is_none()) {
            return None;
        }
        // From now on nobody removes it.
        let _ = scratch.map(TempDir::keep);
        let runs = if finished == 1 { "run is" } else { "runs are" };
        let mut told = format!("{finished} finished {runs} kept in {}", directory.display());
        match baseline.paths.is_empty() || new.paths.is_empty() {
            true => told.push_str(", too few to judge: a gate needs one of each command"),
            false => {
                let new = new.paths.iter().map(|path| format!(" {}", quoted(path)));
                let baseline = baseline.paths.iter().map(|path| format!(" --baseline {}", quoted(path)));
                let files: String = new.chain(baseline).collect();
                told.push_str(&format!(": judge them with `coldstart gate{files}{options}`"));
            }
        }
        if let Some(broken) = broken {
            told.push_str(&format!(
                "; go on with the one that broke off: `coldstart run --resume {}`",
                quoted(&broken)
            ));
        }
        Some(told)
    }
}

/// Makes the directory; no profile of a comparison may be in it, since it would be taken for one of this.
fn vacant(directory: &Path) -> Result<(), AbError> {
    let failed = |source| AbError::Keep { directory: directory.to_owned(), source };
    std::fs::create_dir_all(directory).map_err(failed)?;
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let ours = name.starts_with("baseline-") || name.starts_with("new-");
        if ours && name.ends_with(".json") {
            return Err(AbError::Taken { directory: directory.to_owned(), name });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pairs_are_interleaved_in_an_order_from_the_seed() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profiles/profile-1.0.json");
        let log = dir.path().join("log");
        let command = |side| format!("echo {side} >> '{}'; cp {fixture} {{out}}", log.display());
        let plan = AbPlan { baseline: command("a"), new: command("b"), seed: 3 };
        let mut runs = AbRuns::open(plan.clone(), None).unwrap();
        let cancel = CancellationToken::new();
        runs.fill(2, 6, &cancel).await.unwrap();
        runs.fill(6, 6, &cancel).await.unwrap();
        assert_eq!((runs.baseline().len(), runs.new_side().len()), (6, 6));
        let order = std::fs::read_to_string(&log).unwrap().replace('\n', "");
        assert!(order.as_bytes().chunks(2).all(|pair| pair[0] != pair[1]), "{order}");
        assert!(order.contains("abba") || order.contains("baab"), "one side always goes first: {order}");
        let directory = runs.directory.clone();
        assert_eq!(runs.close(true, ""), None);
        assert!(!directory.exists(), "{directory:?}");

        // Stopped: nothing more is begun.
        let mut runs = AbRuns::open(plan, None).unwrap();
        cancel.cancel();
        assert!(matches!(runs.fill(1, 1, &cancel).await, Err(AbError::Interrupted)));
        let directory = runs.directory.clone();
        assert_eq!(runs.close(false, ""), None);
        assert!(!directory.exists(), "{directory:?}");
    }
}
