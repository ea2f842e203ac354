//! Small models for tests, good and bad.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A safetensors file from any header and any number of data bytes (a pattern that depends on the position).
pub(crate) fn raw_file(path: &Path, header: &str, data: usize) {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..data).map(|at| (at * 31 + at / 251) as u8));
    fs::write(path, bytes).unwrap();
}

/// A correct safetensors file of F32 vectors: names and numbers of elements, in this order.
pub(crate) fn vectors(path: &Path, tensors: &[(&str, usize)]) {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, elements) in tensors {
        let begin = end;
        end += 4 * elements;
        header.insert(
            (*name).to_owned(),
            json!({"dtype": "F32", "shape": [elements], "data_offsets": [begin, end]}),
        );
    }
    raw_file(path, &Value::Object(header).to_string(), end);
}

/// An index file with this map from tensor to shard.
pub(crate) fn index(dir: &Path, map: &[(&str, &str)]) -> PathBuf {
    let map: serde_json::Map<String, Value> =
        map.iter().map(|(tensor, shard)| ((*tensor).to_owned(), json!(shard))).collect();
    let path = dir.join("model.safetensors.index.json");
    fs::write(&path, json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string()).unwrap();
    path
}
