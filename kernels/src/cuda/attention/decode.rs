//! Attention of one query row a sequence, its keys split over several blocks.

use super::variants::Decode;
use super::{aligned, factor, fits, same_format, span};
use crate::cuda::device::CudaDevice;
use crate::cuda::launch::{names, suffix};
use crate::cuda::memory::CudaBuffer;
use crate::cuda::ops::{Read, Write};
use crate::{Attention, Dtype, KvCache, KvShape, Placement, Result, shape};

/// Query heads of a block: the rows of one tensor core operation.
const HEADS: usize = 16;

/// Keys of a part of a sequence are a multiple of this.
const KEYS: usize = 64;

/// Blocks that a multiprocessor runs side by side.
const RESIDENT: usize = 2;

/// Threads of a block that puts the parts together.
const COMBINERS: u32 = 128;

pub(in crate::cuda) fn attention_decode(
    device: &CudaDevice,
    q: Read<'_>,
    cache: &KvCache<CudaBuffer>,
    at: Placement<'_, CudaBuffer>,
    attention: &Attention,
    y: Write<'_>,
) -> Result<()> {
    let op = "attention_decode";
    let lens = [at.slots.len(), at.positions.len()];
    shape::cached_attention(op, &q.place, &cache.shape, lens, attention, &y.place)?;
    let KvShape { slots, capacity, head_dim, dtype, .. } = cache.shape;
    same_format(op, dtype, "in the format of the cache", [("q", &q.place), ("y", &y.place)])?;
    let Attention { query_heads, kv_heads, scale, .. } = *attention;
    let (rows, group) = (q.place.rows, query_heads / kv_heads);
    fits(op, &[slots, capacity, query_heads * head_dim])?;
    let kernel = Decode::of(op, dtype, head_dim)?;
    let tiles = kv_heads * group.div_ceil(HEADS);
    let splits = splits(rows * tiles, device.multiprocessors(), capacity);
    let partial = match splits {
        1 => 0,
        _ => device.scratch(rows * query_heads * splits * (head_dim + 2) * size_of::<f32>())?,
    };
    // 16-bit kernels take queries one by one.
    let wide =
        (head_dim * dtype.size()).is_multiple_of(16) && (dtype != Dtype::F32 || aligned([&q], head_dim));
    device
        .kernel(kernel.name)?
        .matrix(&q)
        .address(cache.keys.address())
        .address(cache.values.address())
        .indices(&at.slots)
        .indices(&at.positions)
        .matrix_mut(&y)
        .address(partial)
        .int(group)
        .int(head_dim)
        .int(slots)
        .int(capacity)
        .int(span(attention.window))
        .float(factor(scale))
        .int(usize::from(wide))
        .launch([tiles, splits, rows], [kernel.threads, 1, 1], kernel.shared)?;
    if splits == 1 {
        return Ok(());
    }
    device
        .kernel(names!("attention_combine")[suffix(dtype)])?
        .address(partial)
        .indices(&at.slots)
        .indices(&at.positions)
        .matrix_mut(&y)
        .int(splits)
        .int(head_dim)
        .int(slots)
        .int(capacity)
        .int(span(attention.window))
        .launch([query_heads, rows, 1], [COMBINERS, 1, 1], splits * size_of::<f32>())
}

/// Over how many blocks each sequence is spread, so that `blocks` times as many fill the device. Only of what the host
/// knows: the same for every step of a recorded graph.
fn splits(blocks: usize, multiprocessors: usize, capacity: usize) -> usize {
    (RESIDENT * multiprocessors / blocks.max(1)).min(capacity.div_ceil(KEYS)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_batch_is_split_and_a_large_one_is_not() {
        for (blocks, multiprocessors, capacity, expected) in [
            (8, 132, 8192, 33),
            (8, 132, 1000, 16),
            (8, 132, 64, 1),
            (8, 132, 0, 1),
            (256, 132, 8192, 1),
            (0, 132, 8192, 128),
            (3, 1, 8192, 1),
        ] {
            assert_eq!(
                splits(blocks, multiprocessors, capacity),
                expected,
                "{blocks} {multiprocessors} {capacity}"
            );
        }
    }
}
