//! What one thread of a load does: take a window, read it, upload it, until none is left.

use std::collections::VecDeque;

use coldstart_kernels::{Error as DeviceError, HostMemory};

use super::device::LoadDevice;
use super::job::{Job, LogOf, Staged};
use super::log::Log;
use super::reads::Reads;
use super::source::{Source, aligned};
use super::uring;
use super::window::{Dest, Window};
use crate::weights::error::WeightsError;
use crate::weights::page_cache::page_size;
use crate::weights::strategy::Strategy;

/// Work until the queue is empty or somebody failed; then the others are told to stop.
pub(super) fn work<D: LoadDevice>(job: &Job<'_, D>, reads: Reads) -> Result<LogOf<D>, WeightsError> {
    let mut log = Log::new(job.start);
    let worked = match reads {
        Reads::Faults | Reads::Populate => mapped(job, reads, &mut log),
        Reads::Registered => registered(job, &mut log),
        Reads::Staged | Reads::Pread | Reads::DirectPread => staged(job, reads, &mut log),
        Reads::Pageable => pageable(job, &mut log),
        Reads::InPlace => in_place(job, &mut log),
        Reads::Uring => uring::work(job, &mut log),
        // Its threads only read: `whole` starts them.
        Reads::Whole | Reads::DirectWhole => Ok(()),
    };
    if worked.is_err() {
        job.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }
    worked.map(|()| log)
}

/// The pieces of staging memory of one thread, made when they are first needed: what a first read and a first copy take is
/// not added to what pinning all of them takes.
struct Ring<P> {
    slots: Vec<P>,
    turn: usize,
}

impl<P> Ring<P> {
    fn next<D: LoadDevice<Pinned = P>>(
        &mut self,
        job: &Job<'_, D>,
        log: &mut LogOf<D>,
    ) -> Result<&mut P, WeightsError> {
        if self.slots.len() < job.spread.slots {
            self.slots.push(job.staging(log)?);
            self.turn = self.slots.len() - 1;
        } else {
            self.turn = (self.turn + 1) % self.slots.len();
        }
        self.slots.get_mut(self.turn).ok_or(WeightsError::Thread("loader"))
    }
}

fn staged<D: LoadDevice>(job: &Job<'_, D>, reads: Reads, log: &mut LogOf<D>) -> Result<(), WeightsError> {
    let mut ring = Ring { slots: Vec::new(), turn: 0 };
    while let Some(window) = job.next() {
        let source = &job.sources[window.file];
        let slot = ring.next(job, log)?;
        if reads == Reads::Staged {
            populate(source, &window, log)?;
        }
        // Waits for the copies of this slot's last turn, and for no others.
        let bytes = slot.as_mut_slice().map_err(WeightsError::device("wait for staging memory"))?;
        let length = (window.range.end - window.range.start) as usize;
        let from = log.now();
        let mut base = 0;
        match reads {
            Reads::DirectPread => {
                source.read_direct(&window.range, bytes)?;
                base = (window.range.start - aligned(&window.range).start) as usize;
            }
            Reads::Staged => bytes[..length].copy_from_slice(source.mapped(&window.range)?),
            _ => source.read(window.range.start, &mut bytes[..length])?,
        }
        let took = (from, log.now());
        if reads == Reads::Staged {
            log.stage.push(took)
        } else {
            log.read.push(took)
        }
        job.put(Staged::Slot(slot, base), window, log)?;
    }
    job.keep(ring.slots);
    Ok(())
}

fn populate<M>(source: &Source, window: &Window<'_>, log: &mut Log<M>) -> Result<(), WeightsError> {
    let from = log.now();
    source.populate(&window.range)?;
    log.read.push((from, log.now()));
    Ok(())
}

fn mapped<D: LoadDevice>(job: &Job<'_, D>, reads: Reads, log: &mut LogOf<D>) -> Result<(), WeightsError> {
    while let Some(window) = job.next() {
        let source = &job.sources[window.file];
        if reads == Reads::Populate {
            populate(source, &window, log)?;
        } else {
            source.read_ahead(&window.range)?;
        }
        let bytes = source.mapped(&window.range)?;
        job.put(Staged::Pageable(bytes), window, log)?;
    }
    Ok(())
}

/// The oldest of the windows that are page-locked at once goes before the next one comes; that waits for its copy.
fn registered<D: LoadDevice>(job: &Job<'_, D>, log: &mut LogOf<D>) -> Result<(), WeightsError> {
    let page = page_size() as u64;
    let mut locked = VecDeque::with_capacity(job.spread.slots);
    while let Some(window) = job.next() {
        let source = &job.sources[window.file];
        match populate(source, &window, log) {
            // Page-locking faults in as well, but one page after the other.
            Err(WeightsError::NoPopulate { .. }) => {
                source.read_ahead(&window.range)?;
                log.remarks.push("this kernel has no MADV_POPULATE_READ: page-locking faulted in".to_owned());
            }
            populated => populated?,
        }
        if locked.len() == job.spread.slots {
            drop(locked.pop_front());
        }
        // Windows end at multiples of whole pages, or at the end of the file, so that no page is in two of them.
        let begin = window.range.start / page * page;
        let bytes = source.mapped(&(begin..window.range.end))?;
        let from = log.now();
        let memory = job.device.register(bytes).map_err(|error| match error {
            DeviceError::Cuda { .. } => {
                WeightsError::NotRegistered { path: source.path.clone(), source: Box::new(error) }
            }
            error => WeightsError::device("page-lock the mapped weights")(error),
        })?;
        log.pin.push((from, log.now()));
        let base = (window.range.start - begin) as usize;
        job.put(Staged::Registered(&memory, base, bytes), window, log)?;
        locked.push_back(memory);
    }
    Ok(())
}

fn pageable<D: LoadDevice>(job: &Job<'_, D>, log: &mut LogOf<D>) -> Result<(), WeightsError> {
    let mut memory = Vec::new();
    while let Some(window) = job.next() {
        let source = &job.sources[window.file];
        let from = log.now();
        memory.resize(job.spread.chunk, 0);
        let bytes = &mut memory[..(window.range.end - window.range.start) as usize];
        source.read(window.range.start, bytes)?;
        log.read.push((from, log.now()));
        job.put(Staged::Pageable(bytes), window, log)?;
    }
    Ok(())
}

fn in_place<D: LoadDevice>(job: &Job<'_, D>, log: &mut LogOf<D>) -> Result<(), WeightsError> {
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
