//! A synthetic model in the cache directory: found and trusted, repaired, or made.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use coldstart_kernels::checksum;
use coldstart_profiles::Bytes;

use super::generate::{Part, is_full, journal_line, journal_path, on_all_cores};
use super::manifest::{CHUNK_BYTES, FileRecord, MANIFEST, Manifest, Stamp, write_whole};
use super::plan::Plan;
use super::size::SyntheticSize;
use crate::weights::error::WeightsError;

/// Grows whenever a byte of any synthetic model changes.
const VERSION: u32 = 1;

/// Chunks of a file that are compared with their checksums although its stamp is the recorded one.
const SPOT_CHECKS: usize = 4;

/// Small files, journals and the file system's own needs.
const SPACE_MARGIN: u64 = 4 << 20;

/// How far the making of a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are made.
    pub done: u64,
    /// Bytes of the whole model.
    pub total: u64,
}

/// What was done to have the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyntheticState {
    /// It was there, and right.
    Found,
    /// Some of it was there: an attempt that was cut short, or a damaged model.
    Completed,
    /// None of it was there.
    Made,
}

/// A synthetic model on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synthetic {
    /// Its directory: config.json, and safetensors as any model's.
    pub dir: PathBuf,
    /// What was done to have it.
    pub state: SyntheticState,
    /// How much was written for it.
    pub written: Bytes,
}

/// The directory for what is made once: `$COLDSTART_CACHE`, else `$XDG_CACHE_HOME/coldstart`, else `~/.cache/coldstart`.
pub fn cache_dir() -> Result<PathBuf, WeightsError> {
    cache_dir_of(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn cache_dir_of(var: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, WeightsError> {
    // The XDG base directory specification has relative paths ignored.
    let xdg = || var("XDG_CACHE_HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join("coldstart"));
    let home = || var("HOME").map(|dir| dir.join(".cache/coldstart"));
    var("COLDSTART_CACHE").or_else(xdg).or_else(home).ok_or_else(|| WeightsError::NoCache {
        dir: PathBuf::from("~/.cache/coldstart"),
        why: "none of COLDSTART_CACHE, XDG_CACHE_HOME and HOME is set".to_owned(),
    })
}

/// The synthetic model of this size below `cache`, made or completed where needed.
///
/// A model that is there is trusted when its sizes and times are the recorded ones and its headers and some chunks are right;
/// when a time differs every chunk is checked. Only chunks that are missing or wrong are made. Work goes on in a directory
/// with another name, under a lock, and is renamed when it is complete.
pub fn ensure(
    size: SyntheticSize,
    cache: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Synthetic, WeightsError> {
    let plan = Plan::of(size);
    let name = format!("synthetic-{size}-v{VERSION}");
    let dir = cache.join("models").join(&name);
    let found = |dir: PathBuf| Synthetic { dir, state: SyntheticState::Found, written: Bytes::ZERO };
    if is_right(&dir, &plan)? {
        return Ok(found(dir));
    }
    let _lock = lock(cache, &name)?;
    // Another process may have made it meanwhile.
    if is_right(&dir, &plan)? {
        return Ok(found(dir));
    }
    let work = cache.join("models").join(format!("{name}.partial"));
    reopen(&dir, &work, &plan)?;
    let (manifest, written) = make(&work, &plan, progress)?;
    for (name, text) in &plan.texts {
        write_whole(&work, name, text.as_bytes())?;
    }
    manifest.write(&work)?;
    for file in &plan.files {
        let journal = journal_path(&work, &file.name);
        fs::remove_file(&journal).map_err(WeightsError::io("remove", &journal))?;
    }
    fs::rename(&work, &dir).map_err(WeightsError::io("rename", &work))?;
    let all = written == plan.bytes();
    let state = if all { SyntheticState::Made } else { SyntheticState::Completed };
    Ok(Synthetic { dir, state, written: Bytes::new(written) })
}

/// One process makes a model, the others wait for it. The lock goes with its file handle.
fn lock(cache: &Path, name: &str) -> Result<File, WeightsError> {
    let models = cache.join("models");
    let unusable =
        |error: std::io::Error| WeightsError::NoCache { dir: cache.to_owned(), why: error.to_string() };
    fs::create_dir_all(&models).map_err(unusable)?;
    let file = File::create(models.join(format!("{name}.lock"))).map_err(unusable)?;
    file.lock().map_err(unusable)?;
    Ok(file)
}

/// Make `work` the place to go on: what is there of an earlier attempt, or the finished model that was found wrong, with its
/// recorded checksums as the journal.
fn reopen(dir: &Path, work: &Path, plan: &Plan) -> Result<(), WeightsError> {
    if dir.is_dir() && !work.exists() {
        let manifest = Manifest::read(dir, plan)?;
        fs::rename(dir, work).map_err(WeightsError::io("rename", dir))?;
        for record in manifest.iter().flat_map(|manifest| &manifest.files) {
            let lines = record.checksums.iter().enumerate();
            let text: String = lines.map(|(chunk, sum)| journal_line(chunk, *sum)).collect();
            let journal = journal_path(work, &record.name);
            fs::write(&journal, text).map_err(WeightsError::io("write", &journal))?;
        }
        let stale = work.join(MANIFEST);
        if stale.exists() {
            fs::remove_file(&stale).map_err(WeightsError::io("remove", &stale))?;
        }
    } else if dir.is_dir() {
        // Both exist: the finished one is wrong, and the attempt will replace it.
        fs::remove_dir_all(dir).map_err(WeightsError::io("remove", dir))?;
    }
    fs::create_dir_all(work)
        .map_err(|error| WeightsError::NoCache { dir: work.to_owned(), why: error.to_string() })
}

/// Make what is missing of all files in `work`; the manifest, and how many bytes were written.
fn make(
    work: &Path,
    plan: &Plan,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Manifest, u64), WeightsError> {
    let parts: Vec<Part<'_>> =
        plan.files.iter().map(|file| Part::open(work, file)).collect::<Result<_, _>>()?;
    let missing: u64 = parts.iter().map(Part::missing_bytes).sum();
    let no_space = |needed: u64| -> Result<WeightsError, WeightsError> {
        let (needed, free) = (Bytes::new(needed), Bytes::new(free_space(work)?));
        Ok(WeightsError::NoSpace { dir: work.to_owned(), needed, free })
    };
    if missing > 0 && free_space(work)? < missing + SPACE_MARGIN {
        return Err(no_space(missing + SPACE_MARGIN)?);
    }
    let total = plan.bytes();
    let done = AtomicU64::new(total - missing);
    progress(Progress { done: total - missing, total });
    let mut files = Vec::new();
    for (part, file) in parts.into_iter().zip(&plan.files) {
        let checksums = match part.complete(&done, total, progress) {
            Err(error) if is_full(&error) => {
                return Err(no_space(total - done.load(Ordering::Relaxed))?);
            }
            made => made?,
        };
        let stamp = Stamp::of(&work.join(&file.name))?;
        files.push(FileRecord { name: file.name.clone(), stamp, checksums });
    }
    Ok((Manifest { files }, missing))
}

/// Bytes that an unprivileged process can still write to the file system of `dir`.
fn free_space(dir: &Path) -> Result<u64, WeightsError> {
    use std::os::unix::ffi::OsStrExt;
    let failed = WeightsError::io("ask for the free space of", dir);
    let Ok(name) = std::ffi::CString::new(dir.as_os_str().as_bytes()) else {
        return Err(failed(std::io::ErrorKind::InvalidInput.into()));
    };
    // SAFETY: statvfs is a plain C struct for which all-zero bytes are a valid value.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is a NUL-terminated string and `stat` a valid place to write to; both live through the call.
    if unsafe { libc::statvfs(name.as_ptr(), &mut stat) } != 0 {
        return Err(failed(std::io::Error::last_os_error()));
    }
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether `dir` holds the finished model, whole. Writes nothing, except new times into the manifest after a full check.
fn is_right(dir: &Path, plan: &Plan) -> Result<bool, WeightsError> {
    let Some(manifest) = Manifest::read(dir, plan)? else { return Ok(false) };
    for (name, text) in &plan.texts {
        if fs::read(dir.join(name)).ok().as_deref() != Some(text.as_bytes()) {
            return Ok(false);
        }
    }
    let mut current = manifest.clone();
    for (record, file) in current.files.iter_mut().zip(&plan.files) {
        let path = dir.join(&file.name);
        let Ok(stamp) = Stamp::of(&path) else { return Ok(false) };
        if stamp.size != file.size {
            return Ok(false);
        }
        let opened = File::open(&path).map_err(WeightsError::io("open", &path))?;
        let mut header = vec![0; file.header.len()];
        opened.read_exact_at(&mut header, 0).map_err(WeightsError::io("read", &path))?;
        let all = stamp != record.stamp;
        if header != file.header || !chunks_are_right(&opened, &path, record, file.size, all)? {
            return Ok(false);
        }
        record.stamp = stamp;
    }
    if current != manifest {
        // A read-only cache keeps its old times: every run then checks all of it, and is right all the same.
        let _ = current.write(dir);
    }
    Ok(true)
}

/// Whether the chunks have the recorded checksums: all of them, or a few spread over the file with the last among them.
fn chunks_are_right(
    file: &File,
    path: &Path,
    record: &FileRecord,
    size: u64,
    all: bool,
) -> Result<bool, WeightsError> {
    let count = record.checksums.len();
    let step = if all { 1 } else { count.div_ceil(SPOT_CHECKS).max(1) };
    let picked: Vec<usize> = (0..count).rev().step_by(step).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let wrong = std::sync::atomic::AtomicBool::new(false);
    on_all_cores(|| {
        let mut buffer = vec![0; CHUNK_BYTES as usize];
        while let Some(chunk) = picked.get(next.fetch_add(1, Ordering::Relaxed)) {
            let begin = *chunk as u64 * CHUNK_BYTES;
            let target = &mut buffer[..(size - begin).min(CHUNK_BYTES) as usize];
            file.read_exact_at(target, begin).map_err(WeightsError::io("read", path))?;
            if checksum::of(target) != record.checksums[*chunk] {
                wrong.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    })?;
    Ok(!wrong.into_inner())
}

#[cfg(test)]
mod tests;
