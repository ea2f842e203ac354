//! Whether a model's files hold what its config.json promises, before anything is loaded.

use coldstart_kernels::Ops;

use super::config::Forward;
use super::decoder::Decoder;
use super::encoder::Encoder;
use super::error::ModelError;
use crate::weights::TensorTable;

impl Forward {
    /// Looks up every tensor of the forward pass. Nothing is read of their contents.
    ///
    /// # Errors
    /// The first tensor that is missing or has another shape or type than config.json implies.
    pub fn check<O: Ops>(&self, device: &O, table: &TensorTable) -> Result<(), ModelError> {
        match self {
            Forward::Decoder(config) => Decoder::<O::Buffer>::find(device, config, table).map(drop),
            Forward::Encoder(config) => Encoder::find(device, config, table).map(drop),
            Forward::Unsupported { .. } | Forward::NoConfig { .. } => Ok(()),
        }
    }
}
