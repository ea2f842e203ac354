//! What the tests share: the binary in a directory of its own, with a cache of tiny models that all tests use.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use coldstart_profiles::Profile;

/// Phases that need neither an engine nor more than a second.
pub(crate) const NO_ENGINE: &str = "process_start,alloc,weights_load,first_batch,warm_up,throughput";

/// A run of a second or two over everything that needs no engine.
pub(crate) const SMALL_RUN: &str = "run --synthetic tiny --trials 3 --budget 20 --batches 1,2 \
     --phases process_start,alloc,weights_load,first_batch,warm_up,throughput";

/// The same with enough steps to be stopped in the middle of.
pub(crate) const LONG_RUN: &str = "run --synthetic tiny --trials 5 --budget 30 --out p.json \
     --phases process_start,alloc,weights_load,first_batch,warm_up,throughput";

/// A command line as its words.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// A directory that is gone when the test ends.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Scratch(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `coldstart` with the shared cache, in this directory. It sees no GPU, also where there is one: what `--device auto` takes
    /// must not depend on the machine.
    pub(crate) fn coldstart(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coldstart"));
        command
            .args(args)
            .current_dir(self.0.path())
            .env("COLDSTART_CACHE", cache())
            .env("CUDA_VISIBLE_DEVICES", "")
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.coldstart(args).output().unwrap())
    }

    pub(crate) fn profile(&self, name: &str) -> Profile {
        Profile::read(&self.path(name)).unwrap()
    }
}

/// Sends a signal.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits until `ready`, at most a minute.
#[track_caller]
pub(crate) fn wait(what: &str, mut ready: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !ready() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It ended with `code`.
    #[track_caller]
    pub(crate) fn expect_code(&self, code: u8) -> &Self {
        assert_eq!(self.code, Some(i32::from(code)), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// It ended with `code`, printed nothing on stdout, and said one error that names all of `parts`.
    #[track_caller]
    pub(crate) fn expect_error(&self, code: u8, parts: &[&str]) {
        self.expect_code(code);
        assert_eq!(self.stdout, "", "an error prints no result");
        let errors: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| line.contains("failed to") || line.starts_with("error"))
            .collect();
        assert_eq!(errors.len(), 1, "one error:\n{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is missing in:\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// The cache directory of all tests of one build: tiny models are made once.
pub(crate) fn cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        std::fs::create_dir_all(&path).unwrap();
        path
    })
}

/// Whether a thing that tests need may be missing: says so aloud, and fails where it is required.
pub(crate) fn skip(what: &str, why: &str) {
    let required = std::env::var("COLDSTART_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name == what),
        "{what} is required by COLDSTART_REQUIRE, but {why}"
    );
    eprintln!("SKIPPED: {why}");
}

/// The docker engine, for one test at a time: tests count its images and containers. `None` without one.
pub(crate) fn engine() -> Option<MutexGuard<'static, ()>> {
    static ENGINE: Mutex<()> = Mutex::new(());
    let guard = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    let answered = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    if answered.is_ok_and(|output| output.status.success()) {
        return Some(guard);
    }
    skip("docker", "no docker engine answers");
    None
}

/// Runs `docker` and gives its stdout.
#[track_caller]
pub(crate) fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
