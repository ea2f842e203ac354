//! An image as a registry serves it: layers, configuration, manifest.

use axum::body::Bytes;
use coldstart_profiles as profiles;
use serde_json::{Value, json};

use super::blob::Blob;
use super::compression::Compression;
use super::layer::Layer;
use crate::docker::{Manifest, ManifestLayer};

pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// What an image is made for, in Go's names as manifests have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`.
    pub arch: String,
}

/// An image, complete in memory. Cloning shares its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub(super) manifest: Blob,
    pub(super) config: Blob,
    pub(super) layers: Vec<Blob>,
    pub(super) platform: Platform,
    compression: Compression,
}

impl Image {
    /// An image of these layers, lowest first (OCI image specification, config.md and manifest.md).
    pub(super) fn new(
        platform: &Platform,
        compression: Compression,
        layers: Vec<Layer>,
        command: &[String],
        env: &[String],
    ) -> Self {
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = Blob::new(json_bytes(&json!({
            "architecture": platform.arch,
            "os": platform.os,
            "config": { "Cmd": command, "Env": env, "WorkingDir": "/" },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": layers.iter().map(|_| json!({"created_by": "coldstart"})).collect::<Vec<Value>>(),
        })));
        let descriptor = |blob: &Blob, media_type: &str| json!({ "mediaType": media_type, "digest": blob.digest(), "size": blob.size() });
        let layers: Vec<Blob> = layers.into_iter().map(|layer| layer.blob).collect();
        let manifest = Blob::new(json_bytes(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(&config, CONFIG_TYPE),
            "layers": layers.iter().map(|l| descriptor(l, compression.media_type())).collect::<Vec<Value>>(),
        })));
        Image { manifest, config, layers, platform: platform.clone(), compression }
    }

    /// The digest that engines report after a pull.
    pub fn digest(&self) -> &str {
        self.manifest.digest()
    }

    /// The compressed layers, lowest first.
    pub fn layers(&self) -> &[Blob] {
        &self.layers
    }

    /// How the layers are compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The manifest, as a pull wants it.
    pub fn manifest(&self) -> Manifest {
        let layer = |blob: &Blob| ManifestLayer {
            digest: blob.digest().to_owned(),
            media_type: self.compression.media_type().to_owned(),
            size: profiles::Bytes::new(blob.size()),
        };
        Manifest { layers: self.layers.iter().map(layer).collect() }
    }
}

/// An index of images for several platforms (OCI image specification, image-index.md).
pub(super) fn index(images: &[Image]) -> Blob {
    let entries: Vec<Value> = images
        .iter()
        .map(|image| {
            json!({
                "mediaType": MANIFEST_TYPE, "digest": image.manifest.digest(), "size": image.manifest.size(),
                "platform": { "os": image.platform.os, "architecture": image.platform.arch },
            })
        })
        .collect();
    Blob::new(json_bytes(&json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries })))
}

pub(super) fn json_bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}
