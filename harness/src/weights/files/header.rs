//! The header of one safetensors file, read as untrusted input.
//!
//! Format: <https://github.com/huggingface/safetensors#format>: eight bytes with the header's length (little endian), a JSON
//! object from name to `{dtype, shape, data_offsets}`, then the data. The crate `safetensors` wants the whole file in
//! memory and does not say which tensor is wrong and by how much, so the checks are ours and its types are used.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::weights::error::{FileFault, WeightsError};

/// The longest header that is read, as in the crate `safetensors`.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The bytes of the length before the header.
const LENGTH_BYTES: u64 = 8;

/// One tensor of a file, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeaderTensor {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// The first byte, counted from the start of the file.
    pub(super) begin: u64,
    pub(super) bytes: u64,
}

/// A checked header: its tensors in the order of their bytes, without overlap or hole.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) tensors: Vec<HeaderTensor>,
    /// Where the data begins in the file.
    pub(super) data_begin: u64,
    /// The length and the JSON, as in the file.
    pub(super) raw: Vec<u8>,
}

/// Read and check the header of `file`, which is `size` bytes long. Nothing is allocated before the sizes are checked.
pub(super) fn read_header(path: &Path, file: &File, size: u64) -> Result<Header, WeightsError> {
    let fault = |fault| WeightsError::file(path, fault);
    if size < LENGTH_BYTES {
        return Err(fault(FileFault::TooShort { size }));
    }
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact_at(&mut length, 0).map_err(WeightsError::io("read", path))?;
    let header = u64::from_le_bytes(length);
    let left = size - LENGTH_BYTES;
    if header > left {
        return Err(fault(FileFault::HeaderBeyondFile { header, left }));
    }
    if header > MAX_HEADER_BYTES {
        return Err(fault(FileFault::HeaderTooLarge { header, cap: MAX_HEADER_BYTES }));
    }
    let mut raw = vec![0; (LENGTH_BYTES + header) as usize];
    file.read_exact_at(&mut raw, 0).map_err(WeightsError::io("read", path))?;
    let data_begin = LENGTH_BYTES + header;
    let tensors = parse(&raw[LENGTH_BYTES as usize..]).map_err(fault)?;
    let tensors = check(tensors, data_begin, size - data_begin).map_err(fault)?;
    Ok(Header { tensors, data_begin, raw })
}

/// The entries of the JSON object, in the order of the text, duplicates included.
fn parse(json: &[u8]) -> Result<Vec<(String, TensorInfo)>, FileFault> {
    let not_json = |error: serde_json::Error| FileFault::HeaderJson { why: error.to_string() };
    let mut json = serde_json::Deserializer::from_slice(json);
    let entries = json.deserialize_map(Entries).map_err(not_json)?;
    json.end().map_err(not_json)?;
    Ok(entries)
}

/// Keeps every entry: a map type would hide a name that appears twice.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, TensorInfo)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object from tensor name to {dtype, shape, data_offsets}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<std::collections::BTreeMap<String, String>>()?;
                continue;
            }
            let info = map
                .next_value::<TensorInfo>()
                .map_err(|error| serde::de::Error::custom(format_args!("tensor `{name}`: {error}")))?;
            entries.push((name, info));
        }
        Ok(entries)
    }
}

/// Order the tensors by their bytes and check that they cover the `data` bytes after the header, each byte once.
fn check(
    mut entries: Vec<(String, TensorInfo)>,
    data_begin: u64,
    data: u64,
) -> Result<Vec<HeaderTensor>, FileFault> {
    entries.sort_by(|(name, info), (other_name, other)| {
        (info.data_offsets, name).cmp(&(other.data_offsets, other_name))
    });
    let mut names = std::collections::HashSet::with_capacity(entries.len());
    if let Some((name, _)) = entries.iter().find(|(name, _)| !names.insert(name.as_str())) {
        return Err(FileFault::Duplicate { tensor: name.clone() });
    }
    let mut tensors: Vec<HeaderTensor> = Vec::with_capacity(entries.len());
    let mut covered = 0;
    for (name, info) in entries {
        let bytes = check_span(&name, &info)?;
        let begin = info.data_offsets.0 as u64;
        check_neighbours(&name, begin, covered, tensors.last())?;
        covered = begin + bytes;
        if covered > data {
            return Err(FileFault::Truncated { tensor: name, end: covered, data });
        }
        tensors.push(HeaderTensor {
            name,
            dtype: info.dtype,
            shape: info.shape,
            begin: data_begin + begin,
            bytes,
        });
    }
    match data - covered {
        0 => Ok(tensors),
        extra => Err(FileFault::Trailing { extra }),
    }
}

/// The bytes of one tensor, when its span is what dtype × shape needs.
fn check_span(name: &str, info: &TensorInfo) -> Result<u64, FileFault> {
    let (begin, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
    let no_size = || FileFault::Size {
        tensor: name.to_owned(),
        dtype: info.dtype.to_string(),
        shape: info.shape.clone(),
    };
    let bits = info
        .shape
        .iter()
        .try_fold(info.dtype.bitsize() as u64, |bits, dim| bits.checked_mul(*dim as u64))
        .ok_or_else(no_size)?;
    if bits % 8 != 0 {
        return Err(no_size());
    }
    let needed = bits / 8;
    if end.checked_sub(begin) != Some(needed) {
        return Err(FileFault::SpanMismatch {
            tensor: name.to_owned(),
            begin,
            end,
            dtype: info.dtype.to_string(),
            shape: info.shape.clone(),
            needed,
        });
    }
    Ok(needed)
}

/// A tensor begins exactly where the one before it ends.
fn check_neighbours(
    name: &str,
    begin: u64,
    covered: u64,
    before: Option<&HeaderTensor>,
) -> Result<(), FileFault> {
    match begin.cmp(&covered) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(FileFault::Hole { tensor: name.to_owned(), end: covered, begin }),
        std::cmp::Ordering::Less => Err(FileFault::Overlap {
            tensor: name.to_owned(),
            begin,
            before: before.map_or_else(String::new, |tensor| tensor.name.clone()),
            end: covered,
        }),
    }
}
