//! Matrix products: our own kernels (`cuda/gemm.cu`, `cuda/gemm_f32.cu`, `cuda/gemv.cu`), and cuBLASLt where it was loaded.
//!
//! Our own run from the first call on. cuBLASLt takes hundreds of milliseconds to load, so it is used only by whom that
//! was worth it ([`CudaDevice::load_cublaslt`]), and then for products of more than [`FEW`] rows: those of fewer are bound by
//! reading `w` once, which our own do. What ran for which shape is kept ([`Ops::products`](crate::Ops::products)).

mod choose;
mod library;
mod lt;
mod own;
mod record;

use std::sync::Mutex;

pub use lt::CublasLt;

use super::device::CudaDevice;
use super::ops::{Read, Write};
use super::primary::lock;
use crate::view::Place;
use crate::{Dtype, Error, Implementation, Product, Result, shape};
use choose::Plan;
use lt::Lt;
use record::Record;

/// Up to so many rows of x our own kernels are used in any case.
const FEW: usize = 16;

/// What a device knows of its products.
#[derive(Debug, Default)]
pub(super) struct Products(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lt: Option<Lt>,
    /// Whether `linear` uses it.
    use_lt: bool,
    record: Record,
}

/// What products have in common that are planned and run the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    m: usize,
    n: usize,
    k: usize,
    x: Operand,
    w: Operand,
    y: Operand,
    bias: Option<Operand>,
    /// Who was asked for, where that is not left to us.
    only: Option<Implementation>,
}

/// How an operand lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Operand {
    dtype: Dtype,
    stride: usize,
    /// The largest power of two up to 256 that its address is a multiple of.
    alignment: u32,
}

impl Operand {
    fn new(address: u64, place: &Place) -> Operand {
        // The stride of a single row means nothing.
        let stride = if place.rows > 1 { place.stride } else { place.cols };
        Operand { dtype: place.dtype, stride, alignment: 1 << (address | 256).trailing_zeros() }
    }

    /// Whether all rows (of which there may be one) begin at multiples of `bytes`.
    fn aligned(&self, rows: usize, bytes: usize) -> bool {
        self.alignment as usize >= bytes
            && (rows <= 1 || (self.stride * self.dtype.size()).is_multiple_of(bytes))
    }
}

/// The operands of a product, their shapes checked.
struct Operands<'a> {
    x: Read<'a>,
    w: Read<'a>,
    bias: Option<Read<'a>>,
    y: Write<'a>,
}

/// Where element [0, 0] is.
fn address(x: &Read<'_>) -> u64 {
    x.buffer.address() + x.place.offset as u64
}

impl Operands<'_> {
    fn key(&self, only: Option<Implementation>) -> Key {
        let operand = |x: &Read<'_>| Operand::new(address(x), &x.place);
        Key {
            m: self.x.place.rows,
            n: self.w.place.rows,
            k: self.x.place.cols,
            x: operand(&self.x),
            w: operand(&self.w),
            y: operand(&self.y.as_ref()),
            bias: self.bias.as_ref().map(operand),
            only,
        }
    }
}

/// How a product is run.
#[derive(Debug)]
enum Way {
    Own(Plan),
    Lt(lt::Planned),
}

/// The implementation that runs matrix products.
pub(super) fn name(device: &CudaDevice) -> String {
    let state = lock(&device.gemm_state().0);
    match &state.lt {
        Some(lt) if state.use_lt => {
            let (own, few) = (Implementation::Own, FEW);
            format!("{} {} (m > {few}), {own} (m ≤ {few})", Implementation::CublasLt, lt.report().version)
        }
        _ => Implementation::Own.to_string(),
    }
}

/// Every product so far, and what ran it.
pub(super) fn products(device: &CudaDevice) -> Vec<Product> {
    lock(&device.gemm_state().0).record.products()
}

pub(super) fn linear(
    device: &CudaDevice,
    x: Read<'_>,
    w: Read<'_>,
    bias: Option<Read<'_>>,
    y: Write<'_>,
) -> Result<()> {
    run(device, None, x, w, bias, y)
}

fn run(
    device: &CudaDevice,
    only: Option<Implementation>,
    x: Read<'_>,
    w: Read<'_>,
    bias: Option<Read<'_>>,
    y: Write<'_>,
) -> Result<()> {
    shape::linear(&x.place, &w.place, bias.as_ref().map(|bias| &bias.place), &y.place)?;
    let mut operands = Operands { x, w, bias, y };
    let key = operands.key(only);
    if key.m == 0 || key.n == 0 {
        return Ok(());
    }
    for number in [key.m, key.n, key.k] {
        if i32::try_from(number).is_err() {
            let what = format!("{number} is more than a kernel counts: take a smaller batch");
            return Err(Error::Shape { op: "linear", what });
        }
    }
    let state = &mut *lock(&device.gemm_state().0);
    let State { lt, use_lt, record } = state;
    let way = match record.find(&key) {
        Some(way) => way,
        None => record.add(key, plan(device, &key, lt.as_ref(), *use_lt)?),
    };
    match (way, lt) {
        (Way::Lt(planned), Some(lt)) => lt.run(device, planned, &mut operands),
        (Way::Own(plan), _) => own::run(device, plan, &mut operands),
        // Plans that name a library that is gone: there are none, since it is never unloaded.
        (Way::Lt(_), None) => Err(lt::not_loaded()),
    }
}

fn plan(device: &CudaDevice, key: &Key, lt: Option<&Lt>, use_lt: bool) -> Result<Way> {
    let own = || Way::Own(own_plan(device, key));
    match key.only {
        Some(Implementation::Own) => Ok(own()),
        Some(Implementation::CublasLt) => match lt.ok_or_else(lt::not_loaded)?.plan(device, key)? {
            Some(planned) => Ok(Way::Lt(planned)),
            None => Err(lt::failed(format!(
                "it has no algorithm for [{}, {}] by [{}, {}]ᵀ of {} and {}",
                key.m, key.k, key.n, key.k, key.x.dtype, key.w.dtype
            ))),
        },
        None => match lt.filter(|_| use_lt && key.m > FEW) {
            Some(lt) => Ok(lt.plan(device, key)?.map_or_else(own, Way::Lt)),
            None => Ok(own()),
        },
    }
}

/// How our own kernels run a product. Partial sums need memory that is not to be had while a graph is recorded, or at all;
/// then the sum is not split. Whatever else may be wrong with the device will be said by the launch.
fn own_plan(device: &CudaDevice, key: &Key) -> Plan {
    let plan = choose::plan(key, device.multiprocessors());
    match plan.partials(key) {
        0 => plan,
        bytes if device.scratch(bytes).is_ok() => plan,
        _ => plan.unsplit(key),
    }
}

impl CudaDevice {
    /// Loads cuBLASLt, makes a handle and its workspace, and from then on uses it for products of more than a few rows, as
    /// [`gemm_name`](crate::Ops::gemm_name) says. The first call takes what [`CublasLt::load`] says, later ones find it done.
    ///
    /// The library is looked for as `COLDSTART_CUBLASLT` says (the library, or a directory that holds it, such as that of
    /// a Python environment with NVIDIA's packages), or else as the loader finds `libcublasLt.so` of CUDA 13 or 12.
    ///
    /// # Errors
    /// [`Error::CublasLt`] where there is none that works here, with what was tried; [`Error::OutOfMemory`].
    pub fn load_cublaslt(&self) -> Result<CublasLt> {
        let state = &mut *lock(&self.gemm_state().0);
        let report = match &state.lt {
            Some(lt) => lt.report().clone(),
            None => state.lt.insert(Lt::load(self)?).report().clone(),
        };
        state.use_lt = true;
        state.record.forget_choices();
        Ok(report)
    }

    /// Lets [`linear`](crate::Ops::linear) use what was loaded by [`load_cublaslt`](CudaDevice::load_cublaslt), or only our own
    /// kernels.
    ///
    /// # Errors
    /// [`Error::CublasLt`] where it was not loaded.
    pub fn use_gemm(&self, implementation: Implementation) -> Result<()> {
        let state = &mut *lock(&self.gemm_state().0);
        let use_lt = implementation == Implementation::CublasLt;
        if use_lt && state.lt.is_none() {
            return Err(lt::not_loaded());
        }
        state.use_lt = use_lt;
        state.record.forget_choices();
        Ok(())
    }

    /// [`linear`](crate::Ops::linear) by one implementation, whatever the shape.
    ///
    /// # Errors
    /// As `linear`; [`Error::CublasLt`] where that is asked for and was not loaded or cannot multiply these operands.
    pub fn linear_with(
        &self,
        implementation: Implementation,
        x: Read<'_>,
        w: Read<'_>,
        bias: Option<Read<'_>>,
        y: Write<'_>,
    ) -> Result<()> {
        run(self, Some(implementation), x, w, bias, y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_aligned_where_all_of_them_are() {
        let place = |rows, stride| Place { offset: 0, dtype: Dtype::F16, rows, cols: 8, stride };
        for (at, rows, stride, alignment, aligned) in [
            (512, 4, 8, 256, true),
            (16, 4, 8, 16, true),
            (8, 4, 8, 8, false),
            (512, 4, 12, 256, false),
            (512, 1, 12, 256, true),
            (2, 1, 8, 2, false),
        ] {
            let operand = Operand::new(at, &place(rows, stride));
            assert_eq!((operand.alignment, operand.aligned(rows, 16)), (alignment, aligned), "{operand:?}");
        }
    }
}
