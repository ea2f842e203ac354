//! The page cache under a model's own files: asking, evicting, warming. Never the cache of the whole machine.

mod chance;
mod evict;
mod exact;
mod fault_around;
mod nowait;
mod residency;
mod warm;

#[cfg(test)]
mod tests;

pub use evict::{Eviction, evict};
pub use residency::residency;
pub use warm::warm;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::error::WeightsError;

/// Whether the file system of `file` keeps files in memory (tmpfs, ramfs): nothing can be evicted there.
pub(crate) fn in_memory(file: &File, path: &Path) -> Result<bool, WeightsError> {
    const RAMFS_MAGIC: i64 = 0x8584_58f6;
    // SAFETY: statfs is a plain C struct for which all-zero bytes are a valid value.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open for the call and `stat` is a valid place to write to.
    if unsafe { libc::fstatfs(file.as_raw_fd(), &mut stat) } != 0 {
        return Err(WeightsError::io("ask the file system of", path)(std::io::Error::last_os_error()));
    }
    let magic = stat.f_type as i64;
    #[expect(clippy::unnecessary_cast, reason = "the constant's type differs between C libraries")]
    Ok(magic == libc::TMPFS_MAGIC as i64 || magic == RAMFS_MAGIC)
}

/// The size of a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf takes no pointer and _SC_PAGESIZE is always known.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
