//! The phase `weights_load`.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Instant;

use coldstart_kernels::Memory;
use coldstart_profiles::{Bytes, LoadDetail, Nanos, Residency};

use super::anonymous;
use super::detail::detail;
use super::device::LoadDevice;
use super::job::{Job, LogOf};
use super::log::Origin;
use super::options::{LoadOptions, Spread};
use super::reads::Reads;
use super::source::Source;
use super::whole::{self, Places};
use super::window::{Window, windows};
use super::worker::work;
use crate::weights::error::WeightsError;
use crate::weights::files::ModelFiles;
use crate::weights::layout::DeviceLayout;
use crate::weights::page_cache::residency;
use crate::weights::strategy::Strategy;

/// Copies of `pinned-whole` are larger than those of a ring, whose slots have to be filled again.
const WHOLE_CHUNK: u64 = 64 << 20;

/// One load that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReading {
    /// From before the first file was opened to after the last copy's sync.
    pub total: Nanos,
    /// The same load, taken apart.
    pub detail: LoadDetail,
}

/// Load `model` into `buffer`, which [`alloc_weights`](super::alloc_weights) made for `layout`.
///
/// The page cache is asked before the clock starts. The clock runs from before the files are opened, over making the staging
/// memory, to the sync after the last copy. Mappings and staging memory are given back after it.
///
/// # Errors
/// When a file can't be read or the device fails. An error that [is a refusal](WeightsError::is_refusal) means that this
/// machine can't do what the strategy asks for.
pub fn load_weights<D: LoadDevice>(
    device: &D,
    model: &ModelFiles,
    layout: &DeviceLayout,
    buffer: &mut D::Buffer,
    strategy: Strategy,
    options: LoadOptions,
) -> Result<LoadReading, WeightsError> {
    let plan = Prepared::of::<D>(model, layout, buffer, (strategy, options), 1)?;
    load_prepared(device, plan, buffer).map(|(_, reading)| reading)
}

/// A load that is ready to start: all that is asked before the clock runs.
#[derive(Debug, Clone)]
pub(super) struct Prepared<'m> {
    pub(super) model: &'m ModelFiles,
    layout: &'m DeviceLayout,
    pub(super) residency: Residency,
    pub(super) reads: Reads,
    spread: Spread,
}

impl<'m> Prepared<'m> {
    /// What there is to know about one of `loads` at once. `D` is the device of `buffer`.
    pub(super) fn of<D: LoadDevice>(
        model: &'m ModelFiles,
        layout: &'m DeviceLayout,
        buffer: &mut D::Buffer,
        (strategy, options): (Strategy, LoadOptions),
        loads: usize,
    ) -> Result<Self, WeightsError> {
        let (needed, given) = (layout.buffer_bytes(), buffer.len() as u64);
        if given < needed {
            return Err(WeightsError::WrongBuffer { needed: Bytes::new(needed), given: Bytes::new(given) });
        }
        let host = D::host_bytes(buffer).is_some();
        if strategy.needs_host_memory() && !host {
            return Err(WeightsError::NotHostMemory { strategy: strategy.name() });
        }
        let residency = residency(model.files())?;
        let reads = Reads::of(strategy, &residency);
        let spread = Spread::of(options, host, reads, loads);
        Ok(Prepared { model, layout, residency, reads, spread })
    }
}

/// What is cut before the first byte is read.
struct Cut<'a> {
    /// What is read, where that is not what is uploaded.
    reads: Vec<Window<'a>>,
    places: Option<Places>,
    uploads: Vec<Window<'a>>,
}

impl<'a> Cut<'a> {
    fn of(plan: &Prepared<'_>, host: Option<&'a mut [u8]>) -> Result<Cut<'a>, WeightsError> {
        let (segments, chunk) = (plan.layout.segments(), plan.spread.chunk as u64);
        if !matches!(plan.reads, Reads::Whole | Reads::DirectWhole) {
            return Ok(Cut { reads: Vec::new(), places: None, uploads: windows(segments, chunk, host) });
        }
        let reads = windows(segments, chunk, None);
        let places = Places::of(&reads, plan.model.files().len());
        places.check()?;
        Ok(Cut { reads, places: Some(places), uploads: windows(segments, chunk.max(WHOLE_CHUNK), host) })
    }
}

/// Load, and say when the clock was started.
pub(super) fn load_prepared<D: LoadDevice>(
    device: &D,
    plan: Prepared<'_>,
    buffer: &mut D::Buffer,
) -> Result<(Instant, LoadReading), WeightsError> {
    let anonymous_before = anonymous::resident();
    let start = Instant::now();
    let host = D::host_bytes(buffer).is_some();
    let origin = if host { None } else { Some(Origin::mark(device, start)?) };
    let sources = plan.model.files().iter().map(|file| Source::open(file, plan.reads.access()));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let (cut, shared) = if host {
        (Cut::of(&plan, D::host_bytes(buffer))?, None)
    } else {
        (Cut::of(&plan, None)?, Some(Mutex::new(buffer)))
    };
    let ranges: Vec<_> = cut.uploads.iter().map(|window| (window.file, window.range.clone())).collect();
    let spread = plan.spread.shrink(if cut.places.is_some() { &cut.reads } else { &cut.uploads });
    let room = if plan.reads.has_ring() && !host {
        cut.uploads.iter().map(Window::packed_bytes).max().unwrap_or(0).next_multiple_of(4096)
    } else {
        0
    };
    let streams = (0..if host { 0 } else { spread.streams })
        .map(|_| device.stream().map_err(WeightsError::device("make a stream")))
        .collect::<Result<_, _>>()?;
    let job = Job {
        device,
        start,
        sources: &sources,
        queue: Mutex::new(cut.uploads.into_iter()),
        buffer: shared,
        streams,
        spread,
        room,
        kept: Mutex::default(),
        stop: AtomicBool::new(false),
    };
    let mut log = match &cut.places {
        Some(places) => whole::load(&job, plan.reads, &cut.reads, places)?,
        None => run(&job, plan.reads)?,
    };
    device.sync().map_err(WeightsError::device("wait for the last copy"))?;
    let total = Nanos::from(start.elapsed());
    if let Some(origin) = &origin {
        log.settle(device, origin, total.as_nanos())?;
    }
    let mut detail = detail(&log, &plan, &job, cut.places.as_ref());
    detail.first_tensor_ns = log.first_tensor(plan.model.tensors(), &ranges);
    detail.anonymous_growth_bytes = anonymous::growth(anonymous_before, anonymous::resident());
    Ok((start, LoadReading { total, detail }))
}

/// Work with as many threads as were asked for, the calling one among them.
fn run<D: LoadDevice>(job: &Job<'_, D>, reads: Reads) -> Result<LogOf<D>, WeightsError> {
    thread::scope(|scope| {
        let others: Vec<_> = (1..job.spread.threads).map(|_| scope.spawn(|| work(job, reads))).collect();
        let mut log = work(job, reads);
        for other in others {
            let other = other.join().unwrap_or(Err(WeightsError::Thread("loader")));
            match (&mut log, other) {
                (Ok(log), Ok(other)) => log.merge(other),
                (Ok(_), Err(error)) => log = Err(error),
                (Err(_), _) => {}
            }
        }
        log
    })
}
