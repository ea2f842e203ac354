//! The host device: all CPU cores, RAM as device memory, everything done at once.
//!
//! `device` and `memory` are the device, `ops` the entry of each operation: it checks and hands slices (`rows`) to
//! `linear`, `attention` by way of `cached`, `elementwise`, `convert` and `bytes`. Those spread over the threads of
//! `pool` by way of `parallel` and are compiled once per instruction set by way of `simd`.

mod apart;
mod attention;
mod bytes;
mod cached;
mod convert;
mod device;
mod dots;
mod elementwise;
mod linear;
mod machine;
mod math;
mod memory;
mod ops;
mod parallel;
mod pool;
mod rows;
mod simd;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use apart::Apart;
pub use device::{HostDevice, HostStream};
pub use memory::{HostBuffer, HostPinned};
pub use ops::NoGraph;

/// Page-locked memory of other devices is RAM too.
pub(crate) use machine::memory as ram;
