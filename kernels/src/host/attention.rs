//! Attention of a block of query rows over a run of keys and values, with a running softmax.
//!
//! Keys are taken 64 at a time; the largest score and the sum so far are kept for each row and earlier results rescaled
//! when a larger one appears (Milakov & Gimelshein 2018; Dao et al., FlashAttention, 2022). Rows that read the same
//! key-value head (neighbouring tokens, grouped heads) form one block, so that each key is read once for all of them.

use std::ops::Range;

use super::dots::{Operand, dots};
use super::math;
use super::parallel::SharedRows;
use super::rows::Rows;
use super::simd::{Kernel, Simd};
use crate::Attention;

/// Keys that are scored at a time.
const KEYS: usize = 64;

/// Query rows that a block aims at.
pub(super) const BLOCK_ROWS: usize = 32;

/// Some tokens of one sequence and one key-value head.
pub(super) struct Block<'a> {
    pub(super) attention: &'a Attention,
    /// `[rows, query_heads·head_dim]`
    pub(super) q: Rows<'a, f32>,
    /// The key-value head's keys and values, `[positions, head_dim]`.
    pub(super) keys: Rows<'a, f32>,
    pub(super) values: Rows<'a, f32>,
    pub(super) kv_head: usize,
    /// The rows of q, and what each attends to.
    pub(super) tokens: Range<usize>,
    pub(super) visible: &'a [Range<usize>],
    /// Shape of q. Nobody else may use these tokens' columns of this key-value head's query heads meanwhile.
    pub(super) y: &'a SharedRows<'a>,
}

/// What is kept while keys go by, for each query row.
struct State {
    /// `[rows, head_dim]`, scaled.
    q: Vec<f32>,
    /// `[rows, head_dim]`
    sums: Vec<f32>,
    /// `[rows, KEYS]`
    scores: Vec<f32>,
    largest: Vec<f32>,
    total: Vec<f32>,
}

impl Kernel for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let dim = self.attention.head_dim;
        let group = self.attention.query_heads / self.attention.kv_heads;
        let rows = self.tokens.len() * group;
        let columns = |g: usize| (self.kv_head * group + g) * dim..(self.kv_head * group + g + 1) * dim;
        let mut state = State {
            q: Vec::with_capacity(rows * dim),
            sums: vec![0.0; rows * dim],
            scores: vec![0.0; rows * KEYS],
            largest: vec![f32::NEG_INFINITY; rows],
            total: vec![0.0; rows],
        };
        for token in self.tokens.clone() {
            let heads = &self.q.row(token)[columns(0).start..][..group * dim];
            state.q.extend(heads.iter().map(|x| x * self.attention.scale));
        }
        let first = self.visible.iter().map(|range| range.start).min().unwrap_or(0);
        let end = self.visible.iter().map(|range| range.end).max().unwrap_or(0);
        let mut start = first;
        while start < end {
            let keys = start..end.min(start + KEYS);
            start = keys.end;
            scores(simd, &state.q, &self.keys, keys.clone(), dim, &mut state.scores);
            for row in 0..rows {
                weigh(simd, &mut state, row, dim, &keys, &self.visible[row / group]);
            }
            add_values(simd, &state.scores, &self.values, keys, dim, &mut state.sums);
        }
        for (index, token) in self.tokens.clone().enumerate() {
            for g in 0..group {
                let row = index * group + g;
                // SAFETY: these columns of this token belong to this block alone.
                let y = unsafe { self.y.part(token, columns(g)) };
                let factor = 1.0 / state.total[row];
                y.iter_mut().zip(&state.sums[row * dim..][..dim]).for_each(|(y, sum)| *y = sum * factor);
            }
        }
    }
}

/// scores\[row, key\] = q\[row\] · keys\[key\]
#[inline(always)]
fn scores<S: Simd>(
    simd: S,
    q: &[f32],
    keys: &Rows<'_, f32>,
    range: Range<usize>,
    dim: usize,
    scores: &mut [f32],
) {
    let rows = q.len() / dim;
    let mut row = 0;
    while row + 4 <= rows {
        score_rows::<S, 4>(simd, q, keys, &range, dim, row, scores);
        row += 4;
    }
    while row < rows {
        score_rows::<S, 1>(simd, q, keys, &range, dim, row, scores);
        row += 1;
    }
}

#[inline(always)]
fn score_rows<S: Simd, const M: usize>(
    simd: S,
    q: &[f32],
    keys: &Rows<'_, f32>,
    range: &Range<usize>,
    dim: usize,
    row: usize,
    scores: &mut [f32],
) {
    let mut key = range.start;
    // Four rows by four (two) keys fit the registers; one row takes as many keys to hide the latency of its sums.
    while S::WIDE && key + 4 <= range.end {
        score_block::<S, M, 4>(simd, q, keys, dim, (row, key), range.start, scores);
        key += 4;
    }
    while key + 2 <= range.end {
        score_block::<S, M, 2>(simd, q, keys, dim, (row, key), range.start, scores);
        key += 2;
    }
    if key < range.end {
        score_block::<S, M, 1>(simd, q, keys, dim, (row, key), range.start, scores);
    }
}

#[inline(always)]
fn score_block<S: Simd, const M: usize, const N: usize>(
    simd: S,
    q: &[f32],
    keys: &Rows<'_, f32>,
    dim: usize,
    (row, key): (usize, usize),
    first: usize,
    scores: &mut [f32],
) {
    let q = &q[row * dim..][..M * dim];
    let k = &keys.data[key * keys.stride..][..(N - 1) * keys.stride + dim];
    let q = Operand { start: q.as_ptr(), row: dim, step: S::LANES };
    let k = Operand { start: k.as_ptr(), row: keys.stride, step: S::LANES };
    // SAFETY: M rows of q and N of the keys lie in the slices that were just taken.
    let found = unsafe { dots::<S, f32, M, N>(simd, dim, q, q, k, false) };
    for (i, found) in found.iter().enumerate() {
        scores[(row + i) * KEYS + key - first..][..N].copy_from_slice(found);
    }
}

/// Turns a row's scores into weights e^(score − largest), zero where the row does not see the key, and rescales what
/// was summed under a smaller largest score.
#[inline(always)]
fn weigh<S: Simd>(
    simd: S,
    state: &mut State,
    row: usize,
    dim: usize,
    keys: &Range<usize>,
    visible: &Range<usize>,
) {
    let scores = &mut state.scores[row * KEYS..][..keys.len()];
    let from = visible.start.clamp(keys.start, keys.end) - keys.start;
    let to = visible.end.clamp(keys.start, keys.end) - keys.start;
    if from >= to {
        return scores.fill(0.0);
    }
    scores[..from].fill(0.0);
    scores[to..].fill(0.0);
    let seen = &mut scores[from..to];
    let largest = state.largest[row].max(math::max(seen));
    let keep = if state.largest[row] == f32::NEG_INFINITY {
        0.0
    } else {
        math::exp(simd, state.largest[row] - largest)
    };
    seen.iter_mut().for_each(|score| *score = math::exp(simd, *score - largest));
    state.total[row] = state.total[row] * keep + math::sum(seen, |weight| weight);
    state.largest[row] = largest;
    if keep != 1.0 {
        state.sums[row * dim..][..dim].iter_mut().for_each(|sum| *sum *= keep);
    }
}

/// sums\[row\] += Σ weights\[row, key\] · values\[key\]
#[inline(always)]
fn add_values<S: Simd>(
    simd: S,
    weights: &[f32],
    values: &Rows<'_, f32>,
    keys: Range<usize>,
    dim: usize,
    sums: &mut [f32],
) {
    let rows = sums.len() / dim;
    let mut row = 0;
    while row + 4 <= rows {
        add_rows::<S, 4>(simd, weights, values, &keys, dim, row, sums);
        row += 4;
    }
    while row < rows {
        add_rows::<S, 1>(simd, weights, values, &keys, dim, row, sums);
        row += 1;
    }
}

#[inline(always)]
fn add_rows<S: Simd, const M: usize>(
    simd: S,
    weights: &[f32],
    values: &Rows<'_, f32>,
    keys: &Range<usize>,
    dim: usize,
    row: usize,
    sums: &mut [f32],
) {
    let weights = &weights[row * KEYS..][..M * KEYS];
    let sums = &mut sums[row * dim..][..M * dim];
    let values = &values.data[keys.start * values.stride..][..(keys.len() - 1) * values.stride + dim];
    let stride = if keys.len() > 1 { (values.len() - dim) / (keys.len() - 1) } else { 0 };
    let mut col = 0;
    while S::WIDE && col + 4 * S::LANES <= dim {
        add_block::<S, M, 4>(simd, weights, values, stride, keys.len(), dim, col, sums);
        col += 4 * S::LANES;
    }
    while col + 2 * S::LANES <= dim {
        add_block::<S, M, 2>(simd, weights, values, stride, keys.len(), dim, col, sums);
        col += 2 * S::LANES;
    }
    while col + S::LANES <= dim {
        add_block::<S, M, 1>(simd, weights, values, stride, keys.len(), dim, col, sums);
        col += S::LANES;
    }
    for col in col..dim {
        for i in 0..M {
            let sum = &mut sums[i * dim + col];
            for key in 0..keys.len() {
                *sum = simd.fma1(weights[i * KEYS + key], values[key * stride + col], *sum);
            }
        }
    }
}

/// M rows by C vectors of sums, held in registers over all keys.
#[expect(clippy::too_many_arguments, reason = "the innermost block works on plain slices and their shapes")]
#[inline(always)]
fn add_block<S: Simd, const M: usize, const C: usize>(
    simd: S,
    weights: &[f32],
    values: &[f32],
    stride: usize,
    keys: usize,
    dim: usize,
    col: usize,
    sums: &mut [f32],
) {
    assert!((1..=KEYS).contains(&keys) && weights.len() >= M * KEYS && sums.len() >= M * dim);
    assert!(col + C * S::LANES <= dim && values.len() >= (keys - 1) * stride + dim);
    let at = |i: usize, c: usize| i * dim + col + c * S::LANES;
    // SAFETY: for i < M and c < C, at(i, c) + LANES ≤ M·dim ≤ sums.len() by the checks above.
    let mut held: [[S::V; C]; M] =
        std::array::from_fn(|i| std::array::from_fn(|c| unsafe { simd.load(sums.as_ptr().add(at(i, c))) }));
    for key in 0..keys {
        // SAFETY: key·stride + col + C·LANES ≤ values.len() by the checks above.
        let value: [S::V; C] = std::array::from_fn(|c| unsafe {
            simd.load(values.as_ptr().add(key * stride + col + c * S::LANES))
        });
        for i in 0..M {
            let weight = simd.splat(weights[i * KEYS + key]);
            for c in 0..C {
                held[i][c] = simd.fma(weight, value[c], held[i][c]);
            }
        }
    }
    for (i, held) in held.into_iter().enumerate() {
        for (c, held) in held.into_iter().enumerate() {
            // SAFETY: as for the loads.
            unsafe { simd.store(sums.as_mut_ptr().add(at(i, c)), held) };
        }
    }
}
