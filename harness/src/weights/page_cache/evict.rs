//! Making a model's files cold.

use std::fs::File;
use std::os::fd::AsRawFd;

use coldstart_profiles::{PageCache, Residency, ResidencyMethod};

use super::residency::residency;
use crate::weights::error::WeightsError;
use crate::weights::files::{WeightFile, open_regular};

/// Pages that are being written, or that sit in another core's list of new pages, survive a first call.
const ATTEMPTS: u32 = 4;

/// What an eviction came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    /// The state that the files are in now: `cold`, also where some pages were left (see `residency`), or `memory`.
    pub state: PageCache,
    /// What is still in the page cache.
    pub residency: Residency,
}

/// Evict `files` from the page cache: write back, then `posix_fadvise(POSIX_FADV_DONTNEED)`, then ask whether it worked.
///
/// Only these files lose their pages. A file that some process has mapped keeps its pages, so unmap first. Caches of
/// network file systems, FUSE daemons, disks and hypervisors are not reached. Where pages stay, the residency says so and
/// it is no error.
pub fn evict(files: &[WeightFile]) -> Result<Eviction, WeightsError> {
    let mut left = residency(files)?;
    for attempt in 0..ATTEMPTS {
        if left.method == ResidencyMethod::Tmpfs {
            return Ok(Eviction { state: PageCache::Memory, residency: left });
        }
        for file in files {
            let (handle, _) = open_regular(&file.path)?;
            drop_pages(&handle);
        }
        left = residency(files)?;
        if left.partial_reason().is_none() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5 << attempt));
    }
    Ok(Eviction { state: PageCache::Cold, residency: left })
}

/// Both calls are requests: whether they worked is what the residency tells.
pub(crate) fn drop_pages(file: &File) {
    // Dirty pages cannot be dropped. On a read-only mount there are none, and some refuse the call.
    let _ = file.sync_data();
    // SAFETY: the descriptor is open; clean pages that nobody maps are dropped, contents never change.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}
