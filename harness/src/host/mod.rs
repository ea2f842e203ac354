//! The machine as the kernel describes it: processor, memory, control groups, mounts, load.
//!
//! Everything comes from files below one root ([`Host::under`]), so that tests run on trees of fixtures; [`Host::here`]
//! is this machine. What the kernel does not show is `None`, never a guess.

mod cgroup;
mod cpu;
mod cpu_times;
mod machine;
mod memory;
mod mounts;
#[cfg(test)]
pub(crate) mod tree;

pub use cgroup::CgroupLimits;
pub use cpu_times::CpuTimes;
pub(crate) use cpu_times::TICK;
pub(crate) use machine::free_disk;
pub use machine::{Host, describe};
pub use memory::AvailableMemory;
