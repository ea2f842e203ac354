//! What one thread of a load does: take a window, read it, upload it, until none is left.

use coldstart_kernels::HostMemory;

use super::device::LoadDevice;
use super::job::{Job, Staged};
use super::log::Log;
use super::source::aligned;
use super::uring;
use super::window::Dest;
use crate::weights::error::WeightsError;
use crate::weights::strategy::Strategy;

/// How the bytes of a window are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// Through a mapping, by page faults of the copy.
    Faults,
    /// Through a mapping, faulted in first.
    Populate,
    /// pread into the ring.
    Pread,
    /// pread into device memory.
    InPlace,
    /// pread around the page cache, one at a time a thread.
    DirectPread,
    /// io_uring around the page cache, several at a time a thread.
    Uring,
}

impl Reads {
    /// The way to read of a strategy on this machine.
    pub(super) fn of(strategy: Strategy) -> Reads {
        match strategy {
            Strategy::Mmap => Reads::Faults,
            Strategy::MmapPopulate => Reads::Populate,
            Strategy::Buffered => Reads::Pread,
            Strategy::BufferedInPlace => Reads::InPlace,
            Strategy::Direct if uring::allowed() => Reads::Uring,
            Strategy::Direct => Reads::DirectPread,
        }
    }

    /// The name in a profile.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Reads::Faults | Reads::Populate => "mmap",
            Reads::Pread | Reads::InPlace | Reads::DirectPread => "pread",
            Reads::Uring => "io_uring",
        }
    }

    /// Whether it needs staging memory.
    pub(super) const fn is_staged(self) -> bool {
        matches!(self, Reads::Pread | Reads::DirectPread | Reads::Uring)
    }
}

/// Work until the queue is empty or somebody failed; then the others are told to stop.
pub(super) fn work<D: LoadDevice>(job: &Job<'_, D>, reads: Reads) -> Result<Log, WeightsError> {
    let mut log = Log::new(job.start);
    let worked = match reads {
        Reads::Faults | Reads::Populate => mapped(job, reads, &mut log),
        Reads::Pread | Reads::DirectPread => staged(job, reads, &mut log),
        Reads::InPlace => in_place(job, &mut log),
        Reads::Uring => uring::work(job, &mut log),
    };
    if worked.is_err() {
        job.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }
    worked.map(|()| log)
}

/// This thread's own stream.
pub(super) fn stream<D: LoadDevice>(job: &Job<'_, D>) -> Result<D::Stream, WeightsError> {
    job.device.stream().map_err(WeightsError::device("make a stream"))
}

fn mapped<D: LoadDevice>(job: &Job<'_, D>, reads: Reads, log: &mut Log) -> Result<(), WeightsError> {
    let stream = stream(job)?;
    while let Some(window) = job.next() {
        let source = &job.sources[window.file];
        if reads == Reads::Populate {
            let from = log.now();
            source.populate(&window.range)?;
            log.read.push((from, log.now()));
        } else {
            source.read_ahead(&window.range)?;
        }
        let bytes = source.mapped(&window.range)?;
        job.put(&stream, &Staged::Mapped(bytes), window, log)?;
    }
    Ok(())
}

fn staged<D: LoadDevice>(job: &Job<'_, D>, reads: Reads, log: &mut Log) -> Result<(), WeightsError> {
    let mut slots = job.staging(log)?;
    let stream = stream(job)?;
    for turn in 0.. {
        let Some(window) = job.next() else { break };
        let source = &job.sources[window.file];
        let count = slots.len();
        let slot = &mut slots[turn % count];
        // Waits for the copies of this slot's last turn.
        let bytes = slot.as_mut_slice().map_err(WeightsError::device("wait for staging memory"))?;
        let from = log.now();
        let base = if reads == Reads::DirectPread {
            source.read_direct(&window.range, bytes)?;
            (window.range.start - aligned(&window.range).start) as usize
        } else {
            let length = (window.range.end - window.range.start) as usize;
            source.read(window.range.start, &mut bytes[..length])?;
            0
        };
        log.read.push((from, log.now()));
        job.put(&stream, &Staged::Pinned(slot, base), window, log)?;
    }
    Ok(())
}

fn in_place<D: LoadDevice>(job: &Job<'_, D>, log: &mut Log) -> Result<(), WeightsError> {
    while let Some(window) = job.next() {
        let source = &job.sources[window.file];
        let from = log.now();
        for piece in window.pieces {
            let Dest::Host(own) = piece.dest else {
                return Err(WeightsError::NotHostMemory { strategy: Strategy::BufferedInPlace.name() });
            };
            source.read(piece.begin, own)?;
        }
        let to = log.now();
        log.read.push((from, to));
        log.done.push((window.index, to));
    }
    Ok(())
}
