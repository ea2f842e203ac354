//! Sampling by reads that must not wait: the last resort.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::exact::drop_range;
use super::{chance, page_size};

/// The most pages that are sampled of a file; the standard error of a share is then at most 1.6 %.
const SAMPLES: u64 = 1024;

/// The share of sampled pages that could be read without waiting, times the length of `span`, whose begin is a page's.
///
/// Newer kernels (seen on 6.18) start to read the page that they could not give, and read on behind it; a fast disk has them there
/// within the call. Such pages count as resident, so that of a file that is half evicted nearly all may. The samples are taken from the
/// end, since what is read on lies behind; `FADV_RANDOM` keeps some kernels to one page; what was absent is dropped again.
pub(super) fn by_nowait(file: &File, span: &Range<u64>) -> io::Result<u64> {
    let (page, length) = (page_size() as u64, span.end - span.start);
    let pages = length.div_ceil(page);
    let samples = pages.min(SAMPLES);
    let fd = file.as_raw_fd();
    // SAFETY: the descriptor is open; the call only sets a hint.
    unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_RANDOM) };
    let seed = chance::seed();
    let mut absent = Vec::new();
    for sample in (0..samples).rev() {
        // One page out of each of `samples` equal stretches.
        let stretch = sample * pages / samples..(sample + 1) * pages / samples;
        let at = span.start + chance::of(stretch, seed, sample) * page;
        if !is_ready(fd, at)? {
            absent.push(at..at + page);
        }
    }
    // A page that is still being read cannot be dropped, so the calls are repeated.
    for wait_ms in [2, 10, 30] {
        if absent.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(wait_ms));
        for span in &absent {
            drop_range(file, span);
        }
    }
    let present = samples - absent.len() as u64;
    Ok((u128::from(length) * u128::from(present) / u128::from(samples.max(1))) as u64)
}

/// Whether the byte at `at` can be read without waiting for storage.
fn is_ready(fd: i32, at: u64) -> io::Result<bool> {
    let mut byte = 0u8;
    let target = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    loop {
        // SAFETY: the descriptor is open, and the one iovec points to one writable byte that outlives the call.
        let read = unsafe { libc::preadv2(fd, &target, 1, at as libc::off_t, libc::RWF_NOWAIT) };
        match read {
            // The file has become shorter.
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            1.. => return Ok(true),
            _ => {}
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN) => return Ok(false),
            Some(libc::EINTR) => {}
            _ => return Err(error),
        }
    }
}
