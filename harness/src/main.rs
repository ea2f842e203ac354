//! `coldstart`: see `coldstart --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: where process_start ends in a trial.
    let started = coldstart::clock::monotonic();
    coldstart::cli::main(started)
}
