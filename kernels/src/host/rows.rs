//! Views of device memory as slices of numbers.

use half::{bf16, f16};

use super::memory::HostBuffer;
use super::simd::Element;
use crate::{Dtype, Error, Indices, IndicesMut, Matrix, MatrixMut, Result};

/// The elements of a matrix from the first to the last, rows `stride` apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a, T> {
    pub(super) data: &'a [T],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) stride: usize,
}

impl<'a, T> Rows<'a, T> {
    pub(super) fn row(&self, index: usize) -> &'a [T] {
        &self.data[index * self.stride..][..self.cols]
    }
}

/// The elements of a matrix of f32, to be written.
#[derive(Debug)]
pub(super) struct RowsMut<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) stride: usize,
}

/// The elements of a matrix of any format.
pub(super) enum AnyRows<'a> {
    F32(Rows<'a, f32>),
    F16(Rows<'a, f16>),
    Bf16(Rows<'a, bf16>),
}

/// Evaluates `$body` with `$rows` bound to the typed rows of an [`AnyRows`].
macro_rules! with_rows {
    ($any:expr, $rows:ident => $body:expr) => {
        match $any {
            $crate::host::rows::AnyRows::F32($rows) => $body,
            $crate::host::rows::AnyRows::F16($rows) => $body,
            $crate::host::rows::AnyRows::Bf16($rows) => $body,
        }
    };
}
pub(super) use with_rows;

fn typed<'a, T: Element + bytemuck::Pod>(matrix: &Matrix<'a, HostBuffer>) -> Rows<'a, T> {
    let place = matrix.place;
    let bytes = place.span() * size_of::<T>();
    let start = if bytes == 0 { 0 } else { place.offset };
    // Buffers are page-aligned and offsets multiples of the element size, as checked when the view was made.
    let data = bytemuck::cast_slice(&matrix.buffer.as_slice()[start..start + bytes]);
    Rows { data, rows: place.rows, cols: place.cols, stride: place.stride }
}

/// A weight, of any format.
pub(super) fn any<'a>(matrix: &Matrix<'a, HostBuffer>) -> AnyRows<'a> {
    match matrix.dtype() {
        Dtype::F32 => AnyRows::F32(typed(matrix)),
        Dtype::F16 => AnyRows::F16(typed(matrix)),
        Dtype::Bf16 => AnyRows::Bf16(typed(matrix)),
    }
}

/// An activation to be read: f32.
pub(super) fn activation<'a>(
    op: &'static str,
    argument: &'static str,
    matrix: &Matrix<'a, HostBuffer>,
) -> Result<Rows<'a, f32>> {
    require_f32(op, argument, matrix.dtype())?;
    Ok(typed(matrix))
}

/// An activation to be written: f32.
pub(super) fn activation_mut<'a>(
    op: &'static str,
    argument: &'static str,
    matrix: MatrixMut<'a, HostBuffer>,
) -> Result<RowsMut<'a>> {
    require_f32(op, argument, matrix.dtype())?;
    let place = matrix.place;
    let bytes = place.span() * size_of::<f32>();
    let start = if bytes == 0 { 0 } else { place.offset };
    let data = bytemuck::cast_slice_mut(&mut matrix.buffer.as_mut_slice()[start..start + bytes]);
    Ok(RowsMut { data, rows: place.rows, cols: place.cols, stride: place.stride })
}

fn require_f32(op: &'static str, argument: &'static str, found: Dtype) -> Result<()> {
    if found == Dtype::F32 { Ok(()) } else { Err(Error::Dtype { op, argument, found, expected: "F32" }) }
}

/// A row vector as f32, converted where it is of another format.
pub(super) fn vector<'a>(matrix: &Matrix<'a, HostBuffer>) -> std::borrow::Cow<'a, [f32]> {
    match any(matrix) {
        AnyRows::F32(rows) => rows.data.into(),
        AnyRows::F16(rows) => rows.data.iter().map(|x| x.widen()).collect(),
        AnyRows::Bf16(rows) => rows.data.iter().map(|x| x.widen()).collect(),
    }
}

/// Numbers to be read.
pub(super) fn indices<'a>(view: &Indices<'a, HostBuffer>) -> &'a [u32] {
    bytemuck::cast_slice(&view.buffer.as_slice()[view.offset..view.offset + view.len * 4])
}

/// Numbers to be written.
pub(super) fn indices_mut<'a>(view: IndicesMut<'a, HostBuffer>) -> &'a mut [u32] {
    bytemuck::cast_slice_mut(&mut view.buffer.as_mut_slice()[view.offset..view.offset + view.len * 4])
}
