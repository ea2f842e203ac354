//! From a tensor's name to a checked view of the loaded weights.

use coldstart_kernels::{Dtype, Matrix, MatrixMut, Memory, Ops};

use super::error::ModelError;
use crate::weights::TensorTable;

/// Where a matrix of weights lies in the device buffer, with the type and the shape that config.json implies.
/// A vector is one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    offset: usize,
    dtype: Dtype,
    shape: [usize; 2],
}

impl Weight {
    /// The view of this tensor in the buffer that the weights were loaded into.
    pub(super) fn of<B: Memory>(self, weights: &B) -> Result<Matrix<'_, B>, ModelError> {
        Ok(Matrix::at(weights, self.offset, self.dtype, self.shape)?)
    }

    /// Its element type.
    pub(super) fn dtype(self) -> Dtype {
        self.dtype
    }

    /// Its size in bytes.
    pub(super) fn bytes(self) -> u64 {
        (self.shape[0] as u64).saturating_mul(self.shape[1] as u64).saturating_mul(self.dtype.size() as u64)
    }

    /// The bytes of one of its rows.
    pub(super) fn row_bytes(self) -> u64 {
        (self.shape[1] as u64).saturating_mul(self.dtype.size() as u64)
    }
}

/// Looks tensors up under a common prefix and checks them.
pub(super) struct Finder<'a> {
    table: &'a TensorTable,
    prefix: String,
}

impl<'a> Finder<'a> {
    /// Finds tensors whose names begin with `prefix`.
    pub(super) fn new(table: &'a TensorTable, prefix: &str) -> Self {
        Self { table, prefix: prefix.to_owned() }
    }

    /// The same, one level deeper.
    pub(super) fn under(&self, prefix: &str) -> Self {
        Self { table: self.table, prefix: format!("{}{prefix}", self.prefix) }
    }

    /// Whether there is such a tensor, of whatever shape.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.get(&format!("{}{name}", self.prefix)).is_some()
    }

    /// A matrix `[rows, columns]`.
    pub(super) fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Weight, ModelError> {
        self.find(name, &[rows, columns], [rows, columns])
    }

    /// A vector `[n]`.
    pub(super) fn vector(&self, name: &str, n: usize) -> Result<Weight, ModelError> {
        self.find(name, &[n], [1, n])
    }

    fn find(&self, name: &str, expected: &[usize], shape: [usize; 2]) -> Result<Weight, ModelError> {
        let name = format!("{}{name}", self.prefix);
        let Some(stored) = self.table.get(&name) else {
            return Err(ModelError::MissingTensor { name, expected: expected.to_vec() });
        };
        if stored.shape != expected {
            return Err(ModelError::WrongShape {
                name,
                expected: expected.to_vec(),
                found: stored.shape.clone(),
            });
        }
        let Some(dtype) = stored.kernel_dtype() else {
            return Err(ModelError::WrongDtype { name, found: stored.dtype.to_string() });
        };
        Ok(Weight { offset: stored.offset, dtype, shape })
    }
}

/// A projection `x·wᵀ + bias`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    pub(super) weight: Weight,
    pub(super) bias: Option<Weight>,
}

impl Linear {
    /// `NAME.weight` of shape `[out, in]`, and `NAME.bias` of shape `[out]` where the architecture has one.
    pub(super) fn find(
        from: &Finder<'_>,
        name: &str,
        [out, input]: [usize; 2],
        bias: bool,
    ) -> Result<Self, ModelError> {
        let weight = from.matrix(&format!("{name}.weight"), out, input)?;
        let bias = if bias { Some(from.vector(&format!("{name}.bias"), out)?) } else { None };
        Ok(Self { weight, bias })
    }

    /// Enqueues `y = x·wᵀ + bias`.
    pub(super) fn apply<O: Ops>(
        self,
        device: &O,
        weights: &O::Buffer,
        x: Matrix<'_, O::Buffer>,
        y: MatrixMut<'_, O::Buffer>,
    ) -> Result<(), ModelError> {
        let bias = self.bias.map(|bias| bias.of(weights)).transpose()?;
        Ok(device.linear(x, self.weight.of(weights)?, bias, y)?)
    }

    /// The bytes of its weight and bias.
    pub(super) fn bytes(self) -> u64 {
        self.weight.bytes().saturating_add(self.bias.map_or(0, Weight::bytes))
    }
}
