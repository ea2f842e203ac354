//! Making the files of a synthetic model, chunk by chunk, with what an earlier attempt left.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use coldstart_kernels::checksum;

use super::ensure::Progress;
use super::fill::Tables;
use super::manifest::{CHUNK_BYTES, chunk_count};
use super::plan::PlannedFile;
use crate::weights::error::WeightsError;

/// A file that is being made: its data, and beside it a journal with one line a chunk that was written.
pub(super) struct Part<'p> {
    file: &'p PlannedFile,
    path: PathBuf,
    data: File,
    /// The checksum of each chunk that is there and right.
    done: Mutex<Vec<Option<u64>>>,
    journal: Mutex<File>,
}

/// The journal of a file.
pub(super) fn journal_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.journal"))
}

/// Work shared by the threads of one step.
struct Shared<'s> {
    next: AtomicUsize,
    stop: AtomicBool,
    written: &'s AtomicU64,
    total: u64,
    progress: &'s (dyn Fn(Progress) + Sync),
}

impl<'p> Part<'p> {
    /// Open or create `file` in `dir`, and check every chunk that its journal claims.
    pub(super) fn open(dir: &Path, file: &'p PlannedFile) -> Result<Part<'p>, WeightsError> {
        let path = dir.join(&file.name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let data = options.open(&path).map_err(WeightsError::io("create", &path))?;
        data.set_len(file.size).map_err(WeightsError::io("size", &path))?;
        let journal_path = journal_path(dir, &file.name);
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let journal = options.open(&journal_path).map_err(WeightsError::io("create", &journal_path))?;
        let claims = read_journal(&journal, chunk_count(file.size));
        let part = Part { file, path, data, done: Mutex::new(Vec::new()), journal: Mutex::new(journal) };
        let checked = part.check(&claims)?;
        *part.done.lock().unwrap_or_else(PoisonError::into_inner) = checked;
        Ok(part)
    }

    /// Keep the claims that the data bears out.
    fn check(&self, claims: &[Option<u64>]) -> Result<Vec<Option<u64>>, WeightsError> {
        let kept = Mutex::new(vec![None; claims.len()]);
        let next = AtomicUsize::new(0);
        on_all_cores(|| {
            let mut buffer = vec![0; CHUNK_BYTES as usize];
            loop {
                let chunk = next.fetch_add(1, Ordering::Relaxed);
                let Some(claim) = claims.get(chunk) else { return Ok(()) };
                if claim.is_none() {
                    continue;
                }
                let target = &mut buffer[..self.length(chunk)];
                self.data
                    .read_exact_at(target, chunk as u64 * CHUNK_BYTES)
                    .map_err(WeightsError::io("read", &self.path))?;
                if *claim == Some(checksum::of(target)) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner)[chunk] = *claim;
                }
            }
        })?;
        Ok(kept.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn length(&self, chunk: usize) -> usize {
        (self.file.size - chunk as u64 * CHUNK_BYTES).min(CHUNK_BYTES) as usize
    }

    /// The chunks that are missing or wrong.
    fn missing(&self) -> Vec<usize> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        (0..done.len()).filter(|chunk| done[*chunk].is_none()).collect()
    }

    /// The bytes that are missing or wrong.
    pub(super) fn missing_bytes(&self) -> u64 {
        self.missing().into_iter().map(|chunk| self.length(chunk) as u64).sum()
    }

    /// Make what is missing; the checksums of all chunks. `written` counts on over all files.
    pub(super) fn complete(
        self,
        written: &AtomicU64,
        total: u64,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Vec<u64>, WeightsError> {
        let missing = self.missing();
        let tables = Tables::of(self.file);
        let shared =
            Shared { next: AtomicUsize::new(0), stop: AtomicBool::new(false), written, total, progress };
        on_all_cores(|| {
            let made = self.make(&missing, &tables, &shared);
            if made.is_err() {
                shared.stop.store(true, Ordering::Relaxed);
            }
            made
        })?;
        if !missing.is_empty() {
            self.data.sync_all().map_err(WeightsError::io("write", &self.path))?;
        }
        let done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.into_iter().collect::<Option<Vec<u64>>>().ok_or(WeightsError::Thread("generator"))
    }

    fn make(&self, missing: &[usize], tables: &Tables, shared: &Shared<'_>) -> Result<(), WeightsError> {
        let mut buffer = vec![0; CHUNK_BYTES as usize];
        while !shared.stop.load(Ordering::Relaxed) {
            let Some(chunk) = missing.get(shared.next.fetch_add(1, Ordering::Relaxed)) else { break };
            let begin = *chunk as u64 * CHUNK_BYTES;
            let target = &mut buffer[..self.length(*chunk)];
            tables.fill(self.file, begin, target);
            self.data.write_all_at(target, begin).map_err(WeightsError::io("write", &self.path))?;
            self.record(*chunk, checksum::of(target))?;
            let done = shared.written.fetch_add(target.len() as u64, Ordering::Relaxed) + target.len() as u64;
            (shared.progress)(Progress { done, total: shared.total });
        }
        Ok(())
    }

    fn record(&self, chunk: usize, sum: u64) -> Result<(), WeightsError> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)[chunk] = Some(sum);
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal
            .write_all(journal_line(chunk, sum).as_bytes())
            .map_err(WeightsError::io("write the journal of", &self.path))
    }
}

/// One line of a journal.
pub(super) fn journal_line(chunk: usize, sum: u64) -> String {
    format!("{chunk} {sum:016x}\n")
}

/// What a journal claims; a line that was cut off or makes no sense claims nothing.
fn read_journal(journal: &File, chunks: usize) -> Vec<Option<u64>> {
    let mut claims = vec![None; chunks];
    for line in BufReader::new(journal).lines().map_while(Result::ok) {
        let parsed = line.split_once(' ').filter(|(_, sum)| sum.len() == 16).and_then(|(chunk, sum)| {
            Some((chunk.parse::<usize>().ok()?, u64::from_str_radix(sum, 16).ok()?))
        });
        if let Some((chunk, sum)) = parsed
            && let Some(claim) = claims.get_mut(chunk)
        {
            *claim = Some(sum);
        }
    }
    claims
}

/// Run `body` on every core; the first error.
pub(super) fn on_all_cores(body: impl Fn() -> Result<(), WeightsError> + Sync) -> Result<(), WeightsError> {
    let cores = thread::available_parallelism().map_or(1, usize::from).min(16);
    thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(&body)).collect();
        let own = body();
        others.into_iter().fold(own, |first, other| {
            let other = other.join().unwrap_or(Err(WeightsError::Thread("generator")));
            first.and(other)
        })
    })
}

/// Whether an error says that the disk is full.
pub(super) fn is_full(error: &WeightsError) -> bool {
    let full = |source: &io::Error| {
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    };
    matches!(error, WeightsError::Io { source, .. } if full(source))
}
