//! Processes that find the stand-in.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// Set in a process that runs one test on the stand-in: the test's name, and which of its bodies is meant.
const MARK: &str = "COLDSTART_STAND_IN_TEST";

/// How many bodies a test has begun so far, from 0: a test may have several, each for a process of its own.
fn next_body(test: &str) -> usize {
    static BEGUN: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());
    let mut begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    let count = begun.entry(test.to_owned()).or_default();
    *count += 1;
    *count - 1
}

/// [`directory`](crate::directory), or `None`, said aloud, where there is no compiler to make it with.
///
/// # Panics
/// Where it is broken; where there is none and `COLDSTART_REQUIRE` lists `cuda-stand-in`.
pub fn available() -> Option<PathBuf> {
    unless_missing(crate::directory())
}

/// The same for a directory that was made in another way.
///
/// # Panics
/// As [`available`].
pub fn unless_missing(directory: Result<PathBuf, Error>) -> Option<PathBuf> {
    match directory {
        Ok(directory) => Some(directory),
        Err(why) => {
            let required = env::var("COLDSTART_REQUIRE").unwrap_or_default();
            assert!(
                why == Error::NoCompiler && !required.split(',').any(|name| name == "cuda-stand-in"),
                "failed to make the stand-in of CUDA: {why}"
            );
            eprintln!("SKIPPED: {why}");
            None
        }
    }
}

/// What LD_LIBRARY_PATH is to be: `directory`, then what is there.
pub fn library_path(directory: &Path) -> OsString {
    let mut path = directory.as_os_str().to_owned();
    if let Some(rest) = env::var_os("LD_LIBRARY_PATH").filter(|rest| !rest.is_empty()) {
        path.push(":");
        path.push(rest);
    }
    path
}

/// The command that runs one test of this program again, on the stand-in in `directory`.
fn command(directory: &Path, test: &str, mark: &str) -> Command {
    // A test that has no path to its program can't go on.
    let mut command = Command::new(env::current_exe().unwrap_or_default());
    command
        .args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env("LD_LIBRARY_PATH", library_path(directory))
        .env(MARK, mark);
    // Kernels that AddressSanitizer looks at need its library before all others.
    if env::var("COLDSTART_STAND_IN_SANITIZE").is_ok_and(|list| list.contains("address"))
        && let Ok(compiler) = Command::new("g++").arg("-print-file-name=libasan.so").output()
    {
        command.env("LD_PRELOAD", String::from_utf8_lossy(&compiler.stdout).trim());
        command.env("ASAN_OPTIONS", "detect_leaks=0:handle_segv=0:detect_stack_use_after_return=0");
    }
    command
}

/// Runs `body` in a process that has the stand-in driver: this program again, with only the test named `test` (see
/// [`this_test!`](crate::this_test)) and the variables `environment`. There this function runs `body`. A test may call it
/// several times: each body has a process of its own.
///
/// # Panics
/// Where the process fails, with all that it said; where [`available`] does.
pub fn in_process(test: &str, environment: &[(&str, &str)], body: impl FnOnce()) {
    in_process_with(crate::directory, test, environment, body);
}

/// The same with a directory that is made in another way.
///
/// # Panics
/// As [`in_process`].
pub fn in_process_with(
    directory: impl FnOnce() -> Result<PathBuf, Error>,
    test: &str,
    environment: &[(&str, &str)],
    body: impl FnOnce(),
) {
    let mark = format!("{test}#{}", next_body(test));
    if let Ok(wanted) = env::var(MARK) {
        if wanted == mark {
            body();
            println!("{mark} ran");
        }
        return;
    }
    let Some(directory) = unless_missing(directory()) else { return };
    let output = command(&directory, test, &mark).envs(environment.iter().copied()).output();
    let output = output.unwrap_or_else(|error| no_process(&error));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stdout.contains(&format!("{mark} ran\n")),
        "{mark} on the stand-in: {}\n{stdout}\n{stderr}",
        output.status
    );
}

#[expect(clippy::panic, reason = "a helper of tests")]
fn no_process(error: &std::io::Error) -> ! {
    panic!("failed to run this test again: {error}")
}
