//! Synthetic models: real safetensors and config.json of a Llama decoder, made once from a fixed seed.
//!
//! Every byte follows from the size and the seed alone (`fill`), so that parts can be made in any order by any thread, a
//! broken part can be made again, and two machines hold the same model.

mod ensure;
mod fill;
mod generate;
mod manifest;
mod plan;
mod size;

pub use ensure::{Progress, Synthetic, SyntheticState, cache_dir, ensure};
pub use size::SyntheticSize;
