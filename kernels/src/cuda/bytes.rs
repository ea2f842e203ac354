//! Bytes in device memory: patterns and checksums (`cuda/bytes.cu`).

use std::ops::Range;

use super::device::CudaDevice;
use super::memory::CudaBuffer;
use crate::{IndicesMut, Mismatch, Result};

pub(super) fn advance(_device: &CudaDevice, _x: IndicesMut<'_, CudaBuffer>, _by: u32) -> Result<()> {
    todo!()
}

pub(super) fn fill_pattern(
    _device: &CudaDevice,
    _memory: &mut CudaBuffer,
    _range: Range<usize>,
    _seed: u64,
) -> Result<()> {
    todo!()
}

pub(super) fn verify_pattern(
    _device: &CudaDevice,
    _memory: &CudaBuffer,
    _range: Range<usize>,
    _seed: u64,
) -> Result<Option<Mismatch>> {
    todo!()
}

pub(super) fn checksum(_device: &CudaDevice, _memory: &CudaBuffer, _range: Range<usize>) -> Result<u64> {
    todo!()
}
