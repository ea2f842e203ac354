//! From a pull's events and their arrival times to the intervals of each layer. Pure: no clock, no engine.

use std::collections::BTreeSet;

use coldstart_profiles::{
    Bytes, Interval, LayerDetail, LayerStatus, Nanos, PullDetail, PullDialect, PullSource, SizesFrom,
};

use super::critical::{self, Activity};
use super::events::{LayerStep, PullEvent, Told};
use super::manifest::Manifest;

/// What is known of a pull while its events come in. Offsets count from the pull request.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    tracks: Vec<Track>,
    digest: Option<(String, Nanos)>,
    failure: Option<String>,
    up_to_date: bool,
}

/// How a stream of events ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending<'t> {
    /// With a digest and without an error: the image is there.
    Pulled {
        /// The digest.
        digest: &'t str,
    },
    /// With a digest, but the image was there before.
    UpToDate,
    /// With an error, which may come after some layers were complete.
    Failed {
        /// The engine's words.
        message: &'t str,
    },
    /// Without either: the engine went away.
    CutOff,
}

/// What was told of one layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    pub(crate) id: String,
    pub(crate) waited: bool,
    pub(crate) first_download: Option<Nanos>,
    /// Spans between a failed attempt and the next bytes.
    pub(crate) pauses: Vec<Interval>,
    paused_since: Option<Nanos>,
    retries: u32,
    verify_begin: Option<Nanos>,
    downloaded: Option<Nanos>,
    first_extract: Option<Nanos>,
    last_extract: Option<Nanos>,
    complete: Option<Nanos>,
    exists: bool,
    size: Option<u64>,
}

impl Timeline {
    /// Nothing told yet.
    pub fn new() -> Self {
        Timeline::default()
    }

    /// Takes in one event that arrived `at` after the request.
    pub fn observe(&mut self, at: Nanos, event: &PullEvent) {
        match event.told() {
            Told::Layer { id, step } => self.track(id).observe(at, step),
            Told::Digest(digest) => self.digest = Some((digest.to_owned(), at)),
            Told::UpToDate => self.up_to_date = true,
            Told::Failed(message) => self.failure = Some(message.to_owned()),
            Told::Other => {}
        }
    }

    /// Whether any layer was named, which is when the registry has answered with a manifest.
    pub fn has_layers(&self) -> bool {
        !self.tracks.is_empty()
    }

    /// How often downloads were begun again, all layers together.
    pub fn retries(&self) -> u32 {
        self.tracks.iter().map(|track| track.retries).sum()
    }

    /// How the stream ended, once it has.
    pub fn ending(&self) -> Ending<'_> {
        match (&self.failure, &self.digest) {
            (Some(message), _) => Ending::Failed { message },
            (None, Some(_)) if self.up_to_date => Ending::UpToDate,
            (None, Some((digest, _))) => Ending::Pulled { digest },
            (None, None) => Ending::CutOff,
        }
    }

    fn track(&mut self, id: &str) -> &mut Track {
        let index = self.tracks.iter().position(|track| track.id == id).unwrap_or_else(|| {
            self.tracks.push(Track { id: id.to_owned(), ..Track::default() });
            self.tracks.len() - 1
        });
        &mut self.tracks[index]
    }

    /// The whole pull, `total` after the request; `None` unless it ended with a digest and without an error.
    ///
    /// With a manifest the layers and sizes are the manifest's, and events about other blobs are left out.
    pub fn detail(
        &self,
        reference: &str,
        total: Nanos,
        dialect: PullDialect,
        source: PullSource,
        manifest: &Result<Manifest, String>,
    ) -> Option<PullDetail> {
        let Ending::Pulled { digest } = self.ending() else { return None };
        let (layers, sizes_from) = self.layers(manifest);
        let kept: Vec<&Track> =
            self.tracks.iter().filter(|track| layers.iter().any(|layer| layer.id == track.id)).collect();
        let activities: Vec<Activity> = kept.iter().map(|track| track.activity()).collect();
        let told_digest = self.digest.as_ref().map_or(total, |(_, at)| *at);
        let critical_path = critical::path(&activities, told_digest, total);
        let sizes = Sizes::of(&layers, &sizes_from);
        Some(PullDetail {
            reference: reference.to_owned(),
            digest: digest.to_owned(),
            source,
            dialect,
            total_ns: total,
            compressed_bytes: sizes.compressed,
            downloaded_bytes: sizes.downloaded,
            unpacked_bytes: None,
            cold_fraction: sizes.cold_fraction,
            sizes_from,
            bound_by: critical_path.largest(),
            extract_bound_by: None,
            busy: critical::busy(&activities, told_digest, total),
            critical_path,
            inflate: None,
            layers,
        })
    }

    /// Layers in the manifest's order, or in the order of the events when there is no manifest that fits them.
    fn layers(&self, manifest: &Result<Manifest, String>) -> (Vec<LayerDetail>, SizesFrom) {
        let from_events = |why: &str| {
            (self.tracks.iter().map(Track::detail).collect(), SizesFrom::Events { why: why.to_owned() })
        };
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(why) => return from_events(why),
        };
        let known = |track: &Track| manifest.layers.iter().any(|layer| layer.digest_starts_with(&track.id));
        if self.has_layers() && !self.tracks.iter().any(known) {
            return from_events(
                "the engine pulled other layers than the manifest that was read before lists",
            );
        }
        let layers = manifest
            .layers
            .iter()
            .map(|layer| {
                let told = self.tracks.iter().find(|track| layer.digest_starts_with(&track.id));
                let mut detail = told.map_or_else(
                    || Track { id: layer.short_id(), ..Track::default() }.unmentioned(),
                    Track::detail,
                );
                detail.digest = Some(layer.digest.clone());
                detail.media_type = Some(layer.media_type.clone());
                detail.compressed_bytes = Some(layer.size);
                detail
            })
            .collect();
        (layers, SizesFrom::Manifest)
    }
}

impl Track {
    fn observe(&mut self, at: Nanos, step: LayerStep) {
        match step {
            LayerStep::Announced => {}
            LayerStep::Waiting => self.waited = true,
            LayerStep::Downloading(size) => {
                self.resume(at);
                self.size = size.or(self.size);
                self.first_download.get_or_insert(at);
            }
            LayerStep::Retrying => {
                // The countdown repeats the line every second: only the first of a pause counts.
                if self.paused_since.is_none() {
                    self.paused_since = Some(at);
                    self.retries += 1;
                }
                self.verify_begin = None;
            }
            LayerStep::Verifying => {
                self.resume(at);
                self.verify_begin = Some(at);
            }
            LayerStep::Downloaded => {
                self.resume(at);
                self.downloaded = Some(at);
            }
            LayerStep::Extracting(size) => {
                self.resume(at);
                self.size = size.or(self.size);
                self.first_extract.get_or_insert(at);
                self.last_extract = Some(at);
            }
            LayerStep::Complete => {
                self.resume(at);
                self.complete = Some(at);
            }
            LayerStep::Exists => self.exists = true,
        }
    }

    fn resume(&mut self, at: Nanos) {
        if let Some(begin_ns) = self.paused_since.take() {
            self.pauses.push(Interval { begin_ns, end_ns: at });
        }
    }

    /// When the compressed layer was complete, by the first sign of it.
    fn download_end(&self) -> Option<Nanos> {
        [self.downloaded, self.first_extract, self.complete].into_iter().flatten().min()
    }

    fn activity(&self) -> Activity {
        if self.exists {
            return Activity::default();
        }
        let end = self.download_end();
        let verify =
            end.map(|end_ns| Interval { begin_ns: self.verify_begin.unwrap_or(end_ns).min(end_ns), end_ns });
        let download = verify.map(|verify| Interval {
            begin_ns: self.first_download.unwrap_or(verify.begin_ns).min(verify.begin_ns),
            end_ns: verify.begin_ns,
        });
        let extract = self
            .complete
            .or(self.last_extract)
            .map(|end_ns| Interval { begin_ns: self.first_extract.unwrap_or(end_ns).min(end_ns), end_ns });
        Activity { download, verify, extract, waited: self.waited, pauses: self.pauses.clone() }
    }

    fn detail(&self) -> LayerDetail {
        let activity = self.activity();
        LayerDetail {
            id: self.id.clone(),
            digest: None,
            media_type: None,
            compressed_bytes: self.size.map(Bytes::new),
            status: match (self.exists, self.complete.or(self.download_end())) {
                (true, _) => LayerStatus::AlreadyExists,
                (false, Some(_)) => LayerStatus::Pulled,
                (false, None) => LayerStatus::Incomplete,
            },
            retries: self.retries,
            download: self.first_download.and(activity.download),
            verify: self.verify_begin.and(activity.verify),
            extract: self.first_extract.and(activity.extract),
        }
    }

    fn unmentioned(&self) -> LayerDetail {
        LayerDetail { status: LayerStatus::NotMentioned, ..self.detail() }
    }
}

/// The sums over a pull's layers.
struct Sizes {
    compressed: Option<Bytes>,
    downloaded: Option<Bytes>,
    cold_fraction: Option<f64>,
}

impl Sizes {
    /// Each content counts once, also where a manifest lists it twice: an engine fetches it once.
    ///
    /// A layer that was announced and of which nothing else was told was fetched between two ticks.
    fn of(layers: &[LayerDetail], sizes_from: &SizesFrom) -> Sizes {
        let mut seen = BTreeSet::new();
        let once: Vec<&LayerDetail> = layers.iter().filter(|layer| seen.insert(layer.id.as_str())).collect();
        let fetched =
            |layer: &&&LayerDetail| matches!(layer.status, LayerStatus::Pulled | LayerStatus::Incomplete);
        let sum = |layers: Vec<&LayerDetail>| -> Option<Bytes> {
            layers.into_iter().map(|layer| layer.compressed_bytes).sum()
        };
        let compressed = sum(once.clone());
        let downloaded = sum(once.iter().filter(fetched).copied().collect());
        let cold_fraction = match (compressed, downloaded) {
            (Some(all), Some(part)) if all > Bytes::ZERO => Some(part.get() as f64 / all.get() as f64),
            // Without a manifest nobody tells the sizes of layers that were there; but all or nothing needs no size.
            _ if matches!(sizes_from, SizesFrom::Events { .. }) && !once.is_empty() => {
                let count = once.iter().filter(fetched).count();
                if count == once.len() {
                    Some(1.0)
                } else if count == 0 {
                    Some(0.0)
                } else {
                    None
                }
            }
            _ => None,
        };
        Sizes { compressed, downloaded, cold_fraction }
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
