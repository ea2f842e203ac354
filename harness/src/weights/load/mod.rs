//! The phases `alloc` and `weights_load`.
//!
//! A load is cut into windows of a few MiB. Every thread takes the next window, reads it, uploads it, and takes another:
//! while one reads another copies, so that no core waits for the other kind of work. On a device whose memory the CPU can
//! address every window carries its own part of that memory, so that all threads copy at once; elsewhere the copies are
//! enqueued on one stream a thread.

mod alloc;
mod device;
#[cfg(test)]
mod far;
mod job;
mod log;
mod run;
mod source;
#[cfg(test)]
mod tests;
mod uring;
mod verify;
mod window;
mod worker;

pub use alloc::{Loaded, alloc_weights, check_device_fits};
pub use device::LoadDevice;
pub use run::{LoadOptions, LoadReading, load_weights};
pub use verify::{Verified, verify};
