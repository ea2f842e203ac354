//! Operations that treat each element or each row by itself.

use std::ops::Range;

use super::math;
use super::parallel::{each_piece, each_row, each_row_pair, element_nanos};
use super::pool::Pool;
use super::rows::{AnyRows, Rows, RowsMut, with_rows};
use super::simd::{Element, Isa, Kernel, Simd};
use crate::Activation;

/// y = x, widened to f32; with `add` y += x.
pub(super) struct Widen<'a, T> {
    pub(super) x: &'a [T],
    pub(super) y: &'a mut [f32],
    pub(super) add: bool,
}

impl<T: Element> Kernel for Widen<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let len = self.x.len().min(self.y.len());
        let whole = len - len % S::LANES;
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: at + LANES ≤ the lengths of both.
            unsafe {
                let to = self.y.as_mut_ptr().add(at);
                let x = T::load(simd, self.x.as_ptr().add(at));
                simd.store(to, if self.add { simd.add(simd.load(to), x) } else { x });
            }
        }
        for (y, x) in self.y[whole..len].iter_mut().zip(&self.x[whole..len]) {
            *y = if self.add { *y + x.widen() } else { x.widen() };
        }
    }
}

/// Row t of y = (or +=) row ids\[t\] of the table; all ids were checked.
pub(super) fn embedding(pool: &Pool, isa: Isa, ids: &[u32], table: &AnyRows<'_>, y: RowsMut<'_>, add: bool) {
    let nanos = element_nanos(y.rows * y.cols);
    with_rows!(table, table => each_row(pool, nanos, y, |t, y| {
        isa.dispatch(Widen { x: table.row(ids[t] as usize), y, add });
    }));
}

/// y += x.
pub(super) fn add(pool: &Pool, isa: Isa, x: Rows<'_, f32>, y: RowsMut<'_>) {
    each_row(pool, element_nanos(y.rows * y.cols), y, |row, y| {
        isa.dispatch(Widen { x: x.row(row), y, add: true });
    });
}

/// One row of the RMS norm, group by group, in place.
struct RmsNorm<'a> {
    x: &'a mut [f32],
    weight: &'a [f32],
    eps: f32,
}

impl Kernel for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let _ = simd;
        for group in self.x.chunks_exact_mut(self.weight.len()) {
            let mean = math::sum(group, |x| x * x) / group.len() as f32;
            let factor = 1.0 / (mean + self.eps).sqrt();
            for (x, weight) in group.iter_mut().zip(self.weight) {
                *x = *x * factor * weight;
            }
        }
    }
}

/// x = rms_norm(x).
pub(super) fn rms_norm_in_place(pool: &Pool, isa: Isa, x: RowsMut<'_>, weight: &[f32], eps: f32) {
    each_row(pool, 2 * element_nanos(x.rows * x.cols), x, |_, x| isa.dispatch(RmsNorm { x, weight, eps }));
}

/// y = rms_norm(x).
pub(super) fn rms_norm(pool: &Pool, isa: Isa, x: Rows<'_, f32>, weight: &[f32], eps: f32, y: RowsMut<'_>) {
    each_row(pool, 2 * element_nanos(y.rows * y.cols), y, |row, y| {
        y.copy_from_slice(x.row(row));
        isa.dispatch(RmsNorm { x: y, weight, eps });
    });
}

/// residual += x, y = rms_norm(residual).
pub(super) fn add_rms_norm(
    pool: &Pool,
    isa: Isa,
    residual: RowsMut<'_>,
    x: Rows<'_, f32>,
    (weight, eps): (&[f32], f32),
    y: RowsMut<'_>,
) {
    each_row_pair(pool, 3 * element_nanos(y.rows * y.cols), residual, y, |row, residual, y| {
        isa.dispatch(Widen { x: x.row(row), y: residual, add: true });
        y.copy_from_slice(residual);
        isa.dispatch(RmsNorm { x: y, weight, eps });
    });
}

/// One row of the layer norm, in place.
struct LayerNorm<'a> {
    x: &'a mut [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
}

impl Kernel for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let n = self.x.len() as f32;
        let mean = math::sum(self.x, |x| x) / n;
        // Two passes: the difference of the mean square and the squared mean would cancel.
        let variance = math::sum(self.x, |x| (x - mean) * (x - mean)) / n;
        let factor = 1.0 / (variance + self.eps).sqrt();
        for ((x, weight), bias) in self.x.iter_mut().zip(self.weight).zip(self.bias) {
            *x = simd.fma1((*x - mean) * factor, *weight, *bias);
        }
    }
}

/// x = layer_norm(x + delta), in place.
pub(super) fn layer_norm(
    pool: &Pool,
    isa: Isa,
    x: RowsMut<'_>,
    delta: Option<Rows<'_, f32>>,
    (weight, bias): (&[f32], &[f32]),
    eps: f32,
) {
    each_row(pool, 3 * element_nanos(x.rows * x.cols), x, |row, x| {
        if let Some(delta) = delta {
            isa.dispatch(Widen { x: delta.row(row), y: x, add: true });
        }
        isa.dispatch(LayerNorm { x, weight, bias, eps });
    });
}

/// y = silu(gate)·up.
struct SiluMul<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for SiluMul<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for ((y, gate), up) in self.y.iter_mut().zip(self.gate).zip(self.up) {
            *y = math::silu(simd, *gate) * up;
        }
    }
}

/// y = silu(gate)·up, in pieces of rows so that a single wide row is shared out too.
pub(super) fn silu_mul(pool: &Pool, isa: Isa, gate: Rows<'_, f32>, up: Rows<'_, f32>, y: RowsMut<'_>) {
    each_row_piece(pool, 4, y, |row, cols, y| {
        isa.dispatch(SiluMul { gate: &gate.row(row)[cols.clone()], up: &up.row(row)[cols], y });
    });
}

struct Activate<'a>(&'a mut [f32], Activation);

impl Kernel for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Activate(x, activation) = self;
        let half_over_pi = std::f32::consts::FRAC_2_PI.sqrt();
        match activation {
            Activation::GeluErf => x.iter_mut().for_each(|x| {
                *x = 0.5 * *x * (1.0 + math::erf(simd, *x * std::f32::consts::FRAC_1_SQRT_2));
            }),
            Activation::GeluTanh => x.iter_mut().for_each(|x| {
                let inner = half_over_pi * (*x + 0.044_715 * *x * *x * *x);
                *x = 0.5 * *x * (1.0 + math::tanh(simd, inner));
            }),
            Activation::Silu => x.iter_mut().for_each(|x| *x = math::silu(simd, *x)),
            Activation::Relu => x.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x }),
            Activation::Tanh => x.iter_mut().for_each(|x| *x = math::tanh(simd, *x)),
        }
    }
}

/// x = activation(x).
pub(super) fn activate(pool: &Pool, isa: Isa, x: RowsMut<'_>, activation: Activation) {
    each_row_piece(pool, 4, x, |_, _, x| isa.dispatch(Activate(x, activation)));
}

/// Calls `f(row, columns, piece)` for pieces of at most 2048 columns. `cost`: of one element, in half nanoseconds.
fn each_row_piece(
    pool: &Pool,
    cost: usize,
    y: RowsMut<'_>,
    f: impl Fn(usize, Range<usize>, &mut [f32]) + Sync,
) {
    const PIECE: usize = 2048;
    let (rows, cols) = (y.rows, y.cols);
    let pieces = cols.div_ceil(PIECE);
    let y = super::parallel::SharedRows::new(y);
    pool.run_sized(cost * element_nanos(rows * cols), rows * pieces, |task| {
        let (row, piece) = (task / pieces, task % pieces);
        let range = piece * PIECE..cols.min((piece + 1) * PIECE);
        // SAFETY: each task has its own piece of its own row.
        f(row, range.clone(), unsafe { y.part(row, range) });
    });
}

/// table\[t\] = scaling·(cos ‖ sin)(positions\[t\]·inv_freq), the angle rounded to f32 as PyTorch does.
pub(super) fn rotary_table(
    pool: &Pool,
    positions: &[u32],
    inv_freq: &[f32],
    scaling: f32,
    table: RowsMut<'_>,
) {
    each_row(pool, 20 * table.rows * inv_freq.len(), table, |t, table| {
        let (cos, sin) = table.split_at_mut(inv_freq.len());
        for ((cos, sin), inv_freq) in cos.iter_mut().zip(sin).zip(inv_freq) {
            let angle = positions[t] as f32 * inv_freq;
            (*cos, *sin) = (angle.cos() * scaling, angle.sin() * scaling);
        }
    });
}

struct Rotate<'a> {
    head: &'a mut [f32],
    cos: &'a [f32],
    sin: &'a [f32],
}

impl Kernel for Rotate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let r = self.cos.len();
        let (low, high) = self.head[..2 * r].split_at_mut(r);
        for (((a, b), cos), sin) in low.iter_mut().zip(high).zip(self.cos).zip(self.sin) {
            (*a, *b) = (simd.fma1(*a, *cos, -(*b * sin)), simd.fma1(*b, *cos, *a * sin));
        }
    }
}

/// Turns the pairs of each head.
pub(super) fn rotary(pool: &Pool, isa: Isa, x: RowsMut<'_>, head_dim: usize, table: Rows<'_, f32>) {
    each_row(pool, element_nanos(x.rows * x.cols), x, |t, x| {
        let (cos, sin) = table.row(t).split_at(table.cols / 2);
        for head in x.chunks_exact_mut(head_dim) {
            isa.dispatch(Rotate { head, cos, sin });
        }
    });
}

/// The column of the largest element, the first of equals.
struct Argmax<'a>(&'a [f32]);

impl Kernel for Argmax<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> u32 {
        let max = math::max(self.0);
        self.0.iter().position(|x| *x == max).unwrap_or(0) as u32
    }
}

/// y\[i\] = the column of the largest element of row i.
pub(super) fn argmax(pool: &Pool, isa: Isa, x: Rows<'_, f32>, y: &mut [u32]) {
    if element_nanos(x.rows * x.cols) < 10_000 {
        return y.iter_mut().enumerate().for_each(|(row, y)| *y = isa.dispatch(Argmax(x.row(row))));
    }
    each_piece(pool, y, 1, |row, y| y.fill(isa.dispatch(Argmax(x.row(row)))));
}

/// y\[s\] = mean of the rows of sequence s.
pub(super) fn mean_pool(pool: &Pool, isa: Isa, x: Rows<'_, f32>, sequences: &[Range<usize>], y: RowsMut<'_>) {
    each_row(pool, element_nanos(x.rows * x.cols), y, |s, y| {
        y.fill(0.0);
        for row in sequences[s].clone() {
            isa.dispatch(Widen { x: x.row(row), y: &mut *y, add: true });
        }
        let count = sequences[s].len().max(1) as f32;
        y.iter_mut().for_each(|y| *y /= count);
    });
}
