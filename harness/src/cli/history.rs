//! `coldstart gate --history`.

use std::path::{Path, PathBuf};

use clap::Args;
use coldstart_decisions::gate::{self, HistoryOptions, LEAST_HISTORY};
use coldstart_profiles::{Profile, exit, write_atomic};
use coldstart_reports as reports;

use super::exit::CliError;
use super::gate::GateArgs;
use super::output;
use crate::gate::{profiles_in, read_policy};
use crate::say::say;

/// What can't be asked of a history.
const COMPARISONS: [&str; 14] = [
    "new",
    "baseline",
    "baseline_cmd",
    "new_cmd",
    "runs",
    "seed",
    "keep",
    "rules",
    "inconclusive",
    "allow_stand_in",
    "all",
    "verdict",
    "junit",
    "github",
];

/// Options of a search for slow creep.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Search the profiles in this directory for changes of level instead of comparing: for nightly runs.
    #[arg(long, value_name = "DIR", conflicts_with_all = COMPARISONS, help_heading = "History")]
    pub history: Option<PathBuf>,
    /// Exit code 1 only for slowdowns since this day or time (UTC); earlier ones are accepted, and listed still.
    #[arg(long, value_name = "DATE", requires = "history", value_parser = since, help_heading = "History")]
    pub since: Option<String>,
    /// Runs that are looked at together.
    #[arg(long, value_name = "RUNS", requires = "history", default_value_t = 50, value_parser = clap::value_parser!(u32).range(6..=500), help_heading = "History")]
    pub window: u32,
    /// The probability of a change point in a history that has none.
    #[arg(long, value_name = "SHARE", requires = "history", default_value_t = 0.05, value_parser = share, help_heading = "History")]
    pub significance: f64,
    /// Smaller changes are not told; 0.05 is 5 %. What the machine does by itself is told neither: by `--policy`, or by how much
    /// successive runs differ.
    #[arg(long, value_name = "SHARE", requires = "history", default_value_t = 0.05, value_parser = share, help_heading = "History")]
    pub least: f64,
}

/// A day or a time, as profiles write it.
fn since(text: &str) -> Result<String, String> {
    let day = text.parse::<jiff::civil::Date>().map(|day| format!("{day}T00:00:00Z"));
    let time = || text.parse::<jiff::Timestamp>().map(|time| time.to_string());
    day.or_else(|_| time())
        .map_err(|_| "give a day such as 2026-11-28, or a time such as 2026-11-28T03:00:00Z".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "give a share such as 0.05".to_owned())?;
    if (1e-4..=0.5).contains(&share) { Ok(share) } else { Err("give a share from 0.0001 to 0.5".to_owned()) }
}

/// `coldstart gate --history DIR`.
pub(super) fn history(
    directory: &Path,
    args: &GateArgs,
    json: bool,
    style: &reports::Style,
) -> Result<u8, CliError> {
    let policy = args.policy.as_deref().map(read_policy).transpose()?;
    let profiles = profiles_in(directory)?;
    if profiles.is_empty() {
        say(format_args!(
            "failed to search {}: there is no profile in it: keep what `coldstart run --out FILE` writes there",
            directory.display()
        ));
        return Ok(exit::INCOMPARABLE);
    }
    let HistoryArgs { window, significance, least, .. } = args.history;
    let options = HistoryOptions { window: window as usize, significance, least };
    let history = gate::history(&profiles.iter().collect::<Vec<&Profile>>(), options, policy.as_ref());
    if let Some(path) = &args.markdown {
        write_atomic(path, reports::history_markdown(&history).as_bytes())?;
    }
    match json {
        true => output::print_json(&format!("{}\n", serde_json::to_string_pretty(&history)?))?,
        false => output::print(&reports::history_table(&history, style))?,
    }
    let since = args.history.since.as_deref().unwrap_or_default();
    Ok(match history.slower_since(since).next() {
        Some(_) => exit::REGRESSION,
        None if history.runs < LEAST_HISTORY => exit::UNFIT,
        None => exit::OK,
    })
}
