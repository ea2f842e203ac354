//! Raw reads of a model's files.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use coldstart_kernels::{Device, HostMemory as _, Pinning};
use coldstart_profiles::{Bytes, Nanos, Params};
use io_uring::IoUring;

use super::LimitReadings;
use super::fresh::{affordable, cores, fresh};
use super::raw::{Block, Way, read_blocks};
use crate::weights::error::WeightsError;
use crate::weights::files::ModelFiles;

/// What one trial of a block size and a queue depth reads.
const PROBE_BYTES: u64 = 64 << 20;

/// Rounds of trials, interleaved: disks with burst credit favour who comes first.
const ROUNDS: usize = 2;

/// Block sizes and reads under way that are tried.
const SHAPES: [(usize, usize); 4] = [(1 << 20, 16), (2 << 20, 8), (4 << 20, 8), (8 << 20, 4)];

/// Read at most `most` of the model's files around the page cache, at the block size and queue depth that turn out best, into
/// fresh memory. One reading of the whole; smaller trials before it are not in it.
pub fn direct_read(model: &ModelFiles, most: Bytes) -> Result<LimitReadings, WeightsError> {
    let files = open(model, libc::O_DIRECT)?;
    let uring = IoUring::new(1).is_ok();
    let variants: Vec<(usize, Way)> = SHAPES
        .iter()
        .flat_map(|(size, depth)| {
            let ways = if uring {
                vec![
                    Way::Uring { threads: 1, depth: *depth },
                    Way::Uring { threads: cores(), depth: depth.div_ceil(cores()) },
                ]
            } else {
                vec![Way::Pread { threads: *depth }]
            };
            ways.into_iter().map(|way| (*size, way))
        })
        .collect();
    let mut best: Option<(f64, usize, Way)> = None;
    for round in 0..ROUNDS {
        for turn in 0..variants.len() {
            let (size, way) = variants[(turn + round) % variants.len()];
            let skip = (round * variants.len() + turn) as u64 * PROBE_BYTES;
            let (time, bytes) = read(model, &files, Bytes::new(PROBE_BYTES), skip, (size, way))?;
            let rate = readings(size, way, bytes, time).rate();
            if best.is_none_or(|(best, ..)| rate > best) {
                best = Some((rate, size, way));
            }
        }
    }
    let (size, way) = best.map_or((SHAPES[0].0, Way::Pread { threads: 1 }), |(_, size, way)| (size, way));
    let (time, bytes) = read(model, &files, most, 0, (size, way))?;
    Ok(readings(size, way, bytes, time))
}

/// Read at most `most` of the model's files through the page cache, which the caller has warmed, with all cores into fresh
/// memory: one reading each by pread and out of a mapping; the best of them.
pub fn cached_read(model: &ModelFiles, most: Bytes) -> Result<LimitReadings, WeightsError> {
    let files = open(model, 0)?;
    let threads = cores();
    let ways = [
        (1 << 20, Way::Pread { threads }),
        (4 << 20, Way::Pread { threads }),
        (4 << 20, Way::Mapped { threads }),
    ];
    let mut best: Option<LimitReadings> = None;
    for (size, way) in ways {
        let (time, bytes) = read(model, &files, most, 0, (size, way))?;
        keep_better(&mut best, readings(size, way, bytes, time));
    }
    best.ok_or(WeightsError::Thread("reading"))
}

/// Read at most `most` of the model's files through the page cache, which the caller has warmed, with all cores into a ring of
/// pinned memory as a staged load does: each thread has one piece, which stays in its cache. The memory is made before the
/// clock starts. One reading each by pread in pieces of several sizes and out of a mapping; the best of them.
pub fn cached_read_staged<D: Device>(
    device: &D,
    model: &ModelFiles,
    most: Bytes,
) -> Result<LimitReadings, WeightsError> {
    let files = open(model, 0)?;
    let threads = cores();
    let ways = [
        (1 << 20, Way::Pread { threads }),
        (2 << 20, Way::Pread { threads }),
        (8 << 20, Way::Pread { threads }),
        (4 << 20, Way::Mapped { threads }),
    ];
    let largest = ways.into_iter().map(|(size, _)| size).max().unwrap_or_default();
    let how = Pinning { touch: true, huge_pages: true, ..Pinning::default() };
    let pinned = device.pinned(threads * largest, how);
    let mut pinned = pinned.map_err(WeightsError::device("make pinned memory for a limit"))?;
    let ring = pinned.as_mut_slice().map_err(WeightsError::device("write to pinned memory"))?;
    let mut best: Option<LimitReadings> = None;
    for (size, way) in ways {
        let blocks = blocks(model, most.get(), 0, size);
        let taken = read_blocks(&files, &blocks, &mut ring[..threads * size], size, way);
        let (time, bytes) = taken.map_err(WeightsError::io("read", path(model)))?;
        keep_better(&mut best, readings(size, way, bytes, time));
    }
    best.ok_or(WeightsError::Thread("reading"))
}

fn keep_better(best: &mut Option<LimitReadings>, taken: LimitReadings) {
    if best.as_ref().is_none_or(|best| taken.rate() > best.rate()) {
        *best = Some(taken);
    }
}

/// The rate in bytes per second of one short read of the model's files around the page cache (through it where the file system
/// knows no other way): an estimate for a plan.
pub fn read_rate(model: &ModelFiles, most: Bytes) -> Result<f64, WeightsError> {
    let files = open(model, libc::O_DIRECT).or_else(|_| open(model, 0))?;
    let (time, bytes) = read(model, &files, most, 0, (4 << 20, Way::Pread { threads: 2 * cores() }))?;
    Ok(readings(4 << 20, Way::Pread { threads: 2 * cores() }, bytes, time).rate())
}

fn open(model: &ModelFiles, flags: i32) -> Result<Vec<File>, WeightsError> {
    let open = |path: &Path| {
        OpenOptions::new().read(true).custom_flags(flags | libc::O_NOFOLLOW).open(path).map_err(|error| {
            if error.raw_os_error() == Some(libc::EINVAL) {
                return WeightsError::NoDirect { path: path.to_owned() };
            }
            WeightsError::io("open", path)(error)
        })
    };
    model.files().iter().map(|file| open(&file.path)).collect()
}

/// Read at most `most` bytes in whole blocks, beginning about `skip` bytes into the model (modulo its size).
fn read(
    model: &ModelFiles,
    files: &[File],
    most: Bytes,
    skip: u64,
    (size, way): (usize, Way),
) -> Result<(Nanos, u64), WeightsError> {
    let blocks = blocks(model, affordable(most.get())? as u64, skip, size);
    let mut target = fresh(blocks.len() * size)?;
    read_blocks(files, &blocks, &mut target, size, way).map_err(WeightsError::io("read", path(model)))
}

/// The file that errors name.
fn path(model: &ModelFiles) -> &Path {
    model.files().first().map_or(model.dir(), |file| file.path.as_path())
}

/// At most `most` bytes in whole blocks, beginning about `skip` bytes into the model (modulo its size).
fn blocks(model: &ModelFiles, most: u64, skip: u64, size: usize) -> Vec<Block> {
    let all: Vec<Block> = model
        .files()
        .iter()
        .enumerate()
        .flat_map(|(file, held)| {
            (0..held.size.div_ceil(size as u64)).map(move |block| Block { file, begin: block * size as u64 })
        })
        .collect();
    let count = (most as usize / size).clamp(1, all.len().max(1));
    let first = if all.is_empty() { 0 } else { (skip / size as u64) as usize % all.len() };
    all.iter().cycle().skip(first).take(count.min(all.len())).copied().collect()
}

fn readings(size: usize, way: Way, bytes: u64, time: Nanos) -> LimitReadings {
    let threads = way.threads();
    let (depth, by) = match way {
        Way::Uring { depth, .. } => (threads * depth, "io_uring"),
        Way::Pread { .. } => (threads, "pread"),
        Way::Mapped { .. } => (threads, "mmap"),
    };
    let params = Params::new()
        .with("block", format_args!("{}MiB", size >> 20))
        .with("depth", depth)
        .with("threads", threads)
        .with("by", by);
    LimitReadings { params, work: Bytes::new(bytes), times: vec![time] }
}

#[cfg(test)]
mod tests {
    use coldstart_kernels::HostDevice;

    use super::*;
    use crate::weights::OpenOptions as ModelOptions;
    use crate::weights::files::testing::raw_file;
    use crate::weights::limits::{memcpy, memcpy_fresh, memory_read};

    fn model(dir: &tempfile::TempDir, bytes: usize) -> ModelFiles {
        let header = format!(r#"{{"a":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
        raw_file(&dir.path().join("model.safetensors"), &header, bytes);
        ModelFiles::open(dir.path(), ModelOptions::default()).unwrap()
    }

    #[test]
    fn reads_count_the_bytes_that_they_read() {
        let dir = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
        let model = model(&dir, 9_000_001);
        let size = model.files()[0].size;
        let whole = [direct_read(&model, Bytes::from_mib(99)), cached_read(&model, Bytes::from_mib(99))];
        for readings in whole.map(Result::unwrap) {
            assert_eq!(readings.work.get(), size, "{}", readings.params);
            assert_eq!(readings.times.len(), 1);
            assert!(readings.best() > Nanos::ZERO);
        }
        let device = HostDevice::open(0).unwrap();
        let staged = cached_read_staged(&device, &model, Bytes::from_mib(99)).unwrap();
        assert_eq!((staged.work.get(), staged.times.len()), (size, 1));
        let part = cached_read(&model, Bytes::from_mib(4)).unwrap();
        assert_eq!(part.work, Bytes::from_mib(4));
        assert!(read_rate(&model, Bytes::from_mib(4)).unwrap() > 1e6);
    }

    #[test]
    fn every_way_reads_the_right_bytes() {
        let dir = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
        let model = model(&dir, 300_000);
        let expected = std::fs::read(&model.files()[0].path).unwrap();
        let files = open(&model, libc::O_DIRECT).unwrap();
        let blocks: Vec<Block> = (0..74).map(|at| Block { file: 0, begin: at * 4096 }).collect();
        for way in [
            Way::Uring { threads: 1, depth: 8 },
            Way::Uring { threads: 3, depth: 2 },
            Way::Pread { threads: 2 },
            Way::Mapped { threads: 2 },
        ] {
            let mut target = fresh(74 * 4096).unwrap();
            let (_, bytes) = read_blocks(&files, &blocks, &mut target, 4096, way).unwrap();
            assert_eq!(bytes, expected.len() as u64, "{way:?}");
            assert!(target[..expected.len()] == expected[..], "{way:?}");
        }
    }

    #[test]
    fn a_ring_holds_the_last_blocks_of_each_thread() {
        let dir = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
        let model = model(&dir, 40_000);
        let expected = std::fs::read(&model.files()[0].path).unwrap();
        let files = open(&model, 0).unwrap();
        let blocks = super::blocks(&model, u64::MAX, 0, 4096);
        for way in [Way::Pread { threads: 1 }, Way::Mapped { threads: 1 }] {
            let mut ring = vec![0; 2 * 4096];
            let (_, bytes) = read_blocks(&files, &blocks, &mut ring, 4096, way).unwrap();
            assert_eq!((bytes, blocks.len()), (expected.len() as u64, 10), "{way:?}");
            assert!(ring[..4096] == expected[8 * 4096..9 * 4096], "{way:?}");
            assert!(ring[4096..][..expected.len() - 9 * 4096] == expected[9 * 4096..], "{way:?}");
        }
    }

    #[test]
    fn copies_are_timed() {
        let bytes = Bytes::from_mib(8);
        for readings in [memcpy(bytes), memcpy_fresh(bytes), memory_read(bytes)].map(Result::unwrap) {
            assert_eq!((readings.work, readings.times.len()), (bytes, 3));
            assert!(readings.best() > Nanos::ZERO);
        }
    }
}
