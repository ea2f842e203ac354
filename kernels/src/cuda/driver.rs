//! The driver's library: found, opened, initialised.

use std::ffi::{CStr, CString, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cudarc::driver::sys;

use super::status::check;
use super::{diagnosis, symbols};
use crate::{Error, Kind, Result};

/// The driver, loaded into this process and initialised.
#[derive(Debug, Clone, Copy)]
pub struct Driver(());

/// The driver, and what loading it took.
#[derive(Debug, Clone, Copy)]
pub struct Loaded {
    /// The driver.
    pub driver: Driver,
    /// Finding and opening the library.
    pub open: Duration,
    /// `cuInit`.
    pub init: Duration,
}

/// The library of the driver. It is never closed.
#[derive(Debug, Clone, Copy)]
struct Library(usize);

/// The library, once it is open and complete.
static LIBRARY: OnceLock<Library> = OnceLock::new();
/// Whether `cuInit` succeeded. Held while loading, so that two threads do not load at once.
static READY: Mutex<bool> = Mutex::new(false);

impl Library {
    /// The address of an exported symbol.
    fn symbol(self, name: &CStr) -> Option<*mut c_void> {
        // SAFETY: the handle came from `dlopen` and is never closed; the name ends with a zero.
        let address = unsafe { libc::dlsym(self.0 as *mut c_void, name.as_ptr()) };
        (!address.is_null()).then_some(address)
    }

    /// Where the library was found.
    fn path(self) -> String {
        let found = self.symbol(c"cuInit").and_then(|address| {
            let mut about = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
            // SAFETY: `about` is writable, and any address may be asked for.
            if unsafe { libc::dladdr(address, about.as_mut_ptr()) } == 0 {
                return None;
            }
            // SAFETY: zeroed and then filled in by `dladdr`; all of its fields may be zero.
            let name = unsafe { about.assume_init() }.dli_fname;
            // SAFETY: not null, a string of the loader that lives as long as the library, which is never closed.
            (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
        });
        found.unwrap_or_else(|| "libcuda.so.1".to_owned())
    }
}

/// Opens the library under the first of the names that cudarc tries, in cudarc's order, so that both open the same file. The
/// error is what the loader said about the usual name.
fn open() -> Result<Library, String> {
    let mut said = String::new();
    for name in ["cuda", "nvcuda"].into_iter().flat_map(cudarc::get_lib_name_candidates) {
        let Ok(path) = CString::new(name.as_str()) else { continue };
        // SAFETY: the name ends with a zero. What the driver's library runs when it is loaded is its own.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
        if !handle.is_null() {
            return Ok(Library(handle as usize));
        }
        // SAFETY: takes nothing; answers with null or a string that lives until the next call of this thread.
        let message = unsafe { libc::dlerror() };
        if name == "libcuda.so.1" && !message.is_null() {
            // SAFETY: not null, see above.
            said = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
        }
    }
    Err(said)
}

impl Driver {
    /// Opens libcuda and initialises it. Both happen once in a process: later calls find it done and say how long that took.
    ///
    /// `open` is the time from the search for the library until it is mapped, `init` that of `cuInit` alone.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where there is no driver, or one that does not come up; [`Error::MissingSymbol`] where it is
    /// too old.
    pub fn load() -> Result<Loaded> {
        let begin = Instant::now();
        let mut ready = READY.lock().unwrap_or_else(PoisonError::into_inner);
        let library = match LIBRARY.get() {
            Some(library) => *library,
            None => open().map_err(|said| no_device(diagnosis::no_library(&said)))?,
        };
        let opened = begin.elapsed();
        if LIBRARY.get().is_none() {
            if let Some(symbol) = symbols::missing(symbols::CALLED, |name| library.symbol(name).is_some()) {
                let driver = version_of(library);
                return Err(Error::MissingSymbol { symbol, library: library.path(), driver });
            }
            // SAFETY: the same names in the same order as `open`, of which one was just found; that is what keeps cudarc
            // from panicking. From here on its functions find the library open.
            let _ = unsafe { sys::culib() };
            let _ = LIBRARY.set(library);
        }
        let begin = Instant::now();
        if !*ready {
            // SAFETY: the library is open and has the function.
            let code = unsafe { sys::cuInit(0) };
            check(code).map_err(|status| no_device(diagnosis::no_init(&status, &library.path())))?;
            *ready = true;
        }
        Ok(Loaded { driver: Driver(()), open: opened, init: begin.elapsed() })
    }

    /// How many GPUs it shows to this process.
    pub fn devices(self) -> Result<usize> {
        let mut count = 0;
        // SAFETY: `count` is writable.
        let code = unsafe { sys::cuDeviceGetCount(&mut count) };
        check(code).map_err(|status| Error::Cuda {
            action: "count the GPUs".to_owned(),
            status,
            remedy: String::new(),
        })?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The newest CUDA version that it supports, such as `12.4`; not the number of the driver's release.
    pub fn version(self) -> String {
        dotted(self.version_number())
    }

    /// The newest CUDA version that it supports, as 1000·major + 10·minor; 0 where it does not say.
    pub(super) fn version_number(self) -> i32 {
        let mut number = 0;
        // SAFETY: `number` is writable.
        let code = unsafe { sys::cuDriverGetVersion(&mut number) };
        if check(code).is_ok() { number } else { 0 }
    }

    /// The path of its library.
    pub fn library(self) -> String {
        LIBRARY.get().map(|library| library.path()).unwrap_or_default()
    }

    /// Whether a stand-in plays its part (it exports `coldstart_stand_in`): nothing measured on it means anything.
    pub fn is_stand_in(self) -> bool {
        LIBRARY.get().is_some_and(|library| library.symbol(c"coldstart_stand_in").is_some())
    }
}

fn no_device(why: String) -> Error {
    Error::NoDevice { kind: Kind::Cuda, index: None, why }
}

/// The CUDA version of a library that was not taken into use.
fn version_of(library: Library) -> String {
    let Some(address) = library.symbol(c"cuDriverGetVersion") else { return dotted(0) };
    // SAFETY: the function has had this type since CUDA 2.2.
    let get: unsafe extern "C" fn(*mut i32) -> u32 = unsafe { std::mem::transmute(address) };
    let mut number = 0;
    // SAFETY: `number` is writable; the function needs no initialised driver.
    if unsafe { get(&mut number) } == 0 { dotted(number) } else { dotted(0) }
}

/// 12040 as `12.4`.
pub(super) fn dotted(version: i32) -> String {
    if version <= 0 {
        return "an unknown version".to_owned();
    }
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_a_dot() {
        for (number, text) in [(12040, "12.4"), (13000, "13.0"), (11080, "11.8"), (0, "an unknown version")] {
            assert_eq!(dotted(number), text);
        }
    }
}
