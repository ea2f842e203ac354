//! What the threads of one load share: the queue of windows, the files, and the way into device memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::vec;

use coldstart_kernels::{HostMemory, Pinning};

use super::device::LoadDevice;
use super::log::{Enqueued, Log};
use super::options::Spread;
use super::source::Source;
use super::window::{Dest, Part, Piece, Window};
use crate::weights::error::WeightsError;

/// One load under way.
pub(super) struct Job<'a, D: LoadDevice> {
    pub(super) device: &'a D,
    pub(super) start: Instant,
    pub(super) sources: &'a [Source],
    pub(super) queue: Mutex<vec::IntoIter<Window<'a>>>,
    /// The buffer, where its pieces do not carry their own part of it.
    pub(super) buffer: Option<Mutex<&'a mut D::Buffer>>,
    /// What copies take turns on; none where the CPU writes device memory itself.
    pub(super) streams: Vec<D::Stream>,
    pub(super) spread: Spread,
    /// What every piece of staging memory has behind its chunk for packing small pieces.
    pub(super) room: usize,
    /// Staging memory that is not needed any more. Giving it back takes time, and is not part of the load.
    pub(super) kept: Mutex<Vec<D::Pinned>>,
    /// One thread failed, the others can stop.
    pub(super) stop: AtomicBool,
}

/// Where the bytes of a window are before they are uploaded.
pub(super) enum Staged<'s, 'm, D: LoadDevice> {
    /// In a piece of the ring, the window's first byte at this place.
    Slot(&'s mut D::Pinned, usize),
    /// In pinned memory that other copies are reading too, likewise.
    Pinned(&'s D::Pinned, usize),
    /// In ordinary memory, from the window's first byte on.
    Pageable(&'s [u8]),
    /// Page-locked where it lies, likewise; and the same bytes for the CPU.
    Registered(&'s D::Registered<'m>, usize, &'m [u8]),
}

/// What a thread notes.
pub(super) type LogOf<D> = Log<<D as coldstart_kernels::Device>::Mark>;

impl<'a, D: LoadDevice> Job<'a, D> {
    /// The next window; `None` when there is none, or another thread failed.
    pub(super) fn next(&self) -> Option<Window<'a>> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        lock(&self.queue).next()
    }

    /// Make one piece of staging memory: faulted in and page-locked now, so that reading does not pay for it.
    pub(super) fn staging(&self, log: &mut LogOf<D>) -> Result<D::Pinned, WeightsError> {
        // Huge pages keep both the first touch and the scatter lists of direct reads short.
        let how = Pinning { touch: true, huge_pages: true, ..Pinning::default() };
        let from = log.now();
        let slot = self.device.pinned(self.spread.chunk + self.room, how);
        log.pin.push((from, log.now()));
        slot.map_err(WeightsError::device("make staging memory"))
    }

    /// Put staging memory aside until the clock has stopped.
    pub(super) fn keep(&self, slots: impl IntoIterator<Item = D::Pinned>) {
        lock(&self.kept).extend(slots);
    }

    /// Whether the device copies on its own, after [`put`](Job::put) has returned.
    pub(super) fn copies_later(&self) -> bool {
        self.buffer.is_some()
    }

    /// Have a window's bytes copied to the device, and note when.
    pub(super) fn put(
        &self,
        staged: Staged<'_, '_, D>,
        window: Window<'_>,
        log: &mut LogOf<D>,
    ) -> Result<(), WeightsError> {
        match &self.buffer {
            Some(buffer) => self.enqueue(buffer, staged, &window, log),
            None => copy(&staged, window, log),
        }
    }

    fn enqueue(
        &self,
        buffer: &Mutex<&'a mut D::Buffer>,
        mut staged: Staged<'_, '_, D>,
        window: &Window<'_>,
        log: &mut LogOf<D>,
    ) -> Result<(), WeightsError> {
        let stream = self.streams.get(window.index % self.streams.len().max(1));
        let stream = stream.ok_or(WeightsError::Thread("loader"))?;
        let room = if matches!(staged, Staged::Slot(..)) { self.room } else { 0 };
        let parts = window.parts(room);
        if let Staged::Slot(slot, base) = &mut staged {
            let bytes = slot.as_mut_slice().map_err(WeightsError::device("wait for staging memory"))?;
            pack(bytes, self.spread.chunk, *base, window, &parts);
        }
        let from = log.now();
        // Held to the mark, so that no copy of another thread comes before it.
        let mut buffer = lock(buffer);
        for part in &parts {
            let (at, bytes, piece) = match part {
                Part::Piece(index) => {
                    let piece = window.pieces.get(*index);
                    (None, piece.map_or(0, |piece| piece.bytes), piece)
                }
                Part::Packed { pieces, at, bytes } => (Some(*at), *bytes, window.pieces.get(pieces.start)),
            };
            let Some(Piece { begin, dest: Dest::Device(offset), .. }) = piece else { continue };
            let read = (begin - window.range.start) as usize;
            let copied = match &staged {
                Staged::Slot(slot, base) => {
                    let from = at.map_or(base + read, |at| self.spread.chunk + at);
                    self.device.upload_pinned(stream, slot, from..from + bytes, &mut buffer, *offset)
                }
                Staged::Pinned(memory, base) => {
                    let from = base + read;
                    self.device.upload_pinned(stream, memory, from..from + bytes, &mut buffer, *offset)
                }
                Staged::Pageable(source) => {
                    self.device.upload(stream, &source[read..read + bytes], &mut buffer, *offset)
                }
                Staged::Registered(memory, base, _) => {
                    let from = base + read;
                    self.device.upload_registered(stream, memory, from..from + bytes, &mut buffer, *offset)
                }
            };
            copied.map_err(WeightsError::device("copy weights to the device"))?;
            log.copies += 1;
        }
        // The mark is one of the compute stream, which does nothing else during a load.
        let mark = self.device.join(self.device.compute(), stream).and_then(|()| self.device.mark());
        let done = mark.map_err(WeightsError::device("mark the end of a copy"))?;
        log.enqueued.push(Enqueued { window: window.index, from, done });
        Ok(())
    }
}

/// Copy a window to memory that the CPU can address.
fn copy<D: LoadDevice>(
    staged: &Staged<'_, '_, D>,
    window: Window<'_>,
    log: &mut LogOf<D>,
) -> Result<(), WeightsError> {
    let from = log.now();
    for piece in window.pieces {
        let Dest::Host(own) = piece.dest else { return Err(WeightsError::Thread("loader")) };
        let at = (piece.begin - window.range.start) as usize;
        let slice = |slot: &'_ D::Pinned, base: usize, own: &mut [u8]| {
            let bytes = slot.as_slice().map_err(WeightsError::device("wait for staging memory"))?;
            own.copy_from_slice(&bytes[base + at..base + at + piece.bytes]);
            Ok(())
        };
        match staged {
            Staged::Pageable(bytes) => own.copy_from_slice(&bytes[at..at + piece.bytes]),
            Staged::Registered(_, base, bytes) => {
                own.copy_from_slice(&bytes[base + at..base + at + piece.bytes]);
            }
            Staged::Slot(slot, base) => slice(slot, *base, own)?,
            Staged::Pinned(slot, base) => slice(slot, *base, own)?,
        }
    }
    let to = log.now();
    log.upload.push((from, to));
    log.done.push((window.index, to));
    Ok(())
}

/// Lay the packed parts out behind the chunk, as they are to lie on the device.
fn pack(slot: &mut [u8], chunk: usize, base: usize, window: &Window<'_>, parts: &[Part]) {
    let (read, packed) = slot.split_at_mut(chunk);
    for part in parts {
        let Part::Packed { pieces, at, bytes } = part else { continue };
        let Some(Dest::Device(first)) = window.pieces.get(pieces.start).map(|piece| &piece.dest) else {
            continue;
        };
        let target = &mut packed[*at..at + bytes];
        target.fill(0);
        for piece in &window.pieces[pieces.clone()] {
            let Dest::Device(offset) = piece.dest else { continue };
            let from = base + (piece.begin - window.range.start) as usize;
            let to = offset - first;
            target[to..to + piece.bytes].copy_from_slice(&read[from..from + piece.bytes]);
        }
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
