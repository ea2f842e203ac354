//! Products: what is described, and computing it.

use std::ffi::c_void;

use half::{bf16, f16};

/// `cudaDataType_t`, as far as it is played.
pub(crate) const F32: i32 = 0;
const F16: i32 = 2;
const BF16: i32 = 14;

/// A column-major matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Layout {
    pub(crate) format: i32,
    pub(crate) rows: u64,
    pub(crate) cols: u64,
    pub(crate) stride: i64,
}

/// Whether a format is one that is played.
pub(crate) fn known(format: i32) -> bool {
    [F32, F16, BF16].contains(&format)
}

impl Layout {
    fn size(&self) -> u64 {
        if self.format == F32 { 4 } else { 2 }
    }

    /// The bytes from the first element to the last.
    pub(crate) fn bytes(&self) -> u64 {
        match (self.rows, self.cols) {
            (0, _) | (_, 0) => 0,
            (rows, cols) => ((cols - 1) * self.stride as u64 + rows) * self.size(),
        }
    }

    /// Element [row, col] of the matrix at `base`.
    ///
    /// # Safety
    /// The matrix lies there and may be read.
    unsafe fn get(&self, base: u64, row: u64, col: u64) -> f32 {
        let place = base + (col * self.stride as u64 + row) * self.size();
        // SAFETY: the caller's promise.
        unsafe {
            match self.format {
                F32 => (place as *const f32).read_unaligned(),
                F16 => (place as *const f16).read_unaligned().to_f32(),
                _ => (place as *const bf16).read_unaligned().to_f32(),
            }
        }
    }

    /// Sets it.
    ///
    /// # Safety
    /// The matrix lies there and may be written.
    unsafe fn set(&self, base: u64, row: u64, col: u64, x: f32) {
        let place = base + (col * self.stride as u64 + row) * self.size();
        // SAFETY: the caller's promise.
        unsafe {
            match self.format {
                F32 => (place as *mut f32).write_unaligned(x),
                F16 => (place as *mut f16).write_unaligned(f16::from_f32(x)),
                _ => (place as *mut bf16).write_unaligned(bf16::from_f32(x)),
            }
        }
    }
}

/// d = aᵀ·b + bias, with one number of the bias a row of d.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) a: (u64, Layout),
    pub(crate) b: (u64, Layout),
    pub(crate) d: (u64, Layout),
    pub(crate) bias: Option<u64>,
}

impl Product {
    /// The bias as a matrix of one column.
    pub(crate) fn bias_layout(&self) -> Layout {
        Layout { cols: 1, ..self.d.1 }
    }

    /// Computes it, with sums in f32.
    fn run(&self) {
        let ((a, of_a), (b, of_b), (d, of_d)) = (self.a, self.b, self.d);
        for col in 0..of_d.cols {
            for row in 0..of_d.rows {
                // SAFETY: the driver has checked all operands against its memory when the product was enqueued, which is
                // memory of the host.
                unsafe {
                    let mut sum = 0.0;
                    for k in 0..of_a.rows {
                        sum += of_a.get(a, k, row) * of_b.get(b, k, col);
                    }
                    let added = self.bias.map_or(0.0, |bias| self.bias_layout().get(bias, row, 0));
                    of_d.set(d, row, col, sum + added);
                }
            }
        }
    }
}

/// What the stream calls; `product` is a [`Product`] that lives as long as the process.
pub(crate) extern "C" fn run(product: *mut c_void) {
    // SAFETY: see above.
    unsafe { &*product.cast::<Product>() }.run();
}
