//! Every operation against the plain formula in f64, on random shapes, for each instruction set and thread count.

#[path = "../../tests/common/activations.rs"]
mod activations;

use half::{bf16, f16};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{HostBuffer, HostDevice, simd::Isa};
use crate::*;

/// One device for each instruction set, and two thread counts for the first.
fn devices() -> Vec<HostDevice> {
    let mut devices: Vec<_> = Isa::all().into_iter().map(|isa| HostDevice::with(2, isa).unwrap()).collect();
    devices.push(HostDevice::with_threads(1).unwrap());
    devices
}

fn random(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn upload<T: bytemuck::Pod>(device: &HostDevice, numbers: &[T]) -> HostBuffer {
    let mut buffer = device.alloc(size_of_val(numbers)).unwrap();
    device.upload(device.compute(), bytemuck::cast_slice(numbers), &mut buffer, 0).unwrap();
    buffer
}

/// Numbers as `dtype`, and what they are after rounding.
fn weights(device: &HostDevice, dtype: Dtype, numbers: &[f32]) -> (HostBuffer, Vec<f32>) {
    match dtype {
        Dtype::F32 => (upload(device, numbers), numbers.to_vec()),
        Dtype::F16 => {
            let halves: Vec<f16> = numbers.iter().map(|x| f16::from_f32(*x)).collect();
            (upload(device, &halves), halves.iter().map(|x| x.to_f32()).collect())
        }
        Dtype::Bf16 => {
            let halves: Vec<bf16> = numbers.iter().map(|x| bf16::from_f32(*x)).collect();
            (upload(device, &halves), halves.iter().map(|x| x.to_f32()).collect())
        }
    }
}

fn floats(buffer: &HostBuffer) -> &[f32] {
    bytemuck::cast_slice(buffer.as_slice())
}

fn read(buffer: &HostBuffer, shape: [usize; 2]) -> Matrix<'_, HostBuffer> {
    Matrix::new(buffer, Dtype::F32, shape).unwrap()
}

fn write(buffer: &mut HostBuffer, shape: [usize; 2]) -> MatrixMut<'_, HostBuffer> {
    MatrixMut::new(buffer, Dtype::F32, shape).unwrap()
}

/// Equal to f64 within what f32 sums of numbers in [−1, 1) may lose: 2·10⁻⁶ times (1 + |expected|) times √terms.
#[track_caller]
fn close(found: &[f32], expected: &[f64], terms: usize) {
    assert_eq!(found.len(), expected.len());
    let tolerance = 2e-6 * (terms as f64).sqrt();
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (f64::from(*found) - expected).abs();
        assert!(off <= tolerance * (1.0 + expected.abs()), "[{at}]: {found}, expected {expected}");
    }
}

fn dtypes() -> impl Strategy<Value = Dtype> {
    prop::sample::select(Dtype::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn linear_is_the_sum_of_products(
        m in prop_oneof![1usize..40, 190usize..200], n in 1usize..90, k in 1usize..150, dtype in dtypes(), bias: bool, gap in 0usize..3, seed: u64,
    ) {
        let (x, w, b) = (random(seed, m * (k + gap)), random(seed ^ 1, n * k), random(seed ^ 2, n));
        let mut results = Vec::new();
        for device in devices() {
            let (wb, w) = weights(&device, dtype, &w);
            let (bb, b) = weights(&device, dtype, &b);
            let xb = upload(&device, &x);
            let mut y = upload(&device, &vec![9.0f32; m * n]);
            let view = read(&xb, [m, k + gap]).columns(gap..k + gap).unwrap();
            let w_view = Matrix::new(&wb, dtype, [n, k]).unwrap();
            let b_view = bias.then(|| Matrix::new(&bb, dtype, [1, n]).unwrap());
            device.linear(view, w_view, b_view, write(&mut y, [m, n])).unwrap();
            let expected: Vec<f64> = (0..m * n).map(|at| {
                let (i, j) = (at / n, at % n);
                let sum: f64 = (0..k).map(|c| f64::from(x[i * (k + gap) + gap + c]) * f64::from(w[j * k + c])).sum();
                sum + if bias { f64::from(b[j]) } else { 0.0 }
            }).collect();
            close(floats(&y), &expected, k);
            results.push(floats(&y).to_vec());
        }
        // The widest instructions with two threads and with one.
        prop_assert_eq!(results.first(), results.last());
    }

    #[test]
    fn norms_are_the_formulas(rows in 1usize..6, n in 1usize..70, groups in 1usize..4, dtype in dtypes(), seed: u64) {
        let cols = n * groups;
        let (x, d, w, b) = (random(seed, rows * cols), random(seed ^ 1, rows * cols), random(seed ^ 2, n), random(seed ^ 3, cols));
        let wide: Vec<f32> = (0..cols).map(|c| w[c % n]).collect();
        for device in devices() {
            let (wb, w) = weights(&device, dtype, &w);
            let (gb, g) = weights(&device, dtype, &wide);
            let (bb, b) = weights(&device, dtype, &b);
            let weight = Matrix::new(&wb, dtype, [1, n]).unwrap();
            let rms = |x: &[f64]| -> Vec<f64> {
                x.chunks(n).flat_map(|group| {
                    let root = (group.iter().map(|x| x * x).sum::<f64>() / n as f64 + 1e-5).sqrt();
                    group.iter().zip(&w).map(|(x, w)| x / root * f64::from(*w)).collect::<Vec<_>>()
                }).collect()
            };
            let sum: Vec<f64> = x.iter().zip(&d).map(|(x, d)| f64::from(x + d)).collect();
            let plain: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
            let (xb, db) = (upload(&device, &x), upload(&device, &d));
            let mut y = upload(&device, &vec![9.0f32; rows * cols]);
            device.rms_norm(read(&xb, [rows, cols]), weight, 1e-5, write(&mut y, [rows, cols])).unwrap();
            close(floats(&y), &rms(&plain), 4);
            let mut y = upload(&device, &x);
            device.rms_norm_in_place(write(&mut y, [rows, cols]), weight, 1e-5).unwrap();
            close(floats(&y), &rms(&plain), 4);
            let mut residual = upload(&device, &x);
            device.add_rms_norm(write(&mut residual, [rows, cols]), read(&db, [rows, cols]), weight, 1e-5, write(&mut y, [rows, cols])).unwrap();
            close(floats(&residual), &sum, 1);
            close(floats(&y), &rms(&sum), 4);

            let layer = |x: &[f64]| -> Vec<f64> {
                x.chunks(cols).flat_map(|row| {
                    let mean = row.iter().sum::<f64>() / cols as f64;
                    let root = (row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / cols as f64 + 1e-3).sqrt();
                    (0..cols).map(|c| (row[c] - mean) / root * f64::from(g[c]) + f64::from(b[c])).collect::<Vec<_>>()
                }).collect()
            };
            let weight = Matrix::new(&gb, dtype, [1, cols]).unwrap();
            let bias = Matrix::new(&bb, dtype, [1, cols]).unwrap();
            let mut y = upload(&device, &x);
            device.layer_norm_in_place(write(&mut y, [rows, cols]), weight, bias, 1e-3).unwrap();
            close(floats(&y), &layer(&plain), 16);
            let mut y = upload(&device, &x);
            device.add_layer_norm(write(&mut y, [rows, cols]), read(&db, [rows, cols]), weight, bias, 1e-3).unwrap();
            close(floats(&y), &layer(&sum), 16);
        }
    }

    #[test]
    fn causal_attention_reads_its_own_slot_up_to_its_position(
        lens in prop::collection::vec(1usize..80, 1..4), kv_heads in 1usize..4, group in 1usize..4,
        dim in prop::sample::select(vec![8usize, 16, 32, 64, 80, 96, 128, 5]), window in prop::option::of(1usize..40), seed: u64,
    ) {
        let heads = kv_heads * group;
        let attention = Attention { query_heads: heads, kv_heads, head_dim: dim, scale: 1.0 / (dim as f32).sqrt(), window };
        let rows: usize = lens.iter().sum();
        let (q, k, v) = (random(seed, rows * heads * dim), random(seed ^ 1, rows * kv_heads * dim), random(seed ^ 2, rows * kv_heads * dim));
        // Slots in reverse, so that slot and sequence number differ.
        let slots: Vec<u32> = lens.iter().enumerate().flat_map(|(s, len)| vec![(lens.len() - 1 - s) as u32; *len]).collect();
        let positions: Vec<u32> = lens.iter().flat_map(|len| 0..*len as u32).collect();
        let mut starts = vec![0u32];
        lens.iter().for_each(|len| starts.push(starts.last().unwrap() + *len as u32));
        let visible = |row: usize| {
            let p = positions[row] as usize;
            let first = window.map_or(0, |w| (p + 1).saturating_sub(w));
            row - p + first..row + 1
        };
        let expected = reference(&q, &k, &v, &attention, rows, visible);
        for device in devices() {
            let shape = KvShape { slots: lens.len(), kv_heads, capacity: 81, head_dim: dim, dtype: Dtype::F32 };
            let mut cache = KvCache::alloc(&device, shape).unwrap();
            let (qb, kb, vb) = (upload(&device, &q), upload(&device, &k), upload(&device, &v));
            let (sb, pb, tb) = (upload(&device, &slots), upload(&device, &positions), upload(&device, &starts));
            let at = Placement { slots: Indices::new(&sb, rows).unwrap(), positions: Indices::new(&pb, rows).unwrap() };
            let kv = [rows, kv_heads * dim];
            device.kv_write(read(&kb, kv), read(&vb, kv), at, &mut cache).unwrap();
            let batch = Ragged { starts: Indices::new(&tb, starts.len()).unwrap(), longest: 80 };
            let mut y = upload(&device, &vec![9.0f32; q.len()]);
            let shape = [rows, heads * dim];
            device.attention_prefill(read(&qb, shape), &cache, batch, at, &attention, write(&mut y, shape)).unwrap();
            close(floats(&y), &expected, 16);
            // Decode: the last token of each sequence, alone.
            let last: Vec<usize> = starts[1..].iter().map(|end| *end as usize - 1).collect();
            let pick = |x: &[u32]| last.iter().map(|row| x[*row]).collect::<Vec<_>>();
            let width = heads * dim;
            let q_last: Vec<f32> = last.iter().flat_map(|row| q[row * width..][..width].to_vec()).collect();
            let (qb, sb, pb) = (upload(&device, &q_last), upload(&device, &pick(&slots)), upload(&device, &pick(&positions)));
            let at = Placement { slots: Indices::new(&sb, last.len()).unwrap(), positions: Indices::new(&pb, last.len()).unwrap() };
            let mut y = upload(&device, &vec![9.0f32; q_last.len()]);
            let shape = [last.len(), width];
            device.attention_decode(read(&qb, shape), &cache, at, &attention, write(&mut y, shape)).unwrap();
            let expected: Vec<f64> = last.iter().flat_map(|row| expected[row * width..][..width].to_vec()).collect();
            close(floats(&y), &expected, 16);
        }
    }

    #[test]
    fn full_attention_and_pooling_stay_within_a_sequence(
        lens in prop::collection::vec(0usize..90, 1..4), kv_heads in 1usize..3, group in 1usize..3, dim in 1usize..40, seed: u64,
    ) {
        let heads = kv_heads * group;
        let attention = Attention { query_heads: heads, kv_heads, head_dim: dim, scale: 0.3, window: None };
        let rows: usize = lens.iter().sum();
        let (q, k, v) = (random(seed, rows * heads * dim), random(seed ^ 1, rows * kv_heads * dim), random(seed ^ 2, rows * kv_heads * dim));
        let mut starts = vec![0u32];
        lens.iter().for_each(|len| starts.push(starts.last().unwrap() + *len as u32));
        let sequence = |row: usize| {
            let s = starts.iter().rposition(|start| *start as usize <= row).unwrap();
            starts[s] as usize..starts[s + 1] as usize
        };
        let expected = reference(&q, &k, &v, &attention, rows, sequence);
        let width = heads * dim;
        let pooled: Vec<f64> = (0..lens.len() * width).map(|at| {
            let (s, c) = (at / width, at % width);
            let sum: f64 = (starts[s] as usize..starts[s + 1] as usize).map(|row| f64::from(q[row * width + c])).sum();
            sum / (lens[s].max(1)) as f64
        }).collect();
        for device in devices() {
            let (qb, kb, vb, tb) = (upload(&device, &q), upload(&device, &k), upload(&device, &v), upload(&device, &starts));
            let batch = Ragged { starts: Indices::new(&tb, starts.len()).unwrap(), longest: 90 };
            let mut y = upload(&device, &vec![9.0f32; q.len()]);
            let kv = [rows, kv_heads * dim];
            device.attention_full(read(&qb, [rows, width]), read(&kb, kv), read(&vb, kv), batch, &attention, write(&mut y, [rows, width])).unwrap();
            close(floats(&y), &expected, 16);
            let mut y = upload(&device, &vec![9.0f32; lens.len() * width]);
            device.mean_pool(read(&qb, [rows, width]), batch, write(&mut y, [lens.len(), width])).unwrap();
            close(floats(&y), &pooled, 4);
            let outcome = device.last_rows(read(&qb, [rows, width]), batch, write(&mut y, [lens.len(), width]));
            if lens.contains(&0) {
                prop_assert!(outcome.is_err());
            } else {
                outcome.unwrap();
                let last: Vec<f32> = starts[1..].iter().flat_map(|end| q[(*end as usize - 1) * width..][..width].to_vec()).collect();
                prop_assert_eq!(floats(&y), last);
            }
        }
    }

    #[test]
    fn rows_are_looked_up_turned_and_gated(tokens in 1usize..6, heads in 1usize..4, r in 1usize..20, rest in 0usize..4, dtype in dtypes(), seed: u64) {
        let (dim, vocabulary) = (2 * r + rest, 11);
        let width = heads * dim;
        let table = random(seed, vocabulary * width);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let ids: Vec<u32> = (0..tokens).map(|_| rng.random_range(0..vocabulary as u32)).collect();
        let positions: Vec<u32> = (0..tokens).map(|_| rng.random_range(0..5000)).collect();
        let freqs: Vec<f32> = (0..r).map(|i| 10_000f32.powf(-(i as f32) / r as f32)).collect();
        for device in devices() {
            let (tb, table) = weights(&device, dtype, &table);
            let (ib, pb, fb) = (upload(&device, &ids), upload(&device, &positions), upload(&device, &freqs));
            let ids_view = Indices::new(&ib, tokens).unwrap();
            let table_view = Matrix::new(&tb, dtype, [vocabulary, width]).unwrap();
            let mut y = upload(&device, &vec![9.0f32; tokens * width]);
            device.embedding(ids_view, table_view, write(&mut y, [tokens, width])).unwrap();
            let rows: Vec<f32> = ids.iter().flat_map(|id| table[*id as usize * width..][..width].to_vec()).collect();
            prop_assert_eq!(floats(&y), &rows);
            let mut twice = upload(&device, &rows);
            device.add_embedding(ids_view, table_view, write(&mut twice, [tokens, width])).unwrap();
            let expected: Vec<f64> = rows.iter().map(|x| 2.0 * f64::from(*x)).collect();
            close(floats(&twice), &expected, 1);
            device.add(read(&y, [tokens, width]), write(&mut twice, [tokens, width])).unwrap();
            let expected: Vec<f64> = rows.iter().map(|x| 3.0 * f64::from(*x)).collect();
            close(floats(&twice), &expected, 1);

            let mut turns = device.alloc(tokens * 2 * r * 4).unwrap();
            device.rotary_table(Indices::new(&pb, tokens).unwrap(), read(&fb, [1, r]), 1.25, write(&mut turns, [tokens, 2 * r])).unwrap();
            let mut turned = upload(&device, &rows);
            device.rotary(write(&mut turned, [tokens, width]), dim, read(&turns, [tokens, 2 * r])).unwrap();
            let expected: Vec<f64> = (0..tokens * width).map(|at| {
                let (t, c) = (at / width, at % dim);
                let x = |c: usize| f64::from(rows[at - at % dim + c]);
                let angle = |i: usize| f64::from(positions[t] as f32 * freqs[i]);
                match c {
                    _ if c < r => 1.25 * (x(c) * angle(c).cos() - x(c + r) * angle(c).sin()),
                    _ if c < 2 * r => 1.25 * (x(c) * angle(c - r).cos() + x(c - r) * angle(c - r).sin()),
                    _ => x(c),
                }
            }).collect();
            close(floats(&turned), &expected, 4);

            device.silu_mul(read(&twice, [tokens, width]), read(&turned, [tokens, width]), write(&mut y, [tokens, width])).unwrap();
            let expected: Vec<f64> = floats(&twice).iter().zip(floats(&turned)).map(|(g, u)| {
                let (g, u) = (f64::from(*g), f64::from(*u));
                g / (1.0 + (-g).exp()) * u
            }).collect();
            close(floats(&y), &expected, 4);
        }
    }

    #[test]
    fn conversions_round_to_nearest(rows in 1usize..5, n in 1usize..50, from in dtypes(), to in dtypes(), seed: u64) {
        let device = HostDevice::with_threads(2).unwrap();
        let (xb, x) = weights(&device, from, &random(seed, rows * n));
        let mut y = device.alloc(rows * n * to.size()).unwrap();
        device.convert(Matrix::new(&xb, from, [rows, n]).unwrap(), MatrixMut::new(&mut y, to, [rows, n]).unwrap()).unwrap();
        let (expected, _) = weights(&device, to, &x);
        prop_assert_eq!(y.as_slice(), expected.as_slice());
        device.fill_uniform(MatrixMut::new(&mut y, to, [rows, n]).unwrap(), seed, 0.5).unwrap();
        let numbers: Vec<f32> = (0..rows * n).map(|i| checksum::uniform(seed, i as u64, 0.5)).collect();
        let (expected, _) = weights(&device, to, &numbers);
        prop_assert_eq!(y.as_slice(), expected.as_slice());
    }
}

/// softmax(scale·q·kᵀ)·v for each head in f64; `visible(row)`: the rows of k and v that it attends to.
fn reference(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    a: &Attention,
    rows: usize,
    visible: impl Fn(usize) -> std::ops::Range<usize>,
) -> Vec<f64> {
    let dim = a.head_dim;
    let mut y = vec![0.0; q.len()];
    for row in 0..rows {
        for head in 0..a.query_heads {
            let kv = head / (a.query_heads / a.kv_heads);
            let at = (row * a.query_heads + head) * dim;
            let scores: Vec<f64> = visible(row)
                .map(|key| {
                    let k = &k[(key * a.kv_heads + kv) * dim..][..dim];
                    q[at..].iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>()
                        * f64::from(a.scale)
                })
                .collect();
            let total: f64 = scores.iter().map(|s| s.exp()).sum();
            for (key, score) in visible(row).zip(scores) {
                for c in 0..dim {
                    y[at + c] += score.exp() / total * f64::from(v[(key * a.kv_heads + kv) * dim + c]);
                }
            }
        }
    }
    y
}

#[test]
fn activations_work_in_place_on_wide_rows() {
    let x: Vec<f32> = random(5, 3 * 5000).iter().map(|x| x * 6.0).collect();
    for device in devices() {
        for (activation, f) in activations::FORMULAS {
            let mut y = upload(&device, &x);
            device.activate(write(&mut y, [3, 5000]), activation).unwrap();
            let expected: Vec<f64> = x[..600].iter().map(|x| f(f64::from(*x))).collect();
            close(&floats(&y)[..600], &expected, 4);
            // The rest by the same code at other places of the row: an element does not depend on where it is.
            let mut again = upload(&device, &x[600..1600]);
            device.activate(write(&mut again, [1, 1000]), activation).unwrap();
            for (a, b) in floats(&y)[600..1600].iter().zip(floats(&again)) {
                assert!((a - b).abs() <= 1e-6 * (1.0 + a.abs()), "{activation:?}: {a} {b}");
            }
        }
    }
}

#[test]
fn argmax_takes_the_first_of_equals_and_never_nan() {
    for device in devices() {
        let mut x = random(3, 3 * 40_000);
        x[7] = 5.0;
        x[20_000] = 5.0;
        x[40_000] = f32::NAN;
        x[40_000 + 39_999] = 2.0;
        x[80_000..].fill(f32::NAN);
        let xb = upload(&device, &x);
        let mut y = device.alloc(12).unwrap();
        device.argmax(read(&xb, [3, 40_000]), IndicesMut::new(&mut y, 3).unwrap()).unwrap();
        assert_eq!(bytemuck::cast_slice::<u8, u32>(y.as_slice()), [7, 39_999, 0]);
        device.advance(IndicesMut::new(&mut y, 3).unwrap(), 2).unwrap();
        assert_eq!(bytemuck::cast_slice::<u8, u32>(y.as_slice()), [9, 40_001, 2]);
        let rows = upload(&device, &[2u32, 0]);
        let mut picked = device.alloc(2 * 40_000 * 4).unwrap();
        device
            .gather_rows(
                read(&xb, [3, 40_000]),
                Indices::new(&rows, 2).unwrap(),
                write(&mut picked, [2, 40_000]),
            )
            .unwrap();
        assert!(floats(&picked)[0].is_nan());
        assert_eq!(floats(&picked)[40_000..], x[..40_000]);
    }
}

#[test]
fn patterns_and_checksums_see_every_byte() {
    for device in devices() {
        let len = (1 << 20) * 2 + 13;
        let mut buffer = device.alloc(len + 3).unwrap();
        device.fill_pattern(&mut buffer, 3..len + 3, 42).unwrap();
        assert_eq!(device.verify_pattern(&buffer, 3..len + 3, 42).unwrap(), None);
        assert!(
            device.verify_pattern(&buffer, 3..len + 3, 43).unwrap().is_some_and(|wrong| wrong.first == 0)
        );
        let sum = device.checksum(&buffer, 3..len + 3).unwrap();
        assert_eq!(sum, checksum::of(&buffer.as_slice()[3..]));
        for at in [3, (1 << 20) + 20, len + 2] {
            buffer.as_mut_slice()[at] ^= 1;
            let mismatch = Mismatch { first: at - 3, words: 1 };
            assert_eq!(device.verify_pattern(&buffer, 3..len + 3, 42).unwrap(), Some(mismatch));
            assert_ne!(device.checksum(&buffer, 3..len + 3).unwrap(), sum);
            buffer.as_mut_slice()[at] ^= 1;
        }
        assert!(matches!(device.checksum(&buffer, 0..len + 4), Err(Error::View { .. })));
    }
}

#[test]
fn wrong_arguments_are_named() {
    let device = HostDevice::with_threads(1).unwrap();
    let x = upload(&device, &random(1, 64));
    let ids = upload(&device, &[0u32, 9]);
    let mut y = upload(&device, &random(2, 64));
    let error = device.linear(read(&x, [2, 8]), read(&x, [3, 7]), None, write(&mut y, [2, 3])).unwrap_err();
    assert_eq!(error.to_string(), "run linear: x is [2, 8] but w is [3, 7]: both must have k columns");
    let half = Matrix::new(&x, Dtype::F16, [2, 8]).unwrap();
    let error = device.linear(half, read(&x, [3, 8]), None, write(&mut y, [2, 3])).unwrap_err();
    assert_eq!(error.to_string(), "run linear: x is F16, but must be F32: convert it first");
    let ids = Indices::new(&ids, 2).unwrap();
    let error = device.embedding(ids, read(&x, [8, 8]), write(&mut y, [2, 8])).unwrap_err();
    assert_eq!(error.to_string(), "run embedding: ids[1] is 9, but must be below 8");
    assert!(matches!(Matrix::new(&x, Dtype::F32, [5, 13]), Err(Error::View { .. })));
    assert!(matches!(Matrix::new(&x, Dtype::F32, [usize::MAX, 13]), Err(Error::View { .. })));
    assert!(matches!(Matrix::at(&x, 2, Dtype::F32, [1, 1]), Err(Error::View { .. })));
    assert!(matches!(read(&x, [4, 4]).columns(3..5), Err(Error::Shape { .. })));
    assert!(matches!(read(&x, [4, 4]).rows(3..5), Err(Error::Shape { .. })));
}

#[test]
fn places_out_of_range_and_broken_sequences_are_refused() {
    let device = HostDevice::with_threads(1).unwrap();
    let shape = KvShape { slots: 2, kv_heads: 1, capacity: 4, head_dim: 8, dtype: Dtype::F32 };
    let mut cache = KvCache::alloc(&device, shape).unwrap();
    let attention = Attention { query_heads: 1, kv_heads: 1, head_dim: 8, scale: 1.0, window: None };
    let x = upload(&device, &random(1, 16));
    let mut y = upload(&device, &random(2, 16));
    for (slots, positions, starts, expected) in [
        ([0u32, 2], [0u32, 1], [0u32, 2], "slots[1] is 2, but must be below 2"),
        ([0, 0], [4, 1], [0, 2], "positions[0] is 4, but must be below 4"),
        ([0, 1], [0, 1], [0, 2], "slots[0..2] of one sequence goes from 0 to 1"),
        ([0, 0], [0, 2], [0, 2], "positions[0..2] of one sequence goes from 0 to 2"),
        ([0, 0], [0, 1], [0, 3], "starts[1] is 3, but must be below 3"),
        ([0, 0], [0, 1], [1, 2], "starts[0] is 1, but must be below 1"),
    ] {
        let (sb, pb, tb) = (upload(&device, &slots), upload(&device, &positions), upload(&device, &starts));
        let at = Placement { slots: Indices::new(&sb, 2).unwrap(), positions: Indices::new(&pb, 2).unwrap() };
        let batch = Ragged { starts: Indices::new(&tb, 2).unwrap(), longest: 4 };
        let outcome =
            device.attention_prefill(read(&x, [2, 8]), &cache, batch, at, &attention, write(&mut y, [2, 8]));
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
        if expected.starts_with("slots[1]") {
            assert!(device.kv_write(read(&x, [2, 8]), read(&x, [2, 8]), at, &mut cache).is_err());
        }
    }
}

#[test]
fn a_gemm_run_counts_its_work() {
    let device = HostDevice::with_threads(2).unwrap();
    let mut run = GemmRun::new(&device, [4, 6, 5], Dtype::Bf16).unwrap();
    assert_eq!(run.flops(), 2 * 4 * 6 * 5);
    run.enqueue(&device).unwrap();
    assert!(device.gemm_name().contains("dot blocks"));
}
