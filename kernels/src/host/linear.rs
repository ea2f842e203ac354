//! y = x·wᵀ + bias, spread over the threads.
//!
//! Two ways, of one result up to rounding: blocks of dot products over `w` as it lies ([`super::dots`]), and the
//! packed products of the `matrixmultiply` crate. The first is faster wherever `w` is read few times, and on AVX-512
//! everywhere that was measured (`examples/gemm_shapes.rs`); the second where 16 registers make small blocks and many
//! rows pay for the packing.

use std::ops::Range;
use std::sync::Mutex;

use super::device::HostDevice;
use super::dots::{GROUP, Pack, Panel};
use super::parallel::{SharedRows, each_row, element_nanos, share};
use super::pool::Pool;
use super::rows::{AnyRows, Rows, RowsMut, with_rows};
use super::simd::{Element, Isa};

/// From how many rows on `x` is packed: copying it costs m·k, which n·m·k operations must outweigh.
const PACKED_FROM: usize = 16;

/// From how many rows on the library is used, where dots do not have 32 registers.
const LIBRARY_FROM: usize = 192;

/// What [`linear`] uses.
pub(super) fn name(isa: Isa) -> String {
    let dots = format!("coldstart dot blocks ({})", isa.name());
    if isa.wide() { dots } else { format!("{dots}; matrixmultiply from {LIBRARY_FROM} rows on") }
}

/// y = x·wᵀ + bias; shapes were checked.
pub(super) fn linear(
    host: &HostDevice,
    x: Rows<'_, f32>,
    w: &AnyRows<'_>,
    bias: Option<&[f32]>,
    y: RowsMut<'_>,
) {
    if host.isa.wide() || x.rows < LIBRARY_FROM {
        let HostDevice { pool, isa, scratch, .. } = host;
        with_rows!(w, w => by_dots(pool, *isa, scratch, x, *w, bias, y));
    } else {
        by_library(&host.pool, x, w, bias, y);
    }
}

/// Runs [`Panel`]s on all threads.
fn by_dots<W: Element>(
    pool: &Pool,
    isa: Isa,
    scratch: &Mutex<Vec<f32>>,
    x: Rows<'_, f32>,
    w: Rows<'_, W>,
    bias: Option<&[f32]>,
    y: RowsMut<'_>,
) {
    let y = SharedRows::new(y);
    let n = w.rows;
    // Column groups of 24 are whole blocks of 2, 6 and 8; four shares a thread even out who is late.
    let groups = n.div_ceil(24);
    let tasks = groups.min(pool.threads() * 4);
    let nanos = (x.rows * n).saturating_mul(x.cols) / 20;
    // Whoever finds the scratch memory in use works without.
    let mut scratch = if x.rows >= PACKED_FROM && n >= 64 { scratch.try_lock().ok() } else { None };
    let packed = scratch.as_deref_mut().map(|scratch| pack(pool, isa, x, scratch));
    pool.run_sized(nanos, tasks, |task| {
        let groups = share(groups, tasks, task);
        let cols = groups.start * 24..n.min(groups.end * 24);
        isa.dispatch(Panel { x, packed, w, bias, y: &y, cols });
    });
}

/// Packs the whole groups of `x` into `scratch`, which grows where it must and keeps its size.
fn pack<'a>(pool: &Pool, isa: Isa, x: Rows<'_, f32>, scratch: &'a mut Vec<f32>) -> &'a [f32] {
    let each = GROUP * (x.cols - x.cols % isa.lanes());
    let groups = x.rows / GROUP;
    if scratch.len() < groups * each {
        scratch.resize(groups * each, 0.0);
    }
    let to = &mut scratch[..groups * each];
    let rows = RowsMut { data: to, rows: groups, cols: each, stride: each };
    each_row(pool, element_nanos(groups * each), rows, |group, to| {
        isa.dispatch(Pack { x, groups: group..group + 1, to });
    });
    &scratch[..groups * each]
}

/// Rows of `w` that are converted to f32 at a time, per thread.
const CONVERTED: usize = 256;

/// Runs the library on all threads, each on its own columns of y.
fn by_library(pool: &Pool, x: Rows<'_, f32>, w: &AnyRows<'_>, bias: Option<&[f32]>, y: RowsMut<'_>) {
    let y = SharedRows::new(y);
    let n = with_rows!(w, w => w.rows);
    let groups = n.div_ceil(16);
    // As few and as large shares as there are threads: each packs all of x anew.
    let tasks = groups.min(pool.threads());
    pool.run(tasks, |task| {
        let groups = share(groups, tasks, task);
        let cols = groups.start * 16..n.min(groups.end * 16);
        match w {
            AnyRows::F32(w) => sgemm(x, &w.data[cols.start * w.stride..], w.stride, &y, cols, bias),
            AnyRows::F16(w) => converted(x, *w, &y, cols, bias),
            AnyRows::Bf16(w) => converted(x, *w, &y, cols, bias),
        }
    });
}

/// Converts some rows of `w`, multiplies with them, and so on.
fn converted<W: Element>(
    x: Rows<'_, f32>,
    w: Rows<'_, W>,
    y: &SharedRows<'_>,
    cols: Range<usize>,
    bias: Option<&[f32]>,
) {
    let mut scratch = Vec::with_capacity(CONVERTED.min(cols.len()) * w.cols);
    for start in cols.clone().step_by(CONVERTED) {
        let cols = start..cols.end.min(start + CONVERTED);
        scratch.clear();
        cols.clone().for_each(|col| scratch.extend(w.row(col).iter().map(|x| x.widen())));
        sgemm(x, &scratch, w.cols, y, cols, bias);
    }
}

/// y\[.., cols\] = x·wᵀ + bias with the rows of w that belong to these columns, on the calling thread.
fn sgemm(
    x: Rows<'_, f32>,
    w: &[f32],
    w_stride: usize,
    y: &SharedRows<'_>,
    cols: Range<usize>,
    bias: Option<&[f32]>,
) {
    let (m, n, k) = (x.rows, cols.len(), x.cols);
    if m == 0 || n == 0 {
        return;
    }
    assert!(w.len() >= (n - 1) * w_stride + k && x.data.len() >= (m - 1) * x.stride + k);
    // SAFETY: whoever made the task gave these columns to it alone.
    let first = unsafe { y.part(0, cols.clone()) }.as_mut_ptr();
    // SAFETY: as above; asked for only to check that the last row is inside.
    let _ = unsafe { y.part(m - 1, cols.clone()) };
    // SAFETY: x is [m, k] and w [n, k] in their slices by the check above, y [m, n] by `part`.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            x.data.as_ptr(),
            x.stride as isize,
            1,
            w.as_ptr(),
            1,
            w_stride as isize,
            0.0,
            first,
            y.stride as isize,
            1,
        );
    }
    if let Some(bias) = bias {
        for row in 0..m {
            // SAFETY: as above.
            let y = unsafe { y.part(row, cols.clone()) };
            y.iter_mut().zip(&bias[cols.clone()]).for_each(|(y, bias)| *y += bias);
        }
    }
}
