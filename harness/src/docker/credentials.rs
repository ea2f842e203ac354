//! Registry credentials, from the Docker configuration and its helpers. They are never logged, stored or printed.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::secrets::RegistryAuth;

use super::error::DockerError;
use super::reference::ImageRef;

/// The name under which Docker keeps the credentials of its own registry.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// How long a credential helper may take: some ask the user to unlock a key ring.
const HELPER_LIMIT: Duration = Duration::from_secs(60);

/// Credentials for one registry, or none. `Debug` shows only of which kind they are.
#[derive(Clone)]
pub struct Credentials {
    server: String,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Anonymous,
    Password { username: String, password: String },
    IdentityToken(String),
}

impl Credentials {
    /// No credentials.
    pub fn anonymous() -> Self {
        Credentials { server: String::new(), secret: Secret::Anonymous }
    }

    /// A user name and a password for a registry.
    pub fn password(registry: &str, username: &str, password: &str) -> Self {
        Credentials {
            server: registry.to_owned(),
            secret: Secret::Password { username: username.to_owned(), password: password.to_owned() },
        }
    }

    /// Looks in `$DOCKER_CONFIG/config.json`, by default `~/.docker/config.json`, and asks the helpers that it names.
    /// A registry that is not in there is used without credentials; a broken configuration is an error.
    pub async fn for_image(image: &ImageRef) -> Result<Self, DockerError> {
        let config = env::var_os("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".docker")));
        match config {
            Some(directory) => Credentials::from_config(&directory.join("config.json"), image).await,
            None => Ok(Credentials::anonymous()),
        }
    }

    /// Looks in one configuration file.
    pub async fn from_config(config: &Path, image: &ImageRef) -> Result<Self, DockerError> {
        let registry = image.registry().to_owned();
        let server = if registry == "docker.io" { DOCKER_HUB.to_owned() } else { registry.clone() };
        let failed = |why: String| DockerError::Credentials { registry: registry.clone(), why };
        let path = config.to_owned();
        // Helpers are programs: they run, and may hang, on a thread of their own.
        let asking = tokio::task::spawn_blocking({
            let server = server.clone();
            move || read(&path, &server)
        });
        let secret = match tokio::time::timeout(HELPER_LIMIT, asking).await {
            Ok(Ok(secret)) => secret.map_err(failed)?,
            Ok(Err(_)) => return Err(failed("the credential helper could not be asked".to_owned())),
            Err(_) => {
                return Err(failed(format!("the helper did not answer within {} s", HELPER_LIMIT.as_secs())));
            }
        };
        Ok(Credentials { server, secret })
    }

    /// As the engine takes them.
    pub(crate) fn for_engine(&self) -> Option<DockerCredentials> {
        let base =
            DockerCredentials { serveraddress: Some(self.server.clone()), ..DockerCredentials::default() };
        match &self.secret {
            Secret::Anonymous => None,
            Secret::Password { username, password } => Some(DockerCredentials {
                username: Some(username.clone()),
                password: Some(password.clone()),
                ..base
            }),
            Secret::IdentityToken(token) => {
                Some(DockerCredentials { identitytoken: Some(token.clone()), ..base })
            }
        }
    }

    /// As a registry takes them; `None` for an identity token, which only an engine can exchange.
    pub(crate) fn for_registry(&self) -> Option<RegistryAuth> {
        match &self.secret {
            Secret::Anonymous => Some(RegistryAuth::Anonymous),
            Secret::Password { username, password } => {
                Some(RegistryAuth::Basic(username.clone(), password.clone()))
            }
            Secret::IdentityToken(_) => None,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.secret {
            Secret::Anonymous => "Credentials(none)",
            Secret::Password { .. } => "Credentials(user and password, hidden)",
            Secret::IdentityToken(_) => "Credentials(identity token, hidden)",
        })
    }
}

/// Reads the configuration and asks its helpers; the error text repeats nothing of what a helper said.
fn read(config: &Path, server: &str) -> Result<Secret, String> {
    let file = match File::open(config) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Secret::Anonymous),
        Err(error) => return Err(format!("{}: {error}", config.display())),
    };
    match docker_credential::get_credential_from_reader(BufReader::new(file), server) {
        Ok(DockerCredential::IdentityToken(token)) => Ok(Secret::IdentityToken(token)),
        Ok(DockerCredential::UsernamePassword(username, password)) => {
            Ok(Secret::Password { username, password })
        }
        Err(error) => match error {
            CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound => {
                Ok(Secret::Anonymous)
            }
            // The helpers' protocol: exit 1 and this sentence when there is nothing for the server.
            CredentialRetrievalError::HelperFailure { stdout, .. }
                if stdout.trim() == "credentials not found in native keychain" =>
            {
                Ok(Secret::Anonymous)
            }
            CredentialRetrievalError::HelperFailure { helper, .. } => Err(format!("{helper} failed")),
            CredentialRetrievalError::HelperCommunicationError => {
                Err(format!("the credential helper that {} names can't be run", config.display()))
            }
            CredentialRetrievalError::MalformedHelperResponse => {
                Err(format!("the credential helper that {} names gave no credentials", config.display()))
            }
            CredentialRetrievalError::ConfigReadError => {
                Err(format!("{} is not valid JSON", config.display()))
            }
            CredentialRetrievalError::CredentialDecodingError
            | CredentialRetrievalError::CredentialMismatchError => {
                Err(format!("the entry in {} can't be decoded", config.display()))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn look(config: &str, image: &str) -> Result<Credentials, DockerError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        Credentials::from_config(&path, &image.parse().unwrap()).await
    }

    #[tokio::test]
    async fn passwords_tokens_and_none() {
        // "ann:s3cret" in base64
        let config = r#"{"auths":{"ghcr.io":{"auth":"YW5uOnMzY3JldA=="},
            "https://index.docker.io/v1/":{"auth":"YW5uOnMzY3JldA=="},
            "token.example":{"identitytoken":"t0ken"}}}"#;
        for image in ["ghcr.io/a/b", "ubuntu"] {
            let found = look(config, image).await.unwrap();
            assert_eq!(found.for_engine().unwrap().password.as_deref(), Some("s3cret"), "{image}");
            assert!(found.for_registry().is_some());
        }
        let token = look(config, "token.example/a").await.unwrap();
        assert_eq!(token.for_engine().unwrap().identitytoken.as_deref(), Some("t0ken"));
        assert!(token.for_registry().is_none());
        let none = look(config, "quay.io/a/b").await.unwrap();
        assert!(none.for_engine().is_none());
        let missing =
            Credentials::from_config(Path::new("/nonexistent/config.json"), &"x".parse().unwrap()).await;
        assert!(missing.unwrap().for_engine().is_none());
    }

    #[tokio::test]
    async fn nothing_secret_is_ever_printed() {
        let config =
            r#"{"auths":{"ghcr.io":{"auth":"YW5uOnMzY3JldA=="},"token.example":{"identitytoken":"t0ken"}}}"#;
        for image in ["ghcr.io/a/b", "token.example/a"] {
            let text = format!("{:?}", look(config, image).await.unwrap());
            assert!(text.contains("hidden") && !text.contains("s3cret") && !text.contains("t0ken"), "{text}");
            assert!(!text.contains("ann"), "{text}");
        }
        for (config, says) in [
            (r#"{"auths":{"ghcr.io":{"auth":"bm9jb2xvbg=="}}}"#, "can't be decoded"),
            (r#"{"auths":"#, "not valid JSON"),
            (r#"{"credHelpers":{"ghcr.io":"coldstart-test-no-such-helper"}}"#, "can't be run"),
        ] {
            let error = look(config, "ghcr.io/a/b").await.unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("docker login ghcr.io"), "{error}");
            assert!(!error.contains("bm9jb2xvbg"), "{error}");
        }
    }
}
