//! Matrix products and who runs them.

use std::fmt;

use crate::Dtype;

/// Who multiplies matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Implementation {
    /// The kernels of this crate.
    Own,
    /// NVIDIA's cuBLASLt.
    CublasLt,
}

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Implementation::Own => "own kernel",
            Implementation::CublasLt => "cuBLASLt",
        })
    }
}

/// Products of one shape and one set of formats, and what ran them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// `[m, n, k]` of `y[m, n] = x[m, k]·w[n, k]ᵀ`.
    pub shape: [usize; 3],
    /// The formats of x, w and y.
    pub dtypes: [Dtype; 3],
    /// Who ran them.
    pub implementation: Implementation,
    /// The kernel of ours, with the number of shares that k was split into where it was (`gemm_64x64_bf16 × 4`), or the
    /// library and its version.
    pub kernel: String,
    /// How often it was enqueued or recorded. Replays of a graph do not count.
    pub calls: u64,
}
