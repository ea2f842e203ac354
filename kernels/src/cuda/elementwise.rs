//! Operations on single numbers (`cuda/elementwise.cu`).

use super::device::CudaDevice;
use super::ops::{Read, Write};
use crate::{Activation, Result};

pub(super) fn add(_device: &CudaDevice, _x: Read<'_>, _y: Write<'_>) -> Result<()> {
    todo!()
}

pub(super) fn silu_mul(_device: &CudaDevice, _gate: Read<'_>, _up: Read<'_>, _y: Write<'_>) -> Result<()> {
    todo!()
}

pub(super) fn activate(_device: &CudaDevice, _x: Write<'_>, _activation: Activation) -> Result<()> {
    todo!()
}

pub(super) fn convert(_device: &CudaDevice, _x: Read<'_>, _y: Write<'_>) -> Result<()> {
    todo!()
}

pub(super) fn fill_uniform(_device: &CudaDevice, _y: Write<'_>, _seed: u64, _bound: f32) -> Result<()> {
    todo!()
}
