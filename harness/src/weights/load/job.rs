//! What the threads of one load share: the queue of windows, the files, and the way into device memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use std::vec;

use coldstart_kernels::{HostMemory, Pinning};

use super::device::LoadDevice;
use super::log::Log;
use super::source::Source;
use super::window::{Dest, Window};
use crate::weights::error::WeightsError;

/// One load under way.
pub(super) struct Job<'a, D: LoadDevice> {
    pub(super) device: &'a D,
    pub(super) start: Instant,
    pub(super) sources: &'a [Source],
    pub(super) queue: Mutex<vec::IntoIter<Window<'a>>>,
    /// The buffer, where its pieces do not carry their own part of it.
    pub(super) buffer: Option<Mutex<&'a mut D::Buffer>>,
    /// The size of one piece of staging memory; no window is longer.
    pub(super) chunk: usize,
    /// Pieces of staging memory a thread.
    pub(super) slots: usize,
    /// One thread failed, the others can stop.
    pub(super) stop: AtomicBool,
}

/// Where the bytes of a window are before they are uploaded.
pub(super) enum Staged<'s, D: LoadDevice> {
    /// In pinned memory, the window's first byte at this place.
    Pinned(&'s D::Pinned, usize),
    /// In ordinary memory, from the window's first byte on.
    Mapped(&'s [u8]),
}

impl<'a, D: LoadDevice> Job<'a, D> {
    /// The next window; `None` when there is none, or another thread failed.
    pub(super) fn next(&self) -> Option<Window<'a>> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// Make one thread's staging memory: faulted in and page-locked now, so that reading does not pay for it.
    pub(super) fn staging(&self, log: &mut Log) -> Result<Vec<D::Pinned>, WeightsError> {
        // Huge pages keep both the first touch and the scatter lists of direct reads short.
        let how = Pinning { touch: true, huge_pages: true, ..Pinning::default() };
        let from = log.now();
        let slots = (0..self.slots)
            .map(|_| self.device.pinned(self.chunk, how).map_err(WeightsError::device("make staging memory")))
            .collect();
        log.pin.push((from, log.now()));
        slots
    }

    /// Copy a window's bytes to the device, and note when.
    pub(super) fn put(
        &self,
        stream: &D::Stream,
        staged: &Staged<'_, D>,
        window: Window<'_>,
        log: &mut Log,
    ) -> Result<(), WeightsError> {
        let from = log.now();
        for piece in window.pieces {
            let at = (piece.begin - window.range.start) as usize;
            match (piece.dest, staged) {
                (Dest::Host(own), Staged::Mapped(bytes)) => own.copy_from_slice(&bytes[at..at + piece.bytes]),
                (Dest::Host(own), Staged::Pinned(slot, base)) => {
                    let bytes = slot.as_slice().map_err(WeightsError::device("wait for staging memory"))?;
                    own.copy_from_slice(&bytes[base + at..base + at + piece.bytes]);
                }
                (Dest::Device(offset), staged) => self.upload(stream, staged, at, piece.bytes, offset)?,
            }
        }
        let to = log.now();
        log.upload.push((from, to));
        log.done.push((window.index, to));
        Ok(())
    }

    fn upload(
        &self,
        stream: &D::Stream,
        staged: &Staged<'_, D>,
        at: usize,
        bytes: usize,
        offset: usize,
    ) -> Result<(), WeightsError> {
        let Some(buffer) = &self.buffer else { return Err(WeightsError::Thread("loader")) };
        let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
        match staged {
            Staged::Pinned(slot, base) => {
                let range = base + at..base + at + bytes;
                self.device.upload_pinned(stream, slot, range, &mut buffer, offset)
            }
            Staged::Mapped(source) => {
                self.device.upload(stream, &source[at..at + bytes], &mut buffer, offset)
            }
        }
        .map_err(WeightsError::device("copy weights to the device"))
    }
}
