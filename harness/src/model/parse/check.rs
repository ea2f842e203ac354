//! Checks of single values from an untrusted config.json.

use crate::model::error::ModelError;

/// Bounds far above any model that exists; products of two of them fit an f64 exactly and a u64 easily.
pub(super) const MOST_LAYERS: u64 = 1 << 12;
pub(super) const MOST_HEADS: u64 = 1 << 12;
pub(super) const MOST_WIDTH: u64 = 1 << 20;
pub(super) const MOST_HEAD_DIM: u64 = 1 << 12;
pub(super) const MOST_ROWS: u64 = 1 << 26;

/// Why a config gives no forward pass.
pub(super) enum Refusal {
    /// A real model may look like this, but it is not computed here.
    Unsupported(String),
    /// No model can look like this.
    Wrong(ModelError),
}

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Self {
        Self::Wrong(error)
    }
}

/// A name from an untrusted file, fit to be printed on one line.
pub(super) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// A dimension that must be there, positive and not absurd.
pub(super) fn required(field: &'static str, value: Option<u64>, most: u64) -> Result<usize, ModelError> {
    match value {
        None => Err(ModelError::Config { field, problem: "is missing".to_owned() }),
        Some(0) => Err(ModelError::Config { field, problem: "is 0".to_owned() }),
        Some(n) if n > most => {
            Err(ModelError::Config { field, problem: format!("is {n}, over the bound of {most}") })
        }
        Some(n) => Ok(n as usize),
    }
}

/// A number that must be finite and within `(0, most]`.
pub(super) fn positive(
    field: &'static str,
    value: Option<f64>,
    default: Option<f64>,
    most: f64,
) -> Result<f64, ModelError> {
    match value.or(default) {
        Some(x) if x > 0.0 && x <= most => Ok(x),
        Some(x) => Err(ModelError::Config { field, problem: format!("is {x}, outside of (0, {most}]") }),
        None => Err(ModelError::Config { field, problem: "is missing".to_owned() }),
    }
}

pub(super) fn divides(field: &'static str, part: usize, whole: usize, of: &str) -> Result<(), ModelError> {
    if whole.is_multiple_of(part) {
        Ok(())
    } else {
        Err(ModelError::Config {
            field,
            problem: format!("is {part}, which does not divide {of} of {whole}"),
        })
    }
}
