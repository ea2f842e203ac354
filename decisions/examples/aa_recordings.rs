//! Makes one small file of many profiles of the same program on the same machine: every trial, every reading of a limit.
//!
//!     cargo run --release -p coldstart-decisions --example aa_recordings -- idle=DIR load=DIR >tests/fixtures/aa/recordings.json
//!
//! Each argument names what the machine was doing and the directory with the profiles of those runs, as
//! `tests/aa/record.sh` makes them.

use std::error::Error;
use std::path::{Path, PathBuf};

use coldstart_decisions::gate::Recordings;
use coldstart_profiles::{Profile, RunState};

fn main() -> Result<(), Box<dyn Error>> {
    let mut profiles = Vec::new();
    for argument in std::env::args().skip(1) {
        let (state, directory) =
            argument.split_once('=').ok_or("give STATE=DIRECTORY, such as idle=/tmp/aa/idle")?;
        for path in runs(Path::new(directory))? {
            let profile = Profile::read(&path)?;
            match profile.state {
                RunState::Complete => profiles.push((state.to_owned(), profile)),
                RunState::Partial | RunState::Interrupted => {
                    eprintln!("left out: {}: not complete", path.display())
                }
            }
        }
    }
    let recordings = Recordings::of(&profiles).ok_or("there are no profiles: give STATE=DIRECTORY")?;
    for state in recordings.states() {
        eprintln!("{state}: {} runs", recordings.of_state(state).len());
    }
    println!("{}", lines(&recordings)?);
    Ok(())
}

/// The profiles of a directory, by name.
fn runs(directory: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let entries =
        std::fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let is_run = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("run-") && name.ends_with(".json")
    };
    let mut paths: Vec<PathBuf> = paths?.into_iter().filter(is_run).collect();
    paths.sort();
    Ok(paths)
}

/// JSON with one line a key and one a run, so that a version of the file can be compared with the next.
fn lines(recordings: &Recordings) -> Result<String, serde_json::Error> {
    let value = serde_json::to_value(recordings)?;
    let serde_json::Value::Object(fields) = value else { return Ok(value.to_string()) };
    let field = |(name, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::Array(items) if name == "keys" || name == "runs" => {
            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
            format!("\"{name}\": [\n{}\n]", items.join(",\n"))
        }
        _ => format!("\"{name}\": {value}"),
    };
    Ok(format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(",\n")))
}
