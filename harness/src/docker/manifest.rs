//! The manifest of an image, read from its registry without the engine: layers' sizes and types, platforms.

use std::time::Duration;

use coldstart_profiles::Bytes;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{OciDescriptor, OciImageIndex, OciImageManifest, OciManifest};
use oci_client::{Client, RegistryOperation};

use super::credentials::Credentials;
use super::engine::EngineInfo;
use super::error::{DockerError, innermost};
use super::reference::ImageRef;

/// How long a registry may take for its manifests, all requests together.
const LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// More layers than engines accept (overlayfs takes 128): a manifest with more is not believed.
const MOST_LAYERS: usize = 1024;

/// The manifest of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The layers, lowest first.
    pub layers: Vec<ManifestLayer>,
}

/// A layer as a manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestLayer {
    /// The digest of the compressed layer: `sha256:…`.
    pub digest: String,
    /// The media type, which names the compression.
    pub media_type: String,
    /// The compressed size.
    pub size: Bytes,
}

impl ManifestLayer {
    /// The engine's short name: the first twelve digits of the digest.
    pub fn short_id(&self) -> String {
        self.hex().chars().take(12).collect()
    }

    /// Whether an engine's short name means this layer.
    pub fn digest_starts_with(&self, id: &str) -> bool {
        id.len() >= 12 && self.hex().starts_with(id)
    }

    fn hex(&self) -> &str {
        self.digest.split_once(':').map_or(self.digest.as_str(), |(_, hex)| hex)
    }
}

impl Manifest {
    /// Whether a layer is compressed with zstd.
    pub fn has_zstd(&self) -> bool {
        self.layers.iter().any(|layer| layer.media_type.ends_with("zstd"))
    }

    /// Checks an untrusted manifest.
    fn checked(manifest: OciImageManifest) -> Result<Self, String> {
        if manifest.layers.len() > MOST_LAYERS {
            return Err(format!("the manifest lists {} layers", manifest.layers.len()));
        }
        let layer = |layer: OciDescriptor| {
            let size = u64::try_from(layer.size)
                .map_err(|_| format!("the manifest lists a size of {}", layer.size))?;
            Ok(ManifestLayer { digest: layer.digest, media_type: layer.media_type, size: Bytes::new(size) })
        };
        Ok(Manifest { layers: manifest.layers.into_iter().map(layer).collect::<Result<_, String>>()? })
    }
}

/// What the registry said when it was asked from here.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The manifest of the engine's platform.
    Manifest(Manifest),
    /// There is an index, and the engine's platform is not in it.
    NoSuchPlatform(DockerError),
    /// The registry refuses these credentials, or has no such image. The engine gets to try nevertheless: it may know a
    /// mirror, or hold a token.
    Refused(DockerError),
    /// It could not be asked from here, or answered with something strange; the engine may have more luck.
    Unknown(String),
}

/// Asks the registry for the manifest of the engine's platform.
pub(crate) async fn ask(image: &ImageRef, credentials: &Credentials, engine: &EngineInfo) -> Asked {
    match tokio::time::timeout(LIMIT, fetch(image, credentials, engine)).await {
        Ok(asked) => asked,
        Err(_) => Asked::Unknown(format!("the registry did not answer within {} s", LIMIT.as_secs())),
    }
}

async fn fetch(image: &ImageRef, credentials: &Credentials, engine: &EngineInfo) -> Asked {
    let Some(auth) = credentials.for_registry() else {
        return Asked::Unknown("an identity token is for the engine alone".to_owned());
    };
    let registry = image.registry().to_owned();
    let plain = image.is_on_loopback() || engine.insecure_registries.contains(&registry);
    let client = Client::new(ClientConfig {
        protocol: if plain { ClientProtocol::HttpsExcept(vec![registry]) } else { ClientProtocol::Https },
        connect_timeout: Some(CONNECT_LIMIT),
        user_agent: concat!("coldstart/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    });
    let reference = image.as_reference();
    if let Err(error) = client.auth(reference, &auth, RegistryOperation::Pull).await {
        return refusal(image, error);
    }
    let index = match client.pull_manifest(reference, &auth).await {
        Ok((OciManifest::Image(manifest), _)) => return checked(manifest),
        Ok((OciManifest::ImageIndex(index), _)) => index,
        Err(error) => return refusal(image, error),
    };
    let Some(digest) = pick(&index, engine) else {
        return Asked::NoSuchPlatform(DockerError::NoSuchPlatform {
            reference: image.to_string(),
            wanted: format!("{}/{}", engine.os, engine.arch),
            present: platforms(&index),
        });
    };
    match client.pull_manifest(&reference.clone_with_digest(digest), &auth).await {
        Ok((OciManifest::Image(manifest), _)) => checked(manifest),
        Ok((OciManifest::ImageIndex(_), _)) => Asked::Unknown("the index lists another index".to_owned()),
        Err(error) => refusal(image, error),
    }
}

fn checked(manifest: OciImageManifest) -> Asked {
    match Manifest::checked(manifest) {
        Ok(manifest) => Asked::Manifest(manifest),
        Err(why) => Asked::Unknown(why),
    }
}

/// The first entry for the engine's system and architecture, as engines choose it.
fn pick(index: &OciImageIndex, engine: &EngineInfo) -> Option<String> {
    index
        .manifests
        .iter()
        .find(|entry| {
            entry.platform.as_ref().is_some_and(|platform| {
                platform.os.to_string() == engine.os && platform.architecture.to_string() == engine.arch
            })
        })
        .map(|entry| entry.digest.clone())
}

/// The platforms of an index; attestations, which say `unknown/unknown`, are left out.
fn platforms(index: &OciImageIndex) -> Vec<String> {
    let mut names: Vec<String> = index
        .manifests
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .map(|platform| {
            let variant =
                platform.variant.as_deref().map(|variant| format!("/{variant}")).unwrap_or_default();
            format!("{}/{}{variant}", platform.os, platform.architecture)
        })
        .filter(|name| name != "unknown/unknown")
        .collect();
    names.sort();
    names.dedup();
    names
}

fn refusal(image: &ImageRef, error: OciDistributionError) -> Asked {
    let (reference, registry) = (image.to_string(), image.registry().to_owned());
    match error {
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            Asked::Refused(DockerError::Unauthorized { reference, registry })
        }
        OciDistributionError::ImageManifestNotFoundError(_) => {
            Asked::Refused(DockerError::NotFound { reference, registry })
        }
        OciDistributionError::ServerError { code: 404, .. } => {
            Asked::Refused(DockerError::NotFound { reference, registry })
        }
        OciDistributionError::RegistryError { envelope, .. } => {
            let has =
                |codes: &[OciErrorCode]| envelope.errors.iter().any(|error| codes.contains(&error.code));
            if has(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]) {
                Asked::Refused(DockerError::NotFound { reference, registry })
            } else if has(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
                Asked::Refused(DockerError::Unauthorized { reference, registry })
            } else {
                Asked::Unknown(format!("the registry answered this program: {envelope}"))
            }
        }
        other => Asked::Unknown(format!("the registry could not be asked from here: {}", innermost(&other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[(&str, &str, Option<&str>)]) -> OciImageIndex {
        let manifests: Vec<serde_json::Value> = platforms
            .iter()
            .map(|(os, architecture, variant)| {
                let mut platform = serde_json::json!({"os": os, "architecture": architecture});
                if let Some(variant) = variant {
                    platform["variant"] = (*variant).into();
                }
                serde_json::json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": format!("sha256:{os}-{architecture}"), "size": 1, "platform": platform,
                })
            })
            .collect();
        serde_json::from_value(serde_json::json!({"schemaVersion": 2, "manifests": manifests})).unwrap()
    }

    #[test]
    fn platforms_are_named_once_and_attestations_left_out() {
        let index = index(&[
            ("linux", "arm64", Some("v8")),
            ("linux", "amd64", None),
            ("linux", "amd64", None),
            ("unknown", "unknown", None),
        ]);
        assert_eq!(platforms(&index), ["linux/amd64", "linux/arm64/v8"]);
    }

    #[test]
    fn sizes_are_checked() {
        let layer = |size: i64| OciDescriptor { size, ..OciDescriptor::default() };
        let manifest = |layers| OciImageManifest { layers, ..OciImageManifest::default() };
        assert!(Manifest::checked(manifest(vec![layer(-1)])).unwrap_err().contains("-1"));
        assert!(Manifest::checked(manifest(vec![layer(1); MOST_LAYERS + 1])).is_err());
        assert_eq!(Manifest::checked(manifest(vec![layer(7)])).unwrap().layers[0].size, Bytes::new(7));
    }

    #[test]
    fn short_ids_must_be_long_enough_to_mean_something() {
        let layer = ManifestLayer {
            digest: "sha256:5dd044557d82aa".into(),
            media_type: String::new(),
            size: Bytes::ZERO,
        };
        assert_eq!(layer.short_id(), "5dd044557d82");
        assert!(layer.digest_starts_with("5dd044557d82"));
        assert!(!layer.digest_starts_with("5dd0"));
        assert!(!layer.digest_starts_with("21988383b3ef"));
    }
}
