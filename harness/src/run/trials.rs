//! The steps in which one fresh process, or one fresh container, gives one trace.

use std::time::Duration;

use coldstart_profiles::{
    DriverConditions, ForwardPlan, JitCache, Key, ModuleLoading, PageCache, Params, Phase, Refused, Scope,
    Step, TotalKind,
};

use super::compose::{Context, Origin, compose, failed};
use super::record;
use super::stage::stage;
use super::walk::Walker;
use crate::driver;
use crate::host::Host;
use crate::trial::{ChildFailure, ChildLine, ChildOutput, ChildSpec, TrialSpec, run_child_with};

/// What whole trials find of the driver: that of a node which never ran these kernels.
const TRIALS: (JitCache, ModuleLoading) = (JitCache::Cold, ModuleLoading::Lazy);
/// What loads find of it, whose start does not count.
const LOADS: (JitCache, ModuleLoading) = (JitCache::Warm, ModuleLoading::Lazy);

/// What a trial or a load is asked to do.
pub(super) struct Asked<'a> {
    pub(super) scope: Scope,
    pub(super) trial: u32,
    /// Whether the weights go to all devices at once.
    pub(super) together: bool,
    /// What it is to find of the driver, where there is one.
    pub(super) driver: (JitCache, ModuleLoading),
    pub(super) strategy: &'a str,
    pub(super) page_cache: PageCache,
    pub(super) verify: bool,
    pub(super) forward: Option<ForwardPlan>,
}

impl<'a> Asked<'a> {
    /// A whole cold start.
    pub(super) fn cold_start(
        trial: u32,
        strategy: &'a str,
        page_cache: PageCache,
        forward: Option<ForwardPlan>,
    ) -> Self {
        let (scope, driver, together) = (Scope::ColdStart, TRIALS, false);
        Asked { scope, trial, together, driver, strategy, page_cache, verify: false, forward }
    }

    /// A process that comes as far as its kernels.
    pub(super) fn startup(trial: u32, strategy: &'a str, driver: (JitCache, ModuleLoading)) -> Self {
        let (scope, together, page_cache) = (Scope::Startup, false, PageCache::Warm);
        Asked { scope, trial, together, driver, strategy, page_cache, verify: false, forward: None }
    }

    /// A load of the weights without a forward pass.
    pub(super) fn load(trial: u32, strategy: &'a str, page_cache: PageCache) -> Self {
        let (scope, driver, together) = (Scope::Load, LOADS, false);
        Asked { scope, trial, together, driver, strategy, page_cache, verify: false, forward: None }
    }
}

/// The conditions of a load.
fn files_params(asked: &Asked<'_>, devices: usize) -> Params {
    let params = Params::new().with("page_cache", asked.page_cache).with("staging", asked.strategy);
    if asked.together { params.with("devices", devices) } else { params }
}

impl Walker<'_> {
    /// What the next child is going to find of the driver. It is looked at just before: whatever held the driver a while ago
    /// may be gone.
    fn driver(&self, asked: &Asked<'_>) -> Option<DriverConditions> {
        self.tools.caches.as_ref()?;
        let looks = &self.profile.telemetry.looks;
        let persistence = looks.iter().find_map(|look| look.persistence_mode);
        let (jit_cache, loading) = asked.driver;
        Some(DriverConditions { driver_state: driver::state(&Host::here(), persistence), jit_cache, loading })
    }

    fn context(&self, step: &Step, asked: &Asked<'_>, driver: Option<DriverConditions>) -> Context {
        let files = files_params(asked, self.device().gpus().len());
        let params = match (asked.scope, driver) {
            (Scope::Startup, Some(driver)) => driver.params(Params::new()),
            (Scope::ColdStart, Some(driver)) => driver.params(files),
            _ => files,
        };
        Context {
            step: step.id.clone(),
            trial: asked.trial,
            scope: asked.scope,
            params,
            resolution: self.tools.resolution,
        }
    }

    fn spec(&self, asked: &Asked<'_>, driver: Option<DriverConditions>) -> TrialSpec {
        TrialSpec {
            subject: self.subject(),
            driver,
            together: asked.together,
            startup_only: asked.scope == Scope::Startup,
            strategy: asked.strategy.to_owned(),
            page_cache: asked.page_cache,
            verify: asked.verify,
            forward: asked.forward,
            // A load by itself is left undisturbed.
            sampled: self.gpu().filter(|_| asked.forward.is_some()),
        }
    }

    /// Brings the page cache into its state; what went wrong is a caveat, and seen again in the reading's residency.
    fn stage(&mut self, step: &Step, state: PageCache) {
        if let Err(error) = tokio::task::block_in_place(|| stage(&self.tools.files, state)) {
            self.profile.caveat("page_cache", format!("before `{}`: failed to {error}", step.id));
        }
    }

    /// A child whose start is measured, in an environment with the caches that it is to find.
    async fn run_trial(&mut self, spec: TrialSpec, timeout: Duration) -> Result<ChildOutput, ChildFailure> {
        let (cancel, driver) = (&self.tools.cancel, spec.driver);
        let spec = ChildSpec::Trial(spec);
        let (Some(caches), Some(driver)) = (&self.tools.caches, driver) else {
            return run_child_with(&spec, &[], timeout, cancel, |_| {}).await;
        };
        if driver.jit_cache == JitCache::Warm && !caches.holds_something() {
            let text = "the driver left nothing in its cache of compiled kernels: `jit_cache=warm` is as cold as `cold`";
            self.profile.caveat("jit_cache", text);
        }
        let environment = match caches.environment(driver.jit_cache, driver.loading) {
            Ok(environment) => environment,
            Err(error) => {
                let why = format!("failed to make a directory for compiled kernels: {error}");
                return Err(ChildFailure { why, stderr: String::new(), lines: Vec::new(), cancelled: false });
            }
        };
        run_child_with(&spec, environment.variables(), timeout, cancel, |_| {}).await
    }

    pub(super) async fn trial(&mut self, step: &Step, asked: Asked<'_>) {
        if asked.scope != Scope::Startup {
            self.stage(step, asked.page_cache);
        }
        let driver = self.driver(&asked);
        let context = self.context(step, &asked, driver);
        let spec = self.spec(&asked, driver);
        match self.run_trial(spec, self.timeout(step)).await {
            Ok(output) => self.enter(&asked, context, output),
            Err(failure) if failure.cancelled => {}
            Err(failure) => {
                let trace = failed(context, TotalKind::Process, failure.why, failure.stderr);
                record::trace(self.profile, trace, None);
            }
        }
    }

    /// Enters what a child that ended well has reported.
    fn enter(&mut self, asked: &Asked<'_>, context: Context, output: ChildOutput) {
        self.note_idle(output.spawned_ns);
        let report = output.lines.into_iter().find_map(|line| match line {
            ChildLine::Trial(report) => Some(report),
            _ => None,
        });
        match report {
            Some(report) if report.refused && asked.scope == Scope::Load => {
                self.refused(asked, report.error.unwrap_or_default());
            }
            Some(report) => {
                let origin = Origin::Process { spawned_ns: output.spawned_ns };
                record::trial(self.profile, compose(context, origin, report, output.stderr));
            }
            None => {
                let why = "ended well but said nothing".to_owned();
                let trace = failed(context, TotalKind::Process, why, String::new());
                record::trace(self.profile, trace, None);
            }
        }
    }

    /// A way of loading that this machine can't take has not failed: its row says what the machine said.
    fn refused(&mut self, asked: &Asked<'_>, why: String) {
        let key = Key::host(Phase::WeightsLoad, files_params(asked, self.device().gpus().len()));
        if !self.profile.refused.iter().any(|known| known.key == key) {
            self.profile.refused.push(Refused { key, why: format!("failed to {why}") });
        }
    }

    pub(super) async fn container(&mut self, step: &Step, asked: Asked<'_>) {
        let Some(images) = &self.tools.images else {
            self.without_engine(Phase::ContainerStart);
            return;
        };
        self.stage(step, asked.page_cache);
        let driver = self.driver(&asked);
        let (context, spec) = (self.context(step, &asked, driver), self.spec(&asked, driver));
        let timeout = self.timeout(step);
        match images.container(&spec, &self.tools.files, timeout, &self.tools.cancel).await {
            Ok(Some((origin, report, stderr))) => {
                record::trial(self.profile, compose(context, origin, report, stderr));
            }
            Ok(None) => {}
            Err((why, stderr)) => {
                record::trace(self.profile, failed(context, TotalKind::Container, why, stderr), None);
            }
        }
    }
}
