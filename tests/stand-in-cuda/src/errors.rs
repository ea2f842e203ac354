//! Names and texts of result codes, and what is exported for other libraries' sake.

use std::ffi::{c_char, c_void};

use crate::abi::{Code, In, Out};

#[unsafe(no_mangle)]
extern "C" fn cuGetErrorName(code: Code, name: Out<*const c_char>) -> Code {
    text(code.texts().map(|(name, _)| name.as_ptr()), name)
}

#[unsafe(no_mangle)]
extern "C" fn cuGetErrorString(code: Code, text_out: Out<*const c_char>) -> Code {
    text(code.texts().map(|(_, text)| text.as_ptr()), text_out)
}

fn text(found: Option<*const c_char>, place: Out<*const c_char>) -> Code {
    match place.set(found.unwrap_or(std::ptr::null())) {
        Ok(()) if found.is_some() => Code::SUCCESS,
        _ => Code::ERROR_INVALID_VALUE,
    }
}

/// NVRTC looks this up and calls it without asking whether it is there.
#[unsafe(no_mangle)]
extern "C" fn cuGetExportTable(table: Out<*const c_void>, _id: In<u8>) -> Code {
    table.set_if_wanted(std::ptr::null());
    Code::ERROR_NOT_FOUND
}

#[unsafe(no_mangle)]
extern "C" fn cuProfilerStart() -> Code {
    Code::SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuProfilerStop() -> Code {
    Code::SUCCESS
}
