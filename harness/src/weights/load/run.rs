//! The phase `weights_load`.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Instant;

use coldstart_kernels::Memory;
use coldstart_profiles::{AbsentPart, Bytes, LoadDetail, Nanos, Residency};

use super::device::LoadDevice;
use super::job::Job;
use super::log::{Log, length, overlap, union};
use super::source::{DIRECT_ALIGN, Source};
use super::window::windows;
use super::worker::{Reads, work};
use crate::weights::error::WeightsError;
use crate::weights::files::ModelFiles;
use crate::weights::layout::DeviceLayout;
use crate::weights::page_cache::residency;
use crate::weights::strategy::Strategy;

/// How a load spreads its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// Threads that read and copy; 0: one a core, at most 8.
    pub threads: usize,
    /// What is read at once, in bytes: rounded up to a multiple of 4096.
    pub chunk_bytes: usize,
    /// Pieces of staging memory a thread, each of the chunk's size: the reads that a thread has under way at once around the
    /// page cache.
    pub slots: usize,
}

impl Default for LoadOptions {
    /// 2 MiB at once, one huge page, four pieces a thread: 16 MiB of staging memory on two cores, small enough to stay in
    /// the caches. Measured on a 2-core VM with 200 MB in bf16: direct reads run at 2.5 GB/s from 1 to 8 MiB, staged
    /// warm reads at 9 GB/s up to 2 MiB and under 8 beyond.
    fn default() -> Self {
        LoadOptions { threads: 0, chunk_bytes: 2 << 20, slots: 4 }
    }
}

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
pub fn load_weights<D: LoadDevice>(
    device: &D,
    model: &ModelFiles,
    layout: &DeviceLayout,
    buffer: &mut D::Buffer,
    strategy: Strategy,
    options: LoadOptions,
) -> Result<LoadReading, WeightsError> {
    load_by(device, model, layout, buffer, (strategy, Reads::of(strategy)), options)
}

/// The same, with the way to read given.
pub(super) fn load_by<D: LoadDevice>(
    device: &D,
    model: &ModelFiles,
    layout: &DeviceLayout,
    buffer: &mut D::Buffer,
    (strategy, reads): (Strategy, Reads),
    options: LoadOptions,
) -> Result<LoadReading, WeightsError> {
    let (needed, given) = (layout.buffer_bytes(), buffer.len() as u64);
    if given < needed {
        return Err(WeightsError::WrongBuffer { needed: Bytes::new(needed), given: Bytes::new(given) });
    }
    let residency_before = residency(model.files())?;
    let chunk = options.chunk_bytes.max(1).next_multiple_of(DIRECT_ALIGN as usize);
    let start = Instant::now();
    let sources = open(model, strategy)?;
    let host = D::host_bytes(buffer).is_some();
    if strategy.needs_host_memory() && !host {
        return Err(WeightsError::NotHostMemory { strategy: strategy.name() });
    }
    let (cut, shared) = if host {
        (windows(layout.segments(), chunk as u64, D::host_bytes(buffer)), None)
    } else {
        (windows(layout.segments(), chunk as u64, None), Some(Mutex::new(buffer)))
    };
    let places: Vec<_> = cut.iter().map(|window| (window.file, window.range.clone())).collect();
    let threads = thread_count(options.threads, reads).clamp(1, cut.len().max(1));
    let slots = options.slots.clamp(1, cut.len().div_ceil(threads).max(1));
    let job = Job {
        device,
        start,
        sources: &sources,
        queue: Mutex::new(cut.into_iter()),
        buffer: shared,
        chunk,
        slots,
        stop: AtomicBool::new(false),
    };
    let log = run(&job, reads, threads)?;
    device.sync().map_err(WeightsError::device("wait for the last copy"))?;
    let total = Nanos::from(start.elapsed());
    let shape = Shape { reads, threads, slots, chunk };
    let first = log.first_tensor(model.tensors(), &places);
    let detail = detail(&log, shape, Bytes::new(model.bytes()), first, residency_before);
    Ok(LoadReading { total, detail })
}

fn open(model: &ModelFiles, strategy: Strategy) -> Result<Vec<Source>, WeightsError> {
    model.files().iter().map(|file| Source::open(file, strategy)).collect()
}

/// A thread a core; twice as many where each only waits for its own read.
fn thread_count(asked: usize, reads: Reads) -> usize {
    if asked > 0 {
        return asked;
    }
    let cores = thread::available_parallelism().map_or(1, usize::from).min(8);
    if reads == Reads::DirectPread { 2 * cores } else { cores }
}

/// Work with `threads` threads, the calling one among them.
fn run<D: LoadDevice>(job: &Job<'_, D>, reads: Reads, threads: usize) -> Result<Log, WeightsError> {
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| work(job, reads))).collect();
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

/// How a load was spread.
#[derive(Clone, Copy)]
struct Shape {
    reads: Reads,
    threads: usize,
    slots: usize,
    chunk: usize,
}

fn detail(
    log: &Log,
    shape: Shape,
    loaded_bytes: Bytes,
    first_tensor_ns: Option<Nanos>,
    residency_before: Residency,
) -> LoadDetail {
    let (read, upload) = (union(&log.read), union(&log.upload));
    let part = |part: &str, why: &str| AbsentPart { part: part.to_owned(), why: why.to_owned() };
    let mut absent = vec![part("stage_ns", "no step between reading and uploading copies the bytes")];
    if shape.reads == Reads::Faults {
        absent.push(part("read_ns", "the page faults of the copy do the reading"));
    }
    if shape.reads == Reads::InPlace {
        absent.push(part("upload_ns", "the read ends in device memory"));
    }
    let staging = if shape.reads.is_staged() { shape.threads * shape.slots * shape.chunk } else { 0 };
    let queue = if shape.reads == Reads::Uring { shape.threads * shape.slots } else { shape.threads };
    LoadDetail {
        loaded_bytes,
        threads: shape.threads as u32,
        queue_depth: queue as u32,
        chunk_bytes: Bytes::new(shape.chunk as u64),
        reads_by: shape.reads.name().to_owned(),
        pin_ns: length(&union(&log.pin)),
        pinned_bytes: Bytes::new(staging as u64),
        read_ns: (shape.reads != Reads::Faults).then(|| length(&read)),
        stage_ns: None,
        upload_ns: (shape.reads != Reads::InPlace).then(|| length(&upload)),
        overlap_ns: overlap(&read, &upload),
        absent,
        first_tensor_ns,
        residency_before,
        verified_bytes: None,
    }
}
