//! A prefill and a decode step of a synthetic model, in tokens per second.

use coldstart::model::{Batch, Capacity, Runner, read_config};
use coldstart::weights::synthetic::{SyntheticSize, ensure};
use coldstart::weights::{
    DeviceLayout, LoadDevice, LoadOptions, Loaded, ModelFiles, OpenOptions, Strategy, alloc_weights,
    load_weights,
};
use coldstart_kernels::Ops;
use criterion::{Criterion, Throughput};

use crate::device_time::DeviceTime;
use crate::{Failure, must};

/// Tokens of the prompt, and in the cache of a decode step.
const TOKENS: usize = 64;

/// The synthetic model that `COLDSTART_BENCH_MODEL` names, in a directory that goes with the first value.
pub(crate) fn model() -> Result<(tempfile::TempDir, ModelFiles, String), Failure> {
    let name = std::env::var("COLDSTART_BENCH_MODEL").unwrap_or_else(|_| "tiny".to_owned());
    let size: SyntheticSize = name.parse()?;
    let cache = tempfile::tempdir()?;
    let model = ensure(size, cache.path(), &|_| {})?;
    let files = ModelFiles::open(&model.dir, OpenOptions::default())?;
    Ok((cache, files, name))
}

pub(crate) fn benches<D: LoadDevice + Ops>(
    c: &mut Criterion<DeviceTime<'_, D>>,
    device: &D,
    kind: &str,
) -> Result<(), Failure> {
    let (_cache, files, name) = model()?;
    let layout = DeviceLayout::of(&files);
    let mut buffer = alloc_weights(device, &layout)?;
    load_weights(device, &files, &layout, &mut buffer, Strategy::Buffered, LoadOptions::default())?;
    let weights = Loaded::<D> { buffer, table: layout.table().clone() };
    let forward = read_config(&files)?;
    let capacity = Capacity { sequences: 1, tokens: TOKENS, context: TOKENS + 1 };
    let mut runner = Runner::new(device, &forward, &weights.table, &weights.buffer, capacity)?;
    let prompt = Batch::synthetic(1, forward.vocab().unwrap_or(1), 1, TOKENS)?;

    let mut group = c.benchmark_group(format!("{kind}/forward of {name}"));
    group.sample_size(20).throughput(Throughput::Elements(TOKENS as u64));
    group.bench_function(format!("prefill of {TOKENS} tokens"), |b| {
        b.iter(|| must(runner.forward(&prompt).map(drop)));
    });
    if let Some(generator) = runner.generator() {
        generator.prepare_decode(1, TOKENS)?;
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("decode step at {TOKENS} tokens"), |b| {
            b.iter(|| must(generator.decode_step().map(drop)));
        });
    }
    group.finish();
    Ok(())
}
