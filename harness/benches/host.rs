//! The host device: loading weights with every strategy, a prefill and a decode step of the tiny synthetic model, and the
//! product that the GEMM limit is measured with. Rates are printed beside the times.

use std::error::Error;

use coldstart::model::{Batch, Capacity, Runner, read_config};
use coldstart::weights::synthetic::{SyntheticSize, ensure};
use coldstart::weights::{
    DeviceLayout, LoadOptions, Loaded, ModelFiles, OpenOptions, Strategy, alloc_weights, load_weights,
    page_cache,
};
use coldstart_kernels::{Device as _, Dtype, GemmRun, HostDevice};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// Tokens of the prompt, and in the cache of a decode step.
const TOKENS: usize = 64;

fn tiny() -> Result<(tempfile::TempDir, ModelFiles), Box<dyn Error>> {
    let cache = tempfile::tempdir()?;
    let model = ensure(SyntheticSize::Tiny, cache.path(), &|_| {})?;
    let files = ModelFiles::open(&model.dir, OpenOptions::default())?;
    Ok((cache, files))
}

/// From the page cache into fresh device memory.
fn uploads(c: &mut Criterion) {
    let (Ok((_cache, files)), Ok(device)) = (tiny(), HostDevice::open(0)) else { return };
    let layout = DeviceLayout::of(&files);
    let mut group = c.benchmark_group("weights_load/warm");
    group.throughput(Throughput::Bytes(files.bytes()));
    for strategy in Strategy::available(true).filter(|strategy| !strategy.bypasses_page_cache()) {
        if page_cache::warm(files.files()).is_err() {
            continue;
        }
        group.bench_function(strategy.name(), |b| {
            b.iter_batched_ref(
                || alloc_weights(&device, &layout).ok(),
                |buffer| {
                    let buffer = buffer.as_mut()?;
                    load_weights(&device, &files, &layout, buffer, strategy, LoadOptions::default()).ok()
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn forward(c: &mut Criterion) {
    if let Err(error) = try_forward(c) {
        eprintln!("skipped: {error}");
    }
}

fn try_forward(c: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let (_cache, files) = tiny()?;
    let device = HostDevice::open(0)?;
    let layout = DeviceLayout::of(&files);
    let mut buffer = alloc_weights(&device, &layout)?;
    load_weights(&device, &files, &layout, &mut buffer, Strategy::BufferedInPlace, LoadOptions::default())?;
    let weights = Loaded::<HostDevice> { buffer, table: layout.table().clone() };
    let forward = read_config(&files)?;
    let capacity = Capacity { sequences: 1, tokens: TOKENS, context: TOKENS + 1 };
    let mut runner = Runner::new(&device, &forward, &weights.table, &weights.buffer, capacity)?;
    let prompt = Batch::synthetic(1, forward.vocab().unwrap_or(1), 1, TOKENS)?;
    let mut group = c.benchmark_group("forward/tiny");
    group.throughput(Throughput::Elements(TOKENS as u64));
    group.bench_function("prefill of 64 tokens", |b| b.iter(|| runner.forward(&prompt).map(drop)));
    if let Some(generator) = runner.generator() {
        generator.prepare_decode(1, TOKENS)?;
        group.throughput(Throughput::Elements(1));
        group.bench_function("decode step at 64 tokens", |b| b.iter(|| generator.decode_step().map(drop)));
    }
    group.finish();
    Ok(())
}

fn products(c: &mut Criterion) {
    let Ok(device) = HostDevice::open(0) else { return };
    let Ok(mut run) = GemmRun::new(&device, [1024, 1024, 1024], Dtype::F32) else { return };
    let mut group = c.benchmark_group("gemm");
    group.sample_size(20).throughput(Throughput::Elements(run.flops()));
    group.bench_function("1024³ f32", |b| b.iter(|| run.enqueue(&device).and_then(|()| device.sync())));
    group.finish();
}

criterion_group!(benches, uploads, forward, products);
criterion_main!(benches);
