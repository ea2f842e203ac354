//! One step of the plan after the other. A step that fails is recorded as failed, and the run goes on.

use std::time::Duration;

use coldstart_profiles::{
    Bytes, LimitKind, LimitMeasurement, Nanos, Outcome, PageCache, Params, Phase, Profile, RunState,
    SkippedPhase, Step, StepKind, SweepPoint, Work,
};
use tokio_util::sync::CancellationToken;

use super::error::RunError;
use super::images::Images;
use super::progress::Progress;
use super::record;
use super::stage::stage;
use super::store::Store;
use super::trials::Asked;
use crate::driver::JitCaches;
use crate::fitness::Watch;
use crate::resolve::{LEAST_POINT_ITERATIONS, LEAST_STEADY_ITERATIONS};
use crate::telemetry::GpuId;
use crate::trial::{ChildLine, ChildSpec, LimitSpec, Subject, SweepSpec, run_child_with};
use crate::weights::ModelFiles;
use crate::{DeviceName, clock, fitness};

/// What a run works with.
pub struct Tools {
    /// The model's files, for staging the page cache.
    pub files: ModelFiles,
    /// What pulls images and starts containers; `None` where no step needs it.
    pub images: Option<Images>,
    /// The driver's caches of compiled kernels; `None` on the host device.
    pub(crate) caches: Option<JitCaches>,
    /// When the parent's look at the GPU ended, on the monotonic clock; `None` where it took none.
    pub looked_until: Option<Nanos>,
    /// Resolution of the monotonic clock.
    pub resolution: Nanos,
    /// Cancelled by Ctrl-C.
    pub cancel: CancellationToken,
}

impl Tools {
    /// The environment of a child whose start is not measured.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.caches.as_ref().map_or_else(Vec::new, JitCaches::warm)
    }

    /// Removes what was made in the engine.
    pub async fn close(self) {
        if let Some(images) = self.images {
            images.close().await;
        }
    }
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every step was done.
    Complete,
    /// The user stopped it.
    Interrupted,
}

/// Walks the steps of the profile's plan that are not done yet. The profile is on disk after each.
///
/// # Errors
/// Only when the profile can't be written: everything else is an outcome.
pub async fn walk(
    profile: &mut Profile,
    store: &Store,
    tools: &Tools,
    progress: &mut Progress,
) -> Result<Ending, RunError> {
    let open: Vec<Step> =
        profile.plan.steps.iter().filter(|step| !profile.done.contains(&step.id)).cloned().collect();
    profile.derive();
    store.save_as(profile, RunState::Partial)?;
    for step in &open {
        if tools.cancel.is_cancelled() {
            break;
        }
        progress.begin(step);
        let begin = clock::monotonic();
        let watch = Watch::begin(&step.kind);
        let mut walker = Walker { profile, tools, progress };
        walker.take(step).await;
        profile.elapsed_ns = profile.elapsed_ns.saturating_add(clock::monotonic().saturating_sub(begin));
        if let Some(watch) = watch {
            watch.end(profile);
        }
        if tools.cancel.is_cancelled() {
            break;
        }
        profile.done.push(step.id.clone());
        profile.derive();
        store.save_as(profile, RunState::Partial)?;
        progress.end(step);
    }
    if !tools.cancel.is_cancelled() {
        Walker { profile, tools, progress }.measure_loose_limits_again().await;
    }
    let (ending, state) = if tools.cancel.is_cancelled() {
        (Ending::Interrupted, RunState::Interrupted)
    } else {
        (Ending::Complete, RunState::Complete)
    };
    profile.state = state;
    profile.derive();
    store.save_as(profile, state)?;
    Ok(ending)
}

/// Whoever walks: what it enters things into, and what it works with.
pub(super) struct Walker<'a> {
    pub(super) profile: &'a mut Profile,
    pub(super) tools: &'a Tools,
    pub(super) progress: &'a Progress,
}

impl Walker<'_> {
    /// Does one step and enters what came out.
    async fn take(&mut self, step: &Step) {
        match &step.kind {
            StepKind::Limit { limit } => self.limit(*limit, self.timeout(step)).await,
            StepKind::Trial { trial, strategy, page_cache, verify, forward } => {
                let asked = Asked::cold_start(*trial, strategy, *page_cache, *forward);
                self.trial(step, Asked { verify: *verify, ..asked }).await;
            }
            StepKind::Startup { trial, jit_cache, loading } => {
                let strategy = self.profile.plan.strategy.clone();
                self.trial(step, Asked::startup(*trial, &strategy, (*jit_cache, *loading))).await;
            }
            StepKind::Load { trial, strategy, page_cache, verify } => {
                let asked = Asked::load(*trial, strategy, *page_cache);
                self.trial(step, Asked { verify: *verify, ..asked }).await;
            }
            StepKind::Uploads { trial, strategy, page_cache, verify } => {
                let asked = Asked::load(*trial, strategy, *page_cache);
                self.trial(step, Asked { verify: *verify, together: true, ..asked }).await;
            }
            StepKind::Pull { trial } => self.pull(step, *trial).await,
            StepKind::Container { trial, strategy, page_cache, forward } => {
                self.container(step, Asked::cold_start(*trial, strategy, *page_cache, *forward)).await;
            }
            StepKind::Sweep { strategy, points } => self.sweep(step, strategy, points).await,
            StepKind::SteadyState { trial, strategy, points } => {
                self.steady_state(step, *trial, strategy, points).await;
            }
        }
    }

    pub(super) fn subject(&self) -> Subject {
        Subject {
            device: self.device(),
            model: self.profile.plan.model.path().to_owned(),
            follow_symlinks: self.profile.plan.model.follow_symlinks(),
            seed: self.profile.plan.seed,
        }
    }

    /// The time limit of a step: what the user allows a trial besides, on a machine three times as slow as planned.
    pub(super) fn timeout(&self, step: &Step) -> Duration {
        self.profile.plan.trial_timeout_ns.as_duration() + step.allowance_ns.as_duration() * 3
    }

    /// The device of the plan, which was understood when the plan was made.
    pub(super) fn device(&self) -> DeviceName {
        self.profile.plan.device.parse().unwrap_or(DeviceName::Host)
    }

    /// The GPU that children sample; `None` on the host device.
    pub(super) fn gpu(&self) -> Option<GpuId> {
        GpuId::of(&self.profile.target.device)
    }

    /// Notes how long the GPU was left alone between the parent's look at it and the first child on it.
    pub(super) fn note_idle(&mut self, spawned_ns: Nanos) {
        let look = self.profile.telemetry.looks.iter_mut().find(|look| look.when == fitness::BEFORE);
        if let (Some(look), Some(closed)) = (look, self.tools.looked_until) {
            look.idle_after_ns.get_or_insert(spawned_ns.saturating_sub(closed));
        }
    }

    async fn limit(&mut self, kind: LimitKind, timeout: Duration) {
        // Reads past the cache leave it as it is, and reads through it want it warm.
        if matches!(kind, LimitKind::CachedRead | LimitKind::CachedReadStaged) {
            let _ = tokio::task::block_in_place(|| stage(&self.tools.files, PageCache::Warm));
        }
        let spec = ChildSpec::Limit(LimitSpec { kind, subject: self.subject() });
        let failed = |why: String| LimitMeasurement {
            kind,
            params: Params::new(),
            work: Work::Bytes(Bytes::ZERO),
            outcome: Outcome::failed(why),
        };
        let environment = self.tools.environment();
        match run_child_with(&spec, &environment, timeout, &self.tools.cancel, |_| {}).await {
            Ok(output) => {
                self.note_idle(output.spawned_ns);
                let readings = output.lines.into_iter().filter_map(|line| match line {
                    ChildLine::Limit(reading) => Some(reading),
                    _ => None,
                });
                readings.for_each(|reading| record::limit(self.profile, reading));
            }
            Err(failure) if failure.cancelled => {}
            Err(failure) => record::limit(self.profile, failed(failure.why)),
        }
    }

    /// One process that passes through these points.
    fn sweep_spec(&self, strategy: &str, points: &[SweepPoint], least: usize) -> ChildSpec {
        ChildSpec::Sweep(SweepSpec {
            subject: self.subject(),
            strategy: strategy.to_owned(),
            points: points.to_vec(),
            least,
            sampled: self.gpu(),
        })
    }

    async fn sweep(&mut self, step: &Step, strategy: &str, points: &[SweepPoint]) {
        let spec = self.sweep_spec(strategy, points, LEAST_POINT_ITERATIONS as usize);
        let (timeout, environment) = (self.timeout(step), self.tools.environment());
        let (profile, progress) = (&mut *self.profile, self.progress);
        let ended = run_child_with(&spec, &environment, timeout, &self.tools.cancel, |line| match line {
            ChildLine::Point(report) => {
                record::point(profile, &step.id, report);
                let SweepPoint { mode, batch, tokens, .. } = report.point;
                progress.note(format!(
                    "throughput: {} of batch {batch}, {} {tokens} done",
                    mode.name(),
                    mode.tokens_name()
                ));
            }
            ChildLine::Products { products } => record::products(profile, &step.id, products.clone()),
            _ => {}
        })
        .await;
        match ended {
            Ok(output) => {
                self.note_idle(output.spawned_ns);
                record::sweep_failed(self.profile, points, "the sweep ended without this point");
            }
            Err(failure) if failure.cancelled => {}
            Err(failure) => {
                let why = format!("{}\n{}", failure.why, failure.stderr);
                record::sweep_failed(self.profile, points, why.trim());
            }
        }
    }

    async fn steady_state(&mut self, step: &Step, trial: u32, strategy: &str, points: &[SweepPoint]) {
        let spec = self.sweep_spec(strategy, points, LEAST_STEADY_ITERATIONS as usize);
        let (timeout, environment) = (self.timeout(step), self.tools.environment());
        self.profile.throughput_trials.retain(|known| known.step != step.id);
        let profile = &mut *self.profile;
        let ended = run_child_with(&spec, &environment, timeout, &self.tools.cancel, |line| match line {
            ChildLine::Point(report) => record::steady_state(profile, (&step.id, trial), report),
            ChildLine::Products { products } => record::products(profile, &step.id, products.clone()),
            _ => {}
        })
        .await;
        match ended {
            Ok(output) => {
                self.note_idle(output.spawned_ns);
                let why = "the process ended without this point";
                record::steady_state_failed(self.profile, (&step.id, trial), points, why);
            }
            Err(failure) if failure.cancelled => {}
            Err(failure) => {
                let why = format!("{}\n{}", failure.why, failure.stderr);
                record::steady_state_failed(self.profile, (&step.id, trial), points, why.trim());
            }
        }
    }

    async fn pull(&mut self, step: &Step, trial: u32) {
        match &self.tools.images {
            Some(images) => images.pull(self.profile, step, trial, &self.tools.cancel).await,
            None => self.without_engine(Phase::ImagePull),
        }
    }

    /// A resumed run that finds no engine any more.
    pub(super) fn without_engine(&mut self, phase: Phase) {
        let skipped = SkippedPhase {
            phase,
            why: "there was no container engine any more when the run went on".to_owned(),
        };
        if !self.profile.skipped.contains(&skipped) {
            self.profile.skipped.push(skipped);
        }
    }

    /// A limit that a load beat was not the limit: it is measured once more. What still beats it gets a caveat.
    async fn measure_loose_limits_again(&mut self) {
        self.profile.derive();
        let mut loose: Vec<LimitKind> = (self.profile.measurements.iter())
            .filter(|row| row.achieved().is_some_and(|ratio| ratio > coldstart_profiles::LOOSE))
            .filter_map(|row| Some(row.limit.as_ref()?.kind))
            .collect();
        loose.sort_unstable();
        loose.dedup();
        for kind in loose {
            if !self.tools.cancel.is_cancelled() {
                self.limit(kind, self.profile.plan.trial_timeout_ns.as_duration()).await;
            }
        }
    }
}
