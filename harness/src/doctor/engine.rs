//! The container engine: whether one answers, how it stores images, and what it lets this user do.

use std::time::Duration;

use bollard::models::ContainerCreateBody;
use coldstart_profiles::{Check, Nanos, PullDialect};

use super::check::Area;
use crate::docker::{Connection, Engine, EngineInfo, Locality};

const AREA: Area = Area::Engine;
/// What the engine is asked to make a container of: no registry can hold it, and creating never pulls.
const NO_SUCH_IMAGE: &str = "coldstart.invalid/doctor:never";
const STARTING: &str = "start Docker or Podman's socket, or set DOCKER_HOST; until then image pulls and container trials are skipped";

/// Asks the engine behind `address`, for at most `timeout` in all.
pub(super) async fn checks(address: Option<&str>, timeout: Duration) -> Vec<Check> {
    match tokio::time::timeout(timeout, ask(address)).await {
        Ok(checks) => checks,
        Err(_) => {
            vec![AREA.missing("engine", format!("no answer within {}", Nanos::from(timeout)), STARTING)]
        }
    }
}

async fn ask(address: Option<&str>) -> Vec<Check> {
    let connection = match address {
        Some(address) => Engine::connect_to(address, "doctor").await,
        None => Engine::connect("doctor").await,
    };
    let engine = match connection {
        Connection::Ready(engine) => engine,
        Connection::Absent { why } => return vec![AREA.missing("engine", why, STARTING)],
    };
    let mut checks = about(engine.info());
    checks.push(containers(&may_create(&engine).await));
    checks
}

/// What follows from what the engine says of itself.
fn about(info: &EngineInfo) -> Vec<Check> {
    let found = format!(
        "version {}, API {}, {}/{}, at {}",
        info.version, info.api_version, info.os, info.arch, info.host
    );
    vec![AREA.ok("engine", found), locality(info), store(info), zstd(info)]
}

fn locality(info: &EngineInfo) -> Check {
    match &info.locality {
        Locality::Local => AREA.ok("place", "on this machine"),
        Locality::Remote { why } => AREA.limited(
            "place",
            format!("{why}: the synthetic image and container trials are skipped"),
            "run coldstart on the engine's machine, outside of containers",
        ),
    }
}

fn store(info: &EngineInfo) -> Check {
    let kind = match info.dialect {
        PullDialect::Containerd => "containerd's image store",
        PullDialect::Classic => "Docker's own image store",
    };
    let found = format!("{} in {kind}, under {}", info.store, info.root);
    match info.store.as_str() {
        "vfs" => AREA.limited(
            "image store",
            format!("{found}: it copies all lower layers for each layer"),
            "use overlay2, which needs a data root on ext4 or on xfs with ftype=1",
        ),
        "fuse-overlayfs" => AREA.limited(
            "image store",
            format!("{found}: files of containers are read through a FUSE daemon"),
            "use overlay2, which needs Linux 5.11 or later without root, and a data root that is no overlay itself",
        ),
        "devicemapper" | "aufs" => {
            AREA.limited("image store", format!("{found}: given up by Docker"), "move to overlay2")
        }
        _ => AREA.ok("image store", found),
    }
}

fn zstd(info: &EngineInfo) -> Check {
    if info.takes_zstd {
        AREA.ok("zstd layers", "accepted")
    } else {
        AREA.limited(
            "zstd layers",
            format!("engine {} unpacks gzip only: pulls of zstd images are skipped", info.version),
            "use Docker 23.0 or later",
        )
    }
}

/// Asks for a container of an image that can't exist. An engine that lets this user create containers says so by not
/// finding the image; nothing is made.
async fn may_create(engine: &Engine) -> Result<(), String> {
    let body = ContainerCreateBody { image: Some(NO_SUCH_IMAGE.to_owned()), ..Default::default() };
    match engine.docker().create_container(None, body).await {
        Err(bollard::errors::Error::DockerResponseServerError { status_code, message }) => {
            allowed(status_code, message)
        }
        Err(error) => Err(error.to_string()),
        Ok(made) => Err(format!("the engine made container {} of an image that does not exist", made.id)),
    }
}

/// What the status of the answer means; engines say 404 where only the image was in the way.
fn allowed(status: u16, message: String) -> Result<(), String> {
    if status == 404 { Ok(()) } else { Err(format!("{} (HTTP {status})", message.trim())) }
}

fn containers(answer: &Result<(), String>) -> Check {
    match answer {
        Ok(()) => AREA.ok("containers", "this user may create them"),
        Err(why) => AREA.missing(
            "containers",
            format!("refused: {why}"),
            "let this user create containers (authorization plugin, socket proxy); until then container trials are skipped",
        ),
    }
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::CheckStatus::{Limited, Missing, Ok as Fine};

    use super::*;

    fn info() -> EngineInfo {
        EngineInfo {
            host: "unix:///var/run/docker.sock".into(),
            version: "27.1.0".into(),
            api_version: "1.46".into(),
            store: "overlay2".into(),
            dialect: PullDialect::Classic,
            root: "/var/lib/docker".into(),
            os: "linux".into(),
            arch: "amd64".into(),
            locality: Locality::Local,
            nvidia: false,
            takes_zstd: true,
            insecure_registries: Vec::new(),
        }
    }

    #[test]
    fn a_good_engine_and_what_can_be_wrong_with_one() {
        assert!(about(&info()).iter().all(|check| check.status == Fine));
        let remote = Locality::Remote { why: "the engine is at tcp://10.0.0.7".into() };
        for (engine, name, says) in [
            (EngineInfo { locality: remote, ..info() }, "place", "10.0.0.7"),
            (EngineInfo { store: "vfs".into(), ..info() }, "image store", "copies"),
            (EngineInfo { store: "fuse-overlayfs".into(), ..info() }, "image store", "FUSE"),
            (
                EngineInfo { takes_zstd: false, version: "20.10.24".into(), ..info() },
                "zstd layers",
                "20.10.24",
            ),
        ] {
            let not_fine: Vec<Check> =
                about(&engine).into_iter().filter(|check| check.status != Fine).collect();
            let [check] = not_fine.as_slice() else { panic!("{not_fine:?}") };
            assert_eq!((check.name.as_str(), check.status), (name, Limited));
            assert!(check.found.contains(says) && check.remedy.is_some(), "{check:?}");
        }
    }

    #[test]
    fn only_a_missing_image_means_allowed() {
        for (status, message, fine) in [
            (404, "No such image: coldstart.invalid/doctor:never", true),
            (403, "authorization denied by plugin", false),
            (405, "not here", false),
        ] {
            let check = containers(&allowed(status, message.to_owned()));
            assert_eq!(check.status, if fine { Fine } else { Missing });
            assert_eq!(check.found.contains(message), !fine, "{check:?}");
        }
    }
}
