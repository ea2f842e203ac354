//! `coldstart export`: profiles in the formats of other tools.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use coldstart_decisions::measured::Measured;
use coldstart_profiles::{Profile, RunState, exit, write_atomic, write_directory};
use coldstart_reports::{self as reports, EXPORT_TARGETS, ExportTarget, Exported, ExportedFile};
use serde_json::json;

use super::cluster_names::ClusterNames;
use super::exit::CliError;
use super::{out_files, output};
use crate::planning::read_plan;
use crate::say::say;

/// Options of `coldstart export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// What it is for.
    #[arg(value_name = "FORMAT", value_parser = formats())]
    pub format: String,
    /// Profiles that `coldstart run` wrote; for hpa, keda and capacity-buffer what `coldstart plan --json` printed.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Where it goes, whole or not at all: a file, or a directory for formats of several files. Without, stdout.
    #[arg(long, value_name = "FILE|DIR")]
    pub out: Option<PathBuf>,
    /// Names and addresses that no profile holds.
    #[command(flatten)]
    pub names: ClusterNames,
    /// Export what was measured on a stand-in driver: for trying the export, never for numbers.
    #[arg(long)]
    pub allow_stand_in: bool,
}

/// The names of all targets, each with its line of help.
fn formats() -> PossibleValuesParser {
    EXPORT_TARGETS.iter().map(|target| PossibleValue::new(target.name).help(target.about)).into()
}

/// `coldstart export`.
pub(super) fn export(args: &ExportArgs, json: bool) -> Result<u8, CliError> {
    let target = reports::export_target(&args.format)
        .ok_or_else(|| CliError::Usage(format!("know the format `{}`", args.format)))?;
    // Some formats are several files in a directory.
    let out = args.out.as_deref().filter(|out| !out.is_dir());
    out_files::check(args.files.iter().map(PathBuf::as_path), &[("--out", out)])?;
    if args.names.signal.is_some() && !target.watches_signal() {
        let what = format!("use --signal for {}: it is for hpa and keda: leave it out", target.name);
        return Err(CliError::Usage(what));
    }
    if target.takes_plan() {
        return finish(target, of_plan(target, args)?, args, json);
    }
    let profiles = args.files.iter().map(|path| read(path, args)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = args.files.iter().map(|path| path.display().to_string()).collect();
    let named: Vec<(&str, &Profile)> = names.iter().map(String::as_str).zip(&profiles).collect();
    let exported = target.of_profiles(&named, &args.names.settings());
    finish(target, exported.map_err(|error| CliError::Usage(error.to_string()))?, args, json)
}

/// A plan in the target's format.
fn of_plan(target: &ExportTarget, args: &ExportArgs) -> Result<Exported, CliError> {
    let [path] = args.files.as_slice() else {
        return Err(CliError::Usage(format!(
            "export {} plans as {}: give one",
            args.files.len(),
            target.name
        )));
    };
    let plan = read_plan(path).map_err(|error| CliError::Usage(error.to_string()))?;
    if plan.fleet.classes.iter().any(Measured::stand_in) && !args.allow_stand_in {
        return Err(CliError::Usage(format!(
            "export {}: its profiles were measured on a stand-in driver, so no number means anything: allow it with --allow-stand-in",
            path.display()
        )));
    }
    let name = path.display().to_string();
    let exported = target.of_plan(&name, &plan, &args.names.settings());
    exported.map_err(|error| CliError::Usage(error.to_string()))
}

/// Puts what a target made where it was asked for.
fn finish(target: &ExportTarget, exported: Exported, args: &ExportArgs, json: bool) -> Result<u8, CliError> {
    if let Some(out) = &args.out {
        let written = write(out, &exported)?;
        if json {
            let written: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
            print_json(&json!({"format": target.name, "written": written}))?;
        }
        return Ok(exit::OK);
    }
    match (exported, json) {
        (Exported::File(text), false) => match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            Ok(_) => output::print_json(&text)?,
            Err(_) => output::print(&text)?,
        },
        (Exported::Directory(_), false) => {
            let what = format!("print {}: it is several files: give a directory with --out DIR", target.name);
            return Err(CliError::Usage(what));
        }
        (Exported::File(text), true) => {
            print_json(&json!({"format": target.name, "files": [{"name": null, "contents": text}]}))?;
        }
        (Exported::Directory(files), true) => {
            let of = |file: &ExportedFile| json!({"name": file.name, "contents": file.contents});
            let files: Vec<_> = files.iter().map(of).collect();
            print_json(&json!({"format": target.name, "files": files}))?;
        }
    }
    Ok(exit::OK)
}

/// Reads a profile that may be exported.
fn read(path: &Path, args: &ExportArgs) -> Result<Profile, CliError> {
    let profile = Profile::read(path)?;
    if profile.target.device.stand_in && !args.allow_stand_in {
        return Err(CliError::Usage(format!(
            "export {}: it was measured on a stand-in driver, so no number means anything: allow it with --allow-stand-in",
            path.display()
        )));
    }
    if profile.state != RunState::Complete {
        say(format_args!(
            "{} is not complete: what was not measured is missing; `coldstart run --resume` continues it",
            path.display()
        ));
    }
    Ok(profile)
}

/// Writes what a target made; gives the paths of the files.
fn write(out: &Path, exported: &Exported) -> Result<Vec<PathBuf>, CliError> {
    match exported {
        Exported::File(_) if out.is_dir() => Err(CliError::Usage(format!(
            "write --out {}: it is a directory, and this is one file: give a file",
            out.display()
        ))),
        Exported::File(text) => {
            write_atomic(out, text.as_bytes())?;
            Ok(vec![out.to_owned()])
        }
        Exported::Directory(files) => {
            let contents: Vec<(&str, &[u8])> =
                files.iter().map(|file| (file.name.as_str(), file.contents.as_bytes())).collect();
            write_directory(out, &contents)?;
            Ok(files.iter().map(|file| out.join(&file.name)).collect())
        }
    }
}

fn print_json(value: &serde_json::Value) -> Result<(), CliError> {
    Ok(output::print_json(&format!("{value:#}\n"))?)
}
