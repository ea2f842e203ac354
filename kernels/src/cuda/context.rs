//! The context of one GPU, before there are kernels in it.

use std::sync::Arc;

use cudarc::driver::sys;

use super::device::CudaDevice;
use super::diagnosis;
use super::driver::Driver;
use super::modules::{self, ModuleReport};
use super::primary::{Primary, attribute_of};
use super::status::check;
use crate::{Error, Kind, Result};

/// Whether the driver loads a module's kernels when the module is loaded, or each when it is first asked for
/// (`CUDA_MODULE_LOADING`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loading {
    /// At once.
    Eager,
    /// When its function is first resolved; the default of drivers from 12.2 on.
    Lazy,
}

/// The primary context of one GPU, current on the thread that made it.
#[derive(Debug)]
pub struct Context(Arc<Primary>);

impl Context {
    /// Retains the primary context of GPU number `index` and waits until it answers.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where there is no such GPU, or it takes no context: busy, out of memory, MIG without an instance.
    pub fn create(driver: Driver, index: usize) -> Result<Context> {
        let none = |why| Error::NoDevice { kind: Kind::Cuda, index: Some(index), why };
        let count = driver.devices()?;
        let ordinal = i32::try_from(index).ok().filter(|_| index < count);
        let ordinal = ordinal.ok_or_else(|| none(diagnosis::no_such_gpu(index, count)))?;
        let mut device = 0;
        // SAFETY: `device` is writable.
        let code = unsafe { sys::cuDeviceGet(&mut device, ordinal) };
        check(code).map_err(|status| none(diagnosis::no_context(&status, index, None)))?;
        let refused = |status| {
            let mode = attribute_of(device, sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_MODE).ok();
            none(diagnosis::no_context(&status, index, mode))
        };
        let primary = Primary::retain(driver, index, device).map_err(refused)?;
        primary.make_current().map_err(refused)?;
        // SAFETY: the context is current.
        check(unsafe { sys::cuCtxSynchronize() }).map_err(refused)?;
        Ok(Context(Arc::new(primary)))
    }

    /// How its kernels are loaded.
    pub fn loading(&self) -> Result<Loading> {
        let mut mode = sys::CUmoduleLoadingMode::CU_MODULE_EAGER_LOADING;
        // SAFETY: `mode` is writable, and the driver knows no other modes.
        self.0.call(format_args!("ask how modules are loaded"), || unsafe {
            sys::cuModuleGetLoadingMode(&mut mode)
        })?;
        Ok(if mode == sys::CUmoduleLoadingMode::CU_MODULE_LAZY_LOADING {
            Loading::Lazy
        } else {
            Loading::Eager
        })
    }

    /// Hands all kernels to the driver and resolves every function, which loads it where that is done lazily.
    ///
    /// # Errors
    /// [`Error::DriverTooOld`] or [`Error::KernelsRefused`], with what the driver's compiler said.
    pub fn load_kernels(self) -> Result<(CudaDevice, ModuleReport)> {
        let (kernels, report) = modules::load(&self.0)?;
        Ok((CudaDevice::new(self.0, kernels)?, report))
    }
}
