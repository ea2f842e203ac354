//! Activations: device memory that is allocated once for the largest batch and used by every forward pass.

use coldstart_kernels::{Device, Dtype, Matrix, MatrixMut, Memory};

use super::error::ModelError;

/// How large the forward passes are that memory is set aside for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Sequences in one batch.
    pub sequences: usize,
    /// Tokens of all sequences in one prefill or encoding.
    pub tokens: usize,
    /// Positions of each sequence that the KV cache holds: prompt and generated tokens. Encoders have none.
    pub context: usize,
}

impl Capacity {
    /// Rows that activations need: a decode step has one for each sequence.
    pub(super) fn rows(&self) -> usize {
        self.tokens.max(self.sequences)
    }

    pub(super) fn check(&self, decoder: bool) -> Result<(), ModelError> {
        let most = u32::MAX as usize; // what positions and rows are counted in on the device
        for (what, asked) in
            [("sequences", self.sequences), ("tokens", self.tokens), ("context", self.context)]
        {
            if asked > most {
                return Err(ModelError::TooLong { what, asked, limit: most });
            }
            if asked == 0 && (decoder || what != "context") {
                return Err(ModelError::Invalid { why: format!("its capacity has 0 {what}") });
            }
        }
        Ok(())
    }
}

/// Rows of one kind of activation, without gaps.
#[derive(Debug)]
pub(super) struct Rows<B> {
    buffer: B,
    columns: usize,
    dtype: Dtype,
}

impl<B: Memory> Rows<B> {
    /// Room for so many rows.
    pub(super) fn alloc<D: Device<Buffer = B>>(
        device: &D,
        rows: usize,
        columns: usize,
        dtype: Dtype,
    ) -> Result<Self, ModelError> {
        // A size that saturates is refused by the allocation.
        let bytes = rows.saturating_mul(columns).saturating_mul(dtype.size());
        Ok(Self { buffer: device.alloc(bytes)?, columns, dtype })
    }

    /// The first `rows` rows, to be read.
    pub(super) fn view(&self, rows: usize) -> Result<Matrix<'_, B>, ModelError> {
        Ok(Matrix::new(&self.buffer, self.dtype, [rows, self.columns])?)
    }

    /// The first `rows` rows, to be written.
    pub(super) fn view_mut(&mut self, rows: usize) -> Result<MatrixMut<'_, B>, ModelError> {
        Ok(MatrixMut::new(&mut self.buffer, self.dtype, [rows, self.columns])?)
    }

    /// The memory itself.
    pub(super) fn buffer(&self) -> &B {
        &self.buffer
    }
}

/// Bytes of `rows` rows of `columns` numbers.
pub(super) fn row_bytes(rows: usize, columns: usize, dtype: Dtype) -> u64 {
    (rows as u64).saturating_mul(columns as u64).saturating_mul(dtype.size() as u64)
}

/// Copies the first numbers of a buffer to the host, after everything that was enqueued before.
pub(super) fn download<D: Device, T: bytemuck::Pod>(
    device: &D,
    source: &D::Buffer,
    target: &mut [T],
) -> Result<(), ModelError> {
    Ok(device.download(device.compute(), source, 0, bytemuck::cast_slice_mut(target))?)
}
