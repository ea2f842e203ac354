//! Decode steps as one recorded graph, replayed: everything that changes from step to step is in device memory.

use coldstart_kernels::{
    Attention, Device, Dtype, HostDevice, Indices, IndicesMut, KvCache, KvShape, Matrix, MatrixMut, Memory,
    Ops, Placement, Result, checksum,
};
use coldstart_stand_in::this_test;

use crate::on_device;
use crate::support::read_numbers;

const SLOTS: usize = 2;
const CAPACITY: usize = 400;
const LAYER: Attention = Attention { query_heads: 4, kv_heads: 2, head_dim: 64, scale: 0.125, window: None };
const Q: usize = LAYER.query_heads * LAYER.head_dim;
const KV: usize = LAYER.kv_heads * LAYER.head_dim;
/// Positions that the first sequence has before the first step.
const PAST: usize = 60;
const STEPS: usize = 6;

/// A toy decoder in f32: each step writes keys and values, attends, and makes the next step's input of the result.
struct Decoder<B> {
    cache: KvCache<B>,
    /// `[SLOTS, Q + 2·KV]`
    fused: B,
    /// `[SLOTS, Q]`
    y: B,
    slots: B,
    positions: B,
}

impl<B: Memory> Decoder<B> {
    /// Sequences that begin at positions 60 and 0: the first crosses from one part of the keys into the next.
    fn new<O: Ops<Buffer = B>>(device: &O) -> Result<Self> {
        let Attention { kv_heads, head_dim, .. } = LAYER;
        let shape = KvShape { slots: SLOTS, kv_heads, capacity: CAPACITY, head_dim, dtype: Dtype::F32 };
        let mut decoder = Decoder {
            cache: KvCache::alloc(device, shape)?,
            fused: device.alloc(SLOTS * (Q + 2 * KV) * 4)?,
            y: device.alloc(SLOTS * Q * 4)?,
            slots: device.alloc(SLOTS * 4)?,
            positions: device.alloc(SLOTS * 4)?,
        };
        decoder.past(device)?;
        decoder.restart(device)?;
        Ok(decoder)
    }

    /// Fills the positions that the first sequence has already.
    fn past<O: Ops<Buffer = B>>(&mut self, device: &O) -> Result<()> {
        let (mut rows, mut slots, mut positions) =
            (device.alloc(PAST * 2 * KV * 4)?, device.alloc(PAST * 4)?, device.alloc(PAST * 4)?);
        set(device, &mut rows, &uniform(1, PAST * 2 * KV))?;
        set(device, &mut slots, &words(&[1; PAST]))?;
        set(device, &mut positions, &words(&Vec::from_iter(0..PAST as u32)))?;
        let rows = Matrix::new(&rows, Dtype::F32, [PAST, 2 * KV])?;
        let at = Placement { slots: Indices::new(&slots, PAST)?, positions: Indices::new(&positions, PAST)? };
        device.kv_write(rows.columns(0..KV)?, rows.columns(KV..2 * KV)?, at, &mut self.cache)?;
        device.sync()
    }

    /// Back to the first step.
    fn restart<O: Ops<Buffer = B>>(&mut self, device: &O) -> Result<()> {
        set(device, &mut self.fused, &uniform(2, SLOTS * (Q + 2 * KV)))?;
        set(device, &mut self.slots, &words(&[1, 0]))?;
        set(device, &mut self.positions, &words(&[PAST as u32, 0]))
    }

    /// One step of both sequences.
    fn step<O: Ops<Buffer = B>>(&mut self, device: &O) -> Result<()> {
        let Decoder { cache, fused, y, slots, positions } = self;
        let at = Placement { slots: Indices::new(slots, SLOTS)?, positions: Indices::new(positions, SLOTS)? };
        let shape = [SLOTS, Q + 2 * KV];
        let all = Matrix::new(fused, Dtype::F32, shape)?;
        device.kv_write(all.columns(Q..Q + KV)?, all.columns(Q + KV..Q + 2 * KV)?, at, cache)?;
        let into = MatrixMut::new(y, Dtype::F32, [SLOTS, Q])?;
        device.attention_decode(all.columns(0..Q)?, cache, at, &LAYER, into)?;
        let y = Matrix::new(y, Dtype::F32, [SLOTS, Q])?;
        device.add(y, MatrixMut::new(fused, Dtype::F32, shape)?.columns(0..Q)?)?;
        let keys = MatrixMut::new(fused, Dtype::F32, shape)?.columns(Q..Q + KV)?;
        device.add(y.columns(0..KV)?, keys)?;
        device.advance(IndicesMut::new(positions, SLOTS)?, 1)
    }

    fn result<O: Ops<Buffer = B>>(&self, device: &O) -> Vec<f32> {
        read_numbers(device, &self.y)
    }

    fn positions<O: Ops<Buffer = B>>(&self, device: &O) -> Vec<u32> {
        read_numbers(device, &self.positions)
    }
}

fn set<D: Device>(device: &D, buffer: &mut D::Buffer, bytes: &[u8]) -> Result<()> {
    device.upload(device.compute(), bytes, buffer, 0)
}

fn uniform(seed: u64, count: usize) -> Vec<u8> {
    (0..count as u64).flat_map(|at| checksum::uniform(seed, at, 1.0).to_le_bytes()).collect()
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[track_caller]
fn close(found: &[f32], expected: &[f32], step: usize) {
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 1e-4, "step {step}: [{at}] is {found}, expected {expected}");
    }
}

#[test]
fn one_graph_serves_all_steps() {
    on_device(this_test!(), |device| {
        let host = HostDevice::open(0)?;
        let (mut on_host, mut on_device) = (Decoder::new(&host)?, Decoder::new(&device)?);
        let mut expected = Vec::new();
        for _ in 0..STEPS {
            on_host.step(&host)?;
            expected.push(on_host.result(&host));
        }
        let (start, end) = ([PAST as u32, 0], [(PAST + STEPS) as u32, STEPS as u32]);
        assert_eq!(on_host.positions(&host), end);

        // Operation by operation; scratch memory is allocated here, where nothing is recorded.
        for (step, expected) in expected.iter().enumerate() {
            on_device.step(&device)?;
            close(&on_device.result(&device), expected, step);
        }
        on_device.restart(&device)?;
        let graph = device.record(|| on_device.step(&device))?.expect("a CUDA device has graphs");
        assert_eq!(on_device.positions(&device), start, "recording ran what it recorded");
        for (step, expected) in expected.iter().enumerate() {
            device.replay(&graph)?;
            close(&on_device.result(&device), expected, step);
        }
        assert_eq!(on_device.positions(&device), end);
        // Again from the start, without a look in between.
        on_device.restart(&device)?;
        for _ in 0..STEPS {
            device.replay(&graph)?;
        }
        close(&on_device.result(&device), &expected[STEPS - 1], STEPS - 1);
        Ok(())
    });
}
