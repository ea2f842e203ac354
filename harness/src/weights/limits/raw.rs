//! Raw reads of blocks into memory: by io_uring with several under way, by threads, or out of a mapping.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Instant;

use coldstart_profiles::Nanos;
use io_uring::{IoUring, opcode, types};
use memmap2::{Advice, Mmap, MmapOptions};

/// A block of a file; its length is that of its part of the target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) file: usize,
    pub(super) begin: u64,
}

/// How blocks are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Each thread keeps `depth` reads under way.
    Uring { threads: usize, depth: usize },
    /// Each thread reads one block at a time.
    Pread { threads: usize },
    /// Each thread copies one block at a time out of a mapping of the files.
    Mapped { threads: usize },
}

impl Way {
    /// How many threads.
    pub(super) const fn threads(self) -> usize {
        let (Way::Uring { threads, .. } | Way::Pread { threads } | Way::Mapped { threads }) = self;
        threads
    }
}

/// Read each block into its part of `target`; the time from the first read begun to the last one ended, and the bytes that
/// were read: a block at the end of its file may be short. Where `target` is smaller than all blocks, each thread has an equal
/// part of it for a ring, and reads over what it has read before (not by io_uring, whose reads are under way together).
pub(super) fn read_blocks(
    files: &[File],
    blocks: &[Block],
    target: &mut [u8],
    size: usize,
    way: Way,
) -> io::Result<(Nanos, u64)> {
    let share = blocks.len().div_ceil(way.threads()).max(1);
    let pieces = if target.len() < blocks.len() * size { target.len() / size / way.threads() } else { share };
    let start = Instant::now();
    let maps = if matches!(way, Way::Mapped { .. }) { map(files)? } else { Vec::new() };
    let maps = &maps;
    let bytes = thread::scope(|scope| {
        let workers: Vec<_> = blocks
            .chunks(share)
            .zip(target.chunks_mut(pieces.max(1) * size))
            .map(|(blocks, target)| {
                scope.spawn(move || match way {
                    Way::Uring { depth, .. } => by_uring(files, blocks, target, size, depth),
                    Way::Pread { .. } => by_pread(files, blocks, target, size),
                    Way::Mapped { .. } => by_copy(maps, blocks, target, size),
                })
            })
            .collect();
        let joined = workers.into_iter().map(|worker| {
            worker.join().unwrap_or_else(|_| Err(io::Error::other("a reading thread ended early")))
        });
        joined.sum::<io::Result<u64>>()
    })?;
    Ok((Nanos::from(start.elapsed()), bytes))
}

fn map(files: &[File]) -> io::Result<Vec<Mmap>> {
    let map = |file: &File| {
        // SAFETY: nobody may shorten the file meanwhile: a read behind its end would end the process by SIGBUS, which the
        // parent of a reading records as failed. What the bytes are does not matter.
        let map = unsafe { MmapOptions::new().map(file) }?;
        // Linux 5.14; without it the copies fault one by one, which is slower and no other way wins.
        let _ = map.advise(Advice::PopulateRead);
        Ok(map)
    };
    files.iter().map(map).collect()
}

/// The piece of a thread's memory for its block number `at`: one after the other, and from the front again.
fn piece(target: &mut [u8], at: usize, size: usize) -> &mut [u8] {
    let pieces = target.len().div_ceil(size).max(1);
    let begin = at % pieces * size;
    let end = target.len().min(begin + size);
    &mut target[begin..end]
}

fn by_copy(maps: &[Mmap], blocks: &[Block], target: &mut [u8], size: usize) -> io::Result<u64> {
    let mut bytes = 0;
    for (at, block) in blocks.iter().enumerate() {
        let target = piece(target, at, size);
        let rest = maps[block.file].get(block.begin as usize..).unwrap_or_default();
        let source = &rest[..rest.len().min(target.len())];
        target[..source.len()].copy_from_slice(source);
        bytes += source.len() as u64;
    }
    Ok(bytes)
}

fn by_pread(files: &[File], blocks: &[Block], target: &mut [u8], size: usize) -> io::Result<u64> {
    let mut bytes = 0;
    for (at, block) in blocks.iter().enumerate() {
        let target = piece(target, at, size);
        bytes += files[block.file].read_at(target, block.begin)? as u64;
    }
    Ok(bytes)
}

fn by_uring(
    files: &[File],
    blocks: &[Block],
    target: &mut [u8],
    size: usize,
    depth: usize,
) -> io::Result<u64> {
    let mut ring = IoUring::new((depth as u32).next_power_of_two())?;
    let mut waiting = blocks.iter().zip(target.chunks_mut(size));
    let (mut in_flight, mut bytes) = (0usize, 0u64);
    let mut failed = None;
    loop {
        while in_flight < depth && failed.is_none() {
            let Some((block, target)) = waiting.next() else { break };
            let fd = types::Fd(files[block.file].as_raw_fd());
            let read = opcode::Read::new(fd, target.as_mut_ptr(), target.len() as u32);
            let entry = read.offset(block.begin).build();
            // SAFETY: the files and the target outlive this function, every part of the target is handed out once, and the
            // loop below ends only when no read is in flight.
            match unsafe { ring.submission().push(&entry) } {
                Ok(()) => in_flight += 1,
                Err(_) => failed = Some(io::Error::other("the submission queue is full")),
            }
        }
        if in_flight == 0 {
            return failed.map_or(Ok(bytes), Err);
        }
        match ring.submit_and_wait(1) {
            Err(error) if error.raw_os_error() != Some(libc::EINTR) => failed = Some(error),
            _ => {}
        }
        for completion in ring.completion() {
            in_flight -= 1;
            match completion.result() {
                error if error < 0 => failed = Some(io::Error::from_raw_os_error(-error)),
                read => bytes += read as u64,
            }
        }
    }
}
