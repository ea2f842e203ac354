//! Everything against a real engine: the one of this machine, and private ones that are started and ended here.
//!
//! Each test says aloud that it is skipped where there is no engine, and fails where COLDSTART_REQUIRE lists `docker`.

mod beside_cli;
mod containers;
mod failures;
mod private;
mod pulls;
mod safety;

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coldstart_profiles::{Bytes, PullSource, SyntheticImage};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::registry::{Image, Platform, Registry, Template};

/// Long enough for a small image on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The engine of this machine, as a run of its own; `None` after saying why not.
async fn engine() -> Option<Engine> {
    match Engine::connect(&unique("run")).await {
        Connection::Ready(engine) => Some(engine),
        Connection::Absent { why } => skip(&why),
    }
}

/// Says aloud, past the test harness's capture, that a test is skipped; fails if it must not be.
fn skip<T>(why: &str) -> Option<T> {
    let required = std::env::var("COLDSTART_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == "docker"), "COLDSTART_REQUIRE lists docker, but {why}");
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {why}");
    None
}

/// A name that no other test, process or run of the tests has.
fn unique(what: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("{what}-{}-{now}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

fn platform(engine: &Engine) -> Platform {
    Platform { os: engine.info().os.clone(), arch: engine.info().arch.clone() }
}

fn contents(mib: u64, layers: u32, codec: &str) -> SyntheticImage {
    SyntheticImage { size_bytes: Bytes::from_mib(mib), layers, compressibility: 0.5, codec: codec.to_owned() }
}

/// A new small image, served under a name of its own.
struct Served {
    registry: Registry,
    image: Image,
    reference: ImageRef,
}

impl Served {
    async fn new(engine: &Engine, mib: u64, layers: u32) -> Self {
        let template = Template::build(&contents(mib, layers, "gzip"), 1, None).unwrap();
        let image = template.image(&unique("nonce"), &platform(engine)).unwrap();
        let registry = Registry::start().await.unwrap();
        let reference = registry.publish(&unique("coldstart-test"), "1", &image).unwrap();
        Served { registry, image, reference }
    }

    fn name(&self) -> String {
        self.reference.to_string()
    }

    fn request(&self) -> PullRequest {
        request(&self.reference)
    }
}

fn request(reference: &ImageRef) -> PullRequest {
    PullRequest {
        image: reference.clone(),
        credentials: Credentials::anonymous(),
        source: PullSource::Synthetic,
        manifest: None,
        limit: LIMIT,
    }
}

async fn pull_now(engine: &Engine, request: &PullRequest) -> Result<Pulled, DockerError> {
    pull(engine, request, &CancellationToken::new()).await
}

/// A pull that has to succeed.
async fn pull_well(engine: &Engine, request: &PullRequest) -> PullReading {
    match pull_now(engine, request).await.unwrap() {
        Pulled::Done(reading) => *reading,
        Pulled::Skipped { why } => panic!("skipped: {why}"),
    }
}
