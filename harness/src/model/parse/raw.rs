//! The fields of config.json that matter here, before any check.

use serde::Deserialize;
use serde_json::Value;

/// What config.json may say that matters here; every field may be missing or `null`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Raw {
    pub(super) hidden_size: Option<u64>,
    pub(super) num_hidden_layers: Option<u64>,
    pub(super) num_attention_heads: Option<u64>,
    pub(super) num_key_value_heads: Option<u64>,
    pub(super) head_dim: Option<u64>,
    pub(super) intermediate_size: Option<u64>,
    pub(super) vocab_size: Option<u64>,
    pub(super) max_position_embeddings: Option<u64>,
    pub(super) type_vocab_size: Option<u64>,
    pub(super) rms_norm_eps: Option<f64>,
    pub(super) layer_norm_eps: Option<f64>,
    pub(super) rope_theta: Option<f64>,
    pub(super) rope_scaling: Option<RawRope>,
    pub(super) rope_parameters: Option<RawRope>,
    pub(super) partial_rotary_factor: Option<f64>,
    pub(super) tie_word_embeddings: Option<bool>,
    pub(super) attention_bias: Option<bool>,
    pub(super) mlp_bias: Option<bool>,
    pub(super) use_sliding_window: Option<bool>,
    pub(super) sliding_window: Option<u64>,
    pub(super) max_window_layers: Option<u64>,
    pub(super) layer_types: Option<Vec<String>>,
    pub(super) hidden_act: Option<String>,
    pub(super) position_embedding_type: Option<String>,
    pub(super) is_decoder: Option<bool>,
    pub(super) quantization_config: Option<Value>,
}

/// `rope_scaling` of transformers 4 (with `type` or `rope_type`), `rope_parameters` of transformers 5.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRope {
    pub(super) rope_type: Option<String>,
    pub(super) r#type: Option<String>,
    pub(super) rope_theta: Option<f64>,
    pub(super) factor: Option<f64>,
    pub(super) low_freq_factor: Option<f64>,
    pub(super) high_freq_factor: Option<f64>,
    pub(super) original_max_position_embeddings: Option<f64>,
    pub(super) partial_rotary_factor: Option<f64>,
}
