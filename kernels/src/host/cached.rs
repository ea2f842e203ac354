//! The KV cache of the host device, and the attention operations as blocks for the threads.

use std::ops::Range;

use super::attention::{BLOCK_ROWS, Block};
use super::device::HostDevice;
use super::memory::HostBuffer;
use super::parallel::SharedRows;
use super::rows::{Rows, RowsMut};
use crate::{Attention, Error, KvCache, KvShape, Result};

/// Slots and positions of a batch's rows, checked against a cache.
pub(super) struct Places<'a> {
    pub(super) slots: &'a [u32],
    pub(super) positions: &'a [u32],
}

impl Places<'_> {
    /// All slots and positions lie in the cache.
    pub(super) fn check(&self, op: &'static str, cache: &KvShape) -> Result<()> {
        below(op, "slots", self.slots, cache.slots)?;
        below(op, "positions", self.positions, cache.capacity)
    }

    /// The rows of one sequence share a slot and have consecutive positions.
    pub(super) fn check_sequence(&self, op: &'static str, rows: Range<usize>) -> Result<()> {
        for at in rows.clone().skip(1) {
            for (argument, values, step) in [("slots", self.slots, 0), ("positions", self.positions, 1)] {
                if values[at] != values[at - 1] + step {
                    let what = format!(
                        "{argument}[{}..{}] of one sequence goes from {} to {}: a sequence has one slot and \
                         consecutive positions",
                        at - 1,
                        at + 1,
                        values[at - 1],
                        values[at]
                    );
                    return Err(Error::Shape { op, what });
                }
            }
        }
        Ok(())
    }
}

/// All values are below the limit.
pub(super) fn below(op: &'static str, argument: &'static str, values: &[u32], limit: usize) -> Result<()> {
    match values.iter().position(|value| *value as usize >= limit) {
        None => Ok(()),
        Some(at) => Err(Error::Index { op, argument, at, value: values[at].into(), limit: limit as u64 }),
    }
}

/// The rows of each sequence, checked: from 0 on, in order, inside the rows, none longer than `longest`.
pub(super) fn sequences(
    op: &'static str,
    starts: &[u32],
    rows: usize,
    longest: usize,
) -> Result<Vec<Range<usize>>> {
    let wrong = |at: usize, limit: usize| Error::Index {
        op,
        argument: "starts",
        at,
        value: starts[at].into(),
        limit: limit as u64,
    };
    if starts.first().is_some_and(|first| *first != 0) {
        return Err(wrong(0, 1));
    }
    let mut found = Vec::with_capacity(starts.len());
    for (at, pair) in starts.windows(2).enumerate() {
        let range = pair[0] as usize..pair[1] as usize;
        if range.start > range.end {
            // The start before is the one that is too large.
            return Err(wrong(at, range.end + 1));
        }
        let limit = rows.min(range.start.saturating_add(longest));
        if range.end > limit {
            return Err(wrong(at + 1, limit + 1));
        }
        found.push(range);
    }
    Ok(found)
}

fn numbers(buffer: &HostBuffer) -> &[f32] {
    bytemuck::cast_slice(buffer.as_slice())
}

/// One head of one slot: `[capacity, head_dim]`.
fn head<'a>(data: &'a [f32], shape: &KvShape, slot: usize, kv_head: usize) -> Rows<'a, f32> {
    let each = shape.capacity * shape.head_dim;
    let data = &data[(slot * shape.kv_heads + kv_head) * each..][..each];
    Rows { data, rows: shape.capacity, cols: shape.head_dim, stride: shape.head_dim }
}

/// Writes rows of keys and values to their places, which were checked.
pub(super) fn write(
    host: &HostDevice,
    k: Rows<'_, f32>,
    v: Rows<'_, f32>,
    at: &Places<'_>,
    cache: &mut KvCache<HostBuffer>,
) {
    let KvShape { slots, kv_heads, capacity, head_dim, .. } = cache.shape;
    let rows = slots * kv_heads * capacity;
    let nanos = k.rows * k.cols;
    for (source, buffer) in [(k, &mut cache.keys), (v, &mut cache.values)] {
        let data = bytemuck::cast_slice_mut(buffer.as_mut_slice());
        let target = SharedRows::new(RowsMut { data, rows, cols: head_dim, stride: head_dim });
        // A head to a task, not a row: even where two rows name one place, no two threads write to it.
        host.pool.run_sized(nanos, kv_heads, |kv_head| {
            for row in 0..source.rows {
                let (slot, position) = (at.slots[row] as usize, at.positions[row] as usize);
                let place = (slot * kv_heads + kv_head) * capacity + position;
                // SAFETY: rows of this head belong to this task alone, and one is written at a time.
                let target = unsafe { target.part(place, 0..head_dim) };
                target.copy_from_slice(&source.row(row)[kv_head * head_dim..][..head_dim]);
            }
        });
    }
}

/// What a causal row at `position` attends to.
fn causal(position: usize, window: Option<usize>) -> Range<usize> {
    let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
    first..position + 1
}

/// Tokens that share their keys, for each of the key-value heads.
struct Group {
    tokens: Range<usize>,
    /// The cache slot, or the first row of the sequence.
    source: usize,
}

/// Cuts sequences so that a block has about [`BLOCK_ROWS`] query rows.
fn groups(
    sequences: &[Range<usize>],
    attention: &Attention,
    source: impl Fn(&Range<usize>) -> usize,
) -> Vec<Group> {
    let step = (BLOCK_ROWS / (attention.query_heads / attention.kv_heads)).max(1);
    let cut = |sequence: &Range<usize>| {
        let (end, source) = (sequence.end, source(sequence));
        sequence
            .clone()
            .step_by(step)
            .map(move |start| Group { tokens: start..end.min(start + step), source })
    };
    sequences.iter().flat_map(cut).collect()
}

/// Attention of the rows of each sequence over the cache; places were checked.
pub(super) fn attend_cached(
    host: &HostDevice,
    q: Rows<'_, f32>,
    cache: &KvCache<HostBuffer>,
    sequences: &[Range<usize>],
    at: &Places<'_>,
    attention: &Attention,
    y: RowsMut<'_>,
) {
    let visible: Vec<Range<usize>> =
        at.positions.iter().map(|position| causal(*position as usize, attention.window)).collect();
    let groups = groups(sequences, attention, |sequence| at.slots[sequence.start] as usize);
    let (keys, values) = (numbers(&cache.keys), numbers(&cache.values));
    let y = SharedRows::new(y);
    let work = visible.iter().map(Range::len).sum::<usize>() * q.cols;
    host.pool.run_sized(work / 8, groups.len() * attention.kv_heads, |task| {
        let (group, kv_head) = (&groups[task / attention.kv_heads], task % attention.kv_heads);
        host.isa.dispatch(Block {
            attention,
            q,
            keys: head(keys, &cache.shape, group.source, kv_head),
            values: head(values, &cache.shape, group.source, kv_head),
            kv_head,
            tokens: group.tokens.clone(),
            visible: &visible[group.tokens.clone()],
            y: &y,
        });
    });
}

/// Attention of each sequence's rows over all rows of the sequence.
pub(super) fn attend_full(
    host: &HostDevice,
    q: Rows<'_, f32>,
    [k, v]: [Rows<'_, f32>; 2],
    sequences: &[Range<usize>],
    attention: &Attention,
    y: RowsMut<'_>,
) {
    let mut visible = vec![0..0; q.rows];
    for sequence in sequences {
        visible[sequence.clone()].fill(0..sequence.len());
    }
    let groups = groups(sequences, attention, |sequence| sequence.start);
    let dim = attention.head_dim;
    let y = SharedRows::new(y);
    let work = visible.iter().map(Range::len).sum::<usize>() * q.cols;
    host.pool.run_sized(work / 8, groups.len() * attention.kv_heads, |task| {
        let (group, kv_head) = (&groups[task / attention.kv_heads], task % attention.kv_heads);
        let [keys, values] = [k, v].map(|x| Rows {
            data: &x.data[group.source * x.stride + kv_head * dim..],
            rows: x.rows - group.source,
            cols: dim,
            stride: x.stride,
        });
        host.isa.dispatch(Block {
            attention,
            q,
            keys,
            values,
            kv_head,
            tokens: group.tokens.clone(),
            visible: &visible[group.tokens.clone()],
            y: &y,
        });
    });
}
