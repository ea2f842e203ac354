//! `coldstart gate` and `coldstart calibrate`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use coldstart_decisions::gate::{
    self, Calibrated, Gate, LEAST_RUNS, OnInconclusive, Policy, Rules, SeriesKey, Standing, Verdict,
    calibrate,
};
use coldstart_profiles::{Profile, exit, write_atomic};
use coldstart_reports as reports;

use super::exit::CliError;
use super::history::{HistoryArgs, history};
use super::run::cancel_on_ctrl_c;
use super::{out_files, output};
use crate::gate::{AbPlan, GateFiles, read_baseline, read_policy, read_rules, run_ab, run_set};
use crate::say::say;

/// A calibration, or a baseline, that is older than this was made on a machine that may have changed.
const OLD_DAYS: f64 = 30.0;

/// Options of `coldstart gate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes, the first that applies: 2 usage · 4 the profiles can't be compared · 3 the machine was unfit · \
                        1 a regression, or a ceiling that is exceeded · 3 nobody can tell · 0 no regression"
)]
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
    /// Show advisory comparisons as well.
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

/// Options of `coldstart calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// Profiles of one plan on this machine, between which nothing changed; ten or more.
    #[arg(value_name = "PROFILE", required_unless_present = "cmd")]
    pub profiles: Vec<PathBuf>,
    /// Makes the profiles: runs this command; `{out}` in it is where its profile goes.
    #[arg(long, value_name = "COMMAND", conflicts_with = "profiles")]
    pub cmd: Option<String>,
    /// How often.
    #[arg(long, value_name = "N", default_value_t = LEAST_RUNS as u32, value_parser = clap::value_parser!(u32).range(2..=1000), requires = "cmd")]
    pub runs: u32,
    /// Calibrate on profiles of a stand-in driver: for trying it, never for numbers.
    #[arg(long)]
    pub allow_stand_in: bool,
    /// Where the policy goes.
    #[arg(long, value_name = "FILE", default_value = "coldstart-policy.json")]
    pub out: PathBuf,
}

/// The profiles of both sides.
struct Sides {
    baseline: Vec<Profile>,
    new: Vec<Profile>,
}

/// What the profiles are judged by.
struct By {
    rules: Rules,
    policy: Option<Policy>,
    calibrated: BTreeMap<SeriesKey, Calibrated>,
    allow_stand_in: bool,
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
        let calibrated = policy.as_ref().map(Policy::calibrated).unwrap_or_default();
        Ok(By { rules, policy, calibrated, allow_stand_in: args.allow_stand_in })
    }

    fn judge(&self, sides: &Sides) -> Result<Verdict, CliError> {
        let (baseline, new): (Vec<&Profile>, Vec<&Profile>) =
            (sides.baseline.iter().collect(), sides.new.iter().collect());
        let asked = Gate {
            baseline: &baseline,
            new: &new,
            rules: &self.rules,
            calibrated: &self.calibrated,
            canary_tolerance: self.policy.as_ref().map(|policy| policy.canary_tolerance),
            allow_stand_in: self.allow_stand_in,
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
    let (sides, verdict) = match ab_plan(&args) {
        Some(plan) => compare_commands(&plan, &by).await?,
        None => {
            let baseline = match read_baseline(&args.baseline) {
                Ok(baseline) => baseline,
                Err(error @ GateFiles::NoBaseline { .. }) => {
                    say(format_args!("failed to {error}"));
                    return Ok(exit::INCOMPARABLE);
                }
                Err(error) => return Err(error.into()),
            };
            let new = args.new.iter().map(|path| Profile::read(path)).collect::<Result<_, _>>()?;
            let sides = Sides { baseline, new };
            let verdict = by.judge(&sides)?;
            (sides, verdict)
        }
    };
    warn(&by, &sides);
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
async fn compare_commands(plan: &AbPlan, by: &By) -> Result<(Sides, Verdict), CliError> {
    let cancel = cancel_on_ctrl_c();
    let (baseline, new) = run_ab(plan, 0, &cancel).await?;
    let mut sides = Sides { baseline, new };
    let verdict = by.judge(&sides)?;
    if verdict.standing != Standing::Inconclusive {
        return Ok((sides, verdict));
    }
    say("inconclusive: once more as many runs");
    let (baseline, new) = run_ab(plan, plan.runs, &cancel).await?;
    sides.baseline.extend(baseline);
    sides.new.extend(new);
    let verdict = by.judge(&sides)?;
    Ok((sides, verdict))
}

/// What a reader should know of old baselines and policies, and of policies for other machines.
fn warn(by: &By, sides: &Sides) {
    if let Some(policy) = &by.policy {
        warn_of_age("the calibration", &policy.calibrated_at);
        if let Some(why) = sides.new.first().and_then(|profile| policy.mismatch(profile)) {
            say(format_args!("the calibration does not hold here: {why}"));
        }
        if policy.runs < LEAST_RUNS {
            say(format_args!("the calibration rests on {} runs: {LEAST_RUNS} are wanted", policy.runs));
        }
    }
    if let Some(oldest) = sides.baseline.iter().map(|profile| profile.started_at.as_str()).min() {
        warn_of_age("the baseline", oldest);
    }
}

fn warn_of_age(what: &str, made_at: &str) {
    let Ok(made) = made_at.parse::<jiff::Timestamp>() else { return };
    let days = jiff::Timestamp::now().duration_since(made).as_secs_f64() / 86_400.0;
    if days > OLD_DAYS {
        say(format_args!("{what} is {days:.0} days old: machines change; make a new one"));
    }
}

/// `coldstart calibrate`.
pub(super) async fn calibration(
    args: CalibrateArgs,
    json: bool,
    style: &reports::Style,
) -> Result<u8, CliError> {
    out_files::check(args.profiles.iter().map(PathBuf::as_path), &[("--out", Some(&args.out))])?;
    let profiles = match &args.cmd {
        Some(command) => run_set(command, args.runs as usize, &cancel_on_ctrl_c()).await?,
        None => args.profiles.iter().map(|path| Profile::read(path)).collect::<Result<Vec<_>, _>>()?,
    };
    let all: Vec<&Profile> = profiles.iter().collect();
    alike(&all, &args.profiles, args.allow_stand_in)?;
    if all.len() < LEAST_RUNS {
        say(format_args!(
            "{} runs say little about the spread between runs: {LEAST_RUNS} are wanted",
            all.len()
        ));
    }
    let policy = calibrate(&all);
    let blind: Vec<String> = policy.blind().map(|key| key.key.to_string()).collect();
    if !blind.is_empty() {
        say(format_args!(
            "a gate by this policy can't see even twice the time in {} keys, for the runs differ too much from each other or the times are too short to tell apart: calibrate on a quieter machine ({})",
            blind.len(),
            blind.join("; ")
        ));
    }
    let text = format!("{}\n", serde_json::to_string_pretty(&policy)?);
    write_atomic(&args.out, text.as_bytes())?;
    say(format_args!("wrote {}", args.out.display()));
    match json {
        true => output::print_json(&text)?,
        false => output::print(&reports::calibration(&policy, style))?,
    }
    Ok(exit::OK)
}

/// That all profiles are whole, of one plan on one machine, each of another run, and there are at least two.
fn alike(profiles: &[&Profile], paths: &[PathBuf], allow_stand_in: bool) -> Result<(), CliError> {
    let usage = |what: String| Err(CliError::Usage(what));
    let [first, others @ ..] = profiles else {
        return usage("calibrate: no profile was given".to_owned());
    };
    if others.is_empty() {
        return usage("calibrate on one profile: give ten or more of the same plan".to_owned());
    }
    let name =
        |at: usize| paths.get(at).map_or_else(|| format!("run {}", at + 1), |path: &PathBuf| shown(path));
    for (index, profile) in profiles.iter().enumerate() {
        if let Some(why) = gate::unusable(profile, allow_stand_in) {
            return usage(format!("calibrate on {}: {why}", name(index)));
        }
        let same = |earlier: &&Profile| {
            earlier.started_at == profile.started_at && earlier.measurements == profile.measurements
        };
        if let Some(earlier) = profiles.iter().take(index).position(same) {
            return usage(format!(
                "calibrate on {} and {}: they are the same run, begun at {}: give each run once",
                name(earlier),
                name(index),
                profile.started_at
            ));
        }
    }
    for (index, other) in others.iter().enumerate() {
        if let Some(difference) = gate::differences(first, other).first() {
            return usage(format!(
                "calibrate on runs that are not alike: `{}` is {} in {} and {} in {}",
                difference.field,
                difference.baseline,
                name(0),
                difference.new,
                name(index + 1)
            ));
        }
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
