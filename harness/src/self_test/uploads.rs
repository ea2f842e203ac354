//! Every way of loading weights: do the bytes arrive?

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use coldstart_kernels::{Ops, checksum};
use serde_json::json;

use super::{SelfTestSpec, Verdict};
use crate::weights::{
    DeviceLayout, LoadDevice, LoadOptions, Loaded, ModelFiles, OpenOptions, Strategy, WeightsError,
    alloc_weights, load_weights, verify,
};

/// Numbers of f32 in each tensor: less than a page, odd, more than a piece of the ring, empty.
const TENSORS: [usize; 9] = [1, 1023, 700_001, 0, 64, 2_500_000, 3, 5_000_000, 1024];

pub(super) fn check<D: LoadDevice + Ops>(device: &D, strategy: Strategy, spec: &SelfTestSpec) -> Verdict {
    match load(device, strategy, spec) {
        Ok(Some(bytes)) => Verdict::Passed(format!("{bytes} arrived as they are in the file")),
        Ok(None) => Verdict::Skipped("the CPU can't address this device's memory".to_owned()),
        Err(error) if error.is_refusal() => Verdict::Skipped(error.to_string()),
        Err(error) => Verdict::Failed(format!("failed to {error}")),
    }
}

fn load<D: LoadDevice + Ops>(
    device: &D,
    strategy: Strategy,
    spec: &SelfTestSpec,
) -> Result<Option<String>, WeightsError> {
    let path = Path::new(&spec.scratch).join("self-test.safetensors");
    write_model(&path, spec.seed).map_err(|source| WeightsError::Io {
        action: "write",
        path: path.clone(),
        source,
    })?;
    let model = ModelFiles::open(&path, OpenOptions::default())?;
    let layout = DeviceLayout::of(&model);
    let mut buffer = alloc_weights(device, &layout)?;
    if strategy.needs_host_memory() && D::host_bytes(&mut buffer).is_none() {
        return Ok(None);
    }
    load_weights(device, &model, &layout, &mut buffer, strategy, LoadOptions::default())?;
    let loaded = Loaded { buffer, table: layout.table().clone() };
    let verified = verify(device, &model, &loaded)?;
    Ok(Some(format!("{} in {} tensors", verified.bytes, verified.tensors)))
}

/// A safetensors file with tensors of many sizes. Made once a self-test; the directory goes with it.
fn write_model(path: &Path, seed: u64) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (index, elements) in TENSORS.into_iter().enumerate() {
        let begin = end;
        end += 4 * elements;
        let tensor = json!({"dtype": "F32", "shape": [elements], "data_offsets": [begin, end]});
        header.insert(format!("tensor_{index}"), tensor);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for index in 0..(end as u64).div_ceil(8) {
        let word = checksum::pattern(seed, index).to_le_bytes();
        file.write_all(&word[..(end - index as usize * 8).min(8)])?;
    }
    file.into_inner()?.sync_all()
}
