//! The phases `alloc` and `weights_load`.

mod alloc;

pub use alloc::{Loaded, alloc_weights, check_device_fits};
