//! KServe's LocalModelCache (<https://kserve.github.io/website/docs/model-serving/generative-inference/modelcache/localmodel>): weights on
//! the disks of node groups before a replica needs them.

use coldstart_decisions::{Basis, Quantity};
use coldstart_profiles::{Phase, Profile};
use serde_json::json;

use super::kubernetes::{Annotations, explained, is_object_name, manifest, object_name};
use super::{ExportError, ExportSettings, Exported};

const NAME: &str = "local-model-cache";
const API_VERSION: &str = "serving.kserve.io/v1alpha1";
const MIB: u64 = 1 << 20;

/// A cluster-wide object. The size is that of the tensors, rounded up to whole MiB, and 64 MiB for tokenizer and headers.
pub(super) fn export(
    name: &str,
    profile: &Profile,
    settings: &ExportSettings,
) -> Result<Exported, ExportError> {
    let Some(model) = &profile.target.model else {
        return Err(ExportError::missing(NAME, (name, profile), Phase::WeightsLoad));
    };
    let uri = settings.model_uri.as_deref();
    let uri =
        uri.ok_or(ExportError::NeedsFlag { target: NAME, flag: "--model-uri hf://ORGANISATION/MODEL" })?;
    if settings.node_groups.is_empty() {
        return Err(ExportError::NeedsFlag { target: NAME, flag: "--node-groups GROUP,…" });
    }
    if let Some(group) = settings.node_groups.iter().find(|group| !is_object_name(group)) {
        let why =
            format!("`{}` is no name of a LocalModelNodeGroup: give --node-groups", super::error::cut(group));
        return Err(ExportError::Refused { target: NAME, profile: super::error::cut(name), why });
    }
    let mebibytes = model.bytes.get().div_ceil(MIB) + 64;
    let basis = Basis::of("bytes of the tensors, up to whole MiB, + 64 MiB")
        .input("tensors", Quantity::Bytes(model.bytes));
    let annotations =
        Annotations::of(name, profile).with("model-size", &explained(format!("{mebibytes}Mi"), &basis));
    let last = uri.rsplit('/').next().unwrap_or(uri);
    Ok(Exported::File(manifest(&json!({
        "apiVersion": settings.api_version.as_deref().unwrap_or(API_VERSION),
        "kind": "LocalModelCache",
        "metadata": {"name": object_name(last, "model"), "annotations": annotations.into_value()},
        "spec": {
            "sourceModelUri": uri,
            "modelSize": format!("{mebibytes}Mi"),
            "nodeGroups": settings.node_groups,
        },
    }))))
}
