//! OpenKruise's ImagePullJob (<https://openkruise.io/docs/user-manuals/imagepulljob>): the image on the nodes before a replica needs it.

use coldstart_decisions::rollout::{largest_pull, pull_timeout_s};
use coldstart_profiles::{ImageSource, Phase, Profile};
use serde_json::{Map, Value, json};

use super::kubernetes::{Annotations, explained, manifest, metadata, object_name};
use super::{ExportError, ExportSettings, Exported};

const NAME: &str = "image-pull-job";
const API_VERSION: &str = "apps.kruise.io/v1beta1";

/// A job that pulls the profile's image on the nodes that are meant; an attempt is given up after twice the measured pull.
pub(super) fn export(
    name: &str,
    profile: &Profile,
    settings: &ExportSettings,
) -> Result<Exported, ExportError> {
    let image = profile.target.image.as_ref().filter(|image| image.source == ImageSource::Reference);
    let (Some(image), Some(pull)) = (image, largest_pull(profile)) else {
        return Err(match &profile.target.image {
            Some(image) if image.source == ImageSource::Synthetic => ExportError::Refused {
                target: NAME,
                profile: super::error::cut(name),
                why: "its `image_pull` is of a synthetic image, which says how this engine unpacks and nothing of a pull of yours: \
                      measure with `coldstart run --image REF`"
                    .to_owned(),
            },
            _ => ExportError::missing(NAME, (name, profile), Phase::ImagePull),
        });
    };
    if !is_reference(&image.reference) {
        let why = format!(
            "`{}` is no reference of an image that a node could pull",
            super::error::cut(&image.reference)
        );
        return Err(ExportError::Refused { target: NAME, profile: super::error::cut(name), why });
    }
    let timeout = pull_timeout_s(&pull);
    let annotations = Annotations::of(name, profile)
        .with("timeout-seconds", &explained(timeout.value, &timeout.basis))
        .with("pull", &explained(pull.value, &pull.basis));
    let mut spec = json!({
        "image": image.reference,
        "parallelism": settings.parallelism.max(1),
        "imagePullPolicy": "IfNotPresent",
        "completionPolicy": {"type": "Always", "ttlSecondsAfterFinished": 3600},
        "pullPolicy": {"timeoutSeconds": timeout.value, "backoffLimit": 3},
    });
    if !settings.node_selector.is_empty() {
        let labels: Map<String, Value> =
            settings.node_selector.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        spec["selector"] = json!({"matchLabels": labels});
    }
    let repository = image.reference.rsplit('/').next().unwrap_or(&image.reference);
    let object = object_name(&format!("pull {repository}"), "pull-image");
    Ok(Exported::File(manifest(&json!({
        "apiVersion": settings.api_version.as_deref().unwrap_or(API_VERSION),
        "kind": "ImagePullJob",
        "metadata": metadata(&object, settings, annotations),
        "spec": spec,
    }))))
}

/// Whether a node takes this as the name of an image: registry, path, tag, digest, and nothing that would end a name.
fn is_reference(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@[]".contains(c);
    !text.is_empty()
        && text.len() <= 1024
        && text.chars().all(plain)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
}
