//! Modules: PTX that is read for the names of its kernels, whose code the host has.

use std::ffi::{c_char, c_void};
use std::path::PathBuf;
use std::time::Duration;

use crate::abi::{Code, Handle, In, Out, Outcome, Text, handle, number, write_text};
use crate::driver::{Driver, call};
use crate::host_code::HostCode;
use crate::kernel::Function;
use crate::ptx::Ptx;
use crate::report::report;

/// A loaded module.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) device: usize,
    ptx: Ptx,
    hash: u64,
    /// Whether its kernels were compiled (or found in the cache).
    compiled: bool,
}

/// Whether kernels are compiled when they are first asked for (`CUDA_MODULE_LOADING`).
fn is_lazy() -> bool {
    std::env::var("CUDA_MODULE_LOADING").map_or(true, |mode| mode != "EAGER")
}

fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Where compiled kernels are kept. Without `CUDA_CACHE_PATH` not where the real driver does: a stand-in leaves no traces there.
fn cache() -> Option<PathBuf> {
    if std::env::var("CUDA_CACHE_DISABLE").is_ok_and(|value| value == "1") {
        return None;
    }
    let path = std::env::var_os("CUDA_CACHE_PATH").map(PathBuf::from);
    Some(path.unwrap_or_else(|| std::env::temp_dir().join("coldstart-stand-in-jit-cache")))
}

/// What CUDA versions take which PTX: 11.x up to 7.x, 12.x up to 8.x, 13.x up to 9.x.
fn newest_ptx(driver: i32) -> i32 {
    (driver / 1000 - 4) * 10 + driver % 1000 / 10
}

impl Driver {
    fn load_module(&mut self, image: &[u8]) -> Result<u64, Code> {
        let device = self.current()?;
        self.refuse_unsafe()?;
        self.faults.happens("module")?;
        let text = std::str::from_utf8(image).map_err(|_| Code::ERROR_INVALID_IMAGE)?;
        let ptx = Ptx::parse(text).ok_or(Code::ERROR_INVALID_IMAGE)?;
        if ptx.version > newest_ptx(self.config.driver_version) {
            return Err(Code::ERROR_UNSUPPORTED_PTX_VERSION);
        }
        let (major, minor) = self.config.capability;
        if ptx.target > major * 10 + minor {
            return Err(Code::ERROR_NO_BINARY_FOR_GPU);
        }
        if self.host_code.is_none() {
            match HostCode::open(&self.config.kernels) {
                Ok(code) => self.host_code = Some(code),
                Err(why) => {
                    report(&format!("no kernels for the host: {why}"));
                    return Err(Code::ERROR_SHARED_OBJECT_INIT_FAILED);
                }
            }
        }
        let made = self.new_handle();
        self.modules.insert(made, Module { device, ptx, hash: hash(image), compiled: false });
        if !is_lazy() {
            self.compile(made);
        }
        Ok(made)
    }

    /// Takes the time that compiling would take, unless the cache has it.
    fn compile(&mut self, module: u64) {
        let per_kernel = self.config.jit_us_per_kernel;
        let Some(module) = self.modules.get_mut(&module) else { return };
        if std::mem::replace(&mut module.compiled, true) {
            return;
        }
        let cost = Duration::from_micros(per_kernel * module.ptx.entries.len() as u64);
        let kept = cache().map(|dir| (dir.join(format!("{:016x}", module.hash)), dir));
        let warm = kept.as_ref().is_some_and(|(file, _)| file.exists());
        if let (Some((file, dir)), false) = (kept, warm) {
            // A cache that can't be written to is none.
            let _ = std::fs::create_dir_all(dir)
                .and_then(|()| std::fs::write(file, b"compiled by the stand-in\n"));
        }
        self.sleep(if warm { cost / 20 } else { cost });
    }
}

fn load(name: &'static str, module: Out<Handle>, image: Text) -> Code {
    call(name, |driver| {
        let made = driver.load_module(&image.bytes()?)?;
        module.set(handle(made))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoadData(module: Out<Handle>, image: Text) -> Code {
    load("cuModuleLoadData", module, image)
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoadDataEx(
    module: Out<Handle>,
    image: Text,
    count: u32,
    options: In<u32>,
    values: *mut *mut c_void,
) -> Code {
    let code = load("cuModuleLoadDataEx", module, image);
    let log = match code {
        Code::ERROR_INVALID_PTX | Code::ERROR_UNSUPPORTED_PTX_VERSION | Code::ERROR_NO_BINARY_FOR_GPU => {
            crate::config::Config::from_env().jit_log
        }
        _ => String::new(),
    };
    write_logs(&log, count, options, values);
    code
}

/// Fills the buffers for logs that the options name, and their sizes.
fn write_logs(log: &str, count: u32, options: In<u32>, values: *mut *mut c_void) {
    const INFO: (u32, u32) = (3, 4);
    const ERROR: (u32, u32) = (5, 6);
    let position = |wanted| (0..count as usize).find(|index| options.get(*index) == Ok(wanted));
    for ((buffer, size), text) in [(INFO, ""), (ERROR, log)] {
        let (Some(buffer), Some(size)) = (position(buffer), position(size)) else { continue };
        // SAFETY: the caller handed over as many values as options.
        unsafe {
            let room = *values.add(size) as usize;
            write_text((*values.add(buffer)).cast(), room, text);
            let written = if text.is_empty() { 0 } else { (text.len() + 1).min(room) };
            *values.add(size) = written as *mut c_void;
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoad(module: Out<Handle>, path: Text) -> Code {
    call("cuModuleLoad", |driver| {
        driver.current()?;
        let image = std::fs::read(path.string()?).map_err(|_| Code::ERROR_FILE_NOT_FOUND)?;
        let made = driver.load_module(&image)?;
        module.set(handle(made))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(module: Handle) -> Code {
    call("cuModuleUnload", |driver| {
        let device = driver.current()?;
        driver.refuse_unsafe()?;
        // Its kernels may be under way.
        driver.wait_for_device(device)?;
        driver.modules.remove(&number(module)).ok_or(Code::ERROR_INVALID_HANDLE)?;
        driver.functions.retain(|_, function| function.module != number(module));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleGetFunction(function: Out<Handle>, module: Handle, name: Text) -> Code {
    call("cuModuleGetFunction", |driver| {
        let made = get_function(driver, number(module), &name.string()?)?;
        function.set(handle(made))
    })
}

fn get_function(driver: &mut Driver, module: u64, name: &str) -> Result<u64, Code> {
    let device = driver.current()?;
    let found = driver.modules.get(&module).ok_or(Code::ERROR_INVALID_HANDLE)?;
    let entry =
        found.ptx.entries.iter().find(|entry| entry.name == name).ok_or(Code::ERROR_NOT_FOUND)?.clone();
    let ptx_version = found.ptx.version;
    let kernels = driver.host_code.as_ref().map_or(&[][..], |code| &code.kernels);
    let Some(kernel) = kernels.iter().position(|kernel| kernel.name == name) else {
        report(&format!("kernel `{name}` is in the PTX, but not among the kernels compiled for the host"));
        return Err(Code::ERROR_NOT_FOUND);
    };
    if kernels[kernel].sizes != entry.parameters {
        report(&format!(
            "kernel `{name}` has parameters of {:?} bytes in the PTX, but of {:?} on the host: is the PTX stale?",
            entry.parameters, kernels[kernel].sizes
        ));
        return Err(Code::ERROR_INVALID_IMAGE);
    }
    driver.compile(module);
    let known =
        driver.functions.iter().find(|(_, function)| function.module == module && &*function.name == name);
    if let Some((handle, _)) = known {
        return Ok(*handle);
    }
    let made = driver.new_handle();
    driver.functions.insert(made, Function::new(device, module, kernel, ptx_version, entry));
    Ok(made)
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleGetGlobal_v2(
    _address: Out<u64>,
    _bytes: Out<usize>,
    _module: Handle,
    _name: *const c_char,
) -> Code {
    call("cuModuleGetGlobal_v2", |driver| {
        driver.current()?;
        Err(Code::ERROR_NOT_FOUND)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleGetLoadingMode(mode: Out<i32>) -> Code {
    call("cuModuleGetLoadingMode", |driver| -> Outcome {
        driver.initialised()?;
        mode.set(if is_lazy() { 2 } else { 1 })
    })
}
