//! Matrix products (`cuda/linear.cu`), and cuBLASLt where its library can be loaded.

use super::device::CudaDevice;
use super::ops::{Read, Write};
use crate::Result;

/// The implementation that runs matrix products.
pub(super) fn name(_device: &CudaDevice) -> String {
    todo!()
}

pub(super) fn linear(
    _device: &CudaDevice,
    _x: Read<'_>,
    _w: Read<'_>,
    _bias: Option<Read<'_>>,
    _y: Write<'_>,
) -> Result<()> {
    todo!()
}
