//! A matrix product of its own, for the peak that a device reaches.

use crate::cuda::{CudaBuffer, CudaDevice};
use crate::{Dtype, Error, Implementation, Matrix, MatrixMut, Memory, Ops, Result, flops};

/// The operands of one `y[m, n] = x[m, k]·w[n, k]ᵀ`, allocated and filled with random numbers, to be run again and again.
#[derive(Debug)]
pub struct GemmRun<B> {
    x: B,
    w: B,
    y: B,
    shape: [usize; 3],
    weights: Dtype,
    activations: Dtype,
}

impl<B: Memory> GemmRun<B> {
    /// Allocates and fills the operands; `shape` is `[m, n, k]`, weights are of format `weights`.
    pub fn new<O: Ops<Buffer = B>>(ops: &O, [m, n, k]: [usize; 3], weights: Dtype) -> Result<Self> {
        let activations = ops.activation_dtype(weights);
        let bytes = |rows: usize, cols: usize, dtype: Dtype| {
            rows.checked_mul(cols).and_then(|elements| elements.checked_mul(dtype.size())).ok_or_else(|| {
                Error::Shape { op: "GemmRun::new", what: format!("[{rows}, {cols}] of {dtype} is too large") }
            })
        };
        let mut x = ops.alloc(bytes(m, k, activations)?)?;
        let mut w = ops.alloc(bytes(n, k, weights)?)?;
        let y = ops.alloc(bytes(m, n, activations)?)?;
        ops.fill_uniform(MatrixMut::new(&mut x, activations, [m, k])?, 1, 1.0)?;
        ops.fill_uniform(MatrixMut::new(&mut w, weights, [n, k])?, 2, 1.0)?;
        Ok(GemmRun { x, w, y, shape: [m, n, k], weights, activations })
    }

    /// Enqueues the product once.
    pub fn enqueue<O: Ops<Buffer = B>>(&mut self, ops: &O) -> Result<()> {
        let [m, n, k] = self.shape;
        let x = Matrix::new(&self.x, self.activations, [m, k])?;
        let w = Matrix::new(&self.w, self.weights, [n, k])?;
        ops.linear(x, w, None, MatrixMut::new(&mut self.y, self.activations, [m, n])?)
    }

    /// Floating-point operations of one product: 2·m·n·k.
    pub fn flops(&self) -> u64 {
        let [m, n, k] = self.shape;
        flops::linear(m, n, k)
    }
}

impl GemmRun<CudaBuffer> {
    /// Enqueues the product once, by one implementation.
    ///
    /// # Errors
    /// [`Error::CublasLt`] where that is asked for and was not loaded ([`CudaDevice::load_cublaslt`]).
    pub fn enqueue_with(&mut self, device: &CudaDevice, implementation: Implementation) -> Result<()> {
        let [m, n, k] = self.shape;
        let x = Matrix::new(&self.x, self.activations, [m, k])?;
        let w = Matrix::new(&self.w, self.weights, [n, k])?;
        let y = MatrixMut::new(&mut self.y, self.activations, [m, n])?;
        device.linear_with(implementation, x, w, None, y)
    }
}
