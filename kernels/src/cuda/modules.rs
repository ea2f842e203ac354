//! Handing the kernels to the driver.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cudarc::driver::sys;

use super::driver::dotted;
use super::primary::Primary;
use super::ptx::{self, Source};
use super::status;
use crate::{DriverStatus, Error, Result};

/// The CUDA version whose PTX the kernels are, as 1000·major + 10·minor.
const NEEDED: i32 = 12_020;
/// The same to be read.
const NEEDED_NAME: &str = "12.2";
/// What of the compiler's log is kept.
const LOG: usize = 16 << 10;
/// The dynamic shared memory that every kernel may have without asking.
const FREE_SHARED: u32 = 48 << 10;

/// What loading the kernels took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleReport {
    /// PTX handed to the driver, until the modules were there. The driver compiles here what its cache does not have.
    pub load: Duration,
    /// Resolving all functions, which loads each where that is done lazily.
    pub resolve: Duration,
    /// How many kernels.
    pub kernels: usize,
    /// The bytes of PTX.
    pub bytes: usize,
}

/// The loaded kernels of one device.
#[derive(Debug)]
pub(super) struct Kernels {
    primary: Arc<Primary>,
    modules: Vec<sys::CUmodule>,
    functions: HashMap<&'static str, Function>,
}

/// A kernel.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) handle: sys::CUfunction,
    /// The bytes of dynamic shared memory that it may have.
    shared: AtomicU32,
}

// SAFETY: the handles are only passed to the driver, whose functions may be called from any thread.
unsafe impl Send for Kernels {}
// SAFETY: as above.
unsafe impl Sync for Kernels {}

/// Loads every module and resolves every function.
pub(super) fn load(primary: &Arc<Primary>) -> Result<(Kernels, ModuleReport)> {
    // What is loaded before one is refused is unloaded again by the drop.
    let mut kernels =
        Kernels { primary: Arc::clone(primary), modules: Vec::new(), functions: HashMap::new() };
    let begin = Instant::now();
    for source in ptx::ALL {
        kernels.modules.push(module(primary, source)?);
    }
    let load = begin.elapsed();
    let names: Vec<(usize, &'static str, CString)> = ptx::ALL
        .iter()
        .enumerate()
        .flat_map(|(module, source)| source.kernels().map(move |name| (module, name)))
        .filter_map(|(module, name)| Some((module, name, CString::new(name).ok()?)))
        .collect();
    let begin = Instant::now();
    for (module, name, symbol) in &names {
        let mut handle = ptr::null_mut();
        // SAFETY: `handle` is writable, the module is loaded, and the name ends with a zero.
        primary.call(format_args!("resolve kernel {name}"), || unsafe {
            sys::cuModuleGetFunction(&mut handle, kernels.modules[*module], symbol.as_ptr())
        })?;
        kernels.functions.insert(*name, Function { handle, shared: AtomicU32::new(FREE_SHARED) });
    }
    let resolve = begin.elapsed();
    let bytes = ptx::ALL.iter().map(|source| source.text().len()).sum();
    let report = ModuleReport { load, resolve, kernels: kernels.functions.len(), bytes };
    Ok((kernels, report))
}

/// Loads one module, with room for what the driver's compiler says.
fn module(primary: &Primary, source: &Source) -> Result<sys::CUmodule> {
    use sys::CUjit_option as Option;
    let (mut errors, mut notes) = (vec![0_u8; LOG], vec![0_u8; LOG]);
    let mut options = [
        Option::CU_JIT_ERROR_LOG_BUFFER,
        Option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
        Option::CU_JIT_INFO_LOG_BUFFER,
        Option::CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
    ];
    // Numbers are passed in the place of the pointer.
    let size = || ptr::without_provenance_mut::<c_void>(LOG);
    let mut values = [errors.as_mut_ptr().cast(), size(), notes.as_mut_ptr().cast(), size()];
    let mut module = ptr::null_mut();
    let action = format_args!("load the kernels of {}", source.file());
    // SAFETY: `module`, the options and the logs are writable, and the lengths are theirs; the text ends with a zero.
    let answer = primary.attempt(action, || unsafe {
        sys::cuModuleLoadDataEx(
            &mut module,
            source.with_zero().as_ptr().cast(),
            options.len() as u32,
            options.as_mut_ptr(),
            values.as_mut_ptr(),
        )
    })?;
    match answer {
        Ok(()) => Ok(module),
        Err(status) if status::is_refusal(&status) => {
            Err(refused(primary, source, status, [&errors, &notes]))
        }
        Err(status) => Err(primary.error(action, status)),
    }
}

fn refused(primary: &Primary, source: &Source, status: DriverStatus, logs: [&[u8]; 2]) -> Error {
    let log: Box<str> = logs.map(text).join("\n").trim().into();
    let version = primary.driver.version_number();
    let (file, driver) = (source.file(), dotted(version));
    if version > 0 && version < NEEDED {
        return Error::DriverTooOld { file, driver, needed: NEEDED_NAME, status, log };
    }
    let remedy = status::remedy(status.code);
    Error::KernelsRefused { file, driver, status, remedy, log }
}

/// What a buffer holds up to the first zero.
fn text(buffer: &[u8]) -> String {
    let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
    String::from_utf8_lossy(&buffer[..end]).into_owned()
}

impl Kernels {
    /// A kernel by its name.
    pub(super) fn function(&self, name: &'static str) -> Result<&Function> {
        self.functions.get(name).ok_or(Error::NoKernel { name })
    }

    /// Lets a kernel have `shared` bytes of dynamic shared memory; more than 48 KiB must be asked for, once.
    pub(super) fn allow_shared(&self, name: &'static str, shared: u32) -> Result<()> {
        if shared <= FREE_SHARED {
            return Ok(());
        }
        let function = self.function(name)?;
        if shared <= function.shared.load(Ordering::Acquire) {
            return Ok(());
        }
        let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        let bytes = i32::try_from(shared).unwrap_or(i32::MAX);
        // SAFETY: the function is loaded; the driver refuses what the GPU does not have.
        let set = || unsafe { sys::cuFuncSetAttribute(function.handle, attribute, bytes) };
        self.primary.call(format_args!("give {name} {shared} bytes of shared memory a block"), set)?;
        function.shared.fetch_max(shared, Ordering::AcqRel);
        Ok(())
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        // SAFETY: the context is current. Nothing that runs may lose its code.
        self.primary.release(format_args!("wait for the kernels"), || unsafe { sys::cuCtxSynchronize() });
        for module in &self.modules {
            // SAFETY: the module is loaded, and nobody can launch its functions any more.
            self.primary.release(format_args!("unload kernels"), || unsafe { sys::cuModuleUnload(*module) });
        }
    }
}
