//! The kernels, compiled for the host: libraries beside this one, opened when the first kernel is asked for.

use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// `OnHostRange` of on_host/launch.h.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) id: u64,
    pub(crate) read_only: u64,
}

/// `OnHostTouch`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Touch {
    pub(crate) id: u64,
    pub(crate) read_low: u64,
    pub(crate) read_high: u64,
    pub(crate) write_low: u64,
    pub(crate) write_high: u64,
}

/// `OnHostLaunch`.
#[repr(C)]
struct Launch {
    kernel: u64,
    grid: [u32; 3],
    block: [u32; 3],
    dynamic_shared: u32,
    static_shared: u32,
    parameters: *mut *mut c_void,
    ranges: *const Range,
    range_count: u64,
    freed: *const Range,
    freed_count: u64,
    seed: u64,
    threads: u32,
    deadline_ms: u32,
    paused: u32,
    code: i32,
    message: [c_char; 1024],
    touched: *const Touch,
    touched_count: u64,
}

/// `OnHostKernel`.
#[repr(C)]
struct Entry {
    name: *const c_char,
    call: *const c_void,
    sizes: *const u32,
    count: u32,
    anchor: *const c_void,
}

/// What a launch is to do.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) kernel: usize,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) dynamic_shared: u32,
    pub(crate) static_shared: u32,
    pub(crate) parameters: &'a [Vec<u8>],
    pub(crate) ranges: &'a [Range],
    pub(crate) freed: &'a [Range],
    pub(crate) seed: u64,
    pub(crate) threads: u32,
    pub(crate) deadline_ms: u32,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) touched: Vec<Touch>,
    /// Whether it paused, waiting for something.
    pub(crate) paused: bool,
    /// The code and the message, where it failed.
    pub(crate) failure: Option<(i32, String)>,
}

/// A kernel that the host can run.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    /// The sizes of its parameters, in bytes.
    pub(crate) sizes: Vec<u32>,
}

/// The opened libraries.
#[derive(Debug)]
pub(crate) struct HostCode {
    run: extern "C" fn(*mut Launch),
    pub(crate) kernels: Vec<Kernel>,
}

/// The name of the library beside the driver that holds the kernels.
const LIBRARY: &str = "libcoldstart-kernels-on-host.so";

/// The directory that this library was loaded from.
fn own_directory() -> Option<PathBuf> {
    let here = own_directory as *const c_void;
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is one of this library; the result is read only where the call succeeded.
    let path = unsafe {
        if libc::dladdr(here, info.as_mut_ptr()) == 0 {
            return None;
        }
        CStr::from_ptr(info.assume_init().dli_fname)
    };
    Path::new(std::ffi::OsStr::from_bytes(path.to_bytes())).parent().map(Path::to_owned)
}

fn open(path: &Path) -> Result<*mut c_void, String> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: opens a library of kernels, whose initialisers add them to a table.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    if !library.is_null() {
        return Ok(library);
    }
    // SAFETY: the text is valid until the next dl call on this thread.
    let why = unsafe { CStr::from_ptr(libc::dlerror()) };
    Err(why.to_string_lossy().into_owned())
}

fn symbol(library: *mut c_void, name: &CStr) -> Result<*mut c_void, String> {
    // SAFETY: the library is open and never closed.
    let found = unsafe { libc::dlsym(library, name.as_ptr()) };
    if found.is_null() { Err(format!("{} is missing", name.to_string_lossy())) } else { Ok(found) }
}

impl HostCode {
    /// Opens `libraries`, or the one beside the driver.
    pub(crate) fn open(libraries: &[PathBuf]) -> Result<HostCode, String> {
        let beside = own_directory().unwrap_or_default().join(LIBRARY);
        let libraries = if libraries.is_empty() { std::slice::from_ref(&beside) } else { libraries };
        let mut last = Err("no library of kernels".to_owned());
        for library in libraries {
            last = Ok(open(library)?);
        }
        // All libraries of kernels share the runtime that they need; it is found through any of them.
        let library = last?;
        let table = symbol(library, c"coldstart_on_host_kernels")?;
        let run = symbol(library, c"coldstart_on_host_run")?;
        // SAFETY: on_host/launch.h declares these symbols so.
        let (table, run) = unsafe {
            (
                std::mem::transmute::<*mut c_void, extern "C" fn(*mut *const Entry) -> u64>(table),
                std::mem::transmute::<*mut c_void, extern "C" fn(*mut Launch)>(run),
            )
        };
        let mut entries = std::ptr::null();
        let count = table(&mut entries);
        let kernels = (0..count as usize)
            .map(|index| {
                // SAFETY: the table has `count` entries, of static names and arrays.
                unsafe {
                    let entry = &*entries.add(index);
                    Kernel {
                        name: CStr::from_ptr(entry.name).to_string_lossy().into_owned(),
                        sizes: std::slice::from_raw_parts(entry.sizes, entry.count as usize).to_vec(),
                    }
                }
            })
            .collect();
        Ok(HostCode { run, kernels })
    }

    /// Runs a kernel, on this thread and its helpers, to its end.
    pub(crate) fn run(&self, order: &Order<'_>) -> Ran {
        // Parameters at addresses that fit any type.
        let mut slots: Vec<Vec<u128>> = order
            .parameters
            .iter()
            .map(|bytes| {
                let mut slot = vec![0u128; bytes.len().div_ceil(16).max(1)];
                for (word, chunk) in slot.iter_mut().zip(bytes.chunks(16)) {
                    let mut whole = [0; 16];
                    whole[..chunk.len()].copy_from_slice(chunk);
                    *word = u128::from_ne_bytes(whole);
                }
                slot
            })
            .collect();
        let mut pointers: Vec<*mut c_void> = slots.iter_mut().map(|slot| slot.as_mut_ptr().cast()).collect();
        let mut launch = Launch {
            kernel: order.kernel as u64,
            grid: order.grid,
            block: order.block,
            dynamic_shared: order.dynamic_shared,
            static_shared: order.static_shared,
            parameters: pointers.as_mut_ptr(),
            ranges: order.ranges.as_ptr(),
            range_count: order.ranges.len() as u64,
            freed: order.freed.as_ptr(),
            freed_count: order.freed.len() as u64,
            seed: order.seed,
            threads: order.threads,
            deadline_ms: order.deadline_ms,
            paused: 0,
            code: 0,
            message: [0; 1024],
            touched: std::ptr::null(),
            touched_count: 0,
        };
        (self.run)(&mut launch);
        // SAFETY: the runtime sets both, valid until the next launch; the message ends with a zero byte.
        let (touched, message) = unsafe {
            let touched = if launch.touched_count == 0 {
                Vec::new()
            } else {
                std::slice::from_raw_parts(launch.touched, launch.touched_count as usize).to_vec()
            };
            (touched, CStr::from_ptr(launch.message.as_ptr()).to_string_lossy().into_owned())
        };
        Ran {
            touched,
            paused: launch.paused != 0,
            failure: (launch.code != 0).then_some((launch.code, message)),
        }
    }
}
