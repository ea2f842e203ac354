//! Bytes in device memory: patterns, checksums, numbers that move on, and a gate (`cuda/bytes.cu`).

use std::ops::Range;
use std::time::Duration;

use super::device::CudaDevice;
use super::launch::Launch;
use super::memory::{CudaBuffer, inside};
use crate::{Device, IndicesMut, Mismatch, Result};

/// Threads of a block, and the blocks of a multiprocessor.
const THREADS: u32 = 256;
const BLOCKS: usize = 8;

pub(super) fn advance(device: &CudaDevice, x: IndicesMut<'_, CudaBuffer>, by: u32) -> Result<()> {
    let blocks = x.len().div_ceil(THREADS as usize).min(BLOCKS * device.multiprocessors());
    let kernel = device.kernel("advance")?.indices_mut(&x).long(x.len()).word(by);
    kernel.launch([blocks, 1, 1], [THREADS, 1, 1], 0)
}

/// A range of bytes on the device that is not empty.
struct Stretch {
    begin: u64,
    bytes: usize,
}

impl Stretch {
    fn new(what: &str, memory: &CudaBuffer, range: Range<usize>) -> Result<Option<Stretch>> {
        let range = inside(what, range, crate::Memory::len(memory))?;
        let stretch = Stretch { begin: memory.address() + range.start as u64, bytes: range.len() };
        Ok((!range.is_empty()).then_some(stretch))
    }

    /// Begin, bytes and how many of them come before the first multiple of 16.
    fn push<'d>(&self, kernel: Launch<'d>) -> Launch<'d> {
        let head = self.begin.next_multiple_of(16) - self.begin;
        kernel.address(self.begin).long(self.bytes).int(head as usize)
    }

    fn launch(&self, device: &CudaDevice, kernel: Launch<'_>) -> Result<()> {
        // Four units of 16 bytes a thread at once, where there are so many.
        let blocks = self.bytes.div_ceil(64 * THREADS as usize).min(BLOCKS * device.multiprocessors());
        kernel.launch([blocks, 1, 1], [THREADS, 1, 1], 0)
    }
}

pub(super) fn fill_pattern(
    device: &CudaDevice,
    memory: &mut CudaBuffer,
    range: Range<usize>,
    seed: u64,
) -> Result<()> {
    let Some(stretch) = Stretch::new("memory to be filled", memory, range)? else { return Ok(()) };
    let kernel = stretch.push(device.kernel("fill_pattern")?).address(seed);
    stretch.launch(device, kernel)
}

/// Runs a kernel that changes numbers which begin as `numbers`, and reads them back.
fn with_numbers<const N: usize>(
    device: &CudaDevice,
    numbers: [u64; N],
    launch: impl FnOnce(u64) -> Result<()>,
) -> Result<[u64; N]> {
    let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut memory = device.alloc(bytes.len())?;
    device.upload(device.compute(), &bytes, &mut memory, 0)?;
    launch(memory.address())?;
    device.download(device.compute(), &memory, 0, &mut bytes)?;
    let mut words = bytes.as_chunks::<8>().0.iter();
    Ok(numbers.map(|_| words.next().map_or(0, |word| u64::from_le_bytes(*word))))
}

pub(super) fn verify_pattern(
    device: &CudaDevice,
    memory: &CudaBuffer,
    range: Range<usize>,
    seed: u64,
) -> Result<Option<Mismatch>> {
    let Some(stretch) = Stretch::new("memory to be verified", memory, range)? else { return Ok(None) };
    let [first, words] = with_numbers(device, [u64::MAX, 0], |found| {
        let kernel = stretch.push(device.kernel("verify_pattern")?).address(seed).address(found);
        stretch.launch(device, kernel)
    })?;
    Ok((words > 0).then_some(Mismatch { first: first as usize, words: words as usize }))
}

pub(super) fn checksum(device: &CudaDevice, memory: &CudaBuffer, range: Range<usize>) -> Result<u64> {
    let Some(stretch) = Stretch::new("memory to be summed", memory, range)? else { return Ok(0) };
    let [sum] = with_numbers(device, [0], |sum| {
        stretch.launch(device, stretch.push(device.kernel("checksum")?).address(sum))
    })?;
    Ok(sum)
}

/// Enqueues a kernel that ends when the `u32` at `flag`, an address that the device reads from host memory, is no
/// longer 0, or after `timeout`.
pub(super) fn block(device: &CudaDevice, flag: u64, timeout: Duration) -> Result<()> {
    let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    device.kernel("block_until")?.address(flag).address(timeout).launch([1, 1, 1], [1, 1, 1], 0)
}
