//! The decoder families' config.json.

use super::check::{
    MOST_HEAD_DIM, MOST_HEADS, MOST_LAYERS, MOST_ROWS, MOST_WIDTH, Refusal, divides, positive, required,
    shown,
};
use super::raw::{Raw, RawRope};
use crate::model::config::{DecoderConfig, DecoderFamily};
use crate::model::error::ModelError;
use crate::model::rope::{Rope, RopeScaling};

pub(super) fn decoder(family: DecoderFamily, raw: &Raw) -> Result<DecoderConfig, Refusal> {
    check_decoder_variant(raw)?;
    let hidden = required("hidden_size", raw.hidden_size, MOST_WIDTH)?;
    let layers = required("num_hidden_layers", raw.num_hidden_layers, MOST_LAYERS)?;
    let heads = required("num_attention_heads", raw.num_attention_heads, MOST_HEADS)?;
    let kv_heads = match raw.num_key_value_heads {
        None => heads,
        some => required("num_key_value_heads", some, MOST_HEADS)?,
    };
    divides("num_key_value_heads", kv_heads, heads, "num_attention_heads")?;
    let attention_bias =
        matches!(family, DecoderFamily::Llama | DecoderFamily::Qwen3) && raw.attention_bias.unwrap_or(false);
    Ok(DecoderConfig {
        family,
        hidden,
        layers,
        heads,
        kv_heads,
        head_dim: head_dim(family, raw, hidden, heads)?,
        intermediate: required("intermediate_size", raw.intermediate_size, MOST_WIDTH)?,
        vocab: required("vocab_size", raw.vocab_size, MOST_ROWS)?,
        max_positions: required("max_position_embeddings", raw.max_position_embeddings, MOST_ROWS)?,
        norm_eps: positive("rms_norm_eps", raw.rms_norm_eps, Some(1e-6), 1.0)? as f32,
        rope: rope(raw)?,
        tied: raw.tie_word_embeddings.unwrap_or(false),
        qkv_bias: family == DecoderFamily::Qwen2 || attention_bias,
        output_bias: attention_bias,
        mlp_bias: family == DecoderFamily::Llama && raw.mlp_bias.unwrap_or(false),
        qk_norm: family == DecoderFamily::Qwen3,
        windows: windows(family, raw, layers)?,
    })
}

/// Refuses what an otherwise known decoder may have and what is not computed here.
fn check_decoder_variant(raw: &Raw) -> Result<(), Refusal> {
    if raw.quantization_config.is_some() {
        return Err(Refusal::Unsupported("quantised weights".to_owned()));
    }
    let in_rope = raw.rope_parameters.as_ref().and_then(|rope| rope.partial_rotary_factor);
    if raw.partial_rotary_factor.or(in_rope).is_some_and(|part| part != 1.0) {
        return Err(Refusal::Unsupported("a rotary embedding of a part of each head".to_owned()));
    }
    match raw.hidden_act.as_deref() {
        None | Some("silu" | "swish") => Ok(()),
        Some(other) => Err(Refusal::Unsupported(format!("a decoder with the activation {}", shown(other)))),
    }
}

fn head_dim(family: DecoderFamily, raw: &Raw, hidden: usize, heads: usize) -> Result<usize, ModelError> {
    let dim = match (raw.head_dim, family) {
        (None, DecoderFamily::Qwen3) => 128, // the default of its class, whatever the width
        (None, _) => {
            divides("num_attention_heads", heads, hidden, "hidden_size")?;
            hidden / heads
        }
        (some, _) => required("head_dim", some, MOST_HEAD_DIM)?,
    };
    if !dim.is_multiple_of(2) {
        let problem = format!("is {dim}: a rotary embedding turns pairs of dimensions");
        return Err(ModelError::Config { field: "head_dim", problem });
    }
    Ok(dim)
}

fn rope(raw: &Raw) -> Result<Rope, Refusal> {
    let none = RawRope::default();
    let given = raw.rope_parameters.as_ref().or(raw.rope_scaling.as_ref()).unwrap_or(&none);
    let theta = positive("rope_theta", given.rope_theta.or(raw.rope_theta), Some(10_000.0), 1e15)?;
    let factor = || positive("rope_scaling.factor", given.factor, None, 1e6);
    let scaling = match given.rope_type.as_deref().or(given.r#type.as_deref()) {
        None | Some("default") => RopeScaling::Default,
        Some("linear") => RopeScaling::Linear { factor: factor()? },
        Some("llama3") => llama3_scaling(given, factor()?)?,
        Some(other) => return Err(Refusal::Unsupported(format!("rotary scaling of type {}", shown(other)))),
    };
    Ok(Rope { theta, scaling })
}

fn llama3_scaling(given: &RawRope, factor: f64) -> Result<RopeScaling, ModelError> {
    let low = positive("rope_scaling.low_freq_factor", given.low_freq_factor, None, 1e6)?;
    let high = positive("rope_scaling.high_freq_factor", given.high_freq_factor, None, 1e6)?;
    if high <= low {
        let problem = format!("is {high}, not over low_freq_factor, which is {low}");
        return Err(ModelError::Config { field: "rope_scaling.high_freq_factor", problem });
    }
    let field = "rope_scaling.original_max_position_embeddings";
    let original_positions = positive(field, given.original_max_position_embeddings, None, MOST_ROWS as f64)?;
    Ok(RopeScaling::Llama3 { factor, low, high, original_positions })
}

/// The attention window of each layer.
fn windows(family: DecoderFamily, raw: &Raw, layers: usize) -> Result<Vec<Option<usize>>, Refusal> {
    let used = match family {
        DecoderFamily::Llama => false,
        DecoderFamily::Mistral => true,
        DecoderFamily::Qwen2 | DecoderFamily::Qwen3 => raw.use_sliding_window.unwrap_or(false),
    };
    let window = match raw.sliding_window {
        some @ Some(_) if used => Some(required("sliding_window", some, MOST_ROWS)?),
        _ => None,
    };
    if matches!(family, DecoderFamily::Llama | DecoderFamily::Mistral) {
        return Ok(vec![window; layers]);
    }
    let Some(types) = &raw.layer_types else {
        let first = raw.max_window_layers.unwrap_or(28); // the default of both Qwen classes
        return Ok((0..layers as u64).map(|layer| window.filter(|_| layer >= first)).collect());
    };
    if types.len() != layers {
        let problem = format!("has {} entries for {layers} layers", types.len());
        return Err(Refusal::Wrong(ModelError::Config { field: "layer_types", problem }));
    }
    let of_type = |kind: &String| match kind.as_str() {
        "full_attention" => Ok(None),
        "sliding_attention" => Ok(window),
        other => Err(Refusal::Unsupported(format!("a layer of type {}", shown(other)))),
    };
    types.iter().map(of_type).collect()
}
