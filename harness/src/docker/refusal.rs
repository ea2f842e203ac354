//! What an engine's words about a failed pull mean. Engines send text, with status codes that say little.

use super::error::DockerError;
use super::reference::ImageRef;

/// Words that say that a registry could not be reached, or no longer.
const NETWORK: &[&str] = &[
    "connection refused",
    "connection reset",
    "broken pipe",
    "no such host",
    "server misbehaving",
    "i/o timeout",
    "TLS handshake",
    "unexpected EOF",
    "dial tcp",
    "context deadline exceeded",
    "request canceled while waiting",
    "server gave HTTP response to HTTPS client",
    "no route to host",
    "network is unreachable",
];
/// Words that additionally mean the registry's failure once it has served a manifest.
const BROKEN_OFF: &[&str] =
    &["EOF", "received unexpected HTTP status", "httpReadSeeker", "unexpected status"];
const WRONG_DIGEST: &[&str] = &[
    "filesystem layer verification failed",
    "unexpected commit digest",
    "does not match digest",
    "failed digest verification",
    "digest mismatch",
    "layers from manifest don't match image configuration",
];
const UNAUTHORIZED: &[&str] = &[
    "no basic auth credentials",
    "unauthorized",
    "authentication required",
    "401 Unauthorized",
    "incorrect username",
];
const NOT_FOUND: &[&str] =
    &["manifest unknown", "not found", "name unknown", "repository name not known", "no such image"];
const NO_PLATFORM: &[&str] =
    &["no matching manifest for", "does not match the specified platform", "no match for platform"];

/// Names an engine's refusal. `began`: whether a layer was told of before; `platform`: what the engine runs.
pub(crate) fn classify(image: &ImageRef, message: &str, began: bool, platform: &str) -> DockerError {
    let (reference, registry) = (image.to_string(), image.registry().to_owned());
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let message = message.trim().to_owned();
    if says(WRONG_DIGEST) {
        DockerError::WrongDigest { reference, message }
    } else if says(NO_PLATFORM) {
        DockerError::NoSuchPlatform { reference, wanted: platform.to_owned(), present: Vec::new() }
    } else if message.contains("context canceled") || message.contains("server is shutting down") {
        DockerError::EngineStopped { action: format!("pull {reference}"), message }
    } else if says(UNAUTHORIZED) {
        DockerError::Unauthorized { reference, registry }
    } else if began && (says(NETWORK) || says(BROKEN_OFF)) {
        DockerError::RegistryDied { reference, registry, message }
    } else if says(NETWORK) {
        DockerError::RegistryUnreachable { reference, registry, message }
    } else if says(NOT_FOUND) || message.contains("pull access denied") {
        // Docker's own registry answers alike for what is private and for what is not there.
        DockerError::NotFound { reference, registry }
    } else {
        DockerError::PullRefused { reference, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words are those of engines 20.10 to 29, most of them seen with the engine of the tests.
    #[test]
    fn engines_words() {
        let image: ImageRef = "127.0.0.1:5055/demo/multi:1".parse().unwrap();
        for (message, began, expected) in [
            (
                "manifest for 127.0.0.1:5055/demo/multi:1 not found: manifest unknown: manifest unknown",
                false,
                "NotFound",
            ),
            ("failed to resolve reference \"x\": x: not found", false, "NotFound"),
            (
                "pull access denied for nope, repository does not exist or may require 'docker login': denied: requested \
                 access to the resource is denied",
                false,
                "NotFound",
            ),
            (
                "Head \"http://127.0.0.1:5055/v2/x/manifests/1\": no basic auth credentials",
                false,
                "Unauthorized",
            ),
            ("unauthorized: authentication required", false, "Unauthorized"),
            ("no matching manifest for linux/amd64 in the manifest list entries", false, "NoSuchPlatform"),
            ("filesystem layer verification failed for digest sha256:2b86", true, "WrongDigest"),
            (
                "failed commit on ref \"layer-sha256:a\": unexpected commit digest sha256:b, expected sha256:a",
                true,
                "WrongDigest",
            ),
            (
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                false,
                "RegistryUnreachable",
            ),
            ("Get \"https://x/v2/\": dial tcp: lookup x: no such host", false, "RegistryUnreachable"),
            (
                "Get \"http://127.0.0.1:5055/v2/\": dial tcp 127.0.0.1:5055: connect: connection refused",
                true,
                "RegistryDied",
            ),
            ("unexpected EOF", true, "RegistryDied"),
            ("received unexpected HTTP status: 503 Service Unavailable", true, "RegistryDied"),
            ("context canceled", true, "EngineStopped"),
            ("failed to register layer: write /x: no space left on device", true, "PullRefused"),
        ] {
            let error = classify(&image, message, began, "linux/amd64");
            let name = format!("{error:?}");
            assert!(name.starts_with(expected), "{message}: {name}");
            assert!(error.to_string().contains("127.0.0.1:5055/demo/multi:1"), "{error}");
        }
    }
}
