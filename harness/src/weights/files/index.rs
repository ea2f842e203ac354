//! `model.safetensors.index.json`: which shard holds which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::contain::open_regular;
use crate::weights::error::WeightsError;

/// The longest index that is read; the index of a model with 400 shards has about 10 MB.
const MAX_INDEX_BYTES: u64 = 100_000_000;

/// The shards of a model, as its index names them.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Read the index at `path` (resolved).
    pub(super) fn read(path: &Path) -> Result<Index, WeightsError> {
        let bad = |why: String| WeightsError::BadIndex { path: path.to_owned(), why };
        let (file, size) = open_regular(path)?;
        if size > MAX_INDEX_BYTES {
            return Err(bad(format!("it has {size} bytes, more than the {MAX_INDEX_BYTES} allowed")));
        }
        let mut text = Vec::with_capacity(size as usize);
        file.take(MAX_INDEX_BYTES).read_to_end(&mut text).map_err(WeightsError::io("read", path))?;
        let index: Index = serde_json::from_slice(&text)
            .map_err(|error| bad(format!("it is not valid ({error}): download it again")))?;
        if index.weight_map.is_empty() {
            return Err(bad("its weight_map is empty: download it again".to_owned()));
        }
        Ok(index)
    }

    /// The shards' names, ordered.
    pub(super) fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// Tensor and shard of every entry, ordered by tensor.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.weight_map.iter().map(|(tensor, shard)| (tensor.as_str(), shard.as_str()))
    }
}
