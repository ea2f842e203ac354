//! The BERT family's config.json.

use super::check::{
    MOST_HEADS, MOST_LAYERS, MOST_ROWS, MOST_WIDTH, Refusal, divides, positive, required, shown,
};
use super::raw::Raw;
use crate::model::config::{Activation, EncoderConfig};

pub(super) fn encoder(raw: &Raw) -> Result<EncoderConfig, Refusal> {
    let unsupported = |what: String| Err(Refusal::Unsupported(what));
    if raw.quantization_config.is_some() {
        return unsupported("quantised weights".to_owned());
    }
    if raw.is_decoder == Some(true) {
        return unsupported("BERT as a decoder".to_owned());
    }
    match raw.position_embedding_type.as_deref() {
        None | Some("absolute") => {}
        Some(other) => return unsupported(format!("BERT with positions of type {}", shown(other))),
    }
    let activation = match raw.hidden_act.as_deref() {
        None | Some("gelu") => Activation::Gelu,
        Some("gelu_new" | "gelu_pytorch_tanh") => Activation::GeluTanh,
        Some(other) => return unsupported(format!("BERT with the activation {}", shown(other))),
    };
    let hidden = required("hidden_size", raw.hidden_size, MOST_WIDTH)?;
    let heads = required("num_attention_heads", raw.num_attention_heads, MOST_HEADS)?;
    divides("num_attention_heads", heads, hidden, "hidden_size")?;
    Ok(EncoderConfig {
        hidden,
        layers: required("num_hidden_layers", raw.num_hidden_layers, MOST_LAYERS)?,
        heads,
        intermediate: required("intermediate_size", raw.intermediate_size, MOST_WIDTH)?,
        vocab: required("vocab_size", raw.vocab_size, MOST_ROWS)?,
        max_positions: required("max_position_embeddings", raw.max_position_embeddings, MOST_ROWS)?,
        type_vocab: required("type_vocab_size", raw.type_vocab_size.or(Some(2)), MOST_WIDTH)?,
        norm_eps: positive("layer_norm_eps", raw.layer_norm_eps, Some(1e-12), 1.0)? as f32,
        activation,
    })
}
