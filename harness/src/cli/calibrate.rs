//! `coldstart calibrate`.

use std::path::{Path, PathBuf};

use clap::Args;
use coldstart_decisions::gate::{self, LEAST_RUNS, calibrate};
use coldstart_profiles::{Profile, exit, write_atomic};
use coldstart_reports as reports;

use super::exit::CliError;
use super::run::cancel_on_ctrl_c;
use super::{out_files, output};
use crate::gate::{AbError, Kept};
use crate::say::say;

/// Options of `coldstart calibrate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        coldstart calibrate --cmd 'coldstart run --quick --trials 5 --out {out}' \\\n      \
        --runs 20 --keep runs/ --out policy.json\n  \
        coldstart calibrate runs/run-*.json --out policy.json\n\n\
        A calibration holds for its machine, model and way of measuring: a gate tells where they are others.")]
pub struct CalibrateArgs {
    /// Profiles of one plan on this machine, between which nothing changed; ten or more.
    #[arg(value_name = "PROFILE", required_unless_present = "cmd")]
    pub profiles: Vec<PathBuf>,
    /// Makes the profiles: runs this command; `{out}` in it is where its profile goes.
    #[arg(long, value_name = "COMMAND", conflicts_with = "profiles")]
    pub cmd: Option<String>,
    /// How many runs there must be in all.
    #[arg(long, value_name = "N", default_value_t = LEAST_RUNS as u32, value_parser = clap::value_parser!(u32).range(2..=1000), requires = "cmd")]
    pub runs: u32,
    /// Keep each finished run here as `run-001.json` and so on, and count those that are here already: a calibration that broke
    /// off goes on. Without, they are kept only where it breaks off.
    #[arg(long, value_name = "DIR", requires = "cmd")]
    pub keep: Option<PathBuf>,
    /// Calibrate on profiles of a stand-in driver: for trying it, never for numbers.
    #[arg(long)]
    pub allow_stand_in: bool,
    /// Where the policy goes.
    #[arg(long, value_name = "FILE", default_value = "coldstart-policy.json")]
    pub out: PathBuf,
}

/// `coldstart calibrate`.
pub(super) async fn calibration(
    args: CalibrateArgs,
    json: bool,
    style: &reports::Style,
) -> Result<u8, CliError> {
    out_files::check(args.profiles.iter().map(PathBuf::as_path), &[("--out", Some(&args.out))])?;
    let Some(command) = &args.cmd else {
        let profiles = args.profiles.iter().map(|path| Profile::read(path)).collect::<Result<Vec<_>, _>>()?;
        return calibrate_on(&profiles, &args.profiles, &args, json, style);
    };
    let mut kept = Kept::open(args.keep.as_deref()).map_err(|error| match error {
        // What lies there is the user's.
        AbError::Profile(error) => CliError::Profile(error),
        error => error.into(),
    })?;
    let ran = kept.fill(command, args.runs as usize, args.allow_stand_in, &cancel_on_ctrl_c()).await;
    let done = ran
        .map_err(CliError::from)
        .and_then(|()| calibrate_on(kept.profiles(), kept.paths(), &args, json, style));
    if let Some(where_to) = kept.close(done.is_ok()) {
        say(where_to);
    }
    done
}

fn calibrate_on(
    profiles: &[Profile],
    paths: &[PathBuf],
    args: &CalibrateArgs,
    json: bool,
    style: &reports::Style,
) -> Result<u8, CliError> {
    let all: Vec<&Profile> = profiles.iter().collect();
    alike(&all, paths, args.allow_stand_in)?;
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
    if !policy.keys.iter().any(|key| key.decides) {
        say(
            "a gate by this policy can decide nothing, for no key has three trials in nine of ten runs: calibrate on runs with `--trials 3` or more",
        );
    }
    let text = reports::harmless_json(&format!("{}\n", serde_json::to_string_pretty(&policy)?));
    write_atomic(&args.out, text.as_bytes())?;
    say(format_args!("wrote {}", args.out.display()));
    match json {
        true => output::print(&text)?,
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
        let mut unlike = gate::differences(first, other);
        unlike.extend(gate::condition_differences(first, other));
        if let Some(difference) = unlike.first() {
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
