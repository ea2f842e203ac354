//! A model's safetensors files: found, kept inside of the model's directory, and checked before anything is allocated.

mod contain;
mod header;
mod index;
mod model;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use contain::open_regular;
pub use header::MAX_HEADER_BYTES;
pub use model::{Inventory, ModelFiles, OpenOptions, TensorEntry, WeightFile};
