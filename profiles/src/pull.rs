//! What is known of one image pull and of one container start, beside their times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Nanos};

/// One image pull in detail. All offsets count from the pull request to the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PullDetail {
    /// The reference that was asked for, as the engine knows it: `registry/repository:tag`.
    pub reference: String,
    /// The digest that the engine resolved the reference to: `sha256:…`.
    pub digest: String,
    /// Where the image came from.
    pub source: PullSource,
    /// How the engine keeps images, which is also how it tells of its progress.
    pub dialect: PullDialect,
    /// From the request to the end of the engine's stream.
    pub total_ns: Nanos,
    /// The layers, in the order of the manifest where it is known, else in the order of the engine's events.
    pub layers: Vec<LayerDetail>,
    /// Σ of the layers' compressed sizes, each content once; null where no size was told.
    pub compressed_bytes: Option<Bytes>,
    /// Compressed bytes of the layers that were fetched in this pull; null where a fetched layer's size was not told.
    pub downloaded_bytes: Option<Bytes>,
    /// The unpacked image, as the engine reports it after the pull; null under the containerd store, which counts the
    /// compressed layers in.
    pub unpacked_bytes: Option<Bytes>,
    /// Downloaded ÷ compressed bytes, 0 to 1. Below 1 the pull found a part of the image on this machine.
    pub cold_fraction: Option<f64>,
    /// What the sizes rest on, and why `cold_fraction` is null where it is.
    pub sizes_from: SizesFrom,
    /// The stage with the largest share of the critical path.
    pub bound_by: PullStage,
    /// Where extraction bounds the pull: what bounds extraction. Null elsewhere, and where no inflate limit was measured.
    pub extract_bound_by: Option<ExtractBound>,
    /// The critical path by stage; the parts add up to `total_ns`.
    pub critical_path: StageTimes,
    /// How long each stage was at work on at least one layer; stages overlap, so these add up to nothing.
    pub busy: StageTimes,
    /// How fast one core inflates and hashes the same kind of data, measured in the same run.
    pub inflate: Option<InflateDetail>,
}

/// Where a pulled image came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullSource {
    /// A registry of the user's.
    Registry,
    /// The harness's own registry on the loopback address: says how fast the engine unpacks, not how fast a network is.
    Synthetic,
}

impl PullSource {
    /// The value of the key parameter `source`.
    pub const fn name(self) -> &'static str {
        match self {
            PullSource::Registry => "registry",
            PullSource::Synthetic => "synthetic",
        }
    }
}

/// How an engine tells of its progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullDialect {
    /// The classic image store (graph drivers): events as they happen, extraction in bytes, one layer after the other.
    Classic,
    /// The containerd image store: a tick every 100 ms, extraction in elapsed seconds. Intervals are that coarse.
    Containerd,
}

/// What the layers' sizes rest on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SizesFrom {
    /// The manifest of this platform.
    Manifest,
    /// The engine's progress events, which tell no size of a layer that was already there.
    Events {
        /// Why the manifest was not read.
        why: String,
    },
}

/// One layer of a pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayerDetail {
    /// The engine's short name: the first twelve digits of the digest.
    pub id: String,
    /// The digest of the compressed layer, where the manifest is known.
    pub digest: Option<String>,
    /// The media type, where the manifest is known.
    pub media_type: Option<String>,
    /// The compressed size.
    pub compressed_bytes: Option<Bytes>,
    /// How the layer came to be there.
    pub status: LayerStatus,
    /// How often the engine began its download again.
    pub retries: u32,
    /// From the first bytes told, to the last byte's arrival. Null where the layer was so small that nothing was told.
    pub download: Option<Interval>,
    /// From `Verifying Checksum` to `Download complete`; most engines hash while they download, and then it is empty.
    pub verify: Option<Interval>,
    /// From the first extraction told, to `Pull complete`.
    pub extract: Option<Interval>,
}

/// How a layer came to be on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayerStatus {
    /// Downloaded and unpacked in this pull.
    Pulled,
    /// There before: nothing of it was downloaded.
    AlreadyExists,
    /// Begun, and never told to be complete.
    Incomplete,
    /// In the manifest, but the engine never named it.
    NotMentioned,
}

/// A span of a pull, in offsets from its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Where it begins.
    pub begin_ns: Nanos,
    /// Where it ends.
    pub end_ns: Nanos,
}

impl Interval {
    /// How long it is; zero if it ends before it begins.
    pub const fn length(self) -> Nanos {
        self.end_ns.saturating_sub(self.begin_ns)
    }
}

/// What an engine does during a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullStage {
    /// Waiting for the registry: the manifest, a token, the first byte of a layer, a new attempt.
    Registry,
    /// Bytes of layers arrive.
    Download,
    /// Digests of complete layers are checked.
    Verify,
    /// Layers are inflated and written to the store.
    Extract,
    /// The engine enters the image in its store, after the last layer.
    Finish,
}

impl PullStage {
    /// Every stage, in the order in which a single layer goes through them.
    pub const ALL: [PullStage; 5] =
        [PullStage::Registry, PullStage::Download, PullStage::Verify, PullStage::Extract, PullStage::Finish];

    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            PullStage::Registry => "registry",
            PullStage::Download => "download",
            PullStage::Verify => "verify",
            PullStage::Extract => "extract",
            PullStage::Finish => "finish",
        }
    }
}

/// What bounds the extraction of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExtractBound {
    /// Inflating and hashing on one core accounts for at least half of the extraction.
    Inflate,
    /// Writing files to the store accounts for more than half.
    Store,
}

/// A time for each stage of a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct StageTimes {
    /// Waiting for the registry.
    pub registry_ns: Nanos,
    /// Downloading.
    pub download_ns: Nanos,
    /// Verifying.
    pub verify_ns: Nanos,
    /// Extracting.
    pub extract_ns: Nanos,
    /// Entering the image in the store.
    pub finish_ns: Nanos,
}

impl StageTimes {
    /// The time of one stage.
    pub const fn get(&self, stage: PullStage) -> Nanos {
        match stage {
            PullStage::Registry => self.registry_ns,
            PullStage::Download => self.download_ns,
            PullStage::Verify => self.verify_ns,
            PullStage::Extract => self.extract_ns,
            PullStage::Finish => self.finish_ns,
        }
    }

    /// Adds time to one stage.
    pub const fn add(&mut self, stage: PullStage, time: Nanos) {
        let slot = match stage {
            PullStage::Registry => &mut self.registry_ns,
            PullStage::Download => &mut self.download_ns,
            PullStage::Verify => &mut self.verify_ns,
            PullStage::Extract => &mut self.extract_ns,
            PullStage::Finish => &mut self.finish_ns,
        };
        *slot = slot.saturating_add(time);
    }

    /// The stage with the most time; the earlier one of equals.
    pub fn largest(&self) -> PullStage {
        PullStage::ALL.into_iter().rev().max_by_key(|stage| self.get(*stage)).unwrap_or(PullStage::Registry)
    }

    /// Σ of all stages.
    pub fn sum(&self) -> Nanos {
        PullStage::ALL.into_iter().map(|stage| self.get(stage)).sum()
    }
}

/// One core's work on layers' data, in memory: what no engine's extraction beats on one core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InflateDetail {
    /// `gzip` or `zstd`.
    pub compression: String,
    /// Compressed size of what was inflated.
    pub compressed_bytes: Bytes,
    /// Its size afterwards.
    pub unpacked_bytes: Bytes,
    /// Time to inflate it, on one core, from memory to memory.
    pub inflate_ns: Nanos,
    /// Time to take the SHA-256 of the unpacked bytes, on one core.
    pub sha256_ns: Nanos,
}

/// One container start in detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerDetail {
    /// The image that the container was made of.
    pub image: String,
    /// From the create request to its answer.
    pub create_ns: Nanos,
    /// From the start request to the first reading of CLOCK_MONOTONIC by the program inside.
    pub start_ns: Nanos,
    /// From the create request to that reading: create and start, and what lies between the two requests.
    pub total_ns: Nanos,
    /// The memory limit that the container ran under; null without one.
    pub memory_limit_bytes: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_times_add_up_and_name_the_largest() {
        let mut times = StageTimes::default();
        for (stage, millis) in [
            (PullStage::Download, 3),
            (PullStage::Extract, 5),
            (PullStage::Download, 2),
            (PullStage::Finish, 1),
        ] {
            times.add(stage, Nanos::from_millis(millis));
        }
        assert_eq!(times.sum(), Nanos::from_millis(11));
        assert_eq!(times.largest(), PullStage::Download, "the earlier of equals");
        times.add(PullStage::Extract, Nanos::from_nanos(1));
        assert_eq!(times.largest(), PullStage::Extract);
    }

    #[test]
    fn json_keys_name_their_units() {
        let layer = LayerDetail {
            id: "5dd044557d82".into(),
            digest: None,
            media_type: None,
            compressed_bytes: Some(Bytes::new(7)),
            status: LayerStatus::Pulled,
            retries: 0,
            download: Some(Interval { begin_ns: Nanos::from_nanos(1), end_ns: Nanos::from_nanos(3) }),
            verify: None,
            extract: None,
        };
        let json = serde_json::to_value(&layer).unwrap();
        assert_eq!(json["compressed_bytes"], 7);
        assert_eq!(json["download"], serde_json::json!({"begin_ns": 1, "end_ns": 3}));
        assert_eq!(json["extract"], serde_json::Value::Null);
        assert_eq!(serde_json::from_value::<LayerDetail>(json).unwrap(), layer);
    }
}
