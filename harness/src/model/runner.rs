//! A model at work, whatever its family.

use coldstart_kernels::{Dtype, Ops};

use super::batch::Batch;
use super::config::Forward;
use super::embedder::{Embedder, Pooling};
use super::error::ModelError;
use super::generator::Generator;
use super::workspace::Capacity;
use crate::weights::TensorTable;

/// A model that is ready to run.
#[derive(Debug)]
pub enum Runner<'a, O: Ops> {
    /// Prefill and decode.
    Decoder(Generator<'a, O>),
    /// Embeddings.
    Encoder(Embedder<'a, O>),
}

/// What a forward pass gave, read back to the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output<'a> {
    /// `[sequences]`: the likeliest next token of each.
    Tokens(&'a [u32]),
    /// `[sequences, hidden]`: the embedding of each, of unit length.
    Embeddings(&'a [f32]),
}

impl Forward {
    /// The rows of the token embedding: [`Batch::synthetic`] draws from so many ids. `None` without a forward pass.
    pub fn vocab(&self) -> Option<usize> {
        match self {
            Self::Decoder(config) => Some(config.vocab),
            Self::Encoder(config) => Some(config.vocab),
            Self::Unsupported { .. } | Self::NoConfig { .. } => None,
        }
    }

    /// The longest sequence that the model takes, generated tokens included. `None` without a forward pass.
    pub fn max_positions(&self) -> Option<usize> {
        match self {
            Self::Decoder(config) => Some(config.max_positions),
            Self::Encoder(config) => Some(config.max_positions),
            Self::Unsupported { .. } | Self::NoConfig { .. } => None,
        }
    }

    /// The name of the architecture as Hugging Face spells it: `llama`, `mistral`, `qwen2`, `qwen3`, `bert`.
    pub fn architecture(&self) -> Option<&'static str> {
        match self {
            Self::Decoder(config) => Some(config.family.name()),
            Self::Encoder(_) => Some("bert"),
            Self::Unsupported { .. } | Self::NoConfig { .. } => None,
        }
    }

    /// Operations of one prefill or encoding of `sequences` sequences of `length` tokens.
    pub fn flops(&self, sequences: usize, length: usize) -> Option<u64> {
        let one = match self {
            Self::Decoder(config) => config.prefill_flops([length]),
            Self::Encoder(config) => config.encode_flops([length]),
            Self::Unsupported { .. } | Self::NoConfig { .. } => return None,
        };
        Some(one.saturating_mul(sequences as u64))
    }

    /// Bytes of device memory beside the weights that a [`Runner`] of this capacity takes; see
    /// [`Generator::bytes_needed`] and [`Embedder::bytes_needed`].
    pub fn bytes_needed<O: Ops>(&self, activation: Dtype, capacity: &Capacity) -> Option<u64> {
        match self {
            Self::Decoder(config) => Some(Generator::<O>::bytes_needed(config, activation, capacity)),
            Self::Encoder(config) => Some(Embedder::<O>::bytes_needed(config, activation, capacity)),
            Self::Unsupported { .. } | Self::NoConfig { .. } => None,
        }
    }
}

impl<'a, O: Ops> Runner<'a, O> {
    /// Finds the model's tensors and allocates all memory that batches up to `capacity` need.
    ///
    /// # Errors
    /// When the model has no forward pass here, a tensor is missing or wrong, the capacity is empty or beyond the
    /// model's positions, or the device has not the memory.
    pub fn new(
        device: &'a O,
        forward: &Forward,
        table: &TensorTable,
        weights: &'a O::Buffer,
        capacity: Capacity,
    ) -> Result<Self, ModelError> {
        match forward {
            Forward::Decoder(config) => {
                Generator::new(device, config, table, weights, capacity).map(Self::Decoder)
            }
            Forward::Encoder(config) => {
                Embedder::new(device, config, table, weights, capacity).map(Self::Encoder)
            }
            Forward::Unsupported { why } | Forward::NoConfig { why } => {
                Err(ModelError::Invalid { why: why.clone() })
            }
        }
    }

    /// One forward pass of a batch, from the upload of its ids until its output is read back: a prefill or an
    /// encoding. Time it as a whole.
    ///
    /// # Errors
    /// As for [`Generator::prefill`] and [`Embedder::encode`].
    pub fn forward(&mut self, batch: &Batch) -> Result<Output<'_>, ModelError> {
        match self {
            Self::Decoder(generator) => generator.prefill(batch).map(Output::Tokens),
            Self::Encoder(embedder) => embedder.encode(batch, Pooling::UnitMean).map(Output::Embeddings),
        }
    }

    /// The decoder, for decode steps; `None` for an encoder.
    pub fn generator(&mut self) -> Option<&mut Generator<'a, O>> {
        match self {
            Self::Decoder(generator) => Some(generator),
            Self::Encoder(_) => None,
        }
    }

    /// The type of activations.
    pub fn activation(&self) -> Dtype {
        match self {
            Self::Decoder(generator) => generator.activation(),
            Self::Encoder(embedder) => embedder.activation(),
        }
    }
}
