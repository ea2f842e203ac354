//! Whether two profiles can be compared at all: what must be the same, and what was not.

use coldstart_profiles::{Profile, RunState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// Every field by which two profiles can't be compared; none for comparable ones.
///
/// The same must be: the format's major version, the method, the model (by the hash of its headers, which fixes tensors,
/// shapes and dtypes), the device (kind, product, count, driver's major version, implementation of products), the
/// processor and its number of cores where the host is the device, and the image where a user's own is pulled. Conditions of
/// single measurements (staging, page cache, batch) are part of their keys: they are compared key by key.
pub fn differences(baseline: &Profile, new: &Profile) -> Vec<Difference> {
    fields(baseline)
        .into_iter()
        .zip(fields(new))
        .filter(|((_, baseline), (_, new))| baseline != new)
        .map(|((field, baseline), (_, new))| Difference { field: field.to_owned(), baseline, new })
        .collect()
}

/// Names and values of what must be the same.
fn fields(profile: &Profile) -> Vec<(&'static str, String)> {
    let absent = || "none".to_owned();
    let (device, host) = (&profile.target.device, &profile.target.host);
    let model = profile.target.model.as_ref();
    let image = profile.target.image.as_ref();
    let on_host = device.kind == "host";
    vec![
        ("format.major", profile.format.major.to_string()),
        ("tool.method", profile.tool.method.to_string()),
        ("target.model.header_sha256", model.map_or_else(absent, |model| model.header_sha256.clone())),
        ("target.device.kind", device.kind.clone()),
        ("target.device.name", device.name.clone()),
        ("target.device.count", device.count.to_string()),
        ("target.device.driver (major)", device.driver.as_deref().map_or_else(absent, major)),
        ("target.device.gemm", device.gemm.clone()),
        ("target.device.stand_in", device.stand_in.to_string()),
        ("target.host.cores", if on_host { host.cores.to_string() } else { absent() }),
        ("target.image.reference", image.map_or_else(absent, |image| image.reference.clone())),
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
