//! `coldstart gate`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use coldstart_decisions::gate::{self, Asked, Gate, OnInconclusive, Policy, Rules, Standing, Verdict};
use coldstart_profiles::{Profile, exit, write_atomic};
use coldstart_reports as reports;

use super::exit::CliError;
use super::history::{HistoryArgs, history};
use super::run::cancel_on_ctrl_c;
use super::{out_files, output};
use crate::gate::{AbPlan, AbRuns, GateFiles, quoted, read_baseline, read_policy, read_rules};
use crate::resolve;
use crate::say::say;

/// Options of `coldstart gate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        coldstart gate new.json --baseline main.json --policy policy.json --junit gate.xml\n  \
        coldstart gate --baseline-cmd 'old/coldstart run --quick --out {out}' \\\n      \
        --new-cmd 'new/coldstart run --quick --out {out}' --runs 3\n  \
        coldstart gate --history nightly/ --policy policy.json --since 2026-11-01\n\n\
        Rules are TOML, and `coldstart schema rules` prints their schema:\n  \
        [[rule]]\n  \
        match = { phase = \"weights_load\", params = { staging = \"dir*\" } }\n  \
        threshold = 0.25\n\n\
        Exit codes, the first that applies: 2 usage · 4 the profiles can't be compared · 3 the machine was unfit · \
        1 a regression, or a ceiling that is exceeded · 3 nobody can tell · 0 no regression\n\
        Of commands that are run also 5, where one gives no whole profile, and 130, where it was stopped: those that are finished \
        are kept, and the error says how they are judged.")]
pub struct GateArgs {
    /// Profiles to be judged.
    #[arg(value_name = "NEW", required_unless_present_any = ["new_cmd", "history"])]
    pub new: Vec<PathBuf>,
    /// Profiles to judge them against; give it several times for several.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["baseline_cmd", "history"],
        help_heading = "What is compared"
    )]
    pub baseline: Vec<PathBuf>,
    /// Runs this and `--new-cmd` in turn instead of reading profiles; `{out}` in it is where its profile goes.
    #[arg(long, value_name = "COMMAND", requires = "new_cmd", conflicts_with_all = ["baseline", "new"], help_heading = "What is compared")]
    pub baseline_cmd: Option<String>,
    /// The command whose profiles are judged.
    #[arg(long, value_name = "COMMAND", requires = "baseline_cmd", help_heading = "What is compared")]
    pub new_cmd: Option<String>,
    /// Runs of each command; once more as many where the first are inconclusive.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "What is compared")]
    pub runs: u32,
    /// Decides which command goes first in each pair.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "What is compared")]
    pub seed: u64,
    /// Keep the profiles here as `baseline-001.json`, `new-001.json` and so on. Without, they are kept only where something breaks off.
    #[arg(long, value_name = "DIR", requires = "new_cmd", help_heading = "What is compared")]
    pub keep: Option<PathBuf>,
    #[command(flatten)]
    pub history: HistoryArgs,
    /// Rules: what is compared how strictly. Without, thresholds by phase.
    #[arg(long, value_name = "FILE", help_heading = "How strictly")]
    pub rules: Option<PathBuf>,
    /// Thresholds that `coldstart calibrate` found for this machine.
    #[arg(long, value_name = "FILE", help_heading = "How strictly")]
    pub policy: Option<PathBuf>,
    /// What inconclusive comparisons mean where no rule says so.
    #[arg(long, value_name = "WHAT", value_enum, help_heading = "How strictly")]
    pub inconclusive: Option<Inconclusive>,
    /// Judge profiles of a stand-in driver: for trying the gate, never for numbers.
    #[arg(long, help_heading = "How strictly")]
    pub allow_stand_in: bool,
    /// Write the verdict as JSON.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub verdict: Option<PathBuf>,
    /// Write it as JUnit XML.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub junit: Option<PathBuf>,
    /// Write it as markdown, such as for $GITHUB_STEP_SUMMARY.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub markdown: Option<PathBuf>,
    /// Show every comparison, and the evidence: intervals, Mann-Whitney's p, Cliff's δ.
    #[arg(long, help_heading = "Output")]
    pub all: bool,
    /// Print annotations for GitHub Actions instead of the table.
    #[arg(long, help_heading = "Output")]
    pub github: bool,
}

/// What inconclusive comparisons mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Inconclusive {
    /// Exit 3.
    Fail,
    /// No regression.
    Pass,
}

/// The profiles of one side, with their names.
struct Side<'p> {
    names: Vec<String>,
    profiles: &'p [Profile],
}

/// What the profiles are judged by.
struct By {
    rules: Rules,
    policy: Option<Policy>,
    allow_stand_in: bool,
    /// Names of the two files.
    named: [Option<String>; 2],
}

impl By {
    fn read(args: &GateArgs) -> Result<By, CliError> {
        let mut rules = args.rules.as_deref().map(read_rules).transpose()?.unwrap_or_default();
        match args.inconclusive {
            Some(Inconclusive::Fail) => rules.on_inconclusive = OnInconclusive::Fail,
            Some(Inconclusive::Pass) => rules.on_inconclusive = OnInconclusive::Pass,
            None => {}
        }
        let policy = args.policy.as_deref().map(read_policy).transpose()?;
        let named = [&args.rules, &args.policy].map(|path| path.as_deref().map(shown));
        Ok(By { rules, policy, allow_stand_in: args.allow_stand_in, named })
    }

    fn judge(&self, [baseline, new]: [Side<'_>; 2]) -> Result<Verdict, CliError> {
        let [baseline_profiles, new_profiles] =
            [&baseline, &new].map(|side| side.profiles.iter().collect::<Vec<&Profile>>());
        let [rules, policy] = self.named.clone();
        let asked = Asked {
            tool: Some(resolve::tool()),
            at: Some(format!("{:.0}", jiff::Timestamp::now())),
            baseline: baseline.names,
            new: new.names,
            rules,
            policy,
        };
        let asked = Gate {
            baseline: &baseline_profiles,
            new: &new_profiles,
            rules: &self.rules,
            policy: self.policy.as_ref(),
            allow_stand_in: self.allow_stand_in,
            asked: &asked,
        };
        let file = self.named[0].as_deref().unwrap_or_default();
        gate::gate(&asked).map_err(|error| CliError::Usage(format!("{error} ({file})")))
    }
}

/// `coldstart gate`.
pub(super) async fn gate(args: GateArgs, json: bool, style: &reports::Style) -> Result<u8, CliError> {
    let read = args.new.iter().chain(&args.baseline).chain(&args.rules).chain(&args.policy);
    let outputs = [
        ("--verdict", args.verdict.as_deref()),
        ("--junit", args.junit.as_deref()),
        ("--markdown", args.markdown.as_deref()),
    ];
    out_files::check(read.map(PathBuf::as_path), &outputs)?;
    if let Some(directory) = &args.history.history {
        return history(directory, &args, json, style);
    }
    let by = By::read(&args)?;
    if let (Some(baseline), Some(new)) = (&args.baseline_cmd, &args.new_cmd) {
        let plan = AbPlan { baseline: baseline.clone(), new: new.clone(), seed: args.seed };
        return gate_commands(plan, &by, &args, json, style).await;
    }
    let baseline = match read_baseline(&args.baseline) {
        Ok(profiles) => profiles,
        Err(error @ GateFiles::NoBaseline { .. }) => {
            say(format_args!("failed to {error}"));
            return Ok(exit::INCOMPARABLE);
        }
        Err(error) => return Err(error.into()),
    };
    let new = args.new.iter().map(|path| Profile::read(path)).collect::<Result<Vec<_>, _>>()?;
    let verdict = by.judge([
        Side { names: names(&args.baseline), profiles: &baseline },
        Side { names: names(&args.new), profiles: &new },
    ])?;
    deliver(&verdict, &args, json, style)
}

/// Writes and prints the verdict.
fn deliver(verdict: &Verdict, args: &GateArgs, json: bool, style: &reports::Style) -> Result<u8, CliError> {
    // A file is also shown on a terminal, by `cat`.
    let as_json = reports::harmless_json(&format!("{}\n", serde_json::to_string_pretty(verdict)?));
    let junit = match &args.junit {
        Some(path) => Some((path, reports::gate_junit(verdict).map_err(CliError::Internal)?)),
        None => None,
    };
    let outputs = [
        args.verdict.as_ref().map(|path| (path, as_json.clone())),
        junit,
        args.markdown.as_ref().map(|path| (path, reports::gate_markdown(verdict))),
    ];
    for (path, text) in outputs.into_iter().flatten() {
        write_atomic(path, text.as_bytes())?;
    }
    match (json, args.github) {
        (true, _) => output::print(&as_json)?,
        (false, true) => output::print(&reports::gate_annotations(verdict))?,
        (false, false) => output::print(&reports::gate_table(verdict, args.all, style))?,
    }
    Ok(verdict.standing.exit_code())
}

/// Runs two commands in turn and judges their profiles; what breaks off on the way says where those are.
async fn gate_commands(
    plan: AbPlan,
    by: &By,
    args: &GateArgs,
    json: bool,
    style: &reports::Style,
) -> Result<u8, CliError> {
    let mut runs = AbRuns::open(plan, args.keep.as_deref())?;
    let verdict = compare_commands(&mut runs, args.runs as usize, by).await;
    let done = verdict.and_then(|verdict| deliver(&verdict, args, json, style));
    match (runs.close(done.is_ok(), &options(args)), done) {
        (Some(kept), Err(why)) => Err(CliError::Kept { why: Box::new(why), kept }),
        (kept, done) => {
            if let Some(kept) = kept {
                say(kept);
            }
            done
        }
    }
}

/// Runs both commands in turn; where nobody can tell, once more as often. What the first pair shows can't be compared, or can't be
/// judged by these rules, is not run again.
async fn compare_commands(runs: &mut AbRuns, pairs: usize, by: &By) -> Result<Verdict, CliError> {
    let cancel = cancel_on_ctrl_c();
    let judge = |runs: &AbRuns| {
        let side = |command: &str, profiles| Side { names: numbered(command, profiles), profiles };
        let baseline = side(&runs.plan().baseline, runs.baseline());
        by.judge([baseline, side(&runs.plan().new, runs.new_side())])
    };
    runs.fill(1, pairs, &cancel).await?;
    let first = judge(runs)?;
    let mut all = runs.baseline().iter().chain(runs.new_side());
    let hopeless = all.any(|profile| gate::unusable(profile, by.allow_stand_in).is_some());
    if hopeless || !first.differences.is_empty() {
        return Ok(first);
    }
    runs.fill(pairs, pairs, &cancel).await?;
    let verdict = judge(runs)?;
    if verdict.standing != Standing::Inconclusive {
        return Ok(verdict);
    }
    say("inconclusive: once more as many runs");
    runs.fill(2 * pairs, 2 * pairs, &cancel).await?;
    judge(runs)
}

fn numbered(command: &str, profiles: &[Profile]) -> Vec<String> {
    (1..=profiles.len()).map(|number| format!("run {number} of `{command}`")).collect()
}

/// The options by which the profiles are judged, as they were typed.
fn options(args: &GateArgs) -> String {
    let mut all = String::new();
    for (flag, path) in [("--rules", &args.rules), ("--policy", &args.policy)] {
        if let Some(path) = path {
            all.push_str(&format!(" {flag} {}", quoted(path)));
        }
    }
    if let Some(value) = args.inconclusive.and_then(|what| what.to_possible_value()) {
        all.push_str(&format!(" --inconclusive {}", value.get_name()));
    }
    if args.allow_stand_in {
        all.push_str(" --allow-stand-in");
    }
    all
}

fn names(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| shown(path)).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
