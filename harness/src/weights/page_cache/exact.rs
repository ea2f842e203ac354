//! Ways of asking about every page of a file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use memmap2::{Mmap, MmapOptions};

use super::page_size;

/// The system call's number; the same on all architectures that Rust's standard library runs on.
const CACHESTAT: libc::c_long = 451;

/// Bytes of whole resident pages of `span`, whose begin is a page's; at most its length. Where the caller neither owns the
/// file nor may write to it, `mincore` says that all of them are.
pub(super) fn by_mincore(file: &File, span: &Range<u64>) -> io::Result<u64> {
    let length = span.end - span.start;
    // SAFETY: the mapping is never read, only asked for, so a change of the file under it is harmless. It is unmapped at
    // the end of this function, before anybody evicts the file.
    let map: Mmap = unsafe { MmapOptions::new().offset(span.start).len(length as usize).map(file) }?;
    let page = page_size();
    let mut pages = vec![0u8; map.len().div_ceil(page)];
    // SAFETY: the address is page-aligned as every mapping's, the length is the mapping's, and `pages` has one byte for
    // each of its pages.
    let answer =
        unsafe { libc::mincore(map.as_ptr() as *mut libc::c_void, map.len(), pages.as_mut_ptr().cast()) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    let resident = pages.iter().filter(|state| *state & 1 != 0).count() as u64;
    Ok((resident * page as u64).min(length))
}

/// The same by `cachestat` (Linux 6.5), which newer kernels answer to the owner and to who may write only.
///
/// It looks at the pages of the descriptor. On overlayfs those are not the ones that are read, and it finds none ever: so
/// zero is believed only where a page that was just read is seen.
pub(super) fn by_cachestat(file: &File, span: &Range<u64>) -> io::Result<u64> {
    let page = page_size() as u64;
    let pages = cachestat(file, span)?;
    if pages == 0 && !sees_pages(file, page)? {
        let why = "it does not see the pages of this file system's files";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    Ok((pages * page).min(span.end - span.start))
}

/// Whether the first page is seen once it was read: a page of the file's header, which no residency counts.
fn sees_pages(file: &File, page: u64) -> io::Result<bool> {
    let first = 0..page;
    if cachestat(file, &first)? > 0 {
        return Ok(true);
    }
    // SAFETY: the descriptor is open; the call only sets a hint: no page behind this one is to be read.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM) };
    file.read_at(&mut [0], 0)?;
    let seen = cachestat(file, &first)? > 0;
    if seen {
        // It was absent. Where nothing is seen it may have been there.
        drop_range(file, &first);
    }
    Ok(seen)
}

/// How many pages of `span` the page cache holds.
fn cachestat(file: &File, span: &Range<u64>) -> io::Result<u64> {
    /// `struct cachestat_range`.
    #[repr(C)]
    struct Asked {
        offset: u64,
        length: u64,
    }
    /// `struct cachestat`: pages in the cache, dirty, being written, evicted, evicted recently.
    #[repr(C)]
    #[derive(Default)]
    struct Answer {
        cached: u64,
        rest: [u64; 4],
    }
    let asked = Asked { offset: span.start, length: span.end - span.start };
    let mut answer = Answer::default();
    // SAFETY: the descriptor is open, both structs are laid out as the kernel's and outlive the call, which writes to the
    // second alone. A kernel without the call answers ENOSYS.
    let done = unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), &raw const asked, &raw mut answer, 0) };
    if done == 0 { Ok(answer.cached) } else { Err(io::Error::last_os_error()) }
}

/// A request to drop the pages of `span`, for those that a look has brought in.
pub(super) fn drop_range(file: &File, span: &Range<u64>) {
    let (offset, length) = (span.start as libc::off_t, (span.end - span.start) as libc::off_t);
    // SAFETY: the descriptor is open; clean pages that nobody maps are dropped, contents never change.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), offset, length, libc::POSIX_FADV_DONTNEED) };
}
