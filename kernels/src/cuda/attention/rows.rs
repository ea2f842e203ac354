//! Attention of many query rows a sequence: over the cache, or within the sequence.

use super::variants::Rows;
use super::{address, aligned, factor, fits, same_format, span};
use crate::cuda::device::CudaDevice;
use crate::cuda::memory::CudaBuffer;
use crate::cuda::ops::{Read, Write};
use crate::{Attention, KvCache, KvShape, Placement, Ragged, Result, shape};

/// Keys and values as the kernels take them.
struct Keys {
    address: [u64; 2],
    stride: [usize; 2],
    slots: usize,
    /// 0 where they lie in the rows of the sequences.
    capacity: usize,
    /// Whether they can be loaded 16 bytes at a time.
    wide: bool,
}

pub(in crate::cuda) fn attention_prefill(
    device: &CudaDevice,
    q: Read<'_>,
    cache: &KvCache<CudaBuffer>,
    batch: Ragged<'_, CudaBuffer>,
    at: Placement<'_, CudaBuffer>,
    attention: &Attention,
    y: Write<'_>,
) -> Result<()> {
    let op = "attention_prefill";
    let lens = [at.slots.len(), at.positions.len()];
    shape::cached_attention(op, &q.place, &cache.shape, lens, attention, &y.place)?;
    shape::ragged(op, batch.starts.len())?;
    let KvShape { slots, capacity, head_dim, dtype, .. } = cache.shape;
    same_format(op, dtype, "in the format of the cache", [("q", &q.place), ("y", &y.place)])?;
    fits(op, &[slots, capacity])?;
    if capacity == 0 {
        // No position exists, so that all rows are skipped.
        return Ok(());
    }
    let keys = Keys {
        address: [cache.keys.address(), cache.values.address()],
        stride: [head_dim; 2],
        slots,
        capacity,
        wide: (head_dim * dtype.size()).is_multiple_of(16),
    };
    launch(device, op, q, keys, batch, Some(at), attention, y)
}

pub(in crate::cuda) fn attention_full(
    device: &CudaDevice,
    q: Read<'_>,
    k: Read<'_>,
    v: Read<'_>,
    batch: Ragged<'_, CudaBuffer>,
    attention: &Attention,
    y: Write<'_>,
) -> Result<()> {
    let op = "attention_full";
    shape::full_attention(&q.place, &k.place, &v.place, attention, &y.place)?;
    shape::ragged(op, batch.starts.len())?;
    let others = [("k", &k.place), ("v", &v.place), ("y", &y.place)];
    same_format(op, q.place.dtype, "in the format of q", others)?;
    let keys = Keys {
        address: [address(&k), address(&v)],
        stride: [k.place.stride, v.place.stride],
        slots: 0,
        capacity: 0,
        wide: aligned([&k, &v], attention.head_dim),
    };
    launch(device, op, q, keys, batch, None, attention, y)
}

#[expect(clippy::too_many_arguments, reason = "the operands of one operation, as its trait has them")]
fn launch(
    device: &CudaDevice,
    op: &'static str,
    q: Read<'_>,
    keys: Keys,
    batch: Ragged<'_, CudaBuffer>,
    at: Option<Placement<'_, CudaBuffer>>,
    attention: &Attention,
    y: Write<'_>,
) -> Result<()> {
    let Attention { query_heads, kv_heads, head_dim, scale, .. } = *attention;
    let group = query_heads / kv_heads;
    let kernel = Rows::of(op, q.place.dtype, head_dim)?;
    let rows = batch.longest.min(q.place.rows) * group;
    fits(op, &[q.place.rows * group, query_heads * head_dim])?;
    let wide = keys.wide && aligned([&q, &y.as_ref()], head_dim);
    let launch = device
        .kernel(kernel.name)?
        .matrix(&q)
        .address(keys.address[0])
        .long(keys.stride[0])
        .address(keys.address[1])
        .long(keys.stride[1])
        .matrix_mut(&y)
        .indices(&batch.starts);
    let launch = match at {
        Some(at) => launch.indices(&at.slots).indices(&at.positions),
        None => launch.address(0).address(0),
    };
    launch
        .int(group)
        .int(head_dim)
        .int(keys.slots)
        .int(keys.capacity)
        .int(span(attention.window))
        .float(factor(scale))
        .int(usize::from(wide))
        .launch(
            [kv_heads, rows.div_ceil(kernel.tile), batch.sequences()],
            [kernel.threads, 1, 1],
            kernel.shared,
        )
}
