//! How a load spreads its work, and what suits which device.

use std::thread;

use coldstart_profiles::{Bytes, Params};

use super::reads::Reads;
use super::source::{DIRECT_ALIGN, aligned};
use super::window::Window;
use crate::weights::page_cache::page_size;

/// How a load spreads its work. 0 stands for what suits the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// Threads that read and copy; 0: one a core, at most 8.
    pub threads: usize,
    /// What is read and copied at once, in bytes, rounded up to whole pages; 0: 2 MiB for a device whose memory the CPU can
    /// address, 8 MiB for others.
    pub chunk_bytes: usize,
    /// Pieces of staging memory a thread, each of the chunk's size: the reads that a thread has under way at once around the
    /// page cache. 0: four for a device whose memory the CPU can address; for others as many as make 128 MiB of all threads
    /// together, from 2 to 16.
    pub slots: usize,
    /// Streams that the copies take turns on; 0: two. Without effect on a device whose memory the CPU can address.
    pub streams: usize,
}

/// 2 MiB at once, one huge page, four pieces a thread: 16 MiB of staging memory on two cores, small enough to stay in the
/// caches. Measured on a 2-core VM with 200 MB in bf16: direct reads run at 2.5 GB/s from 1 to 8 MiB, staged warm reads at
/// 9 GB/s up to 2 MiB and under 8 beyond.
const HOST_CHUNK: usize = 2 << 20;
const HOST_SLOTS: usize = 4;

/// A copy over PCIe has a fixed price of some microseconds: beside 8 MiB, which take 150 to 350 µs, it is lost.
const DEVICE_CHUNK: usize = 8 << 20;
/// All staging memory of a load. Pinning runs at 1 to 4.5 GB/s, so that a larger ring would cost more than it brings.
const DEVICE_RING: usize = 128 << 20;
const MOST_SLOTS: usize = 16;
/// Two streams hide the gap between the end of one copy and the begin of the next.
const STREAMS: usize = 2;
const MOST_THREADS: usize = 8;

impl LoadOptions {
    /// The conditions that they add to a key: those that were asked for.
    pub fn params(self, params: Params) -> Params {
        let asked = [("threads", self.threads), ("slots", self.slots), ("streams", self.streams)];
        let with = |params: Params, (name, value): (&str, usize)| {
            if value > 0 { params.with(name, value) } else { params }
        };
        let params = asked.into_iter().fold(params, with);
        if self.chunk_bytes > 0 {
            return params.with("chunk", chunk_name(self.chunk_bytes));
        }
        params
    }
}

fn chunk_name(bytes: usize) -> String {
    Bytes::new(bytes as u64).to_string().replace(' ', "")
}

/// The options as they are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) threads: usize,
    pub(super) chunk: usize,
    pub(super) slots: usize,
    pub(super) streams: usize,
}

impl Spread {
    /// What `options` say for one of `loads` at once. `host_memory`: the CPU can address the device's memory.
    pub(super) fn of(options: LoadOptions, host_memory: bool, reads: Reads, loads: usize) -> Spread {
        let or = |asked: usize, otherwise: usize| if asked > 0 { asked } else { otherwise };
        let cores = thread::available_parallelism().map_or(1, usize::from) / loads.max(1);
        let cores = cores.clamp(1, MOST_THREADS);
        // Twice as many where each only waits for its own read.
        let threads = or(options.threads, if reads == Reads::DirectPread { 2 * cores } else { cores });
        let chunk = or(options.chunk_bytes, if host_memory { HOST_CHUNK } else { DEVICE_CHUNK });
        let chunk = chunk.next_multiple_of(page_size().max(DIRECT_ALIGN as usize));
        let suits = DEVICE_RING.checked_div(chunk * threads).unwrap_or(1).clamp(2, MOST_SLOTS);
        let slots = or(options.slots, if host_memory { HOST_SLOTS } else { suits });
        let streams = or(options.streams, STREAMS);
        Spread { threads, chunk, slots, streams }
    }

    /// Leave out what would find no work among these windows.
    pub(super) fn shrink(mut self, windows: &[Window<'_>]) -> Spread {
        let needed = windows.iter().map(|window| aligned(&window.range)).map(|range| range.end - range.start);
        self.chunk = self.chunk.min(needed.max().unwrap_or(DIRECT_ALIGN) as usize);
        let windows = windows.len();
        self.threads = self.threads.clamp(1, windows.max(1));
        self.slots = self.slots.clamp(1, windows.div_ceil(self.threads).max(1));
        self.streams = self.streams.clamp(1, windows.max(1));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::windows;
    use super::*;
    use crate::weights::layout::Segment;

    #[test]
    fn what_was_asked_for_is_in_force_and_in_the_key() {
        let asked = LoadOptions { threads: 3, chunk_bytes: 5000, slots: 2, streams: 7 };
        for host_memory in [false, true] {
            let spread = Spread::of(asked, host_memory, Reads::Pread, 1);
            assert_eq!(spread, Spread { threads: 3, chunk: 8192, slots: 2, streams: 7 });
            let windows = |bytes| windows(&[Segment { file: 0, begin: 100, bytes, offset: 0 }], 8192, None);
            assert_eq!(
                spread.shrink(&windows(30_000)),
                Spread { threads: 3, chunk: 8192, slots: 2, streams: 4 }
            );
            assert_eq!(
                spread.shrink(&windows(3000)),
                Spread { threads: 1, chunk: 4096, slots: 1, streams: 1 }
            );
        }
        assert_eq!(LoadOptions::default().params(Params::new()), Params::new());
        let key = LoadOptions { chunk_bytes: 16 << 20, streams: 2, ..LoadOptions::default() };
        assert_eq!(key.params(Params::new()).to_string(), "chunk=16.0MiB,streams=2");
    }

    #[test]
    fn the_ring_of_a_device_stays_small_whatever_the_cores() {
        for threads in [1, 2, 8] {
            let options = LoadOptions { threads, ..LoadOptions::default() };
            let Spread { threads, chunk, slots, .. } = Spread::of(options, false, Reads::Uring, 1);
            let ring = (threads * chunk * slots) >> 20;
            assert_eq!((chunk >> 20, ring), (8, 128), "{threads} threads, {slots} slots");
        }
        let host = Spread::of(LoadOptions::default(), true, Reads::Pread, 1);
        assert_eq!((host.chunk, host.slots), (HOST_CHUNK, HOST_SLOTS));
        assert_eq!(Spread::of(LoadOptions::default(), true, Reads::Pread, 1000).threads, 1, "shared by 1000");
    }
}
