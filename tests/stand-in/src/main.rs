//! Prints the directory that holds the stand-in driver, for the command line:
//!
//!     LD_LIBRARY_PATH=$(cargo run -q -p coldstart-stand-in) coldstart run --device cuda:0

use std::process::ExitCode;

fn main() -> ExitCode {
    match coldstart_stand_in::directory() {
        Ok(directory) => {
            println!("{}", directory.display());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("failed to make the stand-in driver: {why}");
            ExitCode::FAILURE
        }
    }
}
