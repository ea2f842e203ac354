//! What the user typed, and which part of the program it goes to. Nothing behind this module sees the command line.

mod args;
mod by_hand;
mod calibrate;
mod cluster_names;
mod commands;
mod describe;
mod exit;
mod export;
mod gate;
mod history;
mod import;
mod out_files;
mod output;
mod plan;
mod run;

use std::process::ExitCode;

use clap::Parser as _;
use coldstart_profiles::Nanos;

pub use args::Cli;

/// Runs the program. `started` is the reading of the monotonic clock at the first line of `main`.
pub fn main(started: Nanos) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Usage errors go to stderr with code 2, help and version to stdout with code 0.
            let _ = error.print();
            return ExitCode::from(
                u8::try_from(error.exit_code()).unwrap_or(coldstart_profiles::exit::USAGE),
            );
        }
    };
    output::log_to_stderr(cli.verbose);
    match commands::dispatch(cli, started) {
        Ok(code) => ExitCode::from(code),
        Err(error) => exit::report(&error),
    }
}
