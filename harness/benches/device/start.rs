//! Starting a process on the device, each time a fresh one: a driver and a context are made once in a process, and only the
//! first time is cold. The children say themselves how long each phase took. This process has the GPU open all the while, so
//! that what they find is a driver that is held; `coldstart run` measures the others.

use std::time::Duration;

use coldstart::DeviceName;
use coldstart::trial::{ChildLine, ChildSpec, Subject, TrialReport, TrialSpec, run_child};
use coldstart_profiles::{DriverConditions, DriverState, JitCache, ModuleLoading, PageCache, Phase};
use criterion::Criterion;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::forward::model;
use crate::{Failure, must};

/// A start that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) fn benches(c: &mut Criterion, name: &DeviceName, kind: &str) -> Result<(), Failure> {
    let (_cache, files, _) = model()?;
    let runtime = Runtime::new()?;
    let conditions = DriverConditions {
        driver_state: Some(DriverState::Held),
        jit_cache: JitCache::Warm,
        loading: ModuleLoading::Lazy,
    };
    let spec = ChildSpec::Trial(TrialSpec {
        subject: Subject {
            device: name.clone(),
            model: files.dir().display().to_string(),
            follow_symlinks: false,
            seed: 1,
        },
        driver: name.is_cuda().then_some(conditions),
        together: false,
        startup_only: name.is_cuda(),
        strategy: "buffered".to_owned(),
        page_cache: PageCache::Warm,
        verify: false,
        forward: None,
        sampled: None,
    });
    let started = || runtime.block_on(start(&spec));
    // The first one compiles kernels for those behind it.
    started()?;
    let mut group = c.benchmark_group(format!("{kind}/start of a process"));
    group.sample_size(10);
    group.bench_function(Phase::ProcessStart.name(), |b| {
        b.iter_custom(|iterations| (0..iterations).map(|_| must(started()).0).sum());
    });
    let phases: &[Phase] =
        if name.is_cuda() { &[Phase::DriverInit, Phase::ContextCreate, Phase::ModuleLoad] } else { &[] };
    for phase in phases {
        group.bench_function(phase.name(), |b| {
            b.iter_custom(|iterations| (0..iterations).map(|_| took(&must(started()).1, *phase)).sum());
        });
    }
    group.finish();
    Ok(())
}

/// Starts a child: the time to the first line of its `main`, and what it says of the phases behind that.
async fn start(spec: &ChildSpec) -> Result<(Duration, TrialReport), Failure> {
    let output = run_child(spec, TIMEOUT, &CancellationToken::new(), |_| {}).await?;
    let report = output.lines.into_iter().find_map(|line| match line {
        ChildLine::Trial(report) => Some(report),
        _ => None,
    });
    let report = report.ok_or("a child ended well but said nothing")?;
    if let Some(error) = report.error {
        return Err(format!("failed to {error}").into());
    }
    Ok((report.main_ns.saturating_sub(output.spawned_ns).as_duration(), report))
}

/// How long a phase took by a child's report; nothing where it was not there.
fn took(report: &TrialReport, phase: Phase) -> Duration {
    let reading = report.readings.iter().find(|reading| reading.phase == phase);
    reading.map_or(Duration::ZERO, |reading| reading.duration_ns.as_duration())
}
