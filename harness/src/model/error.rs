//! What can go wrong between a model's files and its forward pass.

use std::path::PathBuf;

use coldstart_kernels::Error as DeviceError;
use thiserror::Error;

use crate::weights::WeightsError;

/// Why a model cannot be described, prepared or run; each message is a fragment that fits "failed to …".
#[derive(Debug, Error)]
pub enum ModelError {
    /// The model's files could not be read.
    #[error(transparent)]
    Files(#[from] WeightsError),
    /// config.json is not JSON, or a field of it has the wrong type.
    #[error("parse {path}: {source}", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why parsing stopped.
        source: serde_json::Error,
    },
    /// A field of config.json is missing or has a value that no model can have.
    #[error("use the model's config.json: `{field}` {problem}")]
    Config {
        /// The field's name as the file spells it.
        field: &'static str,
        /// What is wrong with it, with its value.
        problem: String,
    },
    /// A tensor that the architecture needs is not among the weights.
    #[error(
        "find tensor `{name}` of shape {expected:?}: the weights do not hold it; are all of the model's files there, and does config.json belong to them?"
    )]
    MissingTensor {
        /// The tensor's name.
        name: String,
        /// The shape that config.json implies.
        expected: Vec<usize>,
    },
    /// A tensor's shape is not the one that config.json implies.
    #[error("use tensor `{name}`: config.json implies shape {expected:?}, the file has {found:?}")]
    WrongShape {
        /// The tensor's name.
        name: String,
        /// The shape that config.json implies.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is stored in a type that the forward pass does not compute with.
    #[error(
        "use tensor `{name}` of type {found}: the forward pass computes with F32, F16 and BF16; measure the model with `coldstart server`"
    )]
    WrongDtype {
        /// The tensor's name.
        name: String,
        /// Its type as safetensors names it.
        found: String,
    },
    /// A forward pass was asked for that the model or its plan cannot hold.
    #[error("run a forward pass with {what} {asked}: {limit} is the most here")]
    TooLong {
        /// What is too large.
        what: &'static str,
        /// How much was asked for.
        asked: usize,
        /// How much there can be.
        limit: usize,
    },
    /// A forward pass was asked for that makes no sense.
    #[error("run a forward pass: {why}")]
    Invalid {
        /// What does not fit.
        why: String,
    },
    /// The device refused.
    #[error(transparent)]
    Device(Box<DeviceError>),
}

impl From<DeviceError> for ModelError {
    fn from(error: DeviceError) -> Self {
        ModelError::Device(Box::new(error))
    }
}
