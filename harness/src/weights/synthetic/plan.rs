//! Which bytes a synthetic model's files consist of, before any is made.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::size::{Shape, SyntheticSize};

/// Data begins at a multiple of this, so that reads around the page cache need no bounce at the head.
const DATA_ALIGN: usize = 4096;

/// The most that a shard holds, as `save_pretrained` splits: 5 GB.
const SHARD_BYTES: u64 = 5_000_000_000;

/// One tensor: bf16, its bytes a multiple of 8.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlannedTensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// The standard deviation of its values; `None`: all ones (a norm's weight).
    pub(super) deviation: Option<f32>,
    /// Its number in the whole model: the seed of its values.
    pub(super) number: u64,
    /// Its first byte in the file.
    pub(super) begin: u64,
    pub(super) bytes: u64,
}

/// One file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlannedFile {
    pub(super) name: String,
    /// The length and the JSON, padded with spaces.
    pub(super) header: Vec<u8>,
    pub(super) tensors: Vec<PlannedTensor>,
    pub(super) size: u64,
}

/// A whole model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) files: Vec<PlannedFile>,
    /// Small files and their contents: config.json, the index.
    pub(super) texts: Vec<(&'static str, String)>,
}

impl Plan {
    pub(super) fn of(size: SyntheticSize) -> Plan {
        let shards = split(tensors(&size.shape()));
        let count = shards.len();
        let mut files = Vec::new();
        let mut map = BTreeMap::new();
        for (at, tensors) in shards.into_iter().enumerate() {
            let name = match count {
                1 => "model.safetensors".to_owned(),
                _ => format!("model-{:05}-of-{count:05}.safetensors", at + 1),
            };
            map.extend(tensors.iter().map(|tensor| (tensor.name.clone(), name.clone())));
            files.push(PlannedFile::new(name, tensors));
        }
        let mut texts = vec![("config.json", format!("{:#}\n", size.config()))];
        if count > 1 {
            let total: u64 = files.iter().flat_map(|file| &file.tensors).map(|tensor| tensor.bytes).sum();
            let index = json!({"metadata": {"total_size": total}, "weight_map": map});
            texts.push(("model.safetensors.index.json", format!("{index:#}\n")));
        }
        Plan { files, texts }
    }

    /// The bytes of all weight files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

impl PlannedFile {
    fn new(name: String, mut tensors: Vec<PlannedTensor>) -> PlannedFile {
        let mut end = 0;
        let mut entries = serde_json::Map::new();
        entries.insert("__metadata__".to_owned(), json!({"format": "pt"}));
        for tensor in &mut tensors {
            tensor.begin = end;
            end += tensor.bytes;
            let entry = json!({"dtype": "BF16", "shape": tensor.shape, "data_offsets": [tensor.begin, end]});
            entries.insert(tensor.name.clone(), entry);
        }
        let mut json = Value::Object(entries).to_string().into_bytes();
        json.resize((json.len() + 8).next_multiple_of(DATA_ALIGN) - 8, b' ');
        let mut header = (json.len() as u64).to_le_bytes().to_vec();
        header.extend(json);
        let data_begin = header.len() as u64;
        for tensor in &mut tensors {
            tensor.begin += data_begin;
        }
        PlannedFile { name, header, tensors, size: data_begin + end }
    }
}

/// All tensors of a decoder, in the order of its layers.
///
/// Values keep a forward pass finite: a projection of n inputs has the deviation 1/√n, so that it keeps the size of what
/// comes in, and the two that write to the residual stream are smaller by √(2·layers) (GPT-2, Radford et al. 2019, 2.3).
fn tensors(shape: &Shape) -> Vec<PlannedTensor> {
    let mut tensors = Vec::new();
    let mut push = |name: String, dims: &[usize], deviation: Option<f32>| {
        tensors.push(PlannedTensor {
            name,
            shape: dims.to_vec(),
            deviation,
            number: tensors.len() as u64,
            begin: 0,
            bytes: 2 * dims.iter().product::<usize>() as u64,
        });
    };
    let (hidden, inner) = (shape.hidden, shape.intermediate);
    let (queries, keys) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    let keep = |inputs: usize| Some(1.0 / (inputs as f32).sqrt());
    let shrink = |inputs: usize| Some(1.0 / (inputs as f32 * 2.0 * shape.layers as f32).sqrt());
    push("model.embed_tokens.weight".into(), &[shape.vocab, hidden], Some(0.02));
    for layer in 0..shape.layers {
        let at = |part: &str| format!("model.layers.{layer}.{part}.weight");
        push(at("input_layernorm"), &[hidden], None);
        push(at("self_attn.q_proj"), &[queries, hidden], keep(hidden));
        push(at("self_attn.k_proj"), &[keys, hidden], keep(hidden));
        push(at("self_attn.v_proj"), &[keys, hidden], keep(hidden));
        push(at("self_attn.o_proj"), &[hidden, queries], shrink(queries));
        push(at("post_attention_layernorm"), &[hidden], None);
        push(at("mlp.gate_proj"), &[inner, hidden], keep(hidden));
        push(at("mlp.up_proj"), &[inner, hidden], keep(hidden));
        push(at("mlp.down_proj"), &[hidden, inner], shrink(inner));
    }
    push("model.norm.weight".into(), &[hidden], None);
    if !shape.tied {
        push("lm_head.weight".into(), &[shape.vocab, hidden], Some(0.02));
    }
    tensors
}

/// Fill one shard after the other.
fn split(tensors: Vec<PlannedTensor>) -> Vec<Vec<PlannedTensor>> {
    let mut shards: Vec<Vec<PlannedTensor>> = Vec::new();
    let mut bytes = u64::MAX;
    for tensor in tensors {
        bytes = bytes.saturating_add(tensor.bytes);
        if bytes > SHARD_BYTES {
            shards.push(Vec::new());
            bytes = tensor.bytes;
        }
        if let Some(shard) = shards.last_mut() {
            shard.push(tensor);
        }
    }
    shards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_models_they_stand_for() {
        for (size, parameters, files) in [
            (SyntheticSize::Tiny, 631_424, 1),
            (SyntheticSize::Small, 100_092_672, 1),
            (SyntheticSize::B1, 1_235_814_400, 1),
            (SyntheticSize::B8, 8_030_261_248, 4),
        ] {
            let plan = Plan::of(size);
            let tensors = plan.files.iter().flat_map(|file| &file.tensors);
            let sum: usize = tensors.map(|tensor| tensor.shape.iter().product::<usize>()).sum();
            assert_eq!((sum, plan.files.len()), (parameters, files), "{size}");
            for file in &plan.files {
                assert_eq!(file.header.len() % 4096, 0, "{size}");
                assert!(file.tensors.iter().all(|tensor| tensor.begin % 8 == 0 && tensor.bytes % 256 == 0));
                assert!(file.size < 5_100_000_000);
            }
            assert_eq!(plan.texts.len(), if files > 1 { 2 } else { 1 });
        }
    }
}
