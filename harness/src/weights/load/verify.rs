//! Whether the bytes on the device are those of the files. Never part of a timed region.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use coldstart_kernels::{Ops, checksum};
use coldstart_profiles::Bytes;

use super::alloc::Loaded;
use crate::weights::error::WeightsError;
use crate::weights::files::{ModelFiles, TensorEntry, open_regular};

/// What is read of a file at once: a multiple of 8, so that pieces of a checksum add up.
const PIECE: u64 = 8 << 20;

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many tensors.
    pub tensors: u64,
    /// How many bytes.
    pub bytes: Bytes,
}

/// Compare every tensor's checksum on the device ([`Ops::checksum`]) with that of its bytes in the file.
///
/// The files are read through the page cache, which warms them. Fails with [`WeightsError::Mismatch`] at the first tensor, in
/// the order of the files, that differs.
pub fn verify<O: Ops>(device: &O, model: &ModelFiles, loaded: &Loaded<O>) -> Result<Verified, WeightsError> {
    let in_files = file_checksums(model)?;
    for (tensor, file) in model.tensors().iter().zip(in_files) {
        let placed = loaded.table.require(&tensor.name)?;
        let range = placed.offset..placed.offset + placed.bytes;
        let device = device
            .checksum(&loaded.buffer, range)
            .map_err(WeightsError::device("take the checksum of the weights on the device"))?;
        if device != file || placed.bytes as u64 != tensor.bytes {
            let path = model.files()[tensor.file].path.clone();
            return Err(WeightsError::Mismatch { path, tensor: tensor.name.clone(), file, device });
        }
    }
    Ok(Verified { tensors: model.tensors().len() as u64, bytes: Bytes::new(model.bytes()) })
}

/// The checksum of each tensor's bytes in its file, in order, by all cores.
fn file_checksums(model: &ModelFiles) -> Result<Vec<u64>, WeightsError> {
    let files: Vec<File> = model
        .files()
        .iter()
        .map(|file| open_regular(&file.path).map(|(handle, _)| handle))
        .collect::<Result<_, _>>()?;
    let pieces: Vec<(usize, u64)> = model
        .tensors()
        .iter()
        .enumerate()
        .flat_map(|(at, tensor)| (0..tensor.bytes.div_ceil(PIECE)).map(move |piece| (at, piece * PIECE)))
        .collect();
    let sums = Mutex::new(vec![0u64; model.tensors().len()]);
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), WeightsError> {
        let mut buffer = Vec::new();
        while let Some((at, from)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            let tensor = &model.tensors()[*at];
            let path = &model.files()[tensor.file].path;
            let sum = piece_checksum(&files[tensor.file], path, tensor, *from, &mut buffer)?;
            let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
            sums[*at] = sums[*at].wrapping_add(sum);
        }
        Ok(())
    };
    let cores = thread::available_parallelism().map_or(1, usize::from).min(8);
    thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(work)).collect();
        let own = work();
        others.into_iter().fold(own, |first, other| {
            first.and(other.join().unwrap_or(Err(WeightsError::Thread("checking"))))
        })
    })?;
    Ok(sums.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What the bytes of one tensor from `from` on, at most a piece of them, contribute to its checksum.
fn piece_checksum(
    file: &File,
    path: &Path,
    tensor: &TensorEntry,
    from: u64,
    buffer: &mut Vec<u8>,
) -> Result<u64, WeightsError> {
    let length = (tensor.bytes - from).min(PIECE) as usize;
    buffer.resize(buffer.len().max(length), 0);
    let target = &mut buffer[..length];
    file.read_exact_at(target, tensor.begin + from).map_err(WeightsError::io("read", path))?;
    Ok(checksum::at(target, from / 8))
}
