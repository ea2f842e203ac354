//! What can go wrong with an engine, a pull or a container.

use std::time::Duration;

/// Why something asked of an engine did not come about. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// Text that is no image reference.
    #[error("understand `{reference}` as an image: {why}: write [registry/]repository[:tag] or …@sha256:…")]
    Reference {
        /// What was typed.
        reference: String,
        /// What is wrong with it.
        why: String,
    },
    /// The image is on the machine already, so pulling it would measure nothing.
    #[error(
        "pull {reference} cold: it is on this machine already, and coldstart removes no image that it did not pull: \
         run `docker rmi {reference}` yourself, or name another image"
    )]
    AlreadyPresent {
        /// The reference.
        reference: String,
    },
    /// The registry has no such image.
    #[error(
        "pull {reference}: the registry {registry} has no such image, or hides it: check the name and the tag, \
         and run `docker login {registry}` if it is private"
    )]
    NotFound {
        /// The reference.
        reference: String,
        /// The registry's host.
        registry: String,
    },
    /// The registry wants other credentials than these.
    #[error(
        "pull {reference}: the registry {registry} refuses these credentials: run `docker login {registry}`"
    )]
    Unauthorized {
        /// The reference.
        reference: String,
        /// The registry's host.
        registry: String,
    },
    /// The image exists, but not for the engine's platform.
    #[error(
        "pull {reference}: it has no image for {wanted}, only for {}: build it for {wanted}, or measure on a machine of one of these",
        if present.is_empty() { "other platforms".to_owned() } else { present.join(", ") }
    )]
    NoSuchPlatform {
        /// The reference.
        reference: String,
        /// `os/architecture` of the engine.
        wanted: String,
        /// The platforms that the index lists.
        present: Vec<String>,
    },
    /// A blob is not what its digest says.
    #[error(
        "pull {reference}: a layer's content does not match its digest ({message}): push the image again, \
         or look for a proxy that changes what it passes on"
    )]
    WrongDigest {
        /// The reference.
        reference: String,
        /// The engine's words.
        message: String,
    },
    /// The registry answered, and stopped answering in the middle of the pull.
    #[error(
        "pull {reference}: the registry {registry} broke off in the middle ({message}): try again when it is well"
    )]
    RegistryDied {
        /// The reference.
        reference: String,
        /// The registry's host.
        registry: String,
        /// The engine's words.
        message: String,
    },
    /// The engine can't reach the registry.
    #[error(
        "pull {reference}: the engine can't reach the registry {registry} ({message}): check its name, the network \
         and the engine's proxy"
    )]
    RegistryUnreachable {
        /// The reference.
        reference: String,
        /// The registry's host.
        registry: String,
        /// The engine's words.
        message: String,
    },
    /// The engine went away while something was under way.
    #[error(
        "{action}: the engine stopped in the middle ({message}): start it again; what the broken pull left behind \
         is removed by the next cleanup, or by `docker rmi`"
    )]
    EngineStopped {
        /// What was under way.
        action: String,
        /// How that showed.
        message: String,
    },
    /// Any other refusal of a pull.
    #[error("pull {reference}: the engine says: {message}")]
    PullRefused {
        /// The reference.
        reference: String,
        /// The engine's words.
        message: String,
    },
    /// The time limit was reached.
    #[error("{action} within {} s{hint}: raise the limit, or look at why it takes so long", limit.as_secs_f64())]
    TimeLimit {
        /// What was under way.
        action: String,
        /// The limit.
        limit: Duration,
        /// What was seen last, in brackets; may be empty.
        hint: String,
    },
    /// Somebody asked to stop.
    #[error("{action}: it was interrupted")]
    Cancelled {
        /// What was under way.
        action: String,
    },
    /// The credentials could not be read. The helper's words are not repeated: they may hold secrets.
    #[error("read the credentials for {registry}: {why}: run `docker login {registry}`")]
    Credentials {
        /// The registry's host.
        registry: String,
        /// What is wrong, without any secret.
        why: String,
    },
    /// A container ended without success.
    #[error("run the container: it ended with code {exit_code}{}: {stderr}", if *out_of_memory { " (out of memory)" } else { "" })]
    ContainerFailed {
        /// The exit code.
        exit_code: i64,
        /// Whether the kernel ended it for lack of memory.
        out_of_memory: bool,
        /// The end of its standard error.
        stderr: String,
    },
    /// The program in the container did not say when it began.
    #[error(
        "read the first line of the container: it should be {{\"monotonic_ns\":…}} and is `{line}`: the image must \
         carry this version of coldstart"
    )]
    Handshake {
        /// The line, cut short.
        line: String,
    },
    /// Something is not this run's to remove.
    #[error("remove {name}: it is not what this run made, so it stays")]
    NotOurs {
        /// The image's or container's name.
        name: String,
    },
    /// An image of which nobody can tell whose it is.
    #[error(
        "tell whose the image {name} is: it came to be on this machine while coldstart's pull of it broke off, and stays: \
         run `docker rmi {name}` if nobody else pulled it"
    )]
    Unclear {
        /// The image's name.
        name: String,
    },
    /// Any other answer of the engine.
    #[error("{action}: {source}")]
    Engine {
        /// What was asked.
        action: String,
        /// The client library's error.
        source: bollard::errors::Error,
    },
}

impl DockerError {
    /// Makes an error of the client library one of ours, with what was asked.
    pub(crate) fn engine(action: impl Into<String>) -> impl FnOnce(bollard::errors::Error) -> DockerError {
        let action = action.into();
        move |source| {
            if connection_lost(&source) {
                DockerError::EngineStopped { action, message: innermost(&source) }
            } else {
                DockerError::Engine { action, source }
            }
        }
    }
}

/// Whether the connection to the engine broke, rather than the engine refusing something.
pub(crate) fn connection_lost(error: &bollard::errors::Error) -> bool {
    use bollard::errors::Error as E;
    matches!(
        error,
        E::IOError { .. }
            | E::HyperResponseError { .. }
            | E::HyperLegacyError { .. }
            | E::SocketNotFoundError(_)
    )
}

/// The message at the end of the chain of sources: the one with the cause in it.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
