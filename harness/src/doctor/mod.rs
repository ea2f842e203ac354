//! What can be measured on this machine, what not, and what would have to change.
//!
//! Every check is one small function of one area that ends in a [`Check`](coldstart_profiles::Check). What can be
//! tried is tried, on a small temporary file that is gone afterwards; the CUDA driver is only looked for, since loading
//! it would warm what a cold start is to show. NVML is opened for a moment, and closed.

mod check;
mod devices;
mod engine;
mod examine;
mod io;
mod loader;
mod machine;
mod memory;
mod nvml;
mod storage;
mod terminal;

pub use examine::{Options, examine};
