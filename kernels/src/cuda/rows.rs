//! Operations on rows: embeddings, norms, rotary embedding, pooling, argmax (`cuda/rows.cu`).

use super::device::CudaDevice;
use super::memory::CudaBuffer;
use super::ops::{Read, Write};
use crate::{Indices, IndicesMut, Ragged, Result};

pub(super) fn embedding(
    _device: &CudaDevice,
    _ids: Indices<'_, CudaBuffer>,
    _table: Read<'_>,
    _y: Write<'_>,
) -> Result<()> {
    todo!()
}

pub(super) fn add_embedding(
    _device: &CudaDevice,
    _ids: Indices<'_, CudaBuffer>,
    _table: Read<'_>,
    _y: Write<'_>,
) -> Result<()> {
    todo!()
}

pub(super) fn rms_norm(
    _device: &CudaDevice,
    _x: Read<'_>,
    _weight: Read<'_>,
    _eps: f32,
    _y: Write<'_>,
) -> Result<()> {
    todo!()
}

pub(super) fn rms_norm_in_place(
    _device: &CudaDevice,
    _x: Write<'_>,
    _weight: Read<'_>,
    _eps: f32,
) -> Result<()> {
    todo!()
}

pub(super) fn add_rms_norm(
    _device: &CudaDevice,
    _residual: Write<'_>,
    _x: Read<'_>,
    _weight: Read<'_>,
    _eps: f32,
    _y: Write<'_>,
) -> Result<()> {
    todo!()
}

pub(super) fn layer_norm_in_place(
    _device: &CudaDevice,
    _x: Write<'_>,
    _weight: Read<'_>,
    _bias: Read<'_>,
    _eps: f32,
) -> Result<()> {
    todo!()
}

pub(super) fn add_layer_norm(
    _device: &CudaDevice,
    _residual: Write<'_>,
    _x: Read<'_>,
    _weight: Read<'_>,
    _bias: Read<'_>,
    _eps: f32,
) -> Result<()> {
    todo!()
}

pub(super) fn rotary_table(
    _device: &CudaDevice,
    _positions: Indices<'_, CudaBuffer>,
    _inv_freq: Read<'_>,
    _scaling: f32,
    _table: Write<'_>,
) -> Result<()> {
    todo!()
}

pub(super) fn rotary(_device: &CudaDevice, _x: Write<'_>, _head_dim: usize, _table: Read<'_>) -> Result<()> {
    todo!()
}

pub(super) fn mean_pool(
    _device: &CudaDevice,
    _x: Read<'_>,
    _batch: Ragged<'_, CudaBuffer>,
    _y: Write<'_>,
) -> Result<()> {
    todo!()
}

pub(super) fn gather_rows(
    _device: &CudaDevice,
    _x: Read<'_>,
    _rows: Indices<'_, CudaBuffer>,
    _y: Write<'_>,
) -> Result<()> {
    todo!()
}

pub(super) fn last_rows(
    _device: &CudaDevice,
    _x: Read<'_>,
    _batch: Ragged<'_, CudaBuffer>,
    _y: Write<'_>,
) -> Result<()> {
    todo!()
}

pub(super) fn argmax(_device: &CudaDevice, _x: Read<'_>, _y: IndicesMut<'_, CudaBuffer>) -> Result<()> {
    todo!()
}
