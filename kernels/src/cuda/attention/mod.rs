//! Attention and the KV cache (`cuda/attention.cu`, `cuda/prefill.cu`, `cuda/attention_f32.cu`).

mod decode;
mod rows;
mod variants;

pub(super) use decode::attention_decode;
pub(super) use rows::{attention_full, attention_prefill};

use super::device::CudaDevice;
use super::memory::CudaBuffer;
use super::ops::Read;
use crate::view::Place;
use crate::{Dtype, Error, KvCache, KvShape, Placement, Result, shape};

/// No tile has more rows or keys.
const TILE: usize = 256;

/// Threads of a block of `kv_write`.
const WRITERS: usize = 128;

pub(super) fn kv_write(
    device: &CudaDevice,
    k: Read<'_>,
    v: Read<'_>,
    at: Placement<'_, CudaBuffer>,
    cache: &mut KvCache<CudaBuffer>,
) -> Result<()> {
    let op = "kv_write";
    shape::kv_write(&k.place, &v.place, [at.slots.len(), at.positions.len()], &cache.shape)?;
    let KvShape { slots, kv_heads, capacity, head_dim, dtype } = cache.shape;
    let format = "in the format of the cache";
    same_format(op, dtype, format, [("k", &k.place), ("v", &v.place)])?;
    fits(op, &[slots, kv_heads * head_dim, capacity])?;
    // The largest unit that every head and every row consists of.
    let unit = if aligned([&k, &v], head_dim) { 16 } else { dtype.size() };
    let name = match unit {
        16 => "kv_write_16",
        4 => "kv_write_4",
        _ => "kv_write_2",
    };
    let units = |elements: usize| elements * dtype.size() / unit;
    let pieces = (kv_heads * units(head_dim)).div_ceil(WRITERS);
    device
        .kernel(name)?
        .address(address(&k))
        .long(units(k.place.stride))
        .address(address(&v))
        .long(units(v.place.stride))
        .address(cache.keys.address())
        .address(cache.values.address())
        .indices(&at.slots)
        .indices(&at.positions)
        .int(kv_heads)
        .int(units(head_dim))
        .int(slots)
        .int(capacity)
        .launch([k.place.rows, pieces, 2], [WRITERS as u32, 1, 1], 0)
}

/// Where element [0, 0] is.
fn address(x: &Read<'_>) -> u64 {
    x.buffer.address() + x.place.offset as u64
}

/// Whether every head of every row begins at a multiple of 16 bytes and consists of 16-byte pieces.
fn aligned<const N: usize>(matrices: [&Read<'_>; N], head_dim: usize) -> bool {
    matrices.iter().all(|x| {
        let size = x.place.dtype.size();
        address(x).is_multiple_of(16)
            && (x.place.stride * size).is_multiple_of(16)
            && (head_dim * size).is_multiple_of(16)
    })
}

/// All matrices are of one format.
fn same_format<const N: usize>(
    op: &'static str,
    dtype: Dtype,
    expected: &'static str,
    matrices: [(&'static str, &Place); N],
) -> Result<()> {
    match matrices.into_iter().find(|(_, place)| place.dtype != dtype) {
        Some((argument, place)) => Err(Error::Dtype { op, argument, found: place.dtype, expected }),
        None => Ok(()),
    }
}

/// Kernels count rows, heads and positions in 32 bits, up to a tile past the last.
fn fits(op: &'static str, numbers: &[usize]) -> Result<()> {
    match numbers.iter().find(|number| **number > i32::MAX as usize - TILE) {
        Some(number) => Err(Error::Shape {
            op,
            what: format!("{number} is more than a kernel counts: take a smaller batch or a shorter context"),
        }),
        None => Ok(()),
    }
}

/// The positions that a row attends to at most.
fn span(window: Option<usize>) -> usize {
    window.unwrap_or(usize::MAX).min(i32::MAX as usize)
}

/// Makes powers of two of what are powers of e: kernels weigh with 2^(q·k·factor).
fn factor(scale: f32) -> f32 {
    scale * std::f32::consts::LOG2_E
}
