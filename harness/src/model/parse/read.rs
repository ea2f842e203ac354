//! Finding out what a config.json describes.

use std::path::Path;

use serde_json::Value;

use super::check::{Refusal, shown};
use super::decoder::decoder;
use super::encoder::encoder;
use crate::model::config::{DecoderFamily, Forward};
use crate::model::error::ModelError;
use crate::weights::ModelFiles;

const CONFIG: &str = "config.json";
/// Real ones have a few KiB.
const LARGEST_CONFIG: u64 = 16 << 20;

/// Reads `config.json` of a model.
///
/// A missing file and an architecture that is not computed here are answers, not errors: the weights can still be
/// loaded and timed.
///
/// # Errors
/// When the file cannot be read or parsed, or holds a value that no model can have.
pub fn read_config(model: &ModelFiles) -> Result<Forward, ModelError> {
    match model.read_small(CONFIG, LARGEST_CONFIG)? {
        Some(text) => parse_config(&text, &model.dir().join(CONFIG)),
        None => Ok(Forward::NoConfig {
            why: format!(
                "there is no {CONFIG} in {}: add it, or measure the model with `coldstart server`",
                model.dir().display()
            ),
        }),
    }
}

/// Understands the text of a config.json; `path` is for messages only.
///
/// # Errors
/// As for [`read_config`].
pub fn parse_config(text: &[u8], path: &Path) -> Result<Forward, ModelError> {
    let parse = |source| ModelError::Parse { path: path.to_owned(), source };
    let value: Value = serde_json::from_slice(text).map_err(parse)?;
    let forward = match architecture(&value) {
        Architecture::Decoder(family) => {
            decoder(family, &serde_json::from_value(value).map_err(parse)?).map(Forward::Decoder)
        }
        Architecture::Encoder => {
            encoder(&serde_json::from_value(value).map_err(parse)?).map(Forward::Encoder)
        }
        Architecture::Unknown(name) => Err(Refusal::Unsupported(format!("the architecture {name}"))),
    };
    match forward {
        Ok(forward) => Ok(forward),
        Err(Refusal::Wrong(error)) => Err(error),
        Err(Refusal::Unsupported(what)) => Ok(Forward::Unsupported {
            why: format!(
                "the reference runtime does not compute {what}: measure this model with `coldstart server`"
            ),
        }),
    }
}

enum Architecture {
    Decoder(DecoderFamily),
    Encoder,
    Unknown(String),
}

/// By the first of `architectures`; by `model_type` where that is missing.
fn architecture(config: &Value) -> Architecture {
    let class = config.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let kind = config.get("model_type").and_then(Value::as_str);
    match (class, kind) {
        (Some("LlamaForCausalLM"), _) | (None, Some("llama")) => Architecture::Decoder(DecoderFamily::Llama),
        (Some("MistralForCausalLM"), _) | (None, Some("mistral")) => {
            Architecture::Decoder(DecoderFamily::Mistral)
        }
        (Some("Qwen2ForCausalLM"), _) | (None, Some("qwen2")) => Architecture::Decoder(DecoderFamily::Qwen2),
        (Some("Qwen3ForCausalLM"), _) | (None, Some("qwen3")) => Architecture::Decoder(DecoderFamily::Qwen3),
        (Some(class), _) if class == "BertModel" || class.starts_with("BertFor") => Architecture::Encoder,
        (None, Some("bert")) => Architecture::Encoder,
        (Some(name), _) | (None, Some(name)) => Architecture::Unknown(shown(name)),
        (None, None) => Architecture::Unknown("that config.json does not name".to_owned()),
    }
}
