//! Finding an engine, agreeing on a version of its API, and what kind of engine it is.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use bollard::{API_DEFAULT_VERSION, Docker};
use coldstart_profiles::PullDialect;

use super::error::innermost;
use super::owned::Owned;

/// Where an engine listens if DOCKER_HOST does not say otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// How long an engine may take for each answer while it is being looked for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the engine may take for an answer. Pulls and containers have their own limits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// The outcome of looking for an engine. Having none is a finding, not an error.
#[derive(Debug, Clone)]
pub enum Connection {
    /// There is one, and it answers.
    Ready(Engine),
    /// There is none that can be used.
    Absent {
        /// Why, with what would change it.
        why: String,
    },
}

/// An engine that answered, and the list of what this run made in it.
#[derive(Debug, Clone)]
pub struct Engine {
    docker: Docker,
    info: Arc<EngineInfo>,
    owned: Arc<Owned>,
}

/// What kind of engine it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// The address: `unix:///var/run/docker.sock`.
    pub host: String,
    /// The engine's version: `20.10.24+dfsg1`.
    pub version: String,
    /// The API version that was agreed on: `1.41`.
    pub api_version: String,
    /// Storage driver or snapshotter: `overlay2`, `overlayfs`.
    pub store: String,
    /// The image store, and with it the dialect of its progress events.
    pub dialect: PullDialect,
    /// Where it keeps images, on its own machine.
    pub root: String,
    /// `linux`.
    pub os: String,
    /// Go's name of the architecture, as in manifests: `amd64`.
    pub arch: String,
    /// Whether it runs on this machine and sees the same loopback address and clock.
    pub locality: Locality,
    /// Whether it unpacks layers that zstd compressed. Docker does from 23.0 on.
    pub takes_zstd: bool,
    /// Whether it knows NVIDIA's runtime, and so can give GPUs to a container.
    pub nvidia: bool,
    /// Registries that it talks plain HTTP to, besides those on loopback addresses.
    pub insecure_registries: Vec<String>,
}

/// Whether an engine runs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locality {
    /// The same kernel, host name and loopback address.
    Local,
    /// Another machine, or another network namespace.
    Remote {
        /// How that shows.
        why: String,
    },
}

impl Engine {
    /// Looks for the engine that DOCKER_HOST names (`unix://` or `tcp://`), by default the one behind
    /// /var/run/docker.sock. `run` marks what is made in it: the label `dev.coldstart.run`.
    pub async fn connect(run: &str) -> Connection {
        let host = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        Engine::connect_to(host.as_deref().unwrap_or(DEFAULT_HOST), run).await
    }

    /// Looks for an engine behind one address.
    pub async fn connect_to(host: &str, run: &str) -> Connection {
        match open(host).await {
            Ok((docker, info)) => {
                Connection::Ready(Engine { docker, info: Arc::new(info), owned: Arc::new(Owned::new(run)) })
            }
            Err(why) => Connection::Absent { why },
        }
    }

    /// What kind of engine it is.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// The client.
    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// What this run made.
    pub(crate) fn owned(&self) -> &Owned {
        &self.owned
    }
}

/// Connects, negotiates and describes; the error says why this engine can't be used.
async fn open(host: &str) -> Result<(Docker, EngineInfo), String> {
    let tls = env::var("DOCKER_TLS_VERIFY").is_ok_and(|value| !value.is_empty());
    let seconds = CONNECT_TIMEOUT.as_secs();
    let docker = if host.starts_with("unix://") {
        Docker::connect_with_unix(host, seconds, API_DEFAULT_VERSION)
    } else if host.starts_with("tcp://") && !tls {
        Docker::connect_with_http(host, seconds, API_DEFAULT_VERSION)
    } else if host.starts_with("tcp://") || host.starts_with("https://") {
        return Err(format!(
            "the engine at {host} wants TLS, which coldstart does not speak: run it on that machine"
        ));
    } else {
        return Err(format!("DOCKER_HOST is {host}: only unix:// and tcp:// addresses are understood"));
    };
    let docker = docker.map_err(|error| unreachable_engine(host, &error))?;
    let docker = docker.negotiate_version().await.map_err(|error| unreachable_engine(host, &error))?;
    let info = describe(&docker, host).await.map_err(|error| unreachable_engine(host, &error))?;
    Ok((docker.with_timeout(REQUEST_TIMEOUT).with_request_modifier(url_safe_auth), info))
}

fn unreachable_engine(host: &str, error: &bollard::errors::Error) -> String {
    format!("no Docker engine answers at {host} ({}): start it, or set DOCKER_HOST", innermost(error))
}

/// Engines read X-Registry-Auth as URL-safe base64 and silently take an undecodable header as "no credentials";
/// the client library writes the standard alphabet, which differs as soon as a password holds `>`, `?` or `~`.
fn url_safe_auth(mut request: bollard::BollardRequest) -> bollard::BollardRequest {
    if let Some(value) = request.headers_mut().get_mut("X-Registry-Auth") {
        let text = String::from_utf8_lossy(value.as_bytes()).replace('+', "-").replace('/', "_");
        if let Ok(mut safe) = HeaderValue::from_str(&text) {
            safe.set_sensitive(true);
            *value = safe;
        }
    }
    request
}

async fn describe(docker: &Docker, host: &str) -> Result<EngineInfo, bollard::errors::Error> {
    let version = docker.version().await?;
    let info = docker.info().await?;
    let driver_status = info.driver_status.unwrap_or_default();
    let containerd = driver_status
        .iter()
        .any(|pair| matches!(pair.as_slice(), [key, value] if key == "driver-type" && value.starts_with("io.containerd.snapshotter")));
    let security = info.security_options.unwrap_or_default();
    let components = version.components.unwrap_or_default();
    let podman = components.iter().any(|component| component.name.contains("Podman"));
    let text = version.version.unwrap_or_default();
    let insecure = info.registry_config.and_then(|config| config.index_configs).unwrap_or_default();
    Ok(EngineInfo {
        host: host.to_owned(),
        takes_zstd: podman || major(&text).is_none_or(|major| major >= 23),
        nvidia: info.runtimes.is_some_and(|runtimes| runtimes.contains_key("nvidia")),
        version: text,
        api_version: docker.client_version().to_string(),
        store: info.driver.unwrap_or_default(),
        dialect: if containerd { PullDialect::Containerd } else { PullDialect::Classic },
        root: info.docker_root_dir.unwrap_or_default(),
        os: version.os.unwrap_or_default(),
        arch: version.arch.unwrap_or_default(),
        locality: locality(
            host,
            &Machine { kernel: info.kernel_version.unwrap_or_default(), name: info.name.unwrap_or_default() },
            &Machine::here(),
            security.iter().any(|option| option.contains("rootless")),
        ),
        insecure_registries: insecure
            .into_iter()
            .filter(|(_, index)| index.secure == Some(false))
            .map(|(name, _)| name)
            .collect(),
    })
}

/// The first number of a version.
fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

/// What tells one machine from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Machine {
    kernel: String,
    name: String,
}

impl Machine {
    fn here() -> Self {
        // What uname(2) says.
        let read = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
            text.trim_end().to_owned()
        };
        Machine { kernel: read("osrelease"), name: read("hostname") }
    }
}

/// Local means: the engine's 127.0.0.1 and CLOCK_MONOTONIC are ours. A virtual machine (Docker Desktop) betrays itself
/// by its kernel, a container that was handed the socket by its host name, a rootless engine by its security options.
fn locality(host: &str, engine: &Machine, here: &Machine, rootless: bool) -> Locality {
    let why = if !host.starts_with("unix://") && !loopback_host(host) {
        format!("the engine is at {host}")
    } else if engine.kernel != here.kernel {
        format!("the engine runs on kernel {}, this process on {}", engine.kernel, here.kernel)
    } else if engine.name != here.name {
        format!("the engine's host is called {}, this one {}", engine.name, here.name)
    } else if rootless {
        "the engine is rootless and has a loopback address of its own".to_owned()
    } else {
        return Locality::Local;
    };
    Locality::Remote { why }
}

fn loopback_host(host: &str) -> bool {
    let address = host.split_once("://").map_or(host, |(_, rest)| rest);
    is_loopback(address.rsplit_once(':').map_or(address, |(name, _)| name))
}

/// Whether a host name or address without a port means this machine.
pub(crate) fn is_loopback(name: &str) -> bool {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locality_is_the_same_kernel_name_and_loopback() {
        let here = Machine { kernel: "6.1".into(), name: "vm".into() };
        let kernel = Machine { kernel: "5.15-linuxkit".into(), ..here.clone() };
        let name = Machine { name: "host".into(), ..here.clone() };
        for (host, engine, rootless, local, says) in [
            ("unix:///var/run/docker.sock", &here, false, true, ""),
            ("tcp://127.0.0.1:2375", &here, false, true, ""),
            ("tcp://[::1]:2375", &here, false, true, ""),
            ("tcp://10.0.0.7:2375", &here, false, false, "10.0.0.7"),
            ("unix:///var/run/docker.sock", &kernel, false, false, "linuxkit"),
            ("unix:///var/run/docker.sock", &name, false, false, "called host"),
            ("unix:///run/user/1000/docker.sock", &here, true, false, "rootless"),
        ] {
            match locality(host, engine, &here, rootless) {
                Locality::Local => assert!(local, "{host} {engine:?}"),
                Locality::Remote { why } => assert!(!local && why.contains(says), "{host}: {why}"),
            }
        }
    }

    #[test]
    fn versions() {
        for (text, number) in
            [("20.10.24+dfsg1", Some(20)), ("v23.0.0-rc.1", Some(23)), ("29.1.2", Some(29)), ("dev", None)]
        {
            assert_eq!(major(text), number, "{text}");
        }
    }

    #[tokio::test]
    async fn no_engine_is_a_finding_with_a_reason() {
        for (host, says) in [
            ("unix:///nonexistent/docker.sock", "/nonexistent/docker.sock"),
            ("tcp://127.0.0.1:1", "start it"),
            ("ssh://somewhere", "only unix:// and tcp://"),
            ("https://somewhere", "TLS"),
        ] {
            match Engine::connect_to(host, "test").await {
                Connection::Absent { why } => assert!(why.contains(says), "{host}: {why}"),
                Connection::Ready(_) => panic!("{host} should not answer"),
            }
        }
    }
}
