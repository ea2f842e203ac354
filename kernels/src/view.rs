//! Bounds-checked views into untyped device memory.

use std::fmt;
use std::ops::Range;

use crate::{Dtype, Error, Memory, Result};

/// Where a row-major matrix lies in a buffer; checked against it when made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Byte offset of element [0, 0].
    pub(crate) offset: usize,
    pub(crate) dtype: Dtype,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Elements from one row to the next, at least `cols`.
    pub(crate) stride: usize,
}

impl Place {
    fn new(len: usize, offset: usize, dtype: Dtype, [rows, cols]: [usize; 2]) -> Result<Place> {
        let end = rows
            .checked_mul(cols)
            .and_then(|elements| elements.checked_mul(dtype.size()))
            .and_then(|bytes| bytes.checked_add(offset));
        match end {
            Some(end) if end <= len && offset.is_multiple_of(dtype.size()) => {
                Ok(Place { offset, dtype, rows, cols, stride: cols })
            }
            _ => Err(Error::View {
                what: format!("a matrix [{rows}, {cols}] of {dtype}"),
                offset,
                end: end.unwrap_or(usize::MAX),
                len,
                align: dtype.size(),
            }),
        }
    }

    fn columns(self, range: Range<usize>) -> Result<Place> {
        if range.start > range.end || range.end > self.cols {
            return Err(outside("columns", &range, self));
        }
        let offset = self.offset + range.start * self.dtype.size();
        Ok(Place { offset, cols: range.len(), ..self })
    }

    fn row_range(self, range: Range<usize>) -> Result<Place> {
        if range.start > range.end || range.end > self.rows {
            return Err(outside("rows", &range, self));
        }
        // An empty range at the end may start past the last row of a strided view, but then nothing is read there.
        let offset = self.offset + range.start * self.stride * self.dtype.size();
        Ok(Place { offset, rows: range.len(), ..self })
    }

    /// Elements from the first to one past the last, gaps between rows included.
    pub(crate) fn span(&self) -> usize {
        if self.rows == 0 || self.cols == 0 { 0 } else { (self.rows - 1) * self.stride + self.cols }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.rows, self.cols)
    }
}

fn outside(what: &'static str, range: &Range<usize>, place: Place) -> Error {
    Error::Shape {
        op: what,
        what: format!("{}..{} of a matrix {place} is not inside it", range.start, range.end),
    }
}

/// A row-major matrix of floats in device memory, to be read: `[rows, cols]`, rows `stride` elements apart.
pub struct Matrix<'a, B> {
    pub(crate) buffer: &'a B,
    pub(crate) place: Place,
}

/// A row-major matrix of floats in device memory, to be written: `[rows, cols]`, rows `stride` elements apart.
pub struct MatrixMut<'a, B> {
    pub(crate) buffer: &'a mut B,
    pub(crate) place: Place,
}

/// `u32` numbers in device memory, to be read: token ids, positions, slots, row numbers.
pub struct Indices<'a, B> {
    pub(crate) buffer: &'a B,
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

/// `u32` numbers in device memory, to be written.
pub struct IndicesMut<'a, B> {
    pub(crate) buffer: &'a mut B,
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

impl<B> Clone for Matrix<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B> Copy for Matrix<'_, B> {}
impl<B> Clone for Indices<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B> Copy for Indices<'_, B> {}

impl<'a, B: Memory> Matrix<'a, B> {
    /// The first `rows × cols` elements of a buffer, without gaps. Fails with [`Error::View`] where it is too small.
    pub fn new(buffer: &'a B, dtype: Dtype, shape: [usize; 2]) -> Result<Self> {
        Self::at(buffer, 0, dtype, shape)
    }

    /// `rows × cols` elements from byte `offset` on, without gaps. Fails with [`Error::View`] where they do not lie in
    /// the buffer or `offset` is no multiple of the element size.
    pub fn at(buffer: &'a B, offset: usize, dtype: Dtype, shape: [usize; 2]) -> Result<Self> {
        let place = Place::new(buffer.len(), offset, dtype, shape)?;
        Ok(Matrix { buffer, place })
    }
}

impl<'a, B> Matrix<'a, B> {
    /// The columns in `range` of every row; the stride stays.
    pub fn columns(self, range: Range<usize>) -> Result<Self> {
        Ok(Matrix { place: self.place.columns(range)?, ..self })
    }

    /// The rows in `range`.
    pub fn rows(self, range: Range<usize>) -> Result<Self> {
        Ok(Matrix { place: self.place.row_range(range)?, ..self })
    }

    /// `[rows, cols]`.
    pub fn shape(&self) -> [usize; 2] {
        [self.place.rows, self.place.cols]
    }

    /// The format of its elements.
    pub fn dtype(&self) -> Dtype {
        self.place.dtype
    }
}

impl<'a, B: Memory> MatrixMut<'a, B> {
    /// As [`Matrix::new`], to be written.
    pub fn new(buffer: &'a mut B, dtype: Dtype, shape: [usize; 2]) -> Result<Self> {
        Self::at(buffer, 0, dtype, shape)
    }

    /// As [`Matrix::at`], to be written.
    pub fn at(buffer: &'a mut B, offset: usize, dtype: Dtype, shape: [usize; 2]) -> Result<Self> {
        let place = Place::new(buffer.len(), offset, dtype, shape)?;
        Ok(MatrixMut { buffer, place })
    }
}

impl<'a, B> MatrixMut<'a, B> {
    /// The columns in `range` of every row; the stride stays.
    pub fn columns(self, range: Range<usize>) -> Result<Self> {
        Ok(MatrixMut { place: self.place.columns(range)?, ..self })
    }

    /// The rows in `range`.
    pub fn rows(self, range: Range<usize>) -> Result<Self> {
        Ok(MatrixMut { place: self.place.row_range(range)?, ..self })
    }

    /// The same view for a shorter time, so that it can be passed on more than once.
    pub fn reborrow(&mut self) -> MatrixMut<'_, B> {
        MatrixMut { buffer: self.buffer, place: self.place }
    }

    /// The same matrix to be read.
    pub fn as_ref(&self) -> Matrix<'_, B> {
        Matrix { buffer: self.buffer, place: self.place }
    }

    /// `[rows, cols]`.
    pub fn shape(&self) -> [usize; 2] {
        [self.place.rows, self.place.cols]
    }

    /// The format of its elements.
    pub fn dtype(&self) -> Dtype {
        self.place.dtype
    }
}

fn check_indices(buffer: usize, offset: usize, len: usize) -> Result<()> {
    let end = len.checked_mul(4).and_then(|bytes| bytes.checked_add(offset));
    match end {
        Some(end) if end <= buffer && offset.is_multiple_of(4) => Ok(()),
        _ => Err(Error::View {
            what: format!("{len} indices"),
            offset,
            end: end.unwrap_or(usize::MAX),
            len: buffer,
            align: 4,
        }),
    }
}

impl<'a, B: Memory> Indices<'a, B> {
    /// The first `len` numbers of a buffer. Fails with [`Error::View`] where it is too small.
    pub fn new(buffer: &'a B, len: usize) -> Result<Self> {
        Self::at(buffer, 0, len)
    }

    /// `len` numbers from byte `offset` (a multiple of 4) on.
    pub fn at(buffer: &'a B, offset: usize, len: usize) -> Result<Self> {
        check_indices(buffer.len(), offset, len)?;
        Ok(Indices { buffer, offset, len })
    }
}

impl<B> Indices<'_, B> {
    /// How many numbers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<'a, B: Memory> IndicesMut<'a, B> {
    /// As [`Indices::new`], to be written.
    pub fn new(buffer: &'a mut B, len: usize) -> Result<Self> {
        Self::at(buffer, 0, len)
    }

    /// As [`Indices::at`], to be written.
    pub fn at(buffer: &'a mut B, offset: usize, len: usize) -> Result<Self> {
        check_indices(buffer.len(), offset, len)?;
        Ok(IndicesMut { buffer, offset, len })
    }
}

impl<B> IndicesMut<'_, B> {
    /// How many numbers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
