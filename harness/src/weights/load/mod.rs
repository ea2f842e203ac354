//! The phases `alloc` and `weights_load`.
//!
//! A load is cut into windows of a few MiB. Every thread takes the next window, reads it, uploads it, and takes another:
//! while one reads another copies, so that no core waits for the other kind of work. On a device whose memory the CPU can
//! address every window carries its own part of that memory, so that all threads copy at once; elsewhere the copies are
//! enqueued on a few streams, and the device says afterwards when each was done.
//!
//! | module | what |
//! |---|---|
//! | `run` | the phase: opening, cutting, threads, the clock |
//! | `options` | threads, chunk, slots and streams, and what suits which device |
//! | `reads` | how the bytes of a window are read |
//! | `window` | cutting into windows, and what of one becomes one copy |
//! | `worker`, `uring`, `whole` | what threads do: windows one by one, many reads at once, everything before the first copy |
//! | `job` | what they share: the queue, staging memory, the way into device memory |
//! | `log`, `detail` | when what happened, and what is recorded of it |
//! | `together` | several devices at once |

mod alloc;
mod anonymous;
mod detail;
mod device;
mod job;
mod log;
mod options;
mod reads;
mod run;
mod source;
#[cfg(test)]
mod tests;
mod together;
mod uring;
mod verify;
mod whole;
mod window;
mod worker;

pub use alloc::{Loaded, alloc_weights, check_device_fits};
pub use device::LoadDevice;
pub use options::LoadOptions;
pub use run::{LoadReading, load_weights};
pub use together::{Together, load_together};
pub use verify::{Verified, verify};
