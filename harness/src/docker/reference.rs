//! Image references, as users type them and as engines and registries take them.

use std::fmt;
use std::str::FromStr;

use oci_client::Reference;

use super::engine::is_loopback;
use super::error::DockerError;

/// A checked image reference, with its registry, repository and tag or digest filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    reference: Reference,
}

impl ImageRef {
    /// A tag in a repository of a registry.
    pub fn tagged(registry: &str, repository: &str, tag: &str) -> Result<Self, DockerError> {
        format!("{registry}/{repository}:{tag}").parse()
    }

    /// The registry's host, with its port: `docker.io`, `127.0.0.1:5000`.
    pub fn registry(&self) -> &str {
        self.reference.registry()
    }

    /// `registry/repository`, what an engine calls `fromImage`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.reference.registry(), self.reference.repository())
    }

    /// The digest where there is one, else the tag: what an engine calls `tag`.
    pub fn tag_or_digest(&self) -> &str {
        self.reference.digest().or_else(|| self.reference.tag()).unwrap_or("latest")
    }

    /// Whether the registry is on a loopback address, which engines talk plain HTTP to.
    pub fn is_on_loopback(&self) -> bool {
        let registry = self.registry();
        is_loopback(registry.rsplit_once(':').map_or(registry, |(host, _)| host))
    }

    /// The reference as the registry client wants it.
    pub(crate) fn as_reference(&self) -> &Reference {
        &self.reference
    }
}

impl FromStr for ImageRef {
    type Err = DockerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reference = text
            .parse::<Reference>()
            .map_err(|error| DockerError::Reference { reference: text.to_owned(), why: error.to_string() })?;
        Ok(ImageRef { reference })
    }
}

/// `registry/repository:tag` or `registry/repository@sha256:…`.
impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.reference.digest().is_some() { '@' } else { ':' };
        f.pad(&format!("{}{separator}{}", self.name(), self.tag_or_digest()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_filled_in() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, full) in [
            ("ubuntu", "docker.io/library/ubuntu:latest".to_owned()),
            ("ghcr.io/a/b:1", "ghcr.io/a/b:1".to_owned()),
            ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest".to_owned()),
            (&format!("a/b:1@{digest}"), format!("docker.io/a/b@{digest}")),
        ] {
            let parsed: ImageRef = text.parse().unwrap();
            assert_eq!(parsed.to_string(), full, "{text}");
        }
        for text in ["", "Upper/Case", "a b", "x@sha256:12"] {
            assert!(matches!(text.parse::<ImageRef>(), Err(DockerError::Reference { .. })), "{text}");
        }
    }

    #[test]
    fn loopback_registries_are_known() {
        for (text, loopback) in
            [("127.0.0.1:5000/x", true), ("localhost:5000/x", true), ("ghcr.io/x/y", false)]
        {
            assert_eq!(text.parse::<ImageRef>().unwrap().is_on_loopback(), loopback, "{text}");
        }
    }
}
