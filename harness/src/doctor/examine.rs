//! All checks, in the order in which they are shown.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use coldstart_profiles::{Bytes, Check, DoctorReport};

use super::check::Area;
use super::{devices, engine, machine, memory, storage, terminal};
use crate::host::Host;
use crate::weights::synthetic::cache_dir;

/// The weights of the synthetic models in round numbers, ascending; the second is what a run takes by default.
const MODELS: [(&str, Bytes); 4] = [
    ("tiny", Bytes::new(1_300_000)),
    DEFAULT_MODEL,
    ("1b", Bytes::new(2_500_000_000)),
    ("8b", Bytes::new(16_100_000_000)),
];
const DEFAULT_MODEL: (&str, Bytes) = ("small", Bytes::new(200_000_000));

/// What is examined, and how long the engine may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The machine whose files are read.
    pub host: Host,
    /// Where models are kept; need not exist yet, and is not made.
    pub cache_dir: PathBuf,
    /// The engine's address; `None` takes what DOCKER_HOST says, or the usual socket.
    pub engine: Option<String>,
    /// How long the engine may take for all its answers.
    pub engine_timeout: Duration,
    /// Where the dynamic loader looks first.
    pub ld_library_path: Option<OsString>,
}

impl Default for Options {
    /// This machine, its environment and its cache directory; the system's directory for temporary files where the
    /// environment names none.
    fn default() -> Self {
        Options {
            host: Host::here(),
            cache_dir: cache_dir().unwrap_or_else(|_| std::env::temp_dir()),
            engine: None,
            engine_timeout: Duration::from_millis(1500),
            ld_library_path: std::env::var_os("LD_LIBRARY_PATH"),
        }
    }
}

/// Looks at everything that a measurement depends on, in under two seconds.
///
/// Nothing is left behind: what is tried is tried on a temporary file in the cache directory, the engine is only asked,
/// and libcuda is not loaded.
pub async fn examine(options: &Options) -> DoctorReport {
    let local = options.clone();
    // The engine answers while the files are read; a second thread since most of that blocks.
    let local = tokio::task::spawn_blocking(move || this_machine(&local));
    let engine = engine::checks(options.engine.as_deref(), options.engine_timeout).await;
    let Parts { devices, storage, host } = local.await.unwrap_or_else(|error| Parts {
        host: vec![Area::Host.missing("this machine", error.to_string(), "report this defect of coldstart")],
        ..Parts::default()
    });
    DoctorReport { checks: [devices, engine, storage, host].concat() }
}

/// The checks of one area each.
#[derive(Default)]
struct Parts {
    devices: Vec<Check>,
    storage: Vec<Check>,
    host: Vec<Check>,
}

fn this_machine(options: &Options) -> Parts {
    let Options { host, cache_dir, ld_library_path, .. } = options;
    // First what watches the machine, before the other checks give it work.
    let mut checks = machine::checks(host);
    checks.extend(memory::checks(host, &MODELS));
    checks.push(terminal::check());
    Parts {
        devices: devices::checks(host, ld_library_path.as_deref()),
        storage: storage::checks(host, cache_dir, &MODELS, DEFAULT_MODEL.1),
        host: checks,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use coldstart_profiles::CheckStatus;

    use super::*;

    #[tokio::test]
    async fn this_machine_is_examined_quickly_and_without_a_trace() {
        let cache = tempfile::tempdir().unwrap();
        let options = Options { cache_dir: cache.path().to_owned(), ..Options::default() };
        let begin = Instant::now();
        let report = examine(&options).await;
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(4), "two seconds on an idle machine, not {took:?}");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0, "something was left behind");

        let areas: Vec<&str> = report.checks.iter().map(|check| check.area.as_str()).collect();
        let mut grouped = areas.clone();
        grouped.dedup();
        assert_eq!(grouped, ["device", "engine", "storage", "host"], "areas stand together");
        for check in &report.checks {
            assert!(!check.found.is_empty(), "{check:?}");
            assert!(check.status != CheckStatus::Missing || check.remedy.is_some(), "{check:?}");
            assert!(check.status != CheckStatus::Ok || check.remedy.is_none(), "{check:?}");
        }
        let host = report.checks.iter().find(|check| check.name == "host device").unwrap();
        assert_ne!(host.status, CheckStatus::Missing);
    }

    #[tokio::test]
    async fn an_engine_that_never_answers_costs_no_more_than_the_timeout() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("silent.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let options = Options {
            cache_dir: directory.path().to_owned(),
            engine: Some(format!("unix://{}", socket.display())),
            engine_timeout: Duration::from_millis(200),
            ..Options::default()
        };
        let report = examine(&options).await;
        let engine = report.checks.iter().find(|check| check.area == "engine").unwrap();
        assert_eq!(engine.status, CheckStatus::Missing);
        assert!(engine.found.contains("200 ms"), "{engine:?}");
    }
}
