//! Residency against files that were evicted, in part and as a whole.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use coldstart_profiles::{PageCache, ResidencyMethod};
use memmap2::MmapOptions;

use super::evict::drop_pages;
use super::exact::{by_cachestat, by_mincore, drop_range};
use super::fault_around::{WINDOWS, by_fault_around};
use super::nowait::by_nowait;
use super::{evict, in_memory, page_size, warm};
use crate::weights::files::WeightFile;

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
    assert_eq!(evicted.state, PageCache::Cold);
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

/// A handle of `file` if it can be evicted.
fn evictable(keep: &tempfile::NamedTempFile) -> Option<&File> {
    let handle = keep.as_file();
    if in_memory(handle, keep.path()).unwrap() {
        eprintln!("SKIPPED: the build directory is in memory");
        return None;
    }
    Some(handle)
}

/// Leaves those pages of a file in the page cache for which `stay` says so.
fn keep_pages(file: &File, size: u64, stay: impl Fn(u64) -> bool) {
    drop_pages(file);
    let page = page_size() as u64;
    // Nothing is read that is to be absent: half of a large folio can't be dropped.
    // SAFETY: the descriptor is open; the call only sets a hint.
    unsafe { libc::posix_fadvise(std::os::fd::AsRawFd::as_raw_fd(file), 0, 0, libc::POSIX_FADV_RANDOM) };
    for at in (0..size.div_ceil(page)).filter(|at| stay(*at)) {
        file.read_at(&mut [0], at * page).unwrap();
    }
}

/// A state of the page cache, its name first.
type Pattern = (&'static str, fn(u64, u64) -> bool);

/// Of a page and the number of all: whether it stays.
const PATTERNS: [Pattern; 7] = [
    ("all", |_, _| true),
    ("none", |_, _| false),
    ("first half", |page, pages| page < pages / 2),
    ("second half", |page, pages| page >= pages / 2),
    ("every other page", |page, _| page % 2 == 0),
    ("every other run of 400 pages", |page, _| page / 400 % 2 == 0),
    ("a hundredth, in one piece", |page, pages| page < pages / 100),
];

#[test]
fn windows_agree_with_mincore_and_leave_all_as_it_was() {
    // More than there are windows, and fewer.
    for (pages, looks) in [(3 * WINDOWS * 16 / 2, 4), (1500, 4)] {
        let (keep, file) = file_of(pages as usize);
        let Some(handle) = evictable(&keep) else { return };
        let all = 0..file.size;
        for (name, stays) in PATTERNS {
            keep_pages(handle, file.size, |page| stays(page, pages));
            for look in 0..looks {
                let before = by_mincore(handle, &all).unwrap();
                let seen = by_fault_around(handle, &all, WINDOWS).unwrap();
                let after = by_mincore(handle, &all).unwrap();
                let case =
                    format!("{name} of {pages} pages, look {look}: {before}, seen {seen}, {after} after");
                assert!(seen.abs_diff(before) <= file.size / 50, "{case}");
                assert_eq!(before, after, "{case}");
            }
        }
    }
}

#[test]
fn large_folios_and_what_is_left_of_them_are_seen_too() {
    let (keep, file) = file_of(6000);
    let Some(handle) = evictable(&keep) else { return };
    let all = 0..file.size;
    for half in [0..file.size / 2, file.size / 2..file.size] {
        drop_pages(handle);
        // Read in order, and ahead.
        warm(std::slice::from_ref(&file)).unwrap();
        drop_range(handle, &half);
        let (exact, seen) =
            (by_mincore(handle, &all).unwrap(), by_fault_around(handle, &all, WINDOWS).unwrap());
        assert!(exact < file.size, "half of it was dropped");
        assert!(seen.abs_diff(exact) <= file.size / 50, "{exact}, seen {seen}");
    }
}

#[test]
fn small_files_are_seen_page_by_page() {
    let page = page_size() as u64;
    for size in [1, page, page + 1, 3 * page, 16 * page, 17 * page - 5, 100 * page] {
        let (keep, _) = file_of(0);
        let Some(handle) = evictable(&keep) else { return };
        handle.set_len(size).unwrap();
        let look = || by_fault_around(handle, &(0..size), WINDOWS).unwrap();
        keep_pages(handle, size, |_| true);
        assert_eq!(look(), size, "all of {size}");
        keep_pages(handle, size, |_| false);
        assert_eq!(look(), 0, "nothing of {size}");
    }
}

#[test]
fn only_the_span_is_asked_about() {
    let page = page_size() as u64;
    let (keep, file) = file_of(512);
    let Some(handle) = evictable(&keep) else { return };
    keep_pages(handle, file.size, |at| at < 7);
    let (before, behind) = (0..7 * page, 7 * page..file.size);
    type Way = fn(&File, &Range<u64>) -> io::Result<u64>;
    let ways: [(&str, Way); 3] = [
        ("mincore", by_mincore),
        ("cachestat", by_cachestat),
        ("fault-around", |file, span| by_fault_around(file, span, WINDOWS)),
    ];
    for (name, way) in ways {
        match (way(handle, &before), way(handle, &behind)) {
            (Err(error), _) if name == "cachestat" && error.raw_os_error() == Some(libc::ENOSYS) => {
                eprintln!("SKIPPED: this kernel has no cachestat");
            }
            (header, tensors) => assert_eq!((header.unwrap(), tensors.unwrap()), (7 * page, 0), "{name}"),
        }
    }
}

#[test]
fn a_file_that_was_cut_is_an_error_and_no_signal() {
    let (keep, file) = file_of(256);
    let Some(handle) = evictable(&keep) else { return };
    handle.set_len(page_size() as u64).unwrap();
    let all = 0..file.size;
    let error = by_fault_around(handle, &all, WINDOWS).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EFAULT), "{error}");
    assert_eq!(by_nowait(handle, &all).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn cachestat_is_believed_only_where_it_sees_pages() {
    // What is read of such a file lies in no page cache, as on overlayfs it lies in another file's.
    let error = by_cachestat(&File::open("/proc/self/status").unwrap(), &(0..4096)).unwrap_err();
    let expected = [io::ErrorKind::Unsupported, io::ErrorKind::PermissionDenied];
    assert!(expected.contains(&error.kind()), "{error:?}");
}

#[test]
fn reads_that_must_not_wait_miss_no_page_that_is_there() {
    let (keep, file) = file_of(2048);
    let Some(handle) = evictable(&keep) else { return };
    for (name, stays) in PATTERNS {
        keep_pages(handle, file.size, |page| stays(page, 2048));
        let exact = by_mincore(handle, &(0..file.size)).unwrap();
        let seen = by_nowait(handle, &(0..file.size)).unwrap();
        // They may count more: what a kernel begins to read may be there within the call. A tenth is six standard errors.
        assert!(
            (exact.saturating_sub(file.size / 10)..=file.size).contains(&seen),
            "{name}: {exact}, {seen}"
        );
    }
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
    assert_eq!(evicted.state, PageCache::Memory);
    assert_eq!(evicted.residency.method, ResidencyMethod::Tmpfs);
    assert_eq!(evicted.residency.fraction(), Some(1.0));
}
