//! How much of a model's files is in the page cache.

use std::ffi::CString;
use std::fs::File;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use coldstart_profiles::{Bytes, Residency, ResidencyMethod};

use super::exact::{by_cachestat, by_mincore};
use super::fault_around::{WINDOWS, by_fault_around};
use super::nowait::by_nowait;
use super::{in_memory, page_size};
use crate::weights::error::WeightsError;
use crate::weights::files::{WeightFile, open_regular};

/// What one file answered.
struct Answer {
    resident: Option<u64>,
    method: ResidencyMethod,
    why: Option<String>,
}

impl Answer {
    fn exact(resident: u64, method: ResidencyMethod) -> Self {
        Answer { resident: Some(resident), method, why: None }
    }
}

/// How much of the tensors of `files` is in the page cache now; pages with headers don't count. Asking changes nothing; sampling reads
/// a page where it finds none, and drops it again (see [`Residency::why`]).
///
/// `mincore` tells the truth only where the caller owns the file or may write to it: elsewhere the kernel says that
/// every page is resident (`can_do_mincore` in mm/mincore.c). There the first of these that the system allows is asked: `cachestat`, which is exact,
/// windows of a mapping, and reads that must not wait.
pub fn residency(files: &[WeightFile]) -> Result<Residency, WeightsError> {
    let all: u64 = files.iter().map(|file| file.size).sum();
    let mut total = 0;
    let mut resident = Some(0);
    let mut methods = Vec::new();
    let mut why: Option<String> = None;
    for file in files {
        let (handle, size) = open_regular(&file.path)?;
        // Whoever knows what is in the file has read its header: those pages say nothing of the tensors.
        let span = header_pages(file).min(size)..size;
        let length = span.end - span.start;
        // Files share the windows by size.
        let most = (u128::from(WINDOWS) * u128::from(length)).div_ceil(u128::from(all.max(1))) as u64;
        let answer = ask(&handle, &file.path, &span, most)?;
        total += length;
        resident = resident.zip(answer.resident).map(|(sum, one)| sum + one);
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

fn ask(file: &File, path: &Path, span: &Range<u64>, most: u64) -> Result<Answer, WeightsError> {
    if in_memory(file, path)? {
        let why = Some("the file system keeps its files in memory".to_owned());
        return Ok(Answer { resident: Some(span.end - span.start), method: ResidencyMethod::Tmpfs, why });
    }
    if span.is_empty() {
        return Ok(Answer::exact(0, ResidencyMethod::Mincore));
    }
    if mincore_is_honest(file, path)? {
        let resident = by_mincore(file, span).map_err(WeightsError::io("ask the page cache about", path))?;
        return Ok(Answer::exact(resident, ResidencyMethod::Mincore));
    }
    Ok(ask_as_a_stranger(file, span, most))
}

/// For a file that is neither owned nor writable by this user.
fn ask_as_a_stranger(file: &File, span: &Range<u64>, most: u64) -> Answer {
    let refused = match by_cachestat(file, span) {
        Ok(resident) => return Answer::exact(resident, ResidencyMethod::Cachestat),
        Err(error) => format!(
            "the file is neither owned nor writable by this user, where mincore always says resident, and \
             cachestat failed: {error}"
        ),
    };
    let unseen = match by_fault_around(file, span, most) {
        Ok(resident) => {
            let why = format!("estimated from up to {WINDOWS} windows of 64 KiB over all files: {refused}");
            return Answer { resident: Some(resident), method: ResidencyMethod::FaultAround, why: Some(why) };
        }
        Err(error) => format!("{refused}, and looking through a mapping failed: {error}"),
    };
    match by_nowait(file, span) {
        Ok(resident) => {
            let why = format!(
                "estimated from up to 1024 pages a file by reads that must not wait, which on newer kernels may count \
                 absent pages as resident: {unseen}"
            );
            Answer { resident: Some(resident), method: ResidencyMethod::Nowait, why: Some(why) }
        }
        Err(error) => Answer {
            resident: None,
            method: ResidencyMethod::None,
            why: Some(format!("{unseen}, and preadv2(RWF_NOWAIT) failed: {error}")),
        },
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
