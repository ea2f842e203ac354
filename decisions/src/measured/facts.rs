//! What was measured, and on which kind of node.

use std::collections::BTreeSet;

use coldstart_profiles::{
    Bytes, ImageSource, Key, LimitKind, Nanos, Params, Phase, Profile, PullDetail, RunState, Work,
};
use coldstart_profiles::{Detail, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::basis::{Basis, Figure, Quantity};

/// The model that all profiles of a plan are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelFacts {
    /// The directory or file of the first profile, or `synthetic:small`; of pods alone the model that they are told to serve, or else
    /// their image.
    pub source: String,
    /// Bytes of all tensors.
    pub bytes: Bytes,
    /// SHA-256 over the headers of its files; empty where pods are all that is known of it.
    pub header_sha256: String,
    /// Such as `LlamaForCausalLM`; `null` where it is not known.
    pub architecture: Option<String>,
}

/// One profile of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileFacts {
    /// What it was called, such as its file.
    pub name: String,
    /// The machine's host name.
    pub host: String,
    /// When the run began.
    pub started_at: String,
    /// Whether the run came to its end. A partial one has fewer trials than it was meant to have.
    pub complete: bool,
    /// Whether a stand-in played the driver's part.
    pub stand_in: bool,
    /// The storage that its model lay on, such as `ext4`, `nfs4` or `tmpfs`; `unknown` where it is not known.
    pub storage: String,
}

/// A kind of node: replicas on nodes of one class take and carry the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NodeClass {
    /// Its name, such as `NVIDIA H100 80GB HBM3` or `2 × NVIDIA L4`; of the host device with its cores: `AMD EPYC, 2 cores`.
    pub name: String,
    /// `host` or `cuda`; `cluster` where pods are all that is known of it.
    pub device_kind: String,
    /// The device's product name.
    pub device_name: String,
    /// How many devices a replica has.
    pub devices: u32,
    /// Cores of the node.
    pub cores: u32,
    /// Memory of one device.
    pub memory_bytes: Bytes,
}

/// The image that a replica is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageFacts {
    /// As the user named it, or the synthetic image's repository.
    pub reference: String,
    /// Whether it was made by coldstart: then its sizes and times say how this engine unpacks, and nothing of a user's pull.
    pub synthetic: bool,
    /// Compressed size of all layers; `null` where it was not told.
    pub compressed_bytes: Option<Bytes>,
    /// Unpacked size; `null` where it was not told.
    pub unpacked_bytes: Option<Bytes>,
    /// `gzip`, `zstd`, or `null` where it is not known.
    pub codec: Option<String>,
    /// Compressed bytes per second from the first request to the end, over the pulls of this run; `null` without one.
    pub pull_bytes_per_s: Option<f64>,
    /// Unpacked bytes per second while at least one layer was being unpacked; `null` where nothing was.
    pub unpack_bytes_per_s: Option<f64>,
    /// Share of the pulls' time in which unpacking was all that they waited for; `null` without a pull.
    #[serde(default)]
    pub unpack_share: Option<f64>,
    /// What sizes and rates rest on.
    pub basis: Basis,
}

/// What the hardware of a class allows: the best reading over its profiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimitRate {
    /// Which limit.
    pub kind: LimitKind,
    /// How the best reading was taken.
    pub params: Params,
    /// The storage behind a limit of reading; `null` for others.
    pub storage: Option<String>,
    /// In bytes or operations per second.
    pub per_s: Figure<f64>,
}

/// The storage that a profile's model lies on.
pub(crate) fn storage_of(profile: &Profile) -> String {
    let model = profile.target.model.as_ref();
    model.and_then(|model| model.file_system.clone()).unwrap_or_else(|| "unknown".to_owned())
}

impl ProfileFacts {
    pub(super) fn of(name: &str, profile: &Profile) -> Self {
        ProfileFacts {
            name: name.to_owned(),
            host: profile.target.host.name.clone(),
            started_at: profile.started_at.clone(),
            complete: profile.state == RunState::Complete,
            stand_in: profile.target.device.stand_in,
            storage: storage_of(profile),
        }
    }
}

impl NodeClass {
    /// The class of the node that a profile was taken on.
    pub fn of(profile: &Profile) -> Self {
        let (device, host) = (&profile.target.device, &profile.target.host);
        let name = match device.kind.as_str() {
            "host" if host.cores == 1 => format!("{}, 1 core", device.name),
            "host" => format!("{}, {} cores", device.name, host.cores),
            _ if device.count > 1 => format!("{} × {}", device.count, device.name),
            _ => device.name.clone(),
        };
        NodeClass {
            name,
            device_kind: device.kind.clone(),
            device_name: device.name.clone(),
            devices: device.count,
            cores: host.cores,
            memory_bytes: device.memory_bytes,
        }
    }

    /// Whether its replicas run on processors: those of pods that ask for no GPU do.
    pub fn on_host(&self) -> bool {
        self.device_kind == "host" || self.devices == 0
    }

    /// Whether nodes of both are alike. Free memory differs by a little from node to node of one kind, so it is left out.
    pub fn is(&self, other: &NodeClass) -> bool {
        let on_host = self.device_kind == "host";
        (&self.name, &self.device_kind) == (&other.name, &other.device_kind)
            && (!on_host || self.cores == other.cores)
    }
}

impl ModelFacts {
    pub(super) fn of(profile: &Profile) -> Option<Self> {
        let model = profile.target.model.as_ref()?;
        Some(ModelFacts {
            source: model.source.clone(),
            bytes: model.bytes,
            header_sha256: model.header_sha256.clone(),
            architecture: model.architecture.clone(),
        })
    }
}

impl ModelFacts {
    /// What pods serve, as far as they tell, of a size that was given by hand.
    pub(super) fn of_pods(profile: &Profile, bytes: Bytes) -> Self {
        let cluster = profile.target.cluster.as_ref();
        let served = cluster.and_then(|cluster| cluster.model.clone());
        ModelFacts {
            source: served.or_else(|| cluster.map(|cluster| cluster.image.clone())).unwrap_or_default(),
            bytes,
            header_sha256: String::new(),
            architecture: None,
        }
    }
}

impl ImageFacts {
    /// The image of the first profile that pulled one; a user's own comes before a synthetic one.
    pub(super) fn of(profiles: &[&Profile]) -> Option<Self> {
        let images = profiles.iter().filter_map(|profile| Some((profile, profile.target.image.as_ref()?)));
        let (profile, image) = images.min_by_key(|(_, image)| image.source == ImageSource::Synthetic)?;
        let pulls: Vec<&PullDetail> = (profile.traces.iter())
            .filter(|trace| trace.scope == Scope::Pull && trace.total().is_some() && trace.mark().is_none())
            .flat_map(|trace| &trace.readings)
            .filter_map(|reading| match &reading.detail {
                Some(Detail::Pull(pull)) => Some(pull),
                _ => None,
            })
            .collect();
        let rate = |amount: fn(&PullDetail) -> Option<Bytes>, time: fn(&PullDetail) -> Nanos| {
            let sums = pulls.iter().filter_map(|pull| Some((amount(pull)?.get(), time(pull))));
            let (bytes, time) = sums.fold((0, Nanos::ZERO), |(bytes, time), (more, longer)| {
                (bytes + more, time.saturating_add(longer))
            });
            Work::Bytes(Bytes::new(bytes)).rate(time).filter(|rate| *rate > 0.0)
        };
        let keys = profile.of_phase(Phase::ImagePull).filter(|row| row.outcome.as_measured().is_some());
        let formula = "sizes as the engine and the registry told them; rates = bytes ÷ time, summed over the pulls; share = time in which a pull waited \
                       for unpacking only ÷ time of the pulls";
        let basis = Basis::measured(formula, keys.map(|row| row.key.clone()), pulls.len());
        let waited = pulls.iter().map(|pull| pull.critical_path.extract_ns.as_secs_f64()).sum::<f64>();
        let whole = pulls.iter().map(|pull| pull.total_ns.as_secs_f64()).sum::<f64>();
        Some(ImageFacts {
            basis,
            reference: image.reference.clone(),
            synthetic: image.source == ImageSource::Synthetic,
            compressed_bytes: image.compressed_bytes,
            unpacked_bytes: image.unpacked_bytes,
            codec: codec(profile, &pulls),
            pull_bytes_per_s: rate(|pull| pull.downloaded_bytes, |pull| pull.total_ns),
            unpack_bytes_per_s: rate(|pull| pull.unpacked_bytes, |pull| pull.busy.extract_ns),
            unpack_share: (whole > 0.0).then(|| (waited / whole).clamp(0.0, 1.0)),
        })
    }
}

/// How the layers are compressed: by their media types, else by the key of the pull.
fn codec(profile: &Profile, pulls: &[&PullDetail]) -> Option<String> {
    let types: BTreeSet<&str> = (pulls.iter().flat_map(|pull| &pull.layers))
        .filter_map(|layer| layer.media_type.as_deref())
        .map(|kind| if kind.ends_with("zstd") { "zstd" } else { "gzip" })
        .collect();
    if types.len() == 1 {
        return types.into_iter().next().map(str::to_owned);
    }
    let mut rows = profile.of_phase(Phase::ImagePull);
    rows.find_map(|row| row.key.params.get("codec").map(str::to_owned))
}

/// The best reading of every limit over the profiles of a class; limits of reading for each storage.
pub(super) fn limits(profiles: &[&Profile]) -> Vec<LimitRate> {
    let mut best: Vec<LimitRate> = Vec::new();
    for profile in profiles {
        for limit in &profile.limits {
            let Some((samples, _)) = limit.outcome.as_measured() else { continue };
            let Some(per_s) = samples.included().into_iter().min().and_then(|least| limit.work.rate(least))
            else {
                continue;
            };
            let read = matches!(limit.kind, LimitKind::DirectRead | LimitKind::CachedRead);
            let storage = read.then(|| storage_of(profile));
            let basis = Basis {
                n: Some(samples.included().len()),
                ..Basis::of(format!("the best reading of limit `{}`", limit.kind))
            };
            let basis = basis.input("read with", Quantity::Text(limit.params.to_string()));
            let found = LimitRate {
                kind: limit.kind,
                params: limit.params.clone(),
                storage,
                per_s: Figure::new(per_s, basis),
            };
            let dtype = |rate: &LimitRate| rate.params.get("dtype").map(str::to_owned);
            let same = |known: &&mut LimitRate| {
                (known.kind, &known.storage, dtype(known)) == (found.kind, &found.storage, dtype(&found))
            };
            match best.iter_mut().find(same) {
                Some(known) if known.per_s.value >= found.per_s.value => {}
                Some(known) => *known = found,
                None => best.push(found),
            }
        }
    }
    best.sort_by(|a, b| (a.kind, &a.storage).cmp(&(b.kind, &b.storage)));
    best
}

/// The key under which a phase was skipped or failed, and why; for refusals that name it.
pub(super) fn why_missing(profiles: &[&Profile], phase: Phase) -> String {
    use coldstart_profiles::Outcome;
    let rows = profiles.iter().flat_map(|profile| profile.of_phase(phase));
    let reason = rows.filter_map(|row| match &row.outcome {
        Outcome::Skipped { why } => Some(format!("skipped: {why}")),
        Outcome::Failed { why } => Some(format!("failed: {why}")),
        Outcome::Measured { .. } => None,
    });
    reason.into_iter().next().unwrap_or_else(|| "the profile has no row of it".to_owned())
}

/// The key of a whole cold start: that of its last phase, with the conditions of the traces.
pub(super) fn total_key(kind: &str, ends_with: Phase, params: &Params) -> Key {
    Key::host(ends_with, params.clone().with("total", kind))
}
