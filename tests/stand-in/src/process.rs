//! Processes that find the stand-in.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set in a process that runs one test on the stand-in: the test's name.
const MARK: &str = "COLDSTART_STAND_IN_TEST";

/// [`directory`](crate::directory), or `None`, said aloud, where there can be none.
///
/// # Panics
/// Where there is none and `COLDSTART_REQUIRE` lists `cuda-stand-in`.
pub fn available() -> Option<PathBuf> {
    match crate::directory() {
        Ok(directory) => Some(directory),
        Err(why) => {
            let required = env::var("COLDSTART_REQUIRE").unwrap_or_default();
            assert!(
                !required.split(',').any(|name| name == "cuda-stand-in"),
                "cuda-stand-in is required by COLDSTART_REQUIRE, but {why}"
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
pub fn command(directory: &Path, test: &str) -> Command {
    // A test that has no path to its program can't go on.
    let mut command = Command::new(env::current_exe().unwrap_or_default());
    command
        .args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env("LD_LIBRARY_PATH", library_path(directory))
        .env(MARK, test);
    command
}

/// Runs `body` in a process that has the stand-in driver: this program again, with only the test named `test` (see
/// [`this_test!`](crate::this_test)) and the variables `environment`. There this function runs `body`.
///
/// # Panics
/// Where the process fails, with all that it said.
pub fn in_process(test: &str, environment: &[(&str, &str)], body: impl FnOnce()) {
    if env::var(MARK).is_ok_and(|mark| mark == test) {
        body();
        return;
    }
    let Some(directory) = available() else { return };
    let output = command(&directory, test).envs(environment.iter().copied()).output();
    let output = output.unwrap_or_else(|error| no_process(&error));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{test} on the stand-in: {}\n{stdout}\n{stderr}",
        output.status
    );
}

#[expect(clippy::panic, reason = "a helper of tests")]
fn no_process(error: &std::io::Error) -> ! {
    panic!("failed to run this test again: {error}")
}
