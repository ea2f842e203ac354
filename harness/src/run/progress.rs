//! What a run is doing and how long it will still take: a bar on a terminal, nothing elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use coldstart_profiles::{Nanos, Plan, Step, StepKind};
use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far a run has come.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    left: Nanos,
}

impl Progress {
    /// A bar over the steps of `plan` that are not `done`; hidden unless stderr is a terminal.
    pub fn new(plan: &Plan, done: &[String]) -> Self {
        let open = || plan.steps.iter().filter(|step| !done.contains(&step.id));
        let bar = if std::io::stderr().is_terminal() && std::env::var_os("CI").is_none() {
            ProgressBar::new(open().count() as u64)
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {bar:24} {pos}/{len}  {prefix:>8} left  {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress { bar, left: open().map(|step| step.estimate_ns).sum() }
    }

    /// A step begins.
    pub fn begin(&self, step: &Step) {
        self.bar.set_prefix(format!("~{:.0} s", self.left.as_secs_f64().ceil()));
        self.bar.set_message(describe(&step.kind));
        tracing::info!("{}: {}", step.id, describe(&step.kind));
    }

    /// A part of a step is done.
    pub fn note(&self, text: String) {
        tracing::info!("{text}");
        self.bar.set_message(text);
    }

    /// A step has ended.
    pub fn end(&mut self, step: &Step) {
        self.left = self.left.saturating_sub(step.estimate_ns);
        self.bar.inc(1);
    }

    /// The run has ended.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// What a step does, for people.
fn describe(kind: &StepKind) -> String {
    match kind {
        StepKind::Limit { limit } => format!("limit: {limit}"),
        StepKind::Trial { trial, strategy, page_cache, .. } => {
            format!("cold start {}: {strategy}, page cache {page_cache}", trial + 1)
        }
        StepKind::Startup { trial, jit_cache, loading } => {
            format!("driver, context, kernels {}: {jit_cache} JIT cache, {loading} loading", trial + 1)
        }
        StepKind::Load { trial, strategy, page_cache, .. } => {
            format!("load {}: {strategy}, page cache {page_cache}", trial + 1)
        }
        StepKind::Uploads { trial, strategy, page_cache, .. } => {
            format!("load to all devices {}: {strategy}, page cache {page_cache}", trial + 1)
        }
        StepKind::Pull { trial } => format!("image pull {}", trial + 1),
        StepKind::Container { trial, .. } => format!("container start {}", trial + 1),
        StepKind::Sweep { points, .. } => format!("throughput over {} points", points.len()),
        StepKind::SteadyState { trial, points, .. } => {
            format!("steady state {} at {} points", trial + 1, points.len())
        }
    }
}
