//! How the times of equal batches differ.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a simulated batch takes beside the fitted time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Variation {
    /// Exactly the fitted time.
    #[default]
    Constant,
    /// The fitted time × one of these measured ratios, each as likely; never empty.
    Ratios(Vec<f64>),
    /// Exponential with the fitted time as its mean: what Erlang's formulas assume. For checks against them.
    Exponential,
}

impl Variation {
    /// From measured ratios to the fitted time; constant where none is finite and above zero.
    pub fn from_ratios(ratios: impl IntoIterator<Item = f64>) -> Self {
        let ratios: Vec<f64> = ratios.into_iter().filter(|ratio| ratio.is_finite() && *ratio > 0.0).collect();
        if ratios.is_empty() { Variation::Constant } else { Variation::Ratios(ratios) }
    }

    /// The factor for `unit`, drawn evenly from [0, 1).
    pub fn factor(&self, unit: impl FnOnce() -> f64) -> f64 {
        match self {
            Variation::Constant => 1.0,
            Variation::Ratios(ratios) => {
                let at = (unit() * ratios.len() as f64) as usize;
                ratios.get(at).or(ratios.last()).copied().unwrap_or(1.0)
            }
            Variation::Exponential => -(-unit()).ln_1p(),
        }
    }
}
