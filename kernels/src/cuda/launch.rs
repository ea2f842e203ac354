//! Launching kernels: the arguments, in the order of the kernel's parameters, and the grid.

use cudarc::driver::sys;

use super::device::CudaDevice;
use super::memory::CudaBuffer;
use crate::view::Place;
use crate::{Dtype, Error, Indices, IndicesMut, Matrix, MatrixMut, Result};

/// The largest parameter list of our kernels.
const MOST: usize = 24;

/// One parameter, as the driver reads it: at most a `Matrix` with its format.
type Slot = [u64; 4];

/// A kernel with the arguments that were pushed so far.
pub(super) struct Launch<'d> {
    device: &'d CudaDevice,
    name: &'static str,
    function: sys::CUfunction,
    slots: [Slot; MOST],
    count: usize,
    /// A number that an `int` does not hold.
    too_large: Option<usize>,
}

/// The number that kernels know a format by; the position in [`Dtype::ALL`].
pub(super) fn dtype_code(dtype: Dtype) -> i32 {
    match dtype {
        Dtype::F32 => 0,
        Dtype::F16 => 1,
        Dtype::Bf16 => 2,
    }
}

/// The suffix of kernels that exist once a format: `f32`, `f16`, `bf16`.
pub(super) fn suffix(dtype: Dtype) -> usize {
    dtype_code(dtype) as usize
}

/// The names of a kernel that exists once a format, by [`suffix`]: `names!("add")[suffix(dtype)]` is `add_bf16`.
macro_rules! names {
    ($name:literal) => {
        [concat!($name, "_f32"), concat!($name, "_f16"), concat!($name, "_bf16")]
    };
}
pub(super) use names;

impl<'d> Launch<'d> {
    pub(super) fn new(device: &'d CudaDevice, name: &'static str, function: sys::CUfunction) -> Self {
        Launch { device, name, function, slots: [[0; 4]; MOST], count: 0, too_large: None }
    }

    fn push(mut self, slot: Slot) -> Self {
        debug_assert!(self.count < MOST, "{} has too many parameters", self.name);
        if let Some(place) = self.slots.get_mut(self.count) {
            *place = slot;
            self.count += 1;
        }
        self
    }

    fn place(mut self, base: u64, place: &Place, any: bool) -> Self {
        self.fits(place.rows);
        self.fits(place.cols);
        self.push(slot(base, place, any))
    }

    /// Remembers a number that an `int` does not hold, for the launch to fail.
    fn fits(&mut self, number: usize) {
        if i32::try_from(number).is_err() {
            self.too_large.get_or_insert(number);
        }
    }

    /// The kernel's `Matrix<const T>`.
    pub(super) fn matrix(self, matrix: &Matrix<'_, CudaBuffer>) -> Self {
        self.place(matrix.buffer.address(), &matrix.place, false)
    }

    /// The kernel's `Matrix<T>`.
    pub(super) fn matrix_mut(self, matrix: &MatrixMut<'_, CudaBuffer>) -> Self {
        self.place(matrix.buffer.address(), &matrix.place, false)
    }

    /// The kernel's `AnyMatrix`.
    pub(super) fn any(self, matrix: &Matrix<'_, CudaBuffer>) -> Self {
        self.place(matrix.buffer.address(), &matrix.place, true)
    }

    /// The kernel's `AnyMatrixMut`.
    pub(super) fn any_mut(self, matrix: &MatrixMut<'_, CudaBuffer>) -> Self {
        self.place(matrix.buffer.address(), &matrix.place, true)
    }

    /// An `AnyMatrix` that is not there: no data, no rows.
    pub(super) fn no_matrix(self) -> Self {
        self.push([0; 4])
    }

    /// The kernel's `Global<const u32>`.
    pub(super) fn indices(self, indices: &Indices<'_, CudaBuffer>) -> Self {
        self.address(indices.buffer.address() + indices.offset as u64)
    }

    /// The kernel's `Global<u32>`.
    pub(super) fn indices_mut(self, indices: &IndicesMut<'_, CudaBuffer>) -> Self {
        self.address(indices.buffer.address() + indices.offset as u64)
    }

    /// The kernel's `Global<T>` of any T, or an `unsigned long long`.
    pub(super) fn address(self, address: u64) -> Self {
        self.push([address, 0, 0, 0])
    }

    /// The kernel's `int`. What does not fit fails at the launch.
    pub(super) fn int(mut self, number: usize) -> Self {
        self.fits(number);
        self.push([number as u64, 0, 0, 0])
    }

    /// The kernel's `long long`.
    pub(super) fn long(self, number: usize) -> Self {
        self.push([number as u64, 0, 0, 0])
    }

    /// The kernel's `unsigned`.
    pub(super) fn word(self, number: u32) -> Self {
        self.push([u64::from(number), 0, 0, 0])
    }

    /// The kernel's `float`.
    pub(super) fn float(self, number: f32) -> Self {
        self.push([u64::from(number.to_bits()), 0, 0, 0])
    }

    /// Enqueues it on the compute stream, with `shared` bytes of dynamic shared memory. An empty grid does nothing.
    pub(super) fn launch(mut self, grid: [usize; 3], block: [u32; 3], shared: usize) -> Result<()> {
        if grid.contains(&0) {
            return Ok(());
        }
        if let Some(number) = self.too_large {
            let what = format!("{number} is more than the kernel counts to: take a smaller batch");
            return Err(Error::Shape { op: self.name, what });
        }
        if grid[0] > i32::MAX as usize || grid[1] > 65_535 || grid[2] > 65_535 {
            return Err(Error::Shape {
                op: self.name,
                what: format!("{grid:?} blocks are more than a grid takes: take a smaller batch"),
            });
        }
        let mut parameters = [std::ptr::null_mut(); MOST];
        for (parameter, slot) in parameters.iter_mut().zip(&mut self.slots[..self.count]) {
            *parameter = std::ptr::from_mut(slot).cast();
        }
        let grid = grid.map(|blocks| blocks as u32);
        let shared = u32::try_from(shared).unwrap_or(u32::MAX);
        self.device.launch_raw(self.name, self.function, grid, block, shared, &mut parameters)
    }
}

/// `Matrix<T>` {data, rows, cols, stride} and, behind it, the format of an `AnyMatrix`, as the C compiler lays them out.
fn slot(base: u64, place: &Place, any: bool) -> Slot {
    let sizes = (place.rows as u64 & 0xFFFF_FFFF) | (place.cols as u64) << 32;
    let code = if any { dtype_code(place.dtype) as u64 } else { 0 };
    [base + place.offset as u64, sizes, place.stride as u64, code]
}

#[cfg(test)]
mod tests {
    use coldstart_stand_in::{in_process, this_test};

    use super::*;
    use crate::{Device, Memory};

    #[test]
    fn what_does_not_fit_a_launch_is_refused() {
        in_process(this_test!(), &[], || {
            let device = CudaDevice::open(0).unwrap();
            let launch = || device.kernel("advance").unwrap();
            let said = |launched: Result<()>| launched.unwrap_err().to_string();
            let block = [32, 1, 1];
            assert!(said(launch().int(1 << 31).launch([1, 1, 1], block, 0)).contains("2147483648 is more"));
            assert!(said(launch().launch([1, 65_536, 1], block, 0)).contains("blocks are more"));
            let shared = said(launch().launch([1, 1, 1], block, 1 << 20));
            assert!(shared.contains("give advance 1048576 bytes of shared memory"), "{shared}");
            let missing = "none";
            assert!(matches!(device.kernel(missing), Err(Error::NoKernel { name: "none" })));
            // Nothing to do is done, whatever the arguments.
            launch().launch([0, 1, 1], block, 0).unwrap();
            device.sync().unwrap();
        });
    }

    #[test]
    fn scratch_grows_and_stays_where_it_was() {
        in_process(this_test!(), &[], || {
            let device = CudaDevice::open(0).unwrap();
            let first = device.scratch(100).unwrap();
            assert_eq!(device.scratch(1000).unwrap(), first, "there is room for both");
            let free = device.memory().unwrap().free;
            device.begin_record().unwrap();
            assert_eq!(device.scratch(50).unwrap(), first);
            assert!(matches!(device.scratch(64 << 20), Err(Error::Recording { .. })));
            drop(device.end_record().unwrap());
            let second = device.scratch(64 << 20).unwrap();
            assert!(second != first && free - device.memory().unwrap().free >= 64 << 20);
            assert_eq!(device.scratch(8).unwrap(), second);
            // The first piece is still there: a graph may use it.
            assert!(device.alloc(100).unwrap().len() == 100 && device.scratch(0).unwrap() == second);
            let all = device.memory().unwrap().total;
            assert!(matches!(device.scratch(all as usize), Err(Error::OutOfMemory { .. })));
            assert_eq!(device.scratch(8).unwrap(), second, "what there was stays in use");
        });
    }
}
