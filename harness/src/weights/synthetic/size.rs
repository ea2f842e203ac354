//! The shapes of synthetic models.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::weights::error::WeightsError;

/// Which synthetic model. All are Llama decoders in bf16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyntheticSize {
    /// 1.3 MB: for tests.
    Tiny,
    /// 200 MB, 100 million parameters: decodes at tens of tokens per second on two cores.
    Small,
    /// 2.5 GB: the shape of Llama-3.2-1B.
    B1,
    /// 16 GB in four shards: the shape of Llama-3.1-8B.
    B8,
}

/// The numbers of a Llama decoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) intermediate: usize,
    pub(super) vocab: usize,
    /// Whether the output projection is the embedding.
    pub(super) tied: bool,
    pub(super) max_positions: usize,
    pub(super) rope_theta: f64,
}

impl SyntheticSize {
    /// Every size, smallest first.
    pub const ALL: [SyntheticSize; 4] =
        [SyntheticSize::Tiny, SyntheticSize::Small, SyntheticSize::B1, SyntheticSize::B8];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            SyntheticSize::Tiny => "tiny",
            SyntheticSize::Small => "small",
            SyntheticSize::B1 => "1b",
            SyntheticSize::B8 => "8b",
        }
    }

    pub(super) const fn shape(self) -> Shape {
        match self {
            SyntheticSize::Tiny => Shape {
                hidden: 128,
                layers: 2,
                heads: 4,
                kv_heads: 2,
                head_dim: 32,
                intermediate: 352,
                vocab: 1024,
                tied: false,
                max_positions: 2048,
                rope_theta: 10_000.0,
            },
            SyntheticSize::Small => Shape {
                hidden: 768,
                layers: 12,
                heads: 12,
                kv_heads: 4,
                head_dim: 64,
                intermediate: 2048,
                vocab: 32_000,
                tied: true,
                max_positions: 4096,
                rope_theta: 10_000.0,
            },
            SyntheticSize::B1 => Shape {
                hidden: 2048,
                layers: 16,
                heads: 32,
                kv_heads: 8,
                head_dim: 64,
                intermediate: 8192,
                vocab: 128_256,
                tied: true,
                max_positions: 131_072,
                rope_theta: 500_000.0,
            },
            SyntheticSize::B8 => Shape {
                hidden: 4096,
                layers: 32,
                heads: 32,
                kv_heads: 8,
                head_dim: 128,
                intermediate: 14_336,
                vocab: 128_256,
                tied: false,
                max_positions: 131_072,
                rope_theta: 500_000.0,
            },
        }
    }

    /// What config.json says, as transformers writes it for `LlamaForCausalLM`.
    pub(super) fn config(self) -> Value {
        let shape = self.shape();
        json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "attention_bias": false,
            "attention_dropout": 0.0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "head_dim": shape.head_dim,
            "hidden_act": "silu",
            "hidden_size": shape.hidden,
            "initializer_range": 0.02,
            "intermediate_size": shape.intermediate,
            "max_position_embeddings": shape.max_positions,
            "mlp_bias": false,
            "num_attention_heads": shape.heads,
            "num_hidden_layers": shape.layers,
            "num_key_value_heads": shape.kv_heads,
            "rms_norm_eps": 1e-5,
            "rope_scaling": null,
            "rope_theta": shape.rope_theta,
            "tie_word_embeddings": shape.tied,
            "torch_dtype": "bfloat16",
            "use_cache": true,
            "vocab_size": shape.vocab,
        })
    }
}

impl fmt::Display for SyntheticSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SyntheticSize {
    type Err = WeightsError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        SyntheticSize::ALL
            .into_iter()
            .find(|size| size.name() == name)
            .ok_or_else(|| WeightsError::UnknownSize { name: name.to_owned() })
    }
}
