//! The stand-in driver, which this process has loaded before.

use std::ffi::{CStr, c_char, c_int, c_void};

/// A piece of device memory that is used: address, bytes, whether it is written.
pub(crate) type Use = [u64; 3];
/// What runs when the stream comes to it.
pub(crate) type Call = extern "C" fn(*mut c_void);

/// The address of one of the driver's functions; `None` where it has not been loaded or is not the stand-in.
fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a zero, and nothing is loaded that is not there.
    let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if library.is_null() {
        return None;
    }
    // SAFETY: the library is open, and stays so by the reference that was just taken; the name ends with a zero.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// Whether a context is current on this thread.
pub(crate) fn has_context() -> bool {
    let Some(address) = symbol(c"cuCtxGetCurrent") else { return false };
    // SAFETY: the driver's function of that name has this signature.
    let current = unsafe {
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut *mut c_void) -> c_int>(address)
    };
    let mut context = std::ptr::null_mut();
    // SAFETY: `context` is writable.
    let status = unsafe { current(&mut context) };
    status == 0 && !context.is_null()
}

/// Enqueues `call` on a stream as if it were a kernel; whether the driver took it. `argument` must stay as long as the
/// process, because a graph may hold it.
pub(crate) fn enqueue(
    stream: *mut c_void,
    label: &CStr,
    uses: &[Use],
    call: Call,
    argument: *mut c_void,
) -> bool {
    type Enqueue = unsafe extern "C" fn(
        *mut c_void,
        *const c_char,
        *const Use,
        usize,
        u64,
        Option<Call>,
        *mut c_void,
    ) -> c_int;
    let Some(address) = symbol(c"coldstart_stand_in_enqueue") else { return false };
    // SAFETY: the stand-in's function of that name has this signature.
    let enqueue = unsafe { std::mem::transmute::<*mut c_void, Enqueue>(address) };
    // SAFETY: the label ends with a zero, and the uses are as many as is said; both are copied.
    unsafe { enqueue(stream, label.as_ptr(), uses.as_ptr(), uses.len(), 1_000, Some(call), argument) == 0 }
}
