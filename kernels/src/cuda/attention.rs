//! Attention and the KV cache (`cuda/attention.cu`).

use super::device::CudaDevice;
use super::memory::CudaBuffer;
use super::ops::{Read, Write};
use crate::{Attention, KvCache, Placement, Ragged, Result};

pub(super) fn kv_write(
    _device: &CudaDevice,
    _k: Read<'_>,
    _v: Read<'_>,
    _at: Placement<'_, CudaBuffer>,
    _cache: &mut KvCache<CudaBuffer>,
) -> Result<()> {
    todo!()
}

pub(super) fn attention_prefill(
    _device: &CudaDevice,
    _q: Read<'_>,
    _cache: &KvCache<CudaBuffer>,
    _batch: Ragged<'_, CudaBuffer>,
    _at: Placement<'_, CudaBuffer>,
    _attention: &Attention,
    _y: Write<'_>,
) -> Result<()> {
    todo!()
}

pub(super) fn attention_decode(
    _device: &CudaDevice,
    _q: Read<'_>,
    _cache: &KvCache<CudaBuffer>,
    _at: Placement<'_, CudaBuffer>,
    _attention: &Attention,
    _y: Write<'_>,
) -> Result<()> {
    todo!()
}

pub(super) fn attention_full(
    _device: &CudaDevice,
    _q: Read<'_>,
    _k: Read<'_>,
    _v: Read<'_>,
    _batch: Ragged<'_, CudaBuffer>,
    _attention: &Attention,
    _y: Write<'_>,
) -> Result<()> {
    todo!()
}
