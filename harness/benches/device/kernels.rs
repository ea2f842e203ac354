//! Operations of a transformer by themselves, in the format that the device computes bf16 weights in.

use coldstart_kernels::{
    Attention, Device, Dtype, GemmRun, Indices, KvCache, KvShape, Matrix, MatrixMut, Ops, Placement, Ragged,
    flops,
};
use criterion::{BenchmarkGroup, Criterion, Throughput};

use crate::device_time::DeviceTime;
use crate::{Failure, must};

/// Columns of a layer with about a billion parameters.
const HIDDEN: usize = 2048;
/// Rows of a batch that fills a device.
const ROWS: usize = 512;
/// Tokens that attention looks at.
const CONTEXT: usize = 1024;
/// Sequences of a decode step.
const SEQUENCES: usize = 8;

type Group<'c, 'd, D> = BenchmarkGroup<'c, DeviceTime<'d, D>>;

pub(crate) fn benches<D: Ops>(
    c: &mut Criterion<DeviceTime<'_, D>>,
    device: &D,
    kind: &str,
) -> Result<(), Failure> {
    products(c, device, kind)?;
    let mut group = c.benchmark_group(format!("{kind}/kernels"));
    group.sample_size(20);
    rows(&mut group, device)?;
    attention(&mut group, device)?;
    group.finish();
    Ok(())
}

/// Square products, whose rate is operations, and a product of one row, whose rate is bytes of weights.
fn products<D: Ops>(c: &mut Criterion<DeviceTime<'_, D>>, device: &D, kind: &str) -> Result<(), Failure> {
    let mut group = c.benchmark_group(format!("{kind}/products"));
    group.sample_size(20);
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let mut run = GemmRun::new(device, [1024, 1024, 1024], dtype)?;
        group.throughput(Throughput::Elements(run.flops()));
        group.bench_function(format!("1024³ {dtype} (FLOP)"), |b| b.iter(|| must(run.enqueue(device))));
    }
    let mut run = GemmRun::new(device, [1, 4 * HIDDEN, HIDDEN], Dtype::Bf16)?;
    group.throughput(Throughput::Bytes((4 * HIDDEN * HIDDEN * Dtype::Bf16.size()) as u64));
    group.bench_function("one row of bf16 weights", |b| b.iter(|| must(run.enqueue(device))));
    group.finish();
    Ok(())
}

/// One enqueued operation with its views.
fn run(operation: impl FnOnce() -> coldstart_kernels::Result<()>) {
    must(operation());
}

/// A matrix of random numbers.
fn random<D: Ops>(device: &D, dtype: Dtype, shape: [usize; 2]) -> Result<D::Buffer, Failure> {
    let mut buffer = device.alloc(shape[0] * shape[1] * dtype.size())?;
    device.fill_uniform(MatrixMut::new(&mut buffer, dtype, shape)?, 7, 1.0)?;
    Ok(buffer)
}

/// What is bound by memory: rates are bytes read and written.
fn rows<D: Ops>(group: &mut Group<'_, '_, D>, device: &D) -> Result<(), Failure> {
    let dtype = device.activation_dtype(Dtype::Bf16);
    let shape = [ROWS, HIDDEN];
    let (x, weight) = (random(device, dtype, shape)?, random(device, Dtype::Bf16, [1, HIDDEN])?);
    let (up, mut y) = (random(device, dtype, shape)?, random(device, dtype, shape)?);
    let matrix = (ROWS * HIDDEN * dtype.size()) as u64;
    group.throughput(Throughput::Bytes(2 * matrix));
    group.bench_function("rms_norm", |b| {
        b.iter(|| {
            run(|| {
                let (x, weight) =
                    (Matrix::new(&x, dtype, shape)?, Matrix::new(&weight, Dtype::Bf16, [1, HIDDEN])?);
                device.rms_norm(x, weight, 1e-5, MatrixMut::new(&mut y, dtype, shape)?)
            })
        });
    });
    group.throughput(Throughput::Bytes(3 * matrix));
    group.bench_function("silu_mul", |b| {
        b.iter(|| {
            run(|| {
                let (gate, up) = (Matrix::new(&x, dtype, shape)?, Matrix::new(&up, dtype, shape)?);
                device.silu_mul(gate, up, MatrixMut::new(&mut y, dtype, shape)?)
            })
        });
    });
    Ok(())
}

/// Grouped heads of 128 over a cache: a prompt, whose rate is operations, and a decode step, whose rate is bytes of the
/// cache.
fn attention<D: Ops>(group: &mut Group<'_, '_, D>, device: &D) -> Result<(), Failure> {
    let dtype = device.activation_dtype(Dtype::Bf16);
    let layer = Attention { query_heads: 16, kv_heads: 4, head_dim: 128, scale: 0.088, window: None };
    let shape = KvShape {
        slots: SEQUENCES,
        kv_heads: layer.kv_heads,
        capacity: CONTEXT,
        head_dim: layer.head_dim,
        dtype,
    };
    let mut cache = KvCache::alloc(device, shape)?;
    let kv = [CONTEXT, layer.kv_heads * layer.head_dim];
    let keys = random(device, dtype, kv)?;
    let positions = numbers(device, (0..CONTEXT as u32).collect())?;
    for slot in 0..SEQUENCES as u32 {
        let slots = numbers(device, vec![slot; CONTEXT])?;
        let at = Placement {
            slots: Indices::new(&slots, CONTEXT)?,
            positions: Indices::new(&positions, CONTEXT)?,
        };
        let (k, v) = (Matrix::new(&keys, dtype, kv)?, Matrix::new(&keys, dtype, kv)?);
        device.kv_write(k, v, at, &mut cache)?;
        device.sync()?;
    }

    let queries = [CONTEXT, layer.query_heads * layer.head_dim];
    let (q, mut y) = (random(device, dtype, queries)?, random(device, dtype, queries)?);
    let (slots, starts) = (numbers(device, vec![0; CONTEXT])?, numbers(device, vec![0, CONTEXT as u32])?);
    let operations = flops::causal_attention(layer.query_heads, layer.head_dim, 0, CONTEXT);
    group.throughput(Throughput::Elements(operations));
    group.bench_function(format!("attention_prefill of {CONTEXT} (FLOP)"), |b| {
        b.iter(|| {
            run(|| {
                let batch = Ragged { starts: Indices::new(&starts, 2)?, longest: CONTEXT };
                let at = Placement {
                    slots: Indices::new(&slots, CONTEXT)?,
                    positions: Indices::new(&positions, CONTEXT)?,
                };
                let q = Matrix::new(&q, dtype, queries)?;
                device.attention_prefill(
                    q,
                    &cache,
                    batch,
                    at,
                    &layer,
                    MatrixMut::new(&mut y, dtype, queries)?,
                )
            })
        });
    });

    let last = numbers(device, vec![CONTEXT as u32 - 1; SEQUENCES])?;
    let each = numbers(device, (0..SEQUENCES as u32).collect())?;
    let queries = [SEQUENCES, layer.query_heads * layer.head_dim];
    group.throughput(Throughput::Bytes(2 * shape.bytes().unwrap_or(0) as u64));
    group.bench_function(format!("attention_decode of {SEQUENCES} at {CONTEXT}"), |b| {
        b.iter(|| {
            run(|| {
                let at = Placement {
                    slots: Indices::new(&each, SEQUENCES)?,
                    positions: Indices::new(&last, SEQUENCES)?,
                };
                let q = Matrix::new(&q, dtype, queries)?;
                device.attention_decode(q, &cache, at, &layer, MatrixMut::new(&mut y, dtype, queries)?)
            })
        });
    });
    Ok(())
}

/// Numbers in device memory.
fn numbers<D: Device>(device: &D, numbers: Vec<u32>) -> Result<D::Buffer, Failure> {
    let bytes: Vec<u8> = numbers.into_iter().flat_map(u32::to_le_bytes).collect();
    let mut buffer = device.alloc(bytes.len())?;
    device.upload(device.compute(), &bytes, &mut buffer, 0)?;
    device.sync()?;
    Ok(buffer)
}
