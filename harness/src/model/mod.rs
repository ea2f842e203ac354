//! From config.json to a forward pass, written once on the operations of a device.
//!
//! [`read_config`] says which [`Forward`] a model has; [`Runner`] runs it without the caller knowing the family. A
//! [`Generator`] is a decoder at work (Llama, Mistral, Qwen2, Qwen3), an [`Embedder`] an encoder (BERT). Both take
//! their weights as views of the one buffer that they were loaded into, and allocate all of their memory when made.

mod batch;
mod check;
mod config;
mod cost;
mod decoder;
mod embedder;
mod encoder;
mod error;
mod generator;
mod parse;
mod rope;
mod runner;
mod steps;
mod tensors;
#[cfg(test)]
mod tests;
mod workspace;

pub use batch::Batch;
pub use config::{Activation, DecoderConfig, DecoderFamily, EncoderConfig, Forward};
pub use embedder::{Embedder, Pooling};
pub use error::ModelError;
pub use generator::Generator;
pub use parse::{parse_config, read_config};
pub use rope::{Rope, RopeScaling};
pub use runner::{Output, Runner};
pub use workspace::Capacity;
