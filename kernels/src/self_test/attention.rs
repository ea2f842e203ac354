//! Attention, and the cache that it reads.

use super::twins::{Numbers, Pair, Twins};
use super::{Case, Found};
use crate::{Attention, HostBuffer, KvCache, KvShape, Ops, Placement, Ragged, Result};

pub(super) fn cases<O: Ops>() -> Vec<(&'static str, Case<O>)> {
    vec![
        ("kv_write", kv_write),
        ("attention_prefill", prefill),
        ("attention_decode", decode),
        ("attention_full", full),
    ]
}

/// Weights of a softmax are rounded before they meet the values: a few roundings more than one.
const ROUNDS: f64 = 6.0;

/// A layer of random heads.
fn layer<O: Ops>(twins: &mut Twins<'_, O>, causal: bool) -> Attention {
    let kv_heads = twins.number(1, 3);
    let head_dim = twins.one_of(&[8, 64, 80, 96, 128, 128]);
    Attention {
        query_heads: kv_heads * twins.one_of(&[1, 2, 4, 7, 8]),
        kv_heads,
        head_dim,
        scale: 1.0 / (head_dim as f32).sqrt(),
        window: (causal && twins.number(0, 3) == 0).then(|| twins.number(1, 100)),
    }
}

/// Tokens of several sequences, each at its own place of a cache.
struct Tokens<B> {
    starts: Numbers<B>,
    slots: Numbers<B>,
    positions: Numbers<B>,
    rows: usize,
    longest: usize,
}

/// Sequences `(first position, length)`, the s-th in slot `slots − 1 − s`.
fn tokens<O: Ops>(
    twins: &mut Twins<'_, O>,
    sequences: &[(usize, usize)],
    slots: usize,
) -> Result<Tokens<O::Buffer>> {
    let (mut starts, mut at_slots, mut positions) = (vec![0], Vec::new(), Vec::new());
    for (index, (first, length)) in sequences.iter().enumerate() {
        for position in *first..first + length {
            at_slots.push((slots - 1 - index) as u32);
            positions.push(position as u32);
        }
        starts.push(positions.len() as u32);
    }
    Ok(Tokens {
        rows: positions.len(),
        longest: sequences.iter().map(|(_, length)| *length).max().unwrap_or(0),
        starts: twins.numbers(&starts)?,
        slots: twins.numbers(&at_slots)?,
        positions: twins.numbers(&positions)?,
    })
}

impl<B: crate::Memory> Tokens<B> {
    fn on_host(&self) -> Result<(Ragged<'_, HostBuffer>, Placement<'_, HostBuffer>)> {
        let batch = Ragged { starts: self.starts.host()?, longest: self.longest };
        Ok((batch, Placement { slots: self.slots.host()?, positions: self.positions.host()? }))
    }

    fn on_device(&self) -> Result<(Ragged<'_, B>, Placement<'_, B>)> {
        let batch = Ragged { starts: self.starts.device()?, longest: self.longest };
        Ok((batch, Placement { slots: self.slots.device()?, positions: self.positions.device()? }))
    }
}

/// One layer's cache on both.
struct Caches<B> {
    on_host: KvCache<HostBuffer>,
    on_device: KvCache<B>,
}

/// Caches that hold random keys and values at positions `0..lengths[s]` of sequence s.
fn caches<O: Ops>(
    twins: &mut Twins<'_, O>,
    layer: &Attention,
    lengths: &[usize],
    slots: usize,
) -> Result<Caches<O::Buffer>> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let shape = |dtype| KvShape {
        slots,
        kv_heads: layer.kv_heads,
        capacity: longest + longest % 7,
        head_dim: layer.head_dim,
        dtype,
    };
    let mut caches = Caches {
        on_host: KvCache::alloc(&twins.host, shape(crate::Dtype::F32))?,
        on_device: KvCache::alloc(twins.device, shape(twins.format()))?,
    };
    let past: Vec<(usize, usize)> = lengths.iter().map(|length| (0, *length)).collect();
    let tokens = tokens(twins, &past, slots)?;
    let cols = layer.kv_heads * layer.head_dim;
    let (k, v) = (twins.activations(tokens.rows, cols)?, twins.activations(tokens.rows, cols)?);
    write(twins, (&k, &v), &tokens, &mut caches)?;
    Ok(caches)
}

fn write<O: Ops>(
    twins: &Twins<'_, O>,
    (k, v): (&Pair<O::Buffer>, &Pair<O::Buffer>),
    tokens: &Tokens<O::Buffer>,
    caches: &mut Caches<O::Buffer>,
) -> Result<()> {
    twins.host.kv_write(k.host()?, v.host()?, tokens.on_host()?.1, &mut caches.on_host)?;
    twins.device.kv_write(k.device()?, v.device()?, tokens.on_device()?.1, &mut caches.on_device)
}

/// What a causal case stands on: a layer, sequences with a past, caches that hold all of it.
struct Causal<B> {
    layer: Attention,
    tokens: Tokens<B>,
    caches: Caches<B>,
    context: usize,
}

fn causal<O: Ops>(twins: &mut Twins<'_, O>, one_token: bool) -> Result<Causal<O::Buffer>> {
    let layer = layer(twins, true);
    let sequences: Vec<(usize, usize)> = (0..twins.number(1, 3))
        .map(|_| {
            let past = if twins.coin() { twins.extent(300) } else { 0 };
            (past, if one_token { 1 } else { twins.extent(140) })
        })
        .collect();
    let slots = sequences.len() + twins.number(0, 2);
    twins.describe(format_args!("{layer:?}, (past, length) {sequences:?}"));
    let lengths: Vec<usize> = sequences.iter().map(|(past, length)| past + length).collect();
    let caches = caches(twins, &layer, &lengths, slots)?;
    let tokens = tokens(twins, &sequences, slots)?;
    Ok(Causal { layer, tokens, caches, context: lengths.into_iter().max().unwrap_or(1) })
}

/// What was written is found again by attention with one token whose context is one position: its values.
fn kv_write<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let mut layer = layer(twins, false);
    layer.window = Some(1);
    let lengths = twins.lengths(1, 60);
    let slots = lengths.len() + twins.number(0, 2);
    twins.describe(format_args!("{layer:?}, lengths {lengths:?}"));
    let caches = caches(twins, &layer, &lengths, slots)?;
    let sequences: Vec<(usize, usize)> =
        lengths.iter().map(|length| (twins.number(0, length - 1), 1)).collect();
    let tokens = tokens(twins, &sequences, slots)?;
    let case = Causal { layer, tokens, caches, context: 1 };
    attend(twins, &case, true, 1.0)
}

fn prefill<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let case = causal(twins, false)?;
    attend(twins, &case, false, ROUNDS)
}

fn decode<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let case = causal(twins, true)?;
    attend(twins, &case, true, ROUNDS)
}

fn attend<O: Ops>(
    twins: &mut Twins<'_, O>,
    case: &Causal<O::Buffer>,
    decode: bool,
    rounds: f64,
) -> Result<Found> {
    let Causal { layer, tokens, caches, context } = case;
    let cols = layer.query_heads * layer.head_dim;
    let (q, mut y) = (twins.activations(tokens.rows, cols)?, twins.activations(tokens.rows, cols)?);
    let ((host_batch, host_at), (batch, at)) = (tokens.on_host()?, tokens.on_device()?);
    let (host, device) = (&twins.host, twins.device);
    if decode {
        host.attention_decode(q.host()?, &caches.on_host, host_at, layer, y.host_mut()?)?;
        device.attention_decode(q.device()?, &caches.on_device, at, layer, y.device_mut()?)?;
    } else {
        host.attention_prefill(q.host()?, &caches.on_host, host_batch, host_at, layer, y.host_mut()?)?;
        device.attention_prefill(q.device()?, &caches.on_device, batch, at, layer, y.device_mut()?)?;
    }
    twins.compare(&y, layer.head_dim + context, rounds)
}

fn full<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let layer = layer(twins, false);
    let sequences: Vec<(usize, usize)> =
        twins.lengths(1, 140).into_iter().map(|length| (0, length)).collect();
    twins.describe(format_args!("{layer:?}, lengths {sequences:?}"));
    let tokens = tokens(twins, &sequences, sequences.len())?;
    let (q_cols, kv_cols) = (layer.query_heads * layer.head_dim, layer.kv_heads * layer.head_dim);
    let (q, mut y) = (twins.activations(tokens.rows, q_cols)?, twins.activations(tokens.rows, q_cols)?);
    let (k, v) = (twins.activations(tokens.rows, kv_cols)?, twins.activations(tokens.rows, kv_cols)?);
    let ((host_batch, _), (batch, _)) = (tokens.on_host()?, tokens.on_device()?);
    twins.host.attention_full(q.host()?, k.host()?, v.host()?, host_batch, &layer, y.host_mut()?)?;
    twins.device.attention_full(q.device()?, k.device()?, v.device()?, batch, &layer, y.device_mut()?)?;
    twins.compare(&y, layer.head_dim + tokens.longest, ROUNDS)
}
