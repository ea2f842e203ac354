//! Rotary position embedding: the frequencies by which each pair of a head's dimensions turns.

use std::f64::consts::PI;

/// Base and scaling of a decoder's rotary position embedding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// The base of the geometric series of wavelengths, 10 000 unless the config says otherwise.
    pub theta: f64,
    /// How the frequencies were stretched after training.
    pub scaling: RopeScaling,
}

/// How the frequencies are stretched for contexts longer than those of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    Default,
    /// Every frequency divided by `factor`: position interpolation (Chen et al. 2023, arXiv:2306.15595).
    Linear {
        /// How many times longer the context becomes.
        factor: f64,
    },
    /// Long wavelengths divided by `factor`, short ones kept, those between interpolated: Llama 3.1,
    /// `_compute_llama3_parameters` of transformers' modeling_rope_utils.
    Llama3 {
        /// How many times longer the context becomes.
        factor: f64,
        /// Wavelengths over `original_positions / low` are fully stretched.
        low: f64,
        /// Wavelengths under `original_positions / high` are kept.
        high: f64,
        /// The context length of training.
        original_positions: f64,
    },
}

impl Rope {
    /// The `head_dim / 2` angular frequencies in radians per position: `θ^(-2i / head_dim)` (Su et al. 2021,
    /// arXiv:2104.09864), then scaled. They are computed in f64 and rounded once.
    pub fn inverse_frequencies(&self, head_dim: usize) -> Vec<f32> {
        (0..head_dim / 2)
            .map(|i| self.theta.powf(-2.0 * i as f64 / head_dim as f64))
            .map(|frequency| self.scaling.apply(frequency) as f32)
            .collect()
    }
}

impl RopeScaling {
    fn apply(&self, frequency: f64) -> f64 {
        match *self {
            Self::Default => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low, high, original_positions } => {
                // How many full turns this pair makes within the context of training.
                let turns = original_positions * frequency / (2.0 * PI);
                // 0 at the long wavelengths, 1 at the short ones, linear in the turns between.
                let keep = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - keep) * frequency / factor + keep * frequency
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_follow_the_scaling() {
        let default = Rope { theta: 10_000.0, scaling: RopeScaling::Default };
        assert_eq!(default.inverse_frequencies(4), [1.0, 0.01]);
        let linear = Rope { theta: 10_000.0, scaling: RopeScaling::Linear { factor: 4.0 } };
        assert_eq!(linear.inverse_frequencies(4), [0.25, 0.0025]);
    }

    /// Reference: transformers 5.24.0, `ROPE_INIT_FUNCTIONS["llama3"]` with Llama 3.1's own numbers, head_dim 128.
    #[test]
    fn llama3_keeps_short_and_stretches_long_wavelengths() {
        let scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_positions: 8192.0 };
        let got = Rope { theta: 500_000.0, scaling }.inverse_frequencies(128);
        for (i, want) in REFERENCE {
            assert!((got[i] / want - 1.0).abs() < 1e-5, "pair {i}: {} against {want}", got[i]);
        }
    }

    const REFERENCE: [(usize, f32); 7] = [
        (0, 1.0),
        (20, 0.016_560_44),
        (28, 0.003_211_446),
        (29, 0.002_166_57),
        (32, 0.000_524_846),
        (36, 7.784_655e-5),
        (63, 3.068_926e-7),
    ];
}
