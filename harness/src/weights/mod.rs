//! safetensors files on their way to a device: checking, page cache, loading strategies.
//!
//! 1. [`ModelFiles::open`] finds and checks a model's files: they are untrusted input.
//! 2. [`DeviceLayout::of`] gives every tensor its place in one device buffer.
//! 3. [`alloc_weights`] makes the buffer (the phase `alloc`), [`load_weights`] fills it (the phase `weights_load`).
//!    [`load_together`] fills those of several devices at once.
//! 4. [`verify`] compares the device with the files, outside of every timed region.

mod error;
mod files;
mod layout;
pub mod limits;
mod load;
pub mod memory;
pub mod page_cache;
mod strategy;
pub mod synthetic;

pub use error::{FileFault, WeightsError};
pub use files::{Inventory, MAX_HEADER_BYTES, ModelFiles, OpenOptions, TensorEntry, WeightFile};
pub use layout::{DEVICE_ALIGN, DeviceLayout, Placed, Segment, TensorTable};
pub use load::{
    LoadDevice, LoadOptions, LoadReading, Loaded, Together, Verified, alloc_weights, check_device_fits,
    load_together, load_weights, verify,
};
pub use strategy::Strategy;
