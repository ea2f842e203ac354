//! What the hardware allows for a load: raw reads and copies, without a model in the way.
//!
//! Every function takes readings into memory that is prepared as a load's is: on the host device fresh anonymous pages that ask
//! for huge ones, on a device with memory of its own a small ring of pinned memory.
//! The caller takes them back to back with what they bound, and keeps the best of the run.

mod copy;
mod device;
mod fresh;
mod raw;
mod read;

pub use copy::{memcpy, memcpy_fresh, memory_read};
pub use device::{device_copy, device_to_host, host_to_device};
pub use read::{cached_read, cached_read_staged, direct_read, read_rate};

use coldstart_profiles::{Bytes, Nanos, Params};

/// Readings of one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitReadings {
    /// How they were taken: `block=4MiB,depth=8,threads=2`.
    pub params: Params,
    /// The bytes of each.
    pub work: Bytes,
    /// The time of each, in the order taken; at least one.
    pub times: Vec<Nanos>,
}

impl LimitReadings {
    /// The least time.
    pub fn best(&self) -> Nanos {
        self.times.iter().copied().min().unwrap_or_default()
    }

    /// Work ÷ least time, in bytes per second.
    pub fn rate(&self) -> f64 {
        self.work.get() as f64 / self.best().as_secs_f64().max(1e-9)
    }
}
