//! Operations that write any number format.

use half::{bf16, f16};

use super::device::HostDevice;
use super::memory::HostBuffer;
use super::parallel::each_piece;
use super::rows::{AnyRows, Rows, with_rows};
use super::simd::Element;
use crate::{Dtype, MatrixMut, checksum};

/// Calls `f(row, columns of the row)` for each row of a matrix of `T`, several rows to a thread.
fn each_row_of<T: Element + bytemuck::Pod>(
    host: &HostDevice,
    y: MatrixMut<'_, HostBuffer>,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let place = y.place;
    if place.rows == 0 || place.cols == 0 {
        return;
    }
    let bytes = place.span() * size_of::<T>();
    let data: &mut [T] =
        bytemuck::cast_slice_mut(&mut y.buffer.as_mut_slice()[place.offset..place.offset + bytes]);
    let rows = (16_384 / place.stride).max(1);
    each_piece(&host.pool, data, rows * place.stride, |offset, piece| {
        for (index, row) in piece.chunks_mut(place.stride).enumerate() {
            f(offset / place.stride + index, &mut row[..place.cols]);
        }
    });
}

fn narrow_rows<X: Element, Y: Element + bytemuck::Pod>(
    host: &HostDevice,
    x: Rows<'_, X>,
    y: MatrixMut<'_, HostBuffer>,
) {
    each_row_of::<Y>(host, y, |row, y| {
        y.iter_mut().zip(x.row(row)).for_each(|(y, x)| *y = Y::narrow(x.widen()));
    });
}

/// y = x.
pub(super) fn convert(host: &HostDevice, x: &AnyRows<'_>, y: MatrixMut<'_, HostBuffer>) {
    with_rows!(x, x => match y.dtype() {
        Dtype::F32 => narrow_rows::<_, f32>(host, *x, y),
        Dtype::F16 => narrow_rows::<_, f16>(host, *x, y),
        Dtype::Bf16 => narrow_rows::<_, bf16>(host, *x, y),
    });
}

/// y = the uniform numbers of `seed`.
pub(super) fn fill_uniform(host: &HostDevice, y: MatrixMut<'_, HostBuffer>, seed: u64, bound: f32) {
    fn fill<T: Element + bytemuck::Pod>(
        host: &HostDevice,
        y: MatrixMut<'_, HostBuffer>,
        seed: u64,
        bound: f32,
    ) {
        let cols = y.place.cols;
        each_row_of::<T>(host, y, |row, y| {
            for (col, y) in y.iter_mut().enumerate() {
                *y = T::narrow(checksum::uniform(seed, (row * cols + col) as u64, bound));
            }
        });
    }
    match y.dtype() {
        Dtype::F32 => fill::<f32>(host, y, seed, bound),
        Dtype::F16 => fill::<f16>(host, y, seed, bound),
        Dtype::Bf16 => fill::<bf16>(host, y, seed, bound),
    }
}
