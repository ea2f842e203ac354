//! One pull of the image: cold, timed, and removed again.

use std::time::Duration;

use coldstart_profiles::{
    Detail, ImageSource, ImageSpec, LayerDetail, LayerStatus, Nanos, Params, Phase, Profile, PullDetail,
    PullSource, Reading, Scope, SkippedPhase, Step, TotalKind, Trace, TraceEnd, Work,
};
use tokio_util::sync::CancellationToken;

use super::Images;
use crate::docker::{self, Credentials, DockerError, PullReading, PullRequest, Pulled};
use crate::registry::{Image, Template, measure_inflate};
use crate::run::record;

/// A user's image may be tens of gigabytes behind a slow link.
const PULL_LIMIT: Duration = Duration::from_secs(3600);

impl Images {
    /// Pulls the image of the plan once and enters what came out: a trace, or a reason why there is none.
    pub(in crate::run) async fn pull(
        &self,
        profile: &mut Profile,
        step: &Step,
        trial: u32,
        cancel: &CancellationToken,
    ) {
        let Some(spec) = &self.spec else { return };
        match self.pull_once(spec, trial, cancel).await {
            Ok(Pulled::Done(reading)) => {
                note_target(profile, &reading.detail);
                record::trace(profile, trace(step, trial, spec, reading.detail), None);
            }
            Ok(Pulled::Skipped { why }) => {
                let skipped = SkippedPhase { phase: Phase::ImagePull, why };
                if !profile.skipped.contains(&skipped) {
                    profile.skipped.push(skipped);
                }
            }
            Err(PullFailure::Cancelled) => {}
            Err(PullFailure::Failed(why)) => {
                let failed = Trace {
                    step: step.id.clone(),
                    trial,
                    scope: Scope::Pull,
                    total_kind: TotalKind::Pull,
                    params: params(spec),
                    readings: Vec::new(),
                    end: TraceEnd::Failed { why, stderr: String::new() },
                };
                record::trace(profile, failed, None);
            }
        }
    }

    async fn pull_once(
        &self,
        spec: &ImageSpec,
        trial: u32,
        cancel: &CancellationToken,
    ) -> Result<Pulled, PullFailure> {
        match &spec.synthetic {
            None => {
                let image = spec.reference.parse()?;
                let credentials = tokio::select! {
                    credentials = Credentials::for_image(&image) => credentials?,
                    () = cancel.cancelled() => return Err(PullFailure::Cancelled),
                };
                let request = PullRequest {
                    image,
                    credentials,
                    source: PullSource::Registry,
                    manifest: None,
                    limit: PULL_LIMIT,
                };
                self.pull_and_remove(&request, cancel).await
            }
            Some(_) => self.pull_synthetic(spec, trial, cancel).await,
        }
    }

    /// Publishes an image that the engine has not seen, pulls it, and forgets it.
    async fn pull_synthetic(
        &self,
        spec: &ImageSpec,
        trial: u32,
        cancel: &CancellationToken,
    ) -> Result<Pulled, PullFailure> {
        let registry = self.registry().await.map_err(PullFailure::Failed)?;
        let template = self.template(spec).await?;
        let nonce = format!("{}-{trial}", self.nonce);
        let image = tokio::task::block_in_place(|| template.image(&nonce, &self.platform()))
            .map_err(|error| PullFailure::Failed(format!("failed to {error}")))?;
        let repository = format!("{}-{trial}", spec.reference);
        let request = PullRequest {
            image: registry.publish(&repository, "1", &image)?,
            credentials: Credentials::anonymous(),
            source: PullSource::Synthetic,
            manifest: Some(image.manifest()),
            limit: PULL_LIMIT,
        };
        let pulled = self.pull_and_remove(&request, cancel).await;
        registry.withdraw(&repository);
        let mut pulled = pulled?;
        if let Pulled::Done(reading) = &mut pulled {
            note_inflate(reading, template, &image);
        }
        Ok(pulled)
    }

    /// The layers of the synthetic image, made once, before any clock starts.
    async fn template(&self, spec: &ImageSpec) -> Result<&Template, PullFailure> {
        let Some(contents) = &spec.synthetic else {
            return Err(PullFailure::Failed("the image has no contents to make".to_owned()));
        };
        let make = || async { tokio::task::block_in_place(|| Template::build(contents, self.seed, None)) };
        self.template
            .get_or_try_init(make)
            .await
            .map_err(|error| PullFailure::Failed(format!("failed to {error}")))
    }

    async fn pull_and_remove(
        &self,
        request: &PullRequest,
        cancel: &CancellationToken,
    ) -> Result<Pulled, PullFailure> {
        let pulled = docker::pull(&self.engine, request, cancel).await?;
        if let Pulled::Done(_) = pulled {
            // The reading stands whatever becomes of the image; the end of the run tries again.
            if let Err(left) = self.engine.remove_image(&request.image.to_string()).await {
                tracing::warn!("failed to {left}");
            }
        }
        Ok(pulled)
    }
}

/// Why a pull gave no reading.
enum PullFailure {
    /// The run is stopped.
    Cancelled,
    /// The reason.
    Failed(String),
}

impl From<DockerError> for PullFailure {
    fn from(error: DockerError) -> Self {
        match error {
            DockerError::Cancelled { .. } => PullFailure::Cancelled,
            error => PullFailure::Failed(format!("failed to {error}")),
        }
    }
}

/// Measures, after the pull, how fast one core inflates and hashes its largest layer.
fn note_inflate(reading: &mut PullReading, template: &Template, image: &Image) {
    let Some(largest) = image.layers().iter().max_by_key(|layer| layer.size()) else { return };
    match tokio::task::block_in_place(|| measure_inflate(template.compression(), largest)) {
        Ok(inflate) => reading.set_inflate(inflate),
        Err(error) => tracing::warn!("failed to {error}: what bounds the extraction is not known"),
    }
}

/// The conditions of a pull, as they stand in keys.
fn params(spec: &ImageSpec) -> Params {
    let source = match spec.source {
        ImageSource::Reference => PullSource::Registry,
        ImageSource::Synthetic => PullSource::Synthetic,
    };
    let params = Params::new().with("source", source.name());
    match &spec.synthetic {
        Some(contents) => params
            .with("codec", &contents.codec)
            .with("layers", contents.layers)
            .with("size_mib", contents.size_bytes.get() >> 20),
        None => params.with("image", &spec.reference),
    }
}

/// Why a pull was not cold: a part of the image was there before.
fn partial(detail: &PullDetail) -> Option<String> {
    match detail.cold_fraction {
        Some(fraction) if fraction < 1.0 => {
            Some(format!("partial: only {:.1} % of the layers' bytes were downloaded", fraction * 100.0))
        }
        Some(_) => None,
        None => {
            let there = |layer: &&LayerDetail| {
                matches!(layer.status, LayerStatus::AlreadyExists | LayerStatus::NotMentioned)
            };
            let known = detail.layers.iter().filter(there).count();
            (known > 0)
                .then(|| format!("partial: {known} of {} layers were there before", detail.layers.len()))
        }
    }
}

/// The trace of a pull: one reading, which is its total.
fn trace(step: &Step, trial: u32, spec: &ImageSpec, detail: PullDetail) -> Trace {
    let total = detail.total_ns;
    let mark = partial(&detail);
    let reading = Reading {
        phase: Phase::ImagePull,
        params: params(spec),
        begin_ns: Nanos::ZERO,
        duration_ns: total,
        device_ns: None,
        work: detail.unpacked_bytes.map(Work::Bytes),
        mark,
        detail: Some(Detail::Pull(detail)),
    };
    let readings = vec![reading];
    let end = Trace::completed(&readings, total);
    Trace {
        step: step.id.clone(),
        trial,
        scope: Scope::Pull,
        total_kind: TotalKind::Pull,
        params: params(spec),
        readings,
        end,
    }
}

/// What the pull said of the image.
fn note_target(profile: &mut Profile, detail: &PullDetail) {
    if let Some(target) = &mut profile.target.image {
        target.digest = Some(detail.digest.clone());
        target.compressed_bytes = detail.compressed_bytes;
        target.unpacked_bytes = detail.unpacked_bytes;
        target.layers = u32::try_from(detail.layers.len()).ok();
    }
}
