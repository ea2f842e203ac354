//! What the stand-in found wrong: told on stderr, and kept for whoever asks.

use std::ffi::{CString, c_char};
use std::sync::{Mutex, PoisonError};

static LAST: Mutex<Option<CString>> = Mutex::new(None);

/// Tells it.
pub(crate) fn report(text: &str) {
    eprintln!("stand-in: {text}");
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
}

/// What was told last, as a C string that is valid until something else is told; null where nothing was. Not part of CUDA.
#[unsafe(no_mangle)]
extern "C" fn coldstart_stand_in_report() -> *const c_char {
    LAST.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .map_or(std::ptr::null(), |text| text.as_ptr())
}
