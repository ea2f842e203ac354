//! `coldstart run`: resolve, show the plan, walk it, show the profile.

use std::path::Path;

use coldstart_profiles::{Bytes, Nanos, Outcome, Profile, RunState, SyntheticImage, TraceEnd, exit};
use coldstart_reports as reports;
use tokio_util::sync::CancellationToken;

use super::args::{Codec, RunArgs};
use super::exit::CliError;
use super::output;
use crate::docker::ImageRef;
use crate::resolve::{self, Gathered, ImageRequest, ModelRequest, Request, ResolveError, Synthetic};
use crate::run::{Ending, Progress, Store, walk};
use crate::say::{say, show};
use crate::{DeviceName, fitness, run};

/// `coldstart run`.
pub(super) async fn run(args: RunArgs, json: bool, style: &reports::Style) -> Result<u8, CliError> {
    let cancel = cancel_on_ctrl_c();
    let (store, mut profile, gathered) = match &args.resume {
        Some(path) => resumed(path, &cancel).await?,
        None => match fresh(&args, json, style, &cancel).await? {
            Some(ready) => ready,
            None => return Ok(exit::OK),
        },
    };
    let mut tools = gathered.tools(&profile.plan, cancel.clone());
    let mut progress = Progress::new(&profile.plan, &profile.done);
    tools.looked_until = tokio::task::block_in_place(|| fitness::before(&mut profile));
    let ending = walk(&mut profile, &store, &tools, &mut progress).await;
    progress.clear();
    if matches!(ending, Ok(Ending::Complete)) {
        fitness::after(&mut profile, &tools.environment(), &cancel).await;
    }
    tools.close().await;
    let ending = ending?;
    if ending == Ending::Complete {
        store.save(&profile)?;
    }
    conclude(&profile, store.path(), json, style)?;
    Ok(code(&profile, ending))
}

/// A new run: its plan is shown before it starts. `None` after `--dry-run`.
async fn fresh(
    args: &RunArgs,
    json: bool,
    style: &reports::Style,
    cancel: &CancellationToken,
) -> Result<Option<(Store, Profile, Gathered)>, CliError> {
    let device = resolve::DeviceRequest::parse(&args.device)?;
    let mut request = request(args)?;
    let device = resolve::choose(&device, request.trial_timeout.as_duration(), cancel).await?;
    request.device = device.name.clone();
    if let Some(why) = &device.why_not_cuda {
        say(why);
    }
    let gathered = resolve::gather(&request.model, &request.phases, device, cancel).await?;
    let plan = resolve::plan(&request, &gathered.machine)?;
    if args.dry_run {
        match json {
            true => output::print_json(&format!("{}\n", serde_json::to_string_pretty(&plan)?))?,
            false => output::print(&reports::run_plan_table(&plan, style))?,
        }
        return Ok(None);
    }
    show(reports::run_plan_table(&plan, style));
    let store = Store::create(&args.out)?;
    if let Some(kept) = store.kept() {
        say(format_args!("the profile that was in {} is now {}", store.path().display(), kept.display()));
    }
    let profile = gathered.profile(plan);
    Ok(Some((store, profile, gathered)))
}

/// A run that goes on where it was left.
async fn resumed(path: &Path, cancel: &CancellationToken) -> Result<(Store, Profile, Gathered), CliError> {
    let (store, profile) = Store::resume(path)?;
    let gathered = resolve::gather_again(&profile, cancel).await?;
    run::check_unchanged(path, &profile, &resolve::tool(), gathered.target())?;
    let left = profile.plan.steps.len().saturating_sub(profile.done.len());
    say(format_args!("continuing {}: {left} of {} steps are left", path.display(), profile.plan.steps.len()));
    Ok((store, profile, gathered))
}

/// The request behind the arguments; which device it is on turns out later.
fn request(args: &RunArgs) -> Result<Request, CliError> {
    let model = match (&args.model, &args.synthetic) {
        (Some(path), _) => {
            ModelRequest::Directory { path: path.clone(), follow_symlinks: args.follow_symlinks }
        }
        (None, size) => ModelRequest::Synthetic(size.clone().unwrap_or_else(|| "small".to_owned())),
    };
    let image = match &args.image {
        Some(reference) => {
            reference.parse::<ImageRef>().map_err(ResolveError::Image)?;
            ImageRequest::Reference(reference.clone())
        }
        None => ImageRequest::Synthetic(Synthetic {
            image: SyntheticImage {
                size_bytes: Bytes::from_mib(args.image_size.unwrap_or(0)),
                layers: args.image_layers,
                compressibility: args.image_compressibility,
                codec: match args.image_codec {
                    Codec::Gzip => "gzip".to_owned(),
                    Codec::Zstd => "zstd".to_owned(),
                },
            },
            size_given: args.image_size.is_some(),
        }),
    };
    Ok(Request {
        device: DeviceName::Host,
        model,
        image,
        phases: resolve::phases(&args.phases)?,
        strategies: args.strategies.clone(),
        quick: args.quick,
        budget: args.budget.map(Nanos::from_secs),
        trials: args.trials,
        pull_trials: args.pull_trials,
        batches: args.batches.clone(),
        prompts: args.prompts.clone(),
        contexts: args.contexts.clone(),
        trial_timeout: Nanos::from_secs(args.trial_timeout),
        seed: args.seed,
    })
}

/// The result on stdout, and where the file lies on stderr.
fn conclude(profile: &Profile, path: &Path, json: bool, style: &reports::Style) -> Result<(), CliError> {
    match json {
        true => output::print_json(&profile.to_json()?)?,
        false => output::print(&reports::terminal(profile, style))?,
    }
    match profile.state {
        RunState::Complete => say(format_args!("the profile is in {}", path.display())),
        RunState::Partial | RunState::Interrupted => say(format_args!(
            "interrupted; what was measured is in {path}: continue with `coldstart run --resume {path}`",
            path = path.display()
        )),
    }
    Ok(())
}

/// The exit code of a run.
fn code(profile: &Profile, ending: Ending) -> u8 {
    let failed = profile.measurements.iter().any(|row| {
        matches!(row.outcome, Outcome::Failed { .. }) && profile.plan.phases.contains(&row.key.phase)
    });
    let broken = profile.traces.iter().any(|trace| matches!(trace.end, TraceEnd::Failed { .. }));
    match ending {
        Ending::Interrupted => exit::INTERRUPTED,
        Ending::Complete if failed || broken => exit::FAILED,
        Ending::Complete => exit::OK,
    }
}

/// A token that Ctrl-C, SIGTERM and SIGHUP (the terminal is gone) cancel. A second one ends the program at once.
pub(super) fn cancel_on_ctrl_c() -> CancellationToken {
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        interrupted().await;
        say(format_args!("stopping: cleaning up and writing what was measured (once more to stop at once)"));
        cancel.cancel();
        interrupted().await;
        // SAFETY: _exit ends the process and returns to nobody; children die with it (see trial::child).
        unsafe { libc::_exit(i32::from(exit::INTERRUPTED)) };
    });
    token
}

/// Waits for Ctrl-C, SIGTERM or SIGHUP.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::hangup())) {
        (Ok(mut terminate), Ok(mut hangup)) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        }
        _ => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
