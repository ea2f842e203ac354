//! Products of a few rows with many: y[i, j] = x[i] · w[j], both contiguous along the sum.
//!
//! A block of M × N sums stays in registers while M rows of `x` and N rows of `w` stream by; `w` is never packed.
//! For small M that is bound by the bandwidth at which `w` arrives; the conversion from f16 and bf16 happens in
//! registers. Where there are many rows, `x` is packed once ([`Pack`]): rows that lie a power of two apart would
//! otherwise fight for the same lines of the L1 cache. Each sum runs in the same order whatever the block, the packing
//! and the thread, so results depend on none of them.

use std::ops::Range;

use super::parallel::SharedRows;
use super::rows::Rows;
use super::simd::{Element, Kernel, Simd};

/// Bytes of `x` that are worked off before the next rows of it are taken: they stay in the L2 cache.
const X_BLOCK: usize = 256 << 10;

/// `y[rows, cols] = x·wᵀ + bias` for a range of the columns of y. Shapes were checked: x `[m, k]`, w `[n, k]`.
pub(super) struct Panel<'a, W> {
    pub(super) x: Rows<'a, f32>,
    /// What [`Pack`] made of `x`, or nothing.
    pub(super) packed: Option<&'a [f32]>,
    pub(super) w: Rows<'a, W>,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) y: &'a SharedRows<'a>,
    /// The columns; nobody else may use these of `y` meanwhile.
    pub(super) cols: Range<usize>,
}

impl<W: Element> Kernel for Panel<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let m = self.x.rows;
        let step = (X_BLOCK / 4 / self.x.cols.max(1) / 4 * 4).max(16);
        let mut start = 0;
        while start < m {
            let rows = start..m.min(start + step);
            start = rows.end;
            // As many sums as there are registers for, less those for the operands.
            match (S::WIDE, rows.len()) {
                (true, ..=3) => self.columns::<S, 8>(simd, rows),
                (true, _) => self.columns::<S, 6>(simd, rows),
                (false, 1) => self.columns::<S, 8>(simd, rows),
                (false, _) => self.columns::<S, 2>(simd, rows),
            }
        }
    }
}

impl<W: Element> Panel<'_, W> {
    #[inline(always)]
    fn columns<S: Simd, const N: usize>(&self, simd: S, rows: Range<usize>) {
        let mut col = self.cols.start;
        while col + N <= self.cols.end {
            self.column_group::<S, N>(simd, rows.clone(), col);
            col += N;
        }
        for col in col..self.cols.end {
            self.column_group::<S, 1>(simd, rows.clone(), col);
        }
    }

    #[inline(always)]
    fn column_group<S: Simd, const N: usize>(&self, simd: S, rows: Range<usize>, col: usize) {
        let mut row = rows.start;
        while row + 4 <= rows.end {
            self.block::<S, 4, N>(simd, row, col);
            row += 4;
        }
        match rows.end - row {
            1 => self.block::<S, 1, N>(simd, row, col),
            2 => self.block::<S, 2, N>(simd, row, col),
            3 => self.block::<S, 3, N>(simd, row, col),
            _ => {}
        }
    }

    #[inline(always)]
    fn block<S: Simd, const M: usize, const N: usize>(&self, simd: S, row: usize, col: usize) {
        let (x, w) = (&self.x, &self.w);
        let k = x.cols;
        assert!(row + M <= x.rows && col + N <= w.rows && w.cols == k);
        let x_rows = &x.data[row * x.stride..];
        let w_rows = &w.data[col * w.stride..];
        assert!(x_rows.len() >= (M - 1) * x.stride + k && w_rows.len() >= (N - 1) * w.stride + k);
        let plain = Operand { start: x_rows.as_ptr(), row: x.stride, step: S::LANES };
        let vectors = match self.packed {
            Some(packed) if M == GROUP => {
                let whole = k - k % S::LANES;
                let group = &packed[row / GROUP * GROUP * whole..][..GROUP * whole];
                Operand { start: group.as_ptr(), row: S::LANES, step: GROUP * S::LANES }
            }
            _ => plain,
        };
        let w = Operand { start: w_rows.as_ptr(), row: w.stride, step: S::LANES };
        // Where the sums fill the registers, arithmetic is the limit, and prefetching only costs.
        // SAFETY: all M and N rows of k elements lie in the slices, as just checked; the packed group has M rows of the
        // whole vectors of k.
        let sums = unsafe { dots::<S, W, M, N>(simd, k, vectors, plain, w, M < GROUP) };
        for (i, sums) in sums.iter().enumerate() {
            // SAFETY: whoever made the panel gave these columns to it alone.
            let y = unsafe { self.y.part(row + i, col..col + N) };
            match self.bias {
                Some(bias) => (0..N).for_each(|j| y[j] = sums[j] + bias[col + j]),
                None => y.copy_from_slice(sums),
            }
        }
    }
}

/// Bytes of a cache line on x86-64, where alone prefetching is asked for.
const CACHE_LINE: usize = 64;

/// Rows of `x` in a block, and in a packed group.
pub(super) const GROUP: usize = 4;

/// Copies whole groups of four rows so that a block reads one stream: `[group, vector, row of the group, lane]`. What of
/// k does not fill a vector is left out.
pub(super) struct Pack<'a> {
    pub(super) x: Rows<'a, f32>,
    /// Which groups.
    pub(super) groups: Range<usize>,
    /// Their part of the packed rows: `GROUP · (k − k mod LANES)` numbers each.
    pub(super) to: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let whole = self.x.cols - self.x.cols % S::LANES;
        if whole == 0 {
            return;
        }
        for (group, to) in self.groups.zip(self.to.chunks_exact_mut(GROUP * whole)) {
            for i in 0..GROUP {
                let row = &self.x.row(group * GROUP + i)[..whole];
                for (from, to) in row.chunks_exact(S::LANES).zip(to.chunks_exact_mut(GROUP * S::LANES)) {
                    to[i * S::LANES..][..S::LANES].copy_from_slice(from);
                }
            }
        }
    }
}

/// Rows of an operand in memory: where vector v of row i starts.
#[derive(Clone, Copy)]
pub(super) struct Operand<T> {
    pub(super) start: *const T,
    /// Elements from row to row.
    pub(super) row: usize,
    /// Elements from vector to vector.
    pub(super) step: usize,
}

/// The M × N dot products of k elements each. `x` is where the whole vectors are, `tail` the plain rows of the same
/// operand, from which the last k mod LANES elements are read.
///
/// With `ahead` the N rows of `w` after these are asked for on the way. The CPU's own prefetchers see N short streams that
/// end all at once; how well they follow is another matter in every process, and one row with 200 MB of bf16 weights took
/// either 7.2 or 9.1 ms on one core of an EPYC for that alone.
///
/// # Safety
/// `x` must be readable for M rows of ⌊k / LANES⌋ vectors, `tail` for M and `w` for N plain rows of k elements.
#[inline(always)]
pub(super) unsafe fn dots<S: Simd, W: Element, const M: usize, const N: usize>(
    simd: S,
    k: usize,
    x: Operand<f32>,
    tail: Operand<f32>,
    w: Operand<W>,
    ahead: bool,
) -> [[f32; N]; M] {
    // By column, so that what one `w` vector meets lies together.
    let mut sums = [[simd.splat(0.0); M]; N];
    let vectors = k / S::LANES;
    let vectors_a_line = (CACHE_LINE / (S::LANES * size_of::<W>())).max(1);
    for v in 0..vectors {
        // SAFETY: vector v of each row is readable.
        let xs: [S::V; M] =
            std::array::from_fn(|i| unsafe { simd.load(x.start.add(i * x.row + v * x.step)) });
        for (j, sums) in sums.iter_mut().enumerate() {
            // SAFETY: as above.
            let wj = unsafe { W::load(simd, w.start.add(j * w.row + v * w.step)) };
            if ahead && v % vectors_a_line == 0 {
                // The last group has none after it; its address is not used for anything else.
                simd.prefetch(w.start.wrapping_add((N + j) * w.row + v * w.step));
            }
            for (sum, x) in sums.iter_mut().zip(xs) {
                *sum = simd.fma(x, wj, *sum);
            }
        }
    }
    let mut out = [[0.0; N]; M];
    for (i, out) in out.iter_mut().enumerate() {
        for (j, out) in out.iter_mut().enumerate() {
            *out = simd.sum(sums[j][i]);
            for at in vectors * S::LANES..k {
                // SAFETY: at < k.
                let (a, b) = unsafe { (*tail.start.add(i * tail.row + at), *w.start.add(j * w.row + at)) };
                *out = simd.fma1(a, b.widen(), *out);
            }
        }
    }
    out
}
