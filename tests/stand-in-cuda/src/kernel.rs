//! Kernels: their attributes and their launches.

use std::ffi::c_void;
use std::sync::Arc;

use crate::abi::{Code, Handle, In, Out, bytes_at, number};
use crate::driver::{Driver, call};
use crate::ptx::Entry;
use crate::queue::{Launch, Op};
use crate::report::report;

/// Shared memory that a block gets without asking for more, in bytes.
const SHARED: i32 = 49_152;

const MAX_DYNAMIC_SHARED: i32 = 8;
const CARVEOUT: i32 = 9;

/// A kernel of a loaded module.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) device: usize,
    pub(crate) module: u64,
    pub(crate) name: Arc<str>,
    kernel: usize,
    ptx_version: i32,
    parameters: Vec<u32>,
    max_threads: u32,
    static_shared: i32,
    max_dynamic_shared: i32,
}

impl Function {
    pub(crate) fn new(device: usize, module: u64, kernel: usize, ptx_version: i32, entry: Entry) -> Function {
        let static_shared = entry.static_shared as i32;
        Function {
            device,
            module,
            name: Arc::from(entry.name),
            kernel,
            ptx_version,
            parameters: entry.parameters,
            max_threads: entry.max_threads.unwrap_or(1024),
            static_shared,
            max_dynamic_shared: (SHARED - static_shared).max(0),
        }
    }
}

impl Driver {
    fn function(&mut self, function: Handle) -> Result<&mut Function, Code> {
        let device = self.current()?;
        match self.functions.get_mut(&number(function)) {
            Some(found) if found.device == device => Ok(found),
            _ => Err(Code::ERROR_INVALID_HANDLE),
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncGetAttribute(value: Out<i32>, attribute: i32, function: Handle) -> Code {
    call("cuFuncGetAttribute", |driver| {
        let (major, minor) = driver.config.capability;
        let function = driver.function(function)?;
        value.set(match attribute {
            0 => function.max_threads as i32,
            1 => function.static_shared,
            2 | 3 | 7 => 0,
            4 => 32,
            5 => function.ptx_version,
            6 => major * 10 + minor,
            MAX_DYNAMIC_SHARED => function.max_dynamic_shared,
            CARVEOUT => -1,
            _ => return Err(Code::ERROR_INVALID_VALUE),
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetAttribute(function: Handle, attribute: i32, value: i32) -> Code {
    call("cuFuncSetAttribute", |driver| {
        let most = driver.config.shared_optin();
        let function = driver.function(function)?;
        match attribute {
            MAX_DYNAMIC_SHARED if value >= 0 && value <= most - function.static_shared => {
                function.max_dynamic_shared = value;
                Ok(())
            }
            CARVEOUT if (-1..=100).contains(&value) => Ok(()),
            _ => Err(Code::ERROR_INVALID_VALUE),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncLoad(function: Handle) -> Code {
    call("cuFuncLoad", |driver| driver.function(function).map(|_| ()))
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetCacheConfig(function: Handle, _config: i32) -> Code {
    call("cuFuncSetCacheConfig", |driver| driver.function(function).map(|_| ()))
}

#[unsafe(no_mangle)]
extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Out<i32>,
    function: Handle,
    block_size: i32,
    dynamic_shared: usize,
) -> Code {
    call("cuOccupancyMaxActiveBlocksPerMultiprocessor", |driver| {
        let shared = driver.config.shared_optin();
        let function = driver.function(function)?;
        if block_size <= 0 || block_size > function.max_threads as i32 {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        let used = function.static_shared as i64 + dynamic_shared as i64 + 1024;
        let by_threads = 2048 / i64::from((block_size as u32).next_multiple_of(32));
        blocks.set(by_threads.min(i64::from(shared + 1024) / used).min(32) as i32)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared: u32,
    stream: Handle,
    parameters: In<*const c_void>,
    extra: In<*const c_void>,
) -> Code {
    call("cuLaunchKernel", |driver| {
        let stream = driver.stream(stream)?;
        let function = driver.function(function)?;
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let threads = block.iter().map(|size| u64::from(*size)).product::<u64>();
        let wrong = if grid.contains(&0) || block.contains(&0) {
            "an empty grid or block"
        } else if grid_x > i32::MAX as u32 || grid_y > 65_535 || grid_z > 65_535 {
            "more blocks than a grid takes"
        } else if block_x > 1024
            || block_y > 1024
            || block_z > 64
            || threads > u64::from(function.max_threads)
        {
            "more threads than a block of this kernel takes"
        } else if shared as i64 > i64::from(function.max_dynamic_shared) {
            "more shared memory than this kernel was given by cuFuncSetAttribute"
        } else if !extra.is_null() || (parameters.is_null() && !function.parameters.is_empty()) {
            "no parameters"
        } else {
            ""
        };
        if !wrong.is_empty() {
            report(&format!("launch of `{}`, {grid:?} × {block:?}, {shared} bytes: {wrong}", function.name));
            return Err(Code::ERROR_INVALID_VALUE);
        }
        let values: Result<Vec<Vec<u8>>, Code> = function
            .parameters
            .iter()
            .enumerate()
            .map(|(index, size)| {
                let place = parameters.get(index)?;
                if place.is_null() {
                    Err(Code::ERROR_INVALID_VALUE)
                } else {
                    Ok(bytes_at(place as u64, *size as usize))
                }
            })
            .collect();
        let launch = Launch {
            name: Arc::clone(&function.name),
            kernel: function.kernel,
            static_shared: function.static_shared as u32,
            grid,
            block,
            dynamic_shared: shared,
            parameters: Arc::new(values?),
        };
        driver.enqueue(stream, Op::Kernel(launch))
    })
}
