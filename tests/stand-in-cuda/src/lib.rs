//! A CUDA driver for tests: what a program that opens `libcuda.so.1` needs of it, over host memory.
//!
//! It keeps the promises that a driver makes and no others. Work that is enqueued runs when somebody waits for it, and only what that wait
//! needs: whoever forgets to wait reads poison. Pinned memory is read when the copy runs, pageable memory when it is enqueued. Accesses
//! that no event, join or wait orders are reported, with the names of both operations. Kernels are the real sources, compiled for the
//! CPU (`on_host/`), with every access to device memory checked.
//!
//! What it measures means nothing: its clock is computed. README.md says what the environment can change about it.

// The names are those of the CUDA driver API.
mod abi;
mod clock;
mod config;
mod context;
mod copy;
mod device;
mod driver;
mod errors;
mod event;
mod faults;
mod graph;
mod host_code;
mod kernel;
mod memory;
mod module;
mod pages;
mod ptx;
mod queue;
mod race;
mod ranges;
mod report;
mod run;
mod stream;

use std::ffi::c_char;

/// Tells a program that this is no driver of a device: the version of the stand-in, as a C string.
#[unsafe(no_mangle)]
extern "C" fn coldstart_stand_in() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
