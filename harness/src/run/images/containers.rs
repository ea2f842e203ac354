//! One cold start in a fresh container, from an image that carries this program and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Images, almost_nothing};
use crate::clock;
use crate::docker::{
    self, ContainerSpec, Credentials, DockerError, ImageRef, PullRequest, Pulled, ReadOnlyMount,
    run_container,
};
use crate::registry::{Program, Template};
use crate::run::compose::Origin;
use crate::trial::{ChildLine, ChildSpec, HANDSHAKE, TrialReport, TrialSpec};
use crate::weights::ModelFiles;

/// Putting the program's own image into the engine.
const OWN_IMAGE_LIMIT: Duration = Duration::from_secs(120);

impl Images {
    /// Starts a container that runs the trial, and reads its report and its stderr. `None` when the run is stopped.
    ///
    /// # Errors
    /// What went wrong, and the end of the program's stderr.
    pub(in crate::run) async fn container(
        &self,
        trial: &TrialSpec,
        files: &ModelFiles,
        timeout: Duration,
        cancel: &CancellationToken,
    ) -> Result<Option<(Origin, TrialReport, String)>, (String, String)> {
        let plain = |why: String| (why, String::new());
        let (image, program) = match self.own(cancel).await {
            Ok(own) => own,
            Err(_) if cancel.is_cancelled() => return Ok(None),
            Err(why) => return Err(plain(why)),
        };
        let spec = serde_json::to_string(&ChildSpec::Trial(trial.clone()))
            .map_err(|error| plain(error.to_string()))?;
        let mut command = program.command();
        command.extend(["trial".to_owned(), spec]);
        let container = ContainerSpec {
            image: image.to_string(),
            command,
            env: environment(trial),
            gpus: trial.subject.device.is_cuda(),
            mounts: mounts(files),
            memory: None,
            limit: timeout,
        };
        let before = clock::monotonic();
        match run_container(&self.engine, &container, cancel).await {
            Ok(reading) => {
                let report = reading.stdout.lines().find_map(|line| match serde_json::from_str(line) {
                    Ok(ChildLine::Trial(report)) => Some(report),
                    _ => None,
                });
                let Some(report) = report else {
                    return Err(("the program in the container gave no report".to_owned(), reading.stderr));
                };
                let created_ns = reading.began.saturating_sub(reading.detail.total_ns).max(before);
                Ok(Some((Origin::Container { created_ns, detail: reading.detail }, report, reading.stderr)))
            }
            Err(DockerError::Cancelled { .. }) => Ok(None),
            Err(DockerError::ContainerFailed { exit_code, out_of_memory, stderr }) => {
                let memory = if out_of_memory { ", out of memory" } else { "" };
                Err((
                    format!("the program in the container ended with exit code {exit_code}{memory}"),
                    stderr,
                ))
            }
            Err(error) => Err(plain(format!("failed to {error}"))),
        }
    }

    /// The image that carries this program, pulled from the loopback registry at its first use.
    async fn own(&self, cancel: &CancellationToken) -> Result<(&ImageRef, Program), String> {
        let program = Program::of_this_process().map_err(|error| format!("failed to {error}"))?;
        let make = || self.pull_own(program.clone(), cancel);
        Ok((self.own.get_or_try_init(make).await?, program))
    }

    async fn pull_own(&self, program: Program, cancel: &CancellationToken) -> Result<ImageRef, String> {
        let registry = self.registry().await?;
        let image = tokio::task::block_in_place(|| {
            Template::build(&almost_nothing(), self.seed, Some(program))?.image(&self.nonce, &self.platform())
        });
        let image = image.map_err(|error| format!("failed to {error}"))?;
        let failed = |error: DockerError| format!("failed to {error}");
        let request = PullRequest {
            image: registry.publish("coldstart/trial", &self.nonce, &image).map_err(failed)?,
            credentials: Credentials::anonymous(),
            source: coldstart_profiles::PullSource::Synthetic,
            manifest: Some(image.manifest()),
            limit: OWN_IMAGE_LIMIT,
        };
        let pulled = docker::pull(&self.engine, &request, cancel).await.map_err(failed)?;
        registry.withdraw("coldstart/trial");
        match pulled {
            Pulled::Done(_) => Ok(request.image),
            Pulled::Skipped { why } => Err(why),
        }
    }
}

/// What the program finds in its environment. The container has a file system of its own: its JIT cache is cold, and there
/// is no other.
fn environment(trial: &TrialSpec) -> Vec<(String, String)> {
    let mut variables = vec![(HANDSHAKE.to_owned(), "1".to_owned())];
    if let Some(driver) = trial.driver {
        variables.push(("CUDA_MODULE_LOADING".to_owned(), driver.loading.name().to_ascii_uppercase()));
        // Numbers of GPUs mean the same inside as outside.
        let outside = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        variables.extend(outside.map(|visible| ("CUDA_VISIBLE_DEVICES".to_owned(), visible)));
    }
    variables
}

/// The directories of the model at the same paths inside, so that absolute paths and links lead to the same files.
fn mounts(files: &ModelFiles) -> Vec<ReadOnlyMount> {
    let of_files =
        files.files().iter().filter_map(|file| Some(file.path.canonicalize().ok()?.parent()?.to_owned()));
    let directories: BTreeSet<PathBuf> = of_files.chain([files.dir().to_owned()]).collect();
    // A directory inside of another one is there already.
    let inner = |path: &Path| directories.iter().any(|other| path != other && path.starts_with(other));
    directories
        .iter()
        .filter(|path| !inner(path))
        .map(|path| ReadOnlyMount { host: path.clone(), inside: path.display().to_string() })
        .collect()
}
