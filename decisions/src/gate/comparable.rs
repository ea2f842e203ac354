//! Whether two profiles can be compared at all: what must be the same, and what was not.

use coldstart_profiles::{EngineTarget, ImageSource, Nanos, Phase, Profile, Replay, RunState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::series::{Metric, SeriesKey};

/// A field that must be the same on both sides and is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The field, as it stands in the profile.
    pub field: String,
    /// What it is in the baseline.
    pub baseline: String,
    /// What it is in the new profile.
    pub new: String,
}

/// `target.engine.storage` in backquotes, and what it is on either side.
impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` differs: {} in the baseline, {} here", self.field, self.baseline, self.new)
    }
}

/// A field's name in the profile, and its value.
pub(super) type Field = (&'static str, String);

/// Every field by which nothing of two profiles can be compared; none for comparable ones.
///
/// The same must be: the format's major version, the method, the model (by the hash of its headers, which fixes tensors,
/// shapes and dtypes), the device (kind, product, count, driver's major version, implementation of products), and the
/// processor's number of cores where the host is the device. What matters to some keys only (engine, image, file system) is
/// asked key by key by [`key_differences`], and conditions of single measurements (staging, page cache, batch) are part of
/// their keys.
pub fn differences(baseline: &Profile, new: &Profile) -> Vec<Difference> {
    let mut found = differing(fields(baseline), fields(new));
    // A hash says nothing to a reader: the model's name stands before its beginning.
    for difference in found.iter_mut().filter(|difference| difference.field == HEADER) {
        for (profile, value) in [(baseline, &mut difference.baseline), (new, &mut difference.new)] {
            if let Some(model) = &profile.target.model {
                let hash: String = model.header_sha256.chars().take(12).collect();
                *value = cut(format!("{} ({hash})", model.source));
            }
        }
    }
    found
}

/// The hash of the headers of a model's files.
const HEADER: &str = "target.model.header_sha256";

/// Every field by which `key` can't be compared between two profiles that can be compared otherwise.
///
/// - pulls and container starts, with what they are part of: the engine's version down to its minor number, its storage driver,
///   and whether it is on this machine; of container starts also the image. Pulls have a user's image in their key; of a
///   synthetic one the compressibility counts.
/// - loading weights, with what it is part of: the file system that the model lies on.
/// - whatever a GPU's host takes part in: its processor and cores. It opens libraries, compiles and loads kernels, reads files,
///   launches each kernel of a pass, and both clocks of a pass run until its output was read back. Only a decode step that is
///   replayed as one graph leaves so little to it that a long one is the same on any host (`HOST_IS_SMALL`).
///
/// Sides that don't know a field (no engine in reach, no model) have nothing to be compared either.
pub fn key_differences(baseline: &Profile, new: &Profile, key: &SeriesKey) -> Vec<Difference> {
    let of_host = [baseline, new].iter().any(|profile| depends_on_host(profile, key));
    let fields = |profile| {
        let mut fields = fields_of_key(profile, key);
        if of_host {
            fields.extend(host(profile));
        }
        fields
    };
    differing(fields(baseline), fields(new))
}

fn differing(baseline: Vec<Field>, new: Vec<Field>) -> Vec<Difference> {
    baseline
        .into_iter()
        .zip(new)
        .filter(|((_, baseline), (_, new))| baseline != new)
        .map(|((field, baseline), (_, new))| Difference {
            field: field.to_owned(),
            baseline: cut(baseline),
            new: cut(new),
        })
        .collect()
}

/// Longer values are quoted only so far: a name of megabytes must not fill a verdict many times over.
const LONGEST: usize = 300;

/// A value as it is quoted.
pub(super) fn cut(value: String) -> String {
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… (cut)", &value[..end]),
        None => value,
    }
}

fn absent() -> String {
    "none".to_owned()
}

/// Names and values of what must be the same for one key; of the same length and order for devices of one kind.
fn fields_of_key(profile: &Profile, key: &SeriesKey) -> Vec<Field> {
    let in_container = key.is_of_container();
    let is_total = key.metric == Metric::Total;
    let target = &profile.target;
    let mut fields: Vec<Field> = Vec::new();
    if matches!(key.phase, Phase::ImagePull | Phase::ContainerStart) || in_container {
        fields.extend(engine(target.engine.as_ref()));
    }
    if key.phase == Phase::ContainerStart || in_container {
        let image = target.image.as_ref();
        fields.push(("target.image.reference", image.map_or_else(absent, |image| image.reference.clone())));
    }
    if key.phase == Phase::ImagePull {
        let image = profile.plan.image.as_ref().filter(|image| image.source == ImageSource::Synthetic);
        let synthetic = image.and_then(|image| image.synthetic.as_ref());
        fields.push((
            "plan.image.synthetic.compressibility",
            synthetic.map_or_else(absent, |image| image.compressibility.to_string()),
        ));
    }
    if key.phase == Phase::WeightsLoad || is_total {
        let file_system = target.model.as_ref().and_then(|model| model.file_system.clone());
        fields.push(("target.model.file_system", file_system.unwrap_or_else(absent)));
    }
    fields
}

/// From this length on a replayed step is the same on any host: one launch, two waits and the tokens that are read back take tens
/// of microseconds, and what another processor makes of them is less than the 5 % that a gate tells apart.
const HOST_IS_SMALL: Nanos = Nanos::from_millis(1);

/// Whether the processor beside a device has a part in what was measured. Of the host device itself all is said by the fields of the
/// profile.
fn depends_on_host(profile: &Profile, key: &SeriesKey) -> bool {
    let replayed = || {
        profile.throughput.iter().any(|point| {
            let row = profile.measurements.iter().find(|row| row.key == point.key);
            let summary = row.and_then(|row| Some(row.outcome.as_measured()?.1));
            point.key.params == key.params
                && point.replay == Some(Replay::Replayed)
                && summary.is_some_and(|summary| summary.p50_ns >= HOST_IS_SMALL)
        })
    };
    profile.target.device.kind != "host" && !(key.phase == Phase::Throughput && replayed())
}

/// The processor and its cores.
fn host(profile: &Profile) -> [Field; 2] {
    let host = &profile.target.host;
    [("target.host.cpu", host.cpu.clone()), ("target.host.cores", host.cores.to_string())]
}

/// What a pull or a container start depends on. A patch release of the engine is no other engine.
fn engine(engine: Option<&EngineTarget>) -> [Field; 3] {
    let of = |value: fn(&EngineTarget) -> String| engine.map_or_else(absent, value);
    [
        ("target.engine.version", of(|engine| minor(&engine.version))),
        ("target.engine.storage", of(|engine| engine.storage.clone())),
        ("target.engine.local", of(|engine| engine.local.to_string())),
    ]
}

/// `20.10` of `20.10.24+dfsg1`.
pub(super) fn minor(version: &str) -> String {
    version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

/// Names and values of what must be the same.
pub(super) fn fields(profile: &Profile) -> Vec<Field> {
    let (device, host) = (&profile.target.device, &profile.target.host);
    let model = profile.target.model.as_ref();
    let on_host = device.kind == "host";
    vec![
        ("format.major", profile.format.major.to_string()),
        ("tool.method", profile.tool.method.to_string()),
        (HEADER, model.map_or_else(absent, |model| model.header_sha256.clone())),
        ("target.device.kind", device.kind.clone()),
        ("target.device.name", device.name.clone()),
        ("target.device.count", device.count.to_string()),
        ("target.device.driver (major)", device.driver.as_deref().map_or_else(absent, major)),
        ("target.device.gemm", device.gemm.clone()),
        ("target.device.stand_in", device.stand_in.to_string()),
        ("target.host.cores", if on_host { host.cores.to_string() } else { absent() }),
    ]
}

/// `535` of `535.104.05`.
fn major(version: &str) -> String {
    version.split('.').next().unwrap_or(version).to_owned()
}

/// Why a profile can't be judged whatever it is compared with; `None` for one that can.
pub fn unusable(profile: &Profile, allow_stand_in: bool) -> Option<String> {
    let state = match profile.state {
        RunState::Complete => None,
        RunState::Partial => Some("partial: continue it with `coldstart run --resume`"),
        RunState::Interrupted => Some("interrupted: continue it with `coldstart run --resume`"),
    };
    match state {
        Some(state) => Some(format!("the run is {state}")),
        None if profile.target.device.stand_in && !allow_stand_in => Some(
            "it was measured on a stand-in driver, so no number means anything: allow it with --allow-stand-in"
                .to_owned(),
        ),
        None => None,
    }
}
