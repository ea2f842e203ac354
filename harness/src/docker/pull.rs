//! One pull of one image, timed from the request to the end of the engine's stream.

use std::time::{Duration, Instant};

use bollard::errors::Error as EngineError;
use bollard::query_parameters::CreateImageOptionsBuilder;
use coldstart_profiles::{
    Bytes, ExtractBound, InflateDetail, Nanos, PullDetail, PullDialect, PullSource, PullStage,
};
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::credentials::Credentials;
use super::engine::Engine;
use super::error::{DockerError, connection_lost, innermost};
use super::events::{PullErrorDetail, PullEvent};
use super::manifest::{self, Asked, Manifest};
use super::reference::ImageRef;
use super::refusal::classify;
use super::timeline::{Ending, Timeline};

/// What to pull.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// The image.
    pub image: ImageRef,
    /// For the registry.
    pub credentials: Credentials,
    /// Where it comes from.
    pub source: PullSource,
    /// The manifest, if it is known; else the registry is asked for it before the clock starts.
    pub manifest: Option<Manifest>,
    /// When to give up.
    pub limit: Duration,
}

/// The outcome of a pull that is no error.
#[derive(Debug, Clone, PartialEq)]
pub enum Pulled {
    /// The image is on the machine, and on the list of what this run made.
    Done(Box<PullReading>),
    /// This engine can't take this image, which was found out before pulling.
    Skipped {
        /// Why.
        why: String,
    },
}

/// One pull.
#[derive(Debug, Clone, PartialEq)]
pub struct PullReading {
    /// The engine's id of the image.
    pub image_id: String,
    /// Times and sizes.
    pub detail: PullDetail,
}

impl PullReading {
    /// Adds what one core does with the same kind of data, and with it what bounds the extraction: at least half of its
    /// time in inflating and hashing at that rate means `inflate`, else the store is the slower part.
    pub fn set_inflate(&mut self, inflate: InflateDetail) {
        let detail = &mut self.detail;
        if let Some(fetched) = detail.downloaded_bytes.filter(|_| detail.bound_by == PullStage::Extract)
            && inflate.compressed_bytes > Bytes::ZERO
        {
            let one_core = inflate.inflate_ns.saturating_add(inflate.sha256_ns).as_nanos() as f64;
            let needed = one_core * fetched.get() as f64 / inflate.compressed_bytes.get() as f64;
            let half = detail.busy.extract_ns.as_nanos() as f64 / 2.0;
            detail.extract_bound_by =
                Some(if needed >= half { ExtractBound::Inflate } else { ExtractBound::Store });
        }
        detail.inflate = Some(inflate);
    }
}

/// Pulls an image that must not be on the machine yet.
///
/// The clock runs from the request to the engine to the end of its stream. Before it starts the engine is asked whether
/// the image is there, and the registry for the manifest. After a failure, a time limit or a cancellation no image is left
/// behind; if the returned future is dropped instead, [`Engine::remove_leftovers`] finds what came of it.
pub async fn pull(
    engine: &Engine,
    request: &PullRequest,
    cancel: &CancellationToken,
) -> Result<Pulled, DockerError> {
    let reference = request.image.to_string();
    if engine.image_id(&reference).await?.is_some() {
        return Err(DockerError::AlreadyPresent { reference });
    }
    let cancelled = || DockerError::Cancelled { action: format!("pull {reference}") };
    let (manifest, refused) = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(cancelled()),
        known = known_manifest(engine, request) => known?,
    };
    if manifest.as_ref().is_ok_and(Manifest::has_zstd) && !engine.info().takes_zstd {
        return Ok(Pulled::Skipped {
            why: format!(
                "{reference} has layers compressed with zstd, which engine {} can't unpack: Docker can from 23.0 on",
                engine.info().version
            ),
        });
    }
    engine.owned().pulling(&reference, request.source == PullSource::Synthetic);
    let outcome = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(cancelled()),
        outcome = timed(engine, request) => outcome,
    };
    let finished = match outcome {
        Ok((timeline, total)) => finish(engine, request, &timeline, total, &manifest).await,
        Err(error) => Err(specific(error, refused)),
    };
    match finished {
        Ok(reading) => Ok(Pulled::Done(Box::new(reading))),
        Err(error) => {
            if !matches!(error, DockerError::AlreadyPresent { .. })
                && let Err(left) = engine.settle_broken_pull(&reference).await
            {
                tracing::warn!("failed to {left}");
            }
            Err(error)
        }
    }
}

/// The manifest or why it is not known, and what the registry refused, if it did.
type Known = (Result<Manifest, String>, Option<DockerError>);

async fn known_manifest(engine: &Engine, request: &PullRequest) -> Result<Known, DockerError> {
    if let Some(manifest) = &request.manifest {
        return Ok((Ok(manifest.clone()), None));
    }
    match manifest::ask(&request.image, &request.credentials, engine.info()).await {
        Asked::Manifest(manifest) => Ok((Ok(manifest), None)),
        Asked::NoSuchPlatform(error) => Err(error),
        Asked::Refused(error) => Ok((Err(format!("failed to {error}")), Some(error))),
        Asked::Unknown(why) => Ok((Err(why), None)),
    }
}

/// Where the engine's words are vague and the registry's own answer was not, the registry's is the better error.
fn specific(error: DockerError, refused: Option<DockerError>) -> DockerError {
    match (error, refused) {
        (DockerError::PullRefused { .. } | DockerError::NotFound { .. }, Some(refused)) => refused,
        (error, _) => error,
    }
}

/// The timed region: the request, and every event up to the end of the stream.
async fn timed(engine: &Engine, request: &PullRequest) -> Result<(Timeline, Nanos), DockerError> {
    let platform = format!("{}/{}", engine.info().os, engine.info().arch);
    let options = CreateImageOptionsBuilder::default()
        .from_image(&request.image.name())
        .tag(request.image.tag_or_digest())
        .build();
    let credentials = request.credentials.for_engine();
    // The first event may be long in coming; the limit below is the one that counts.
    let docker = engine.docker().clone().with_timeout(request.limit + Duration::from_secs(1));
    let mut timeline = Timeline::new();
    let start = Instant::now();
    let mut events = docker.create_image(Some(options), None, credentials);
    loop {
        let left = request.limit.saturating_sub(start.elapsed());
        let Ok(event) = tokio::time::timeout(left, events.next()).await else {
            return Err(too_slow(request, &timeline));
        };
        let at = Nanos::from(start.elapsed());
        match event {
            Some(Ok(info)) => timeline.observe(at, &PullEvent::from(info)),
            Some(Err(EngineError::DockerStreamError { error: message })) => {
                let error = Some(PullErrorDetail { message });
                timeline.observe(at, &PullEvent { error, ..PullEvent::default() });
            }
            Some(Err(error)) => return Err(refusal(request, &timeline, error, &platform)),
            None => break,
        }
        if let Ending::Failed { message } = timeline.ending() {
            return Err(classify(&request.image, message, timeline.has_layers(), &platform));
        }
    }
    let total = Nanos::from(start.elapsed());
    Ok((timeline, total))
}

fn too_slow(request: &PullRequest, timeline: &Timeline) -> DockerError {
    let hint = match (timeline.has_layers(), timeline.retries()) {
        (false, _) => " (the registry had not answered)".to_owned(),
        (true, 0) => String::new(),
        (true, retries) => format!(" (the registry broke off downloads {retries} times)"),
    };
    DockerError::TimeLimit { action: format!("pull {}", request.image), limit: request.limit, hint }
}

fn refusal(request: &PullRequest, timeline: &Timeline, error: EngineError, platform: &str) -> DockerError {
    match error {
        EngineError::DockerResponseServerError { message, .. } => {
            classify(&request.image, &message, timeline.has_layers(), platform)
        }
        EngineError::RequestTimeoutError => too_slow(request, timeline),
        error if connection_lost(&error) => DockerError::EngineStopped {
            action: format!("pull {}", request.image),
            message: innermost(&error),
        },
        source => DockerError::Engine { action: format!("pull {}", request.image), source },
    }
}

/// Judges how the stream ended, and asks the engine for what it made of it.
async fn finish(
    engine: &Engine,
    request: &PullRequest,
    timeline: &Timeline,
    total: Nanos,
    manifest: &Result<Manifest, String>,
) -> Result<PullReading, DockerError> {
    let reference = request.image.to_string();
    if timeline.ending() == Ending::UpToDate {
        // Somebody else pulled it since we looked: theirs, not ours.
        engine.owned().forget_image(&reference);
        return Err(DockerError::AlreadyPresent { reference });
    }
    let detail = timeline.detail(&reference, total, engine.info().dialect, request.source, manifest);
    let Some(mut detail) = detail else {
        let message = "its stream of events ended without a digest".to_owned();
        return Err(DockerError::EngineStopped { action: format!("pull {reference}"), message });
    };
    let image = engine.docker().inspect_image(&reference).await;
    let image = image.map_err(DockerError::engine(format!("look at the pulled image {reference}")))?;
    let image_id = image.id.unwrap_or_default();
    engine.owned().pulled(&reference, &image_id);
    // The containerd store counts the compressed layers, which it keeps, into the size.
    detail.unpacked_bytes = match engine.info().dialect {
        PullDialect::Classic => image.size.and_then(|size| u64::try_from(size).ok()).map(Bytes::new),
        PullDialect::Containerd => None,
    };
    Ok(PullReading { image_id, detail })
}
