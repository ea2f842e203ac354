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
use crate::gate::{AbPlan, GateFiles, read_baseline, read_policy, read_rules, run_ab};
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
        1 a regression, or a ceiling that is exceeded · 3 nobody can tell · 0 no regression")]
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
#[derive(Default)]
struct Side {
    names: Vec<String>,
    profiles: Vec<Profile>,
}

/// The profiles of both sides.
struct Sides {
    baseline: Side,
    new: Side,
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

    fn judge(&self, sides: &Sides) -> Result<Verdict, CliError> {
        let (baseline, new): (Vec<&Profile>, Vec<&Profile>) =
            (sides.baseline.profiles.iter().collect(), sides.new.profiles.iter().collect());
        let [rules, policy] = self.named.clone();
        let asked = Asked {
            tool: Some(resolve::tool()),
            at: Some(format!("{:.0}", jiff::Timestamp::now())),
            baseline: sides.baseline.names.clone(),
            new: sides.new.names.clone(),
            rules,
            policy,
        };
        let asked = Gate {
            baseline: &baseline,
            new: &new,
            rules: &self.rules,
            policy: self.policy.as_ref(),
            allow_stand_in: self.allow_stand_in,
            asked: &asked,
        };
        gate::gate(&asked).map_err(|error| CliError::Usage(error.to_string()))
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
    let verdict = match ab_plan(&args) {
        Some(plan) => compare_commands(&plan, &by).await?,
        None => {
            let baseline = match read_baseline(&args.baseline) {
                Ok(profiles) => Side { names: names(&args.baseline), profiles },
                Err(error @ GateFiles::NoBaseline { .. }) => {
                    say(format_args!("failed to {error}"));
                    return Ok(exit::INCOMPARABLE);
                }
                Err(error) => return Err(error.into()),
            };
            let profiles = args.new.iter().map(|path| Profile::read(path)).collect::<Result<_, _>>()?;
            by.judge(&Sides { baseline, new: Side { names: names(&args.new), profiles } })?
        }
    };
    let as_json = format!("{}\n", serde_json::to_string_pretty(&verdict)?);
    let junit = match &args.junit {
        Some(path) => Some((path, reports::gate_junit(&verdict).map_err(CliError::Internal)?)),
        None => None,
    };
    let outputs = [
        args.verdict.as_ref().map(|path| (path, as_json.clone())),
        junit,
        args.markdown.as_ref().map(|path| (path, reports::gate_markdown(&verdict))),
    ];
    for (path, text) in outputs.into_iter().flatten() {
        write_atomic(path, text.as_bytes())?;
    }
    match (json, args.github) {
        (true, _) => output::print_json(&as_json)?,
        (false, true) => output::print(&reports::gate_annotations(&verdict))?,
        (false, false) => output::print(&reports::gate_table(&verdict, args.all, style))?,
    }
    Ok(verdict.standing.exit_code())
}

fn ab_plan(args: &GateArgs) -> Option<AbPlan> {
    Some(AbPlan {
        baseline: args.baseline_cmd.clone()?,
        new: args.new_cmd.clone()?,
        runs: args.runs as usize,
        seed: args.seed,
    })
}

/// Runs both commands in turn; where nobody can tell, once more as often.
async fn compare_commands(plan: &AbPlan, by: &By) -> Result<Verdict, CliError> {
    let cancel = cancel_on_ctrl_c();
    let mut sides = Sides { baseline: Side::default(), new: Side::default() };
    for done in [0, plan.runs] {
        let (baseline, new) = run_ab(plan, done, &cancel).await?;
        sides.baseline.add(&plan.baseline, baseline);
        sides.new.add(&plan.new, new);
        let verdict = by.judge(&sides)?;
        if verdict.standing != Standing::Inconclusive || done > 0 {
            return Ok(verdict);
        }
        say("inconclusive: once more as many runs");
    }
    by.judge(&sides)
}

impl Side {
    /// More runs of a command.
    fn add(&mut self, command: &str, profiles: Vec<Profile>) {
        for profile in profiles {
            self.names.push(format!("run {} of `{command}`", self.names.len() + 1));
            self.profiles.push(profile);
        }
    }
}

fn names(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| shown(path)).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
