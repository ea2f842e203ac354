//! Whether a model's files hold what its config.json promises, before anything is loaded.

use coldstart_kernels::{Dtype, Ops};

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
            Forward::Unsupported { .. } | Forward::NoConfig { .. } => Ok(()),
            Forward::Decoder(_) | Forward::Encoder(_) => self.activation(device, table).map(drop),
        }
    }

    /// The format of activations that this device runs the model with.
    ///
    /// # Errors
    /// As [`check`](Self::check), and where there is no forward pass.
    pub fn activation<O: Ops>(&self, device: &O, table: &TensorTable) -> Result<Dtype, ModelError> {
        match self {
            Forward::Decoder(config) => Ok(Decoder::<O::Buffer>::find(device, config, table)?.activation()),
            Forward::Encoder(config) => Ok(Encoder::find(device, config, table)?.activation()),
            Forward::Unsupported { why } | Forward::NoConfig { why } => {
                Err(ModelError::Invalid { why: why.clone() })
            }
        }
    }
}
