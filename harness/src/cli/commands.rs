//! One function a command: from its arguments to its result on stdout and its exit code.

use std::path::PathBuf;
use std::time::Duration;

use coldstart_decisions::plan::plan_schema;
use coldstart_decisions::{history_schema, policy_schema, rules_schema, verdict_schema};
use coldstart_profiles::{Nanos, Profile, exit, profile_schema, write_atomic};
use coldstart_reports as reports;

use super::args::{Cli, Command, DoctorArgs, ReportArgs, Schema};
use super::exit::CliError;
use super::run::cancel_on_ctrl_c;
use super::{calibrate, describe, export, gate, import, out_files, output, plan, run};
use crate::{doctor, self_test, trial};

/// Runs the command.
pub(super) fn dispatch(cli: Cli, started: Nanos) -> Result<u8, CliError> {
    let style = output::style(cli.color);
    match cli.command {
        Command::Run(args) => block_on(run::run(*args, cli.json, &style)),
        Command::Report(args) => report(&args, cli.json, &style),
        Command::Gate(args) => block_on(gate::gate(*args, cli.json, &style)),
        Command::Calibrate(args) => block_on(calibrate::calibration(args, cli.json, &style)),
        Command::Export(args) => export::export(&args, cli.json),
        Command::Import { source } => import::import(source, cli.json, &style),
        Command::Doctor(args) if args.self_test => block_on(test_device(args, cli.json, &style)),
        Command::Doctor(_) => block_on(examine(cli.json, &style)),
        Command::Plan(args) => plan::plan(*args, cli.json, &style),
        Command::Schema(args) => {
            output::print(&match args.of {
                Schema::Profile => profile_schema(),
                Schema::Verdict => verdict_schema(),
                Schema::Policy => policy_schema(),
                Schema::Rules => rules_schema(),
                Schema::History => history_schema(),
                Schema::Plan => plan_schema(),
            })?;
            Ok(exit::OK)
        }
        Command::Completions(args) => describe::completions(&args),
        Command::Man(args) => describe::man(&args),
        Command::Trial { spec } => Ok(trial::child_main(&spec, started)),
    }
}

/// Runs a command that waits for children, engines and signals, on two threads, so that a blocked one does not hold up
/// Ctrl-C. What still blocks a thread afterwards, such as a credential helper that hangs, does not hold up the end.
fn block_on(command: impl Future<Output = Result<u8, CliError>>) -> Result<u8, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::Internal(format!("start the async runtime: {error}")))?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}

/// `coldstart report`: files where they are asked for, else text on stdout.
fn report(args: &ReportArgs, json: bool, style: &reports::Style) -> Result<u8, CliError> {
    let outputs = [("--html", args.html.as_deref()), ("--trace", args.trace.as_deref())];
    out_files::check(args.profiles.iter().map(PathBuf::as_path), &outputs)?;
    if args.trace.is_some() && args.profiles.len() != 1 {
        return Err(CliError::Usage("write --trace of several profiles: give one".to_owned()));
    }
    let profiles = args.profiles.iter().map(|path| Profile::read(path)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = args.profiles.iter().map(|path| path.display().to_string()).collect();
    let named: Vec<(&str, &Profile)> = names.iter().map(String::as_str).zip(&profiles).collect();
    if let Some(path) = &args.html {
        let page = reports::html(&named).map_err(CliError::Internal)?;
        write_atomic(path, page.as_bytes())?;
    }
    if let (Some(path), [profile]) = (&args.trace, profiles.as_slice()) {
        write_atomic(path, reports::trace_events(profile).map_err(CliError::Internal)?.as_bytes())?;
    }
    match (profiles.as_slice(), json) {
        _ if args.markdown => output::print(&reports::markdown(&named))?,
        ([profile], true) => output::print_json(&profile.to_json()?)?,
        (several, true) => output::print_json(&format!("{}\n", serde_json::to_string_pretty(several)?))?,
        // What was asked for is in its file.
        _ if args.html.is_some() || args.trace.is_some() => {}
        ([profile], false) => output::print(&reports::terminal(profile, style))?,
        (_, false) => output::print(&reports::comparison(&named, style))?,
    }
    Ok(exit::OK)
}

/// `coldstart doctor`.
async fn examine(json: bool, style: &reports::Style) -> Result<u8, CliError> {
    let report = doctor::examine(&doctor::Options::default()).await;
    match json {
        true => output::print_json(&format!("{}\n", serde_json::to_string_pretty(&report)?))?,
        false => output::print(&reports::doctor(&report, style))?,
    }
    Ok(exit::OK)
}

/// How long one child of a self-test may take: it is meant to take less than a minute in all.
const SELF_TEST_TIMEOUT: Duration = Duration::from_secs(120);

/// `coldstart doctor --self-test`.
async fn test_device(args: DoctorArgs, json: bool, style: &reports::Style) -> Result<u8, CliError> {
    let options = self_test::Options {
        device: args.device,
        seed: args.seed,
        cases: args.cases as usize,
        timeout: SELF_TEST_TIMEOUT,
    };
    let cancel = cancel_on_ctrl_c();
    let mut printed = Ok(());
    let report = self_test::run(&options, &cancel, |line| {
        if !json && printed.is_ok() {
            printed = output::print(&reports::self_test_line(line, style));
        }
    })
    .await
    .map_err(CliError::SelfTest)?;
    printed?;
    match json {
        true => output::print_json(&format!("{}\n", serde_json::to_string_pretty(&report)?))?,
        false => output::print(&reports::self_test_totals(&report, style))?,
    }
    Ok(match (cancel.is_cancelled(), report.passed()) {
        (true, _) => exit::INTERRUPTED,
        (false, true) => exit::OK,
        (false, false) => exit::FAILED,
    })
}
