//! Pinned memory of the files' size: read completely, then uploaded.

use std::sync::Mutex;
use std::thread;

use coldstart_kernels::{HostMemory, Pinning};
use coldstart_profiles::Bytes;

use super::device::LoadDevice;
use super::job::{Job, LogOf, Staged, lock};
use super::log::Log;
use super::reads::Reads;
use super::source::{Source, aligned};
use super::window::Window;
use crate::weights::error::WeightsError;
use crate::weights::memory::{available_host_memory, check_fits};

/// Where each file lies in pinned memory: from its first block that holds weights on, block for block as on the disk, so that
/// it can be read around the page cache.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// For each file, what is added to an offset in it; `None` for files without weights.
    bases: Vec<Option<i64>>,
    /// The bytes in all.
    pub(super) bytes: usize,
}

impl Places {
    /// Places for what `windows` read of `files` files.
    pub(super) fn of(windows: &[Window<'_>], files: usize) -> Places {
        let mut places = Places { bases: vec![None; files], bytes: 0 };
        for window in windows {
            let range = aligned(&window.range);
            if let Some(base) = places.bases.get_mut(window.file) {
                let base = base.get_or_insert(places.bytes as i64 - range.start as i64);
                places.bytes = (range.end as i64 + *base) as usize;
            }
        }
        places
    }

    fn at(&self, window: &Window<'_>, offset: u64) -> usize {
        let base = self.bases.get(window.file).copied().flatten().unwrap_or_default();
        (offset as i64 + base) as usize
    }

    /// Refuse what does not fit into the host's memory.
    pub(super) fn check(&self) -> Result<(), WeightsError> {
        check_fits("pinned staging memory", Bytes::new(self.bytes as u64), available_host_memory())
    }
}

/// A window, and its part of the pinned memory.
struct Target<'p, 'w, 'a> {
    window: &'w Window<'a>,
    memory: &'p mut [u8],
}

/// Make the memory, read `windows` into it, and upload what is in the job's queue, which covers the same bytes.
pub(super) fn load<'a, D: LoadDevice>(
    job: &Job<'a, D>,
    reads: Reads,
    windows: &[Window<'a>],
    places: &Places,
) -> Result<LogOf<D>, WeightsError> {
    let mut log = Log::new(job.start);
    let how = Pinning { touch: true, huge_pages: true, ..Pinning::default() };
    let from = log.now();
    let pinned = job.device.pinned(places.bytes, how);
    log.pin.push((from, log.now()));
    let mut pinned = pinned.map_err(WeightsError::device("make pinned memory of the files' size"))?;
    let memory = pinned.as_mut_slice().map_err(WeightsError::device("wait for staging memory"))?;
    read(job, reads, targets(windows, places, memory), &mut log)?;
    while let Some(window) = job.next() {
        let base = places.at(&window, window.range.start);
        job.put(Staged::Pinned(&pinned, base), window, &mut log)?;
    }
    job.keep([pinned]);
    Ok(log)
}

fn targets<'p, 'w, 'a>(
    windows: &'w [Window<'a>],
    places: &Places,
    mut memory: &'p mut [u8],
) -> Vec<Target<'p, 'w, 'a>> {
    let mut taken = 0;
    let mut targets = Vec::with_capacity(windows.len());
    for window in windows {
        let range = aligned(&window.range);
        let (begin, end) = (places.at(window, range.start), places.at(window, range.end));
        let (_, from_here) = memory.split_at_mut(begin - taken);
        let (own, rest) = from_here.split_at_mut(end - begin);
        (memory, taken) = (rest, end);
        targets.push(Target { window, memory: own });
    }
    targets
}

fn read<D: LoadDevice>(
    job: &Job<'_, D>,
    reads: Reads,
    targets: Vec<Target<'_, '_, '_>>,
    log: &mut LogOf<D>,
) -> Result<(), WeightsError> {
    let queue = Mutex::new(targets.into_iter());
    let work = || {
        let mut log = Log::<()>::new(job.start);
        while let Some(Target { window, memory }) = { lock(&queue).next() } {
            let source = &job.sources[window.file];
            let from = log.now();
            read_one(source, reads, window, memory)?;
            log.read.push((from, log.now()));
        }
        Ok(log.read)
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..job.spread.threads).map(|_| scope.spawn(work)).collect();
        log.read.extend(work()?);
        for other in others {
            log.read.extend(other.join().unwrap_or(Err(WeightsError::Thread("reading")))?);
        }
        Ok(())
    })
}

fn read_one(
    source: &Source,
    reads: Reads,
    window: &Window<'_>,
    memory: &mut [u8],
) -> Result<(), WeightsError> {
    if reads == Reads::DirectWhole {
        return source.read_direct(&window.range, memory);
    }
    let begin = (window.range.start - aligned(&window.range).start) as usize;
    let length = (window.range.end - window.range.start) as usize;
    source.read(window.range.start, &mut memory[begin..begin + length])
}

#[cfg(test)]
mod tests {
    use super::super::window::windows;
    use super::*;
    use crate::weights::layout::Segment;

    #[test]
    fn every_window_has_its_own_part_aligned_as_in_its_file() {
        let segments = [
            Segment { file: 0, begin: 5000, bytes: 20_000, offset: 0 },
            Segment { file: 2, begin: 100, bytes: 9000, offset: 20_224 },
        ];
        let cut = windows(&segments, 8192, None);
        let places = Places::of(&cut, 3);
        // File 0 from block 1 to 6, file 2 from block 0 to 2.
        assert_eq!(places, Places { bases: vec![Some(-4096), None, Some(24_576)], bytes: 24_576 + 12_288 });
        let mut memory = vec![0u8; places.bytes];
        let parts: Vec<_> =
            targets(&cut, &places, &mut memory).iter().map(|target| target.memory.len()).collect();
        assert_eq!(parts, [4096, 8192, 8192, 4096, 8192, 4096]);
        assert_eq!(places.at(&cut[0], cut[0].range.start), 5000 - 4096);
    }
}
