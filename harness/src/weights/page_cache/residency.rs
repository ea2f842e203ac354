//! How much of a model's files is in the page cache.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use coldstart_profiles::{Bytes, Residency, ResidencyMethod};
use memmap2::{Mmap, MmapOptions};

use super::{in_memory, page_size};
use crate::weights::error::WeightsError;
use crate::weights::files::{WeightFile, open_regular};

/// The most pages that are sampled of a file; the standard error of a share is then at most 1.6 %.
const SAMPLES: u64 = 1024;

/// What one file answered.
struct Answer {
    resident: Option<u64>,
    method: ResidencyMethod,
    why: Option<String>,
}

/// How much of the tensors of `files` is in the page cache now; pages with headers don't count. Reading nothing, it changes nothing, except under sampling (see
/// [`Residency::why`]).
///
/// `mincore` tells the truth only where the caller owns the file or may write to it: elsewhere the kernel says that
/// every page is resident (`can_do_mincore` in mm/mincore.c). There a sample of pages is asked with
/// `preadv2(RWF_NOWAIT)`, where EAGAIN means absent.
pub fn residency(files: &[WeightFile]) -> Result<Residency, WeightsError> {
    let mut total = 0;
    let mut resident = Some(0);
    let mut methods = Vec::new();
    let mut why: Option<String> = None;
    for file in files {
        let (handle, size) = open_regular(&file.path)?;
        let answer = ask(&handle, &file.path, size)?;
        // Whoever knows what is in the file has read its header: those pages say nothing of the tensors.
        let header = header_pages(file).min(size);
        total += size - header;
        resident = resident.zip(answer.resident).map(|(sum, one)| sum + one.saturating_sub(header));
        methods.push(answer.method);
        why = why.or(answer.why);
    }
    methods.dedup();
    let method = match methods.as_slice() {
        [] => ResidencyMethod::None,
        [one] => *one,
        _ => ResidencyMethod::Mixed,
    };
    Ok(Residency { resident_bytes: resident.map(Bytes::new), total_bytes: Bytes::new(total), method, why })
}

/// The pages of a file that hold its header, the last of them often the first tensor's bytes too.
fn header_pages(file: &WeightFile) -> u64 {
    file.data_begin.next_multiple_of(page_size() as u64)
}

fn ask(file: &File, path: &Path, size: u64) -> Result<Answer, WeightsError> {
    if in_memory(file, path)? {
        let why = Some("the file system keeps its files in memory".to_owned());
        return Ok(Answer { resident: Some(size), method: ResidencyMethod::Tmpfs, why });
    }
    if size == 0 {
        return Ok(Answer { resident: Some(0), method: ResidencyMethod::Mincore, why: None });
    }
    if mincore_is_honest(file, path)? {
        let resident = by_mincore(file, path, size)?;
        return Ok(Answer { resident: Some(resident), method: ResidencyMethod::Mincore, why: None });
    }
    let not_ours = "the file is neither owned nor writable by this user, where mincore always says resident";
    match by_nowait(file, size) {
        Ok(resident) => Ok(Answer {
            resident: Some(resident),
            method: ResidencyMethod::Nowait,
            why: Some(format!("estimated from up to {SAMPLES} pages a file: {not_ours}")),
        }),
        Err(error) => Ok(Answer {
            resident: None,
            method: ResidencyMethod::None,
            why: Some(format!("{not_ours}, and preadv2(RWF_NOWAIT) failed: {error}")),
        }),
    }
}

/// The rule of the kernel's `can_do_mincore`: the owner, or who may write.
fn mincore_is_honest(file: &File, path: &Path) -> Result<bool, WeightsError> {
    let metadata = file.metadata().map_err(WeightsError::io("read the owner of", path))?;
    // SAFETY: geteuid takes nothing and cannot fail.
    if metadata.uid() == unsafe { libc::geteuid() } {
        return Ok(true);
    }
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else { return Ok(false) };
    // SAFETY: `name` is a NUL-terminated string that lives through the call.
    let access = unsafe { libc::faccessat(libc::AT_FDCWD, name.as_ptr(), libc::W_OK, libc::AT_EACCESS) };
    Ok(access == 0)
}

/// Bytes of whole resident pages, at most `size`.
pub(super) fn by_mincore(file: &File, path: &Path, size: u64) -> Result<u64, WeightsError> {
    // SAFETY: the mapping is never read, only asked for, so a change of the file under it is harmless. It is unmapped at
    // the end of this function, before anybody evicts the file.
    let map: Mmap =
        unsafe { MmapOptions::new().len(size as usize).map(file) }.map_err(WeightsError::io("map", path))?;
    let page = page_size();
    let mut pages = vec![0u8; map.len().div_ceil(page)];
    // SAFETY: the address is page-aligned as every mapping's, the length is the mapping's, and `pages` has one byte for
    // each of its pages.
    let answer =
        unsafe { libc::mincore(map.as_ptr() as *mut libc::c_void, map.len(), pages.as_mut_ptr().cast()) };
    if answer != 0 {
        return Err(WeightsError::io("ask the page cache about", path)(io::Error::last_os_error()));
    }
    let resident = pages.iter().filter(|state| *state & 1 != 0).count() as u64;
    Ok((resident * page as u64).min(size))
}

/// The share of sampled pages that could be read without waiting, times `size`.
///
/// A kernel may start to read the page that it could not give: FADV_RANDOM keeps it to that one page, the places differ
/// from call to call, and the pages are given back at the end.
pub(super) fn by_nowait(file: &File, size: u64) -> io::Result<u64> {
    let page = page_size() as u64;
    let pages = size.div_ceil(page);
    let samples = pages.min(SAMPLES);
    let jitter = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| u64::from(now.subsec_nanos()));
    let fd = file.as_raw_fd();
    // SAFETY: the descriptor is open; the call only sets a hint.
    unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_RANDOM) };
    let mut absent = Vec::new();
    // From the end: some kernels (6.18) read on behind a page that is absent, over pages that would be asked for next.
    for sample in (0..samples).rev() {
        // One page out of each of `samples` equal stretches.
        let (from, to) = (sample * pages / samples, (sample + 1) * pages / samples);
        let at = (from + jitter % (to - from).max(1)) * page;
        if !is_ready(fd, at)? {
            absent.push(at);
        }
    }
    // A page that is still being read cannot be dropped, so the calls are repeated.
    for wait_ms in [2, 10, 30] {
        if absent.is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        for at in &absent {
            let (at, length) = (*at as libc::off_t, page as libc::off_t);
            // SAFETY: the descriptor is open; clean pages that nobody maps are dropped, contents never change.
            unsafe { libc::posix_fadvise(fd, at, length, libc::POSIX_FADV_DONTNEED) };
        }
    }
    let present = samples - absent.len() as u64;
    Ok((u128::from(size) * u128::from(present) / u128::from(samples.max(1))) as u64)
}

/// Whether the byte at `at` can be read without waiting for storage.
fn is_ready(fd: i32, at: u64) -> io::Result<bool> {
    let mut byte = 0u8;
    let target = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    loop {
        // SAFETY: the descriptor is open, and the one iovec points to one writable byte that outlives the call.
        let read = unsafe { libc::preadv2(fd, &target, 1, at as libc::off_t, libc::RWF_NOWAIT) };
        if read >= 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN) => return Ok(false),
            Some(libc::EINTR) => {}
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::weights::page_cache::{evict, warm};

    /// A file of `pages` pages, on the disk that the build directory lies on: /tmp may be a tmpfs.
    fn file_of(pages: usize) -> (tempfile::NamedTempFile, WeightFile) {
        let mut file =
            tempfile::NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/target").unwrap();
        file.write_all(&vec![7; pages * page_size()]).unwrap();
        file.as_file().sync_all().unwrap();
        let path = file.path().to_owned();
        let size = (pages * page_size()) as u64;
        (file, WeightFile { path, size, data_begin: 0 })
    }

    #[test]
    fn evicted_files_are_cold_and_warmed_files_warm() {
        let (_keep, file) = file_of(512);
        let files = [file];
        let warmed = warm(&files).unwrap();
        if warmed.method == ResidencyMethod::Tmpfs {
            eprintln!("SKIPPED: the build directory is in memory, nothing can be evicted there");
            return;
        }
        assert_eq!(warmed.fraction(), Some(1.0));
        assert!(warmed.partial_reason().is_some());
        let evicted = evict(&files).unwrap();
        assert_eq!(evicted.state, coldstart_profiles::PageCache::Cold);
        assert_eq!(evicted.residency.fraction(), Some(0.0));
        assert_eq!(evicted.residency.method, ResidencyMethod::Mincore);
    }

    #[test]
    fn a_mapped_file_keeps_its_pages_and_the_residency_says_so() {
        let (keep, file) = file_of(64);
        // SAFETY: this test alone has the file.
        let map = unsafe { MmapOptions::new().map(keep.as_file()) }.unwrap();
        assert_eq!(map.iter().map(|byte| u64::from(*byte)).sum::<u64>(), 7 * map.len() as u64);
        let files = [file];
        let evicted = evict(&files).unwrap();
        assert!(evicted.residency.partial_reason().unwrap().contains("100.0 %"), "{evicted:?}");
        drop(map);
        assert_eq!(evict(&files).unwrap().residency.partial_reason(), None);
    }

    #[test]
    fn sampling_agrees_with_mincore() {
        let (keep, file) = file_of(2048);
        let handle = keep.as_file();
        if in_memory(handle, &file.path).unwrap() {
            eprintln!("SKIPPED: the build directory is in memory");
            return;
        }
        assert_eq!(by_nowait(handle, file.size).unwrap(), file.size);
        // A fast disk may bring an absent page within the very call that asks for it, which then counts as one that was there. That is a
        // matter of chance: of several samplings one is undisturbed, and that one has to agree.
        let looks: Vec<[u64; 3]> = (0..8).map(|_| half_evicted(handle, &file)).collect();
        let agrees = |[exact, sampled, after]: &[u64; 3]| {
            // Pages that are still being read can't be dropped. The sampling itself must not warm the file.
            *exact == file.size / 2
                && sampled.abs_diff(*exact) <= file.size / 50
                && *after <= exact + file.size / 100
        };
        assert!(looks.iter().any(agrees), "{looks:?}");
    }

    /// What is resident after the second half was dropped: by mincore, by sampling, and by mincore once more.
    fn half_evicted(handle: &File, file: &WeightFile) -> [u64; 3] {
        let half = file.size as libc::off_t / 2;
        // SAFETY: the descriptor is open; clean pages are dropped, contents never change.
        unsafe { libc::posix_fadvise(handle.as_raw_fd(), half, half, libc::POSIX_FADV_DONTNEED) };
        let exact = by_mincore(handle, &file.path, file.size).unwrap();
        let sampled = by_nowait(handle, file.size).unwrap();
        [exact, sampled, by_mincore(handle, &file.path, file.size).unwrap()]
    }

    #[test]
    fn files_in_memory_are_told_apart() {
        let shm = Path::new("/dev/shm");
        let Ok(mut file) = tempfile::NamedTempFile::new_in(shm) else {
            eprintln!("SKIPPED: /dev/shm cannot be written");
            return;
        };
        file.write_all(&[1; 5000]).unwrap();
        let files = [WeightFile { path: file.path().to_owned(), size: 5000, data_begin: 0 }];
        let evicted = evict(&files).unwrap();
        assert_eq!(evicted.state, coldstart_profiles::PageCache::Memory);
        assert_eq!(evicted.residency.method, ResidencyMethod::Tmpfs);
        assert_eq!(evicted.residency.fraction(), Some(1.0));
    }
}
