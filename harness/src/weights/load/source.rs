//! The files of a load, opened inside of the clock.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use coldstart_profiles::Bytes;
use memmap2::{Advice, Mmap, MmapOptions};

use super::reads::Access;
use crate::weights::error::WeightsError;
use crate::weights::files::WeightFile;
use crate::weights::page_cache::page_size;

/// What reads around the page cache are aligned to, in the file and in memory: a multiple of every usual block size.
pub(super) const DIRECT_ALIGN: u64 = 4096;

/// One file, open the way that it is read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) file: File,
    size: u64,
    map: Option<Mmap>,
}

impl Source {
    /// Open `file`. Fails when it is no longer as long as it was when it was checked.
    pub(super) fn open(file: &WeightFile, access: Access) -> Result<Source, WeightsError> {
        let direct = if access == Access::Direct { libc::O_DIRECT } else { 0 };
        let opened =
            OpenOptions::new().read(true).custom_flags(direct | libc::O_NOFOLLOW).open(&file.path).map_err(
                |source| match source.raw_os_error() {
                    Some(libc::EINVAL) if direct != 0 => WeightsError::NoDirect { path: file.path.clone() },
                    _ => WeightsError::Io { action: "open", path: file.path.clone(), source },
                },
            )?;
        let mut source = Source { path: file.path.clone(), file: opened, size: file.size, map: None };
        let size = source.current_size()?;
        if size != file.size {
            return Err(source.changed(size));
        }
        match access {
            Access::Mapped | Access::MappedSequential => source.map(access)?,
            Access::Cached => {
                // SAFETY: the descriptor is open; the call only sets a hint (a doubled readahead window).
                unsafe { libc::posix_fadvise(source.file.as_raw_fd(), 0, 0, libc::POSIX_FADV_SEQUENTIAL) };
            }
            Access::Direct => {}
        }
        Ok(source)
    }

    fn map(&mut self, access: Access) -> Result<(), WeightsError> {
        // SAFETY: nobody may shorten the file while it is mapped: a read behind its end would end the process by SIGBUS,
        // which the parent of a trial records as a failed sample. A change of its bytes is found by the check afterwards.
        let map =
            unsafe { MmapOptions::new().map(&self.file) }.map_err(WeightsError::io("map", &self.path))?;
        if access == Access::MappedSequential {
            map.advise(Advice::Sequential).map_err(WeightsError::io("advise the mapping of", &self.path))?;
        }
        self.map = Some(map);
        Ok(())
    }

    fn current_size(&self) -> Result<u64, WeightsError> {
        let metadata = self.file.metadata().map_err(WeightsError::io("read the size of", &self.path))?;
        Ok(metadata.len())
    }

    fn changed(&self, found: u64) -> WeightsError {
        let (expected, found) = (Bytes::new(self.size), Bytes::new(found));
        WeightsError::Changed { path: self.path.clone(), expected, found }
    }

    /// The error for a file that ended before its size.
    pub(super) fn ended_early(&self) -> WeightsError {
        match self.current_size() {
            Ok(size) => self.changed(size),
            Err(error) => error,
        }
    }

    /// Fill `target` from `begin` on.
    pub(super) fn read(&self, begin: u64, target: &mut [u8]) -> Result<(), WeightsError> {
        self.file.read_exact_at(target, begin).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.ended_early(),
            _ => WeightsError::Io { action: "read", path: self.path.clone(), source },
        })
    }

    /// Read `range` around the page cache into `target`, which is aligned and long enough for [`aligned`]`(range)`.
    pub(super) fn read_direct(&self, range: &Range<u64>, target: &mut [u8]) -> Result<(), WeightsError> {
        let whole = aligned(range);
        let needed = (range.end - whole.start) as usize;
        let target = &mut target[..(whole.end - whole.start) as usize];
        let mut got = 0;
        while got < needed {
            let read = match self.file.read_at(&mut target[got..], whole.start + got as u64) {
                Ok(0) => return Err(self.ended_early()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(WeightsError::io("read around the page cache", &self.path)(error)),
            };
            got = continue_at(got + read, needed);
        }
        Ok(())
    }

    /// The bytes of `range` in the mapping.
    pub(super) fn mapped(&self, range: &Range<u64>) -> Result<&[u8], WeightsError> {
        let bytes = self.map.as_ref().and_then(|map| map.get(range.start as usize..range.end as usize));
        bytes.ok_or_else(|| self.ended_early())
    }

    /// Fault `range` of the mapping in.
    pub(super) fn populate(&self, range: &Range<u64>) -> Result<(), WeightsError> {
        self.advise(range, libc::MADV_POPULATE_READ).map_err(|source| match source.raw_os_error() {
            Some(libc::EINVAL) => WeightsError::NoPopulate { path: self.path.clone() },
            _ => WeightsError::Io { action: "fault in the mapping of", path: self.path.clone(), source },
        })
    }

    /// Have `range` of the mapping read ahead, without waiting: several threads that fault in turn look random to the kernel,
    /// which then reads no further than each fault.
    pub(super) fn read_ahead(&self, range: &Range<u64>) -> Result<(), WeightsError> {
        self.advise(range, libc::MADV_WILLNEED).map_err(WeightsError::io("advise the mapping of", &self.path))
    }

    fn advise(&self, range: &Range<u64>, advice: i32) -> io::Result<()> {
        let page = page_size() as u64;
        let begin = range.start / page * page;
        let bytes = self.mapped(&(begin..range.end)).map_err(io::Error::other)?;
        // SAFETY: the range lies inside of a live mapping and starts at a page; neither advice changes a byte.
        match unsafe { libc::madvise(bytes.as_ptr() as *mut libc::c_void, bytes.len(), advice) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// `range` widened to what can be read around the page cache. The end may lie behind the file's.
pub(super) fn aligned(range: &Range<u64>) -> Range<u64> {
    range.start / DIRECT_ALIGN * DIRECT_ALIGN..range.end.next_multiple_of(DIRECT_ALIGN)
}

/// Where the next read must start after `got` bytes: itself at the end, else the aligned place before it.
pub(super) fn continue_at(got: usize, needed: usize) -> usize {
    if got >= needed { got } else { got - got % DIRECT_ALIGN as usize }
}
