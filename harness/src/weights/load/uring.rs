//! Reads around the page cache by io_uring, several under way at once.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;

use coldstart_kernels::HostMemory;
use io_uring::{IoUring, opcode, types};

use super::device::LoadDevice;
use super::job::{Job, LogOf, Staged};
use super::source::{aligned, continue_at};
use super::window::Window;
use crate::weights::error::WeightsError;

/// Whether this process may use io_uring: containers often forbid it (seccomp, `kernel.io_uring_disabled`).
pub(super) fn allowed() -> bool {
    IoUring::new(1).is_ok()
}

/// One piece of staging memory, and what is being read into it.
struct Slot<'a, P> {
    memory: P,
    reading: Option<Reading<'a>>,
}

struct Reading<'a> {
    window: Window<'a>,
    /// Since when.
    from: u64,
    /// Bytes that arrived, counted from the aligned start.
    got: usize,
}

/// A ring whose reads all end before the memory that they write to is given back.
struct Reader<'a, P> {
    // Declared before the slots, but what protects them is `drop` below.
    ring: IoUring,
    slots: Vec<Slot<'a, P>>,
    in_flight: usize,
    /// Whether the kernel knows the slots, so that it need not look up and hold their pages at every read.
    registered: bool,
}

impl<P> Drop for Reader<'_, P> {
    fn drop(&mut self) {
        while self.in_flight > 0 {
            match self.ring.submit_and_wait(1) {
                Ok(_) => self.in_flight -= self.ring.completion().count().min(self.in_flight),
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                // The kernel may still write to the slots: leaking them is the only safe way out.
                Err(_) => {
                    std::mem::forget(std::mem::take(&mut self.slots));
                    return;
                }
            }
        }
    }
}

/// Keep the slots busy until the queue is empty; upload each window as it arrives.
///
/// Slots are made one by one, each when the read before it is under way. A slot whose copy is under way can be read into only
/// after it: it waits behind other slots as long as there are some, so that this thread hardly ever waits for a copy, and
/// what arrives meanwhile is uploaded.
pub(super) fn work<D: LoadDevice>(job: &Job<'_, D>, log: &mut LogOf<D>) -> Result<(), WeightsError> {
    let most = job.spread.slots;
    let mut reader: Reader<'_, D::Pinned> = Reader::new(job, most)?;
    let (mut idle, mut uploading) = (Vec::with_capacity(most), VecDeque::with_capacity(most));
    let mut waiting = None;
    loop {
        loop {
            waiting = waiting.or_else(|| job.next());
            if waiting.is_none() {
                break;
            }
            let slot = if let Some(slot) = idle.pop() {
                slot
            } else if reader.slots.len() < most {
                reader.add_slot(job, log)?
            } else if (uploading.len() > most / 4 || reader.in_flight == 0)
                && let Some(slot) = uploading.pop_front()
            {
                slot
            } else {
                break;
            };
            if let Some(window) = waiting.take() {
                reader.begin(job, slot, window, log)?;
            }
        }
        if reader.in_flight == 0 {
            break;
        }
        for (slot, result) in reader.completed(job)? {
            let Some(reading) = reader.arrived(job, slot, result)? else { continue };
            log.read.push((reading.from, log.now()));
            let base = (reading.window.range.start - aligned(&reading.window.range).start) as usize;
            job.put(Staged::Slot(&mut reader.slots[slot].memory, base), reading.window, log)?;
            if job.copies_later() { uploading.push_back(slot) } else { idle.push(slot) }
        }
    }
    job.keep(std::mem::take(&mut reader.slots).into_iter().map(|slot| slot.memory));
    Ok(())
}
fn path<D: LoadDevice>(job: &Job<'_, D>, file: usize) -> std::path::PathBuf {
    job.sources.get(file).map(|source| source.path.clone()).unwrap_or_default()
}

impl<'a, P: HostMemory> Reader<'a, P> {
    fn new<D: LoadDevice<Pinned = P>>(job: &Job<'_, D>, slots: usize) -> Result<Self, WeightsError> {
        let ring = IoUring::new((slots as u32).next_power_of_two()).map_err(|source| WeightsError::Io {
            action: "make an io_uring for",
            path: path(job, 0),
            source,
        })?;
        // Older kernels than 5.19 refuse; reads then name their memory by its address alone.
        let registered = ring.submitter().register_buffers_sparse(slots as u32).is_ok();
        Ok(Reader { ring, slots: Vec::with_capacity(slots), in_flight: 0, registered })
    }

    /// Make one more piece of staging memory, and have the kernel hold its pages, where it agrees.
    fn add_slot<D: LoadDevice<Pinned = P>>(
        &mut self,
        job: &Job<'_, D>,
        log: &mut LogOf<D>,
    ) -> Result<usize, WeightsError> {
        let mut memory = job.staging(log)?;
        let index = self.slots.len();
        if self.registered {
            let bytes = memory.as_mut_slice().map_err(WeightsError::device("wait for staging memory"))?;
            let entry = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            let from = log.now();
            // SAFETY: the kernel writes to the memory only by reads that name it, which `submit` begins and `drop` waits for.
            let known =
                unsafe { self.ring.submitter().register_buffers_update(index as u32, &[entry], None) };
            log.pin.push((from, log.now()));
            if let Err(error) = known {
                self.registered = false;
                log.remarks.push(format!(
                    "io_uring looks the staging memory's pages up at every read, since it could not register them: {error}; a \
                     higher limit on locked memory (ulimit -l) may help"
                ));
            }
        }
        self.slots.push(Slot { memory, reading: None });
        Ok(index)
    }

    /// Begin to read `window` into a free slot.
    fn begin<D: LoadDevice<Pinned = P>>(
        &mut self,
        job: &Job<'_, D>,
        slot: usize,
        window: Window<'a>,
        log: &LogOf<D>,
    ) -> Result<(), WeightsError> {
        self.slots[slot].reading = Some(Reading { window, from: log.now(), got: 0 });
        self.submit(job, slot)
    }

    /// Ask for what is missing of the slot's window.
    fn submit<D: LoadDevice<Pinned = P>>(
        &mut self,
        job: &Job<'_, D>,
        slot: usize,
    ) -> Result<(), WeightsError> {
        let Slot { memory, reading: Some(reading) } = &mut self.slots[slot] else { return Ok(()) };
        let source = &job.sources[reading.window.file];
        let whole = aligned(&reading.window.range);
        // Waits for the copies of this slot's last turn.
        let bytes = memory.as_mut_slice().map_err(WeightsError::device("wait for staging memory"))?;
        let target = &mut bytes[reading.got..(whole.end - whole.start) as usize];
        let (file, length) = (types::Fd(source.file.as_raw_fd()), target.len() as u32);
        let offset = whole.start + reading.got as u64;
        let entry = if self.registered {
            opcode::ReadFixed::new(file, target.as_mut_ptr(), length, slot as u16).offset(offset).build()
        } else {
            opcode::Read::new(file, target.as_mut_ptr(), length).offset(offset).build()
        };
        let entry = entry.user_data(slot as u64);
        // SAFETY: the descriptor lives as long as the job, which outlives the reader. The target lies inside of the slot's
        // memory, which nobody touches until this read's completion, and which `drop` keeps until then.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        let failed =
            |source| WeightsError::Io { action: "read around the page cache", path: path(job, 0), source };
        pushed.map_err(|_| failed(io::Error::other("the submission queue is full")))?;
        self.in_flight += 1;
        self.ring.submit().map_err(failed)?;
        Ok(())
    }

    /// Wait for at least one read: its slot and its result.
    fn completed<D: LoadDevice<Pinned = P>>(
        &mut self,
        job: &Job<'_, D>,
    ) -> Result<Vec<(usize, i32)>, WeightsError> {
        match self.ring.submit_and_wait(1) {
            Err(error) if error.raw_os_error() != Some(libc::EINTR) => {
                let path = path(job, 0);
                return Err(WeightsError::Io { action: "wait for reads of", path, source: error });
            }
            _ => {}
        }
        let done: Vec<_> = self
            .ring
            .completion()
            .map(|completion| (completion.user_data() as usize, completion.result()))
            .collect();
        self.in_flight -= done.len();
        Ok(done)
    }

    /// The slot's reading, when it is complete; what is missing is asked for again.
    fn arrived<D: LoadDevice<Pinned = P>>(
        &mut self,
        job: &Job<'_, D>,
        slot: usize,
        result: i32,
    ) -> Result<Option<Reading<'a>>, WeightsError> {
        let Some(reading) = &mut self.slots[slot].reading else { return Ok(None) };
        let source = &job.sources[reading.window.file];
        let again = [-libc::EINTR, -libc::EAGAIN];
        match result {
            0 => return Err(source.ended_early()),
            read if read > 0 => {
                let needed = (reading.window.range.end - aligned(&reading.window.range).start) as usize;
                reading.got = continue_at(reading.got + read as usize, needed);
                if reading.got >= needed {
                    return Ok(self.slots[slot].reading.take());
                }
            }
            error if again.contains(&error) => {}
            error => {
                let source_error = io::Error::from_raw_os_error(-error);
                return Err(WeightsError::io("read around the page cache", &source.path)(source_error));
            }
        }
        self.submit(job, slot)?;
        Ok(None)
    }
}
