//! Operations on rows: random shapes are in the crate's self-test; here are long rows, splits, and what is out of range.

use coldstart_kernels::cuda::CudaDevice;
use coldstart_kernels::{
    Device, Dtype, Error, HostDevice, Indices, IndicesMut, Matrix, MatrixMut, Memory, Ops, Ragged, Result,
};
use coldstart_stand_in::this_test;

use crate::support::{
    close, device, floats, numbers, random, read_floats, read_numbers, rounded, self_test, small_device,
};

#[test]
fn random_copies() {
    let Some(device) = device(this_test!()) else { return };
    self_test(&device, &["embedding", "add_embedding", "gather_rows", "last_rows", "mean_pool"], 60);
}

#[test]
fn random_norms() {
    let Some(device) = device(this_test!()) else { return };
    let norms = ["rms_norm", "rms_norm_in_place", "add_rms_norm", "layer_norm_in_place", "add_layer_norm"];
    self_test(&device, &norms, 60);
}

#[test]
fn random_turns_and_maxima() {
    let Some(device) = device(this_test!()) else { return };
    self_test(&device, &["rotary_table", "rotary", "argmax"], 60);
}

/// A norm of `[rows, groups·n]`.
#[derive(Debug, Clone, Copy)]
struct Norm {
    rows: usize,
    groups: usize,
    n: usize,
    /// Columns between the rows.
    gap: usize,
}

fn part<B: Memory>(x: &B, dtype: Dtype, whole: [usize; 2], cols: usize) -> Result<Matrix<'_, B>> {
    Matrix::new(x, dtype, whole)?.columns(0..cols)
}
fn part_mut<B: Memory>(x: &mut B, dtype: Dtype, whole: [usize; 2], cols: usize) -> Result<MatrixMut<'_, B>> {
    MatrixMut::new(x, dtype, whole)?.columns(0..cols)
}

/// Of all norms, what they change. The numbers are those that `numbers` holds, weights are of format `weights`.
fn norms<O: Ops>(
    device: &O,
    [dtype, numbers, weights]: [Dtype; 3],
    Norm { rows, groups, n, gap }: Norm,
) -> Result<Vec<(Vec<f32>, f32)>> {
    let (cols, eps) = (groups * n, 1e-5);
    let stride = cols + gap;
    let of = |seed| floats(device, dtype, &random(seed, rows * stride, numbers));
    let row = |seed, n| floats(device, weights, &random(seed, n, weights));
    let (weight, wide, bias) = (row(4, n), row(5, cols), row(6, cols));
    let (weight, vectors) = (
        Matrix::new(&weight, weights, [1, n])?,
        [Matrix::new(&wide, weights, [1, cols])?, Matrix::new(&bias, weights, [1, cols])?],
    );
    let delta = of(2);
    let delta = Matrix::new(&delta, dtype, [rows, stride])?.columns(0..cols)?;
    let mut results = Vec::new();

    let (x, mut y) = (of(1), of(3));
    device.rms_norm(
        part(&x, dtype, [rows, stride], cols)?,
        weight,
        eps,
        part_mut(&mut y, dtype, [rows, stride], cols)?,
    )?;
    results.push((read_floats(device, &y, dtype), 2.0));
    let mut x = of(1);
    device.rms_norm_in_place(part_mut(&mut x, dtype, [rows, stride], cols)?, weight, eps)?;
    results.push((read_floats(device, &x, dtype), 2.0));
    let mut x = of(1);
    device.add_rms_norm(
        part_mut(&mut x, dtype, [rows, stride], cols)?,
        delta,
        weight,
        eps,
        part_mut(&mut y, dtype, [rows, stride], cols)?,
    )?;
    results.push((read_floats(device, &x, dtype), 1.0));
    // The sum may be rounded before it is normalised.
    results.push((read_floats(device, &y, dtype), 6.0));
    let mut x = of(1);
    device.layer_norm_in_place(
        part_mut(&mut x, dtype, [rows, stride], cols)?,
        vectors[0],
        vectors[1],
        eps,
    )?;
    results.push((read_floats(device, &x, dtype), 2.0));
    let mut x = of(1);
    device.add_layer_norm(
        part_mut(&mut x, dtype, [rows, stride], cols)?,
        delta,
        vectors[0],
        vectors[1],
        eps,
    )?;
    results.push((read_floats(device, &x, dtype), 2.0));
    Ok(results)
}

#[test]
fn norms_of_rows_of_every_length() {
    let Some(device) = small_device(this_test!()) else { return };
    let host = HostDevice::open(0).unwrap();
    let one = |rows, n| Norm { rows, groups: 1, n, gap: 0 };
    let shapes = [
        // A thread, a few, a warp, a block; around where one ends and the next begins.
        one(3, 1),
        one(70, 8),
        one(33, 63),
        one(9, 64),
        one(300, 128),
        one(5, 512),
        one(5, 520),
        one(3, 1000),
        one(2, 1030),
        one(2, 4096),
        // As much as a block keeps in registers, and more: in packs, and one by one.
        one(2, 8192),
        one(2, 8200),
        one(1, 16_400),
        one(2, 1024),
        one(2, 1025),
        one(1, 8191),
        Norm { rows: 37, groups: 8, n: 128, gap: 64 },
        Norm { rows: 5, groups: 3, n: 80, gap: 0 },
        Norm { rows: 5, groups: 3, n: 33, gap: 1 },
        Norm { rows: 2, groups: 2, n: 9000, gap: 8 },
        Norm { rows: 4, groups: 1, n: 768, gap: 1 },
    ];
    for (at, shape) in shapes.into_iter().enumerate() {
        for (dtype, weights) in [
            (Dtype::F32, Dtype::ALL[at % 3]),
            (Dtype::F16, Dtype::F16),
            (Dtype::F16, Dtype::F32),
            (Dtype::Bf16, Dtype::ALL[at % 3]),
        ] {
            let found = norms(&device, [dtype, dtype, weights], shape).unwrap();
            let expected = norms(&host, [Dtype::F32, dtype, weights], shape).unwrap();
            for ((found, rounds), (expected, _)) in found.iter().zip(&expected) {
                close(found, expected, dtype, shape.n, *rounds);
            }
        }
    }
}

#[test]
fn layer_norm_of_a_high_plateau_does_not_cancel() {
    let Some(device) = device(this_test!()) else { return };
    for n in [100, 768, 9000] {
        let x: Vec<f32> = (0..n).map(|at| 1000.0 + (at % 2) as f32).collect();
        let mut buffer = numbers(&device, &x);
        let (ones, zeros) = (numbers(&device, &vec![1f32; n]), numbers(&device, &vec![0f32; n]));
        let [weight, bias] = [&ones, &zeros].map(|row| Matrix::new(row, Dtype::F32, [1, n]).unwrap());
        let view = MatrixMut::new(&mut buffer, Dtype::F32, [1, n]).unwrap();
        device.layer_norm_in_place(view, weight, bias, 0.0).unwrap();
        let expected: Vec<f32> = (0..n).map(|at| if at % 2 == 0 { -1.0 } else { 1.0 }).collect();
        close(&read_floats(&device, &buffer, Dtype::F32), &expected, Dtype::F32, n, 1000.0);
    }
}

#[test]
fn angles_are_right_at_far_positions() {
    let Some(device) = device(this_test!()) else { return };
    let (r, positions) = (64usize, [0u32, 1, 17, 4095, 65_535, 131_071, 1_000_000, 16_777_216]);
    let freqs: Vec<f32> = (0..r).map(|i| 500_000f32.powf(-(i as f32) / r as f32)).collect();
    let (places, inv_freq) = (numbers(&device, &positions), numbers(&device, &freqs));
    let mut table = numbers(&device, &vec![9f32; positions.len() * 2 * r]);
    let shape = [positions.len(), 2 * r];
    device
        .rotary_table(
            Indices::new(&places, positions.len()).unwrap(),
            Matrix::new(&inv_freq, Dtype::F32, [1, r]).unwrap(),
            1.5,
            MatrixMut::new(&mut table, Dtype::F32, shape).unwrap(),
        )
        .unwrap();
    let expected: Vec<f32> = positions
        .iter()
        .flat_map(|position| {
            let angles = freqs.iter().map(|freq| f64::from(*position as f32 * freq));
            let sines = angles.clone().map(|angle| (1.5 * angle.sin()) as f32);
            angles.map(|angle| (1.5 * angle.cos()) as f32).chain(sines).collect::<Vec<_>>()
        })
        .collect();
    for (found, expected) in read_floats(&device, &table, Dtype::F32).iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    }
}

#[test]
fn a_part_of_each_head_turns() {
    let Some(device) = device(this_test!()) else { return };
    for (head_dim, r, skip) in
        [(64, 32, 0), (64, 16, 0), (80, 20, 0), (64, 32, 1), (12, 5, 0), (9, 1, 2), (8, 0, 0)]
    {
        let (tokens, heads) = (7, 3);
        let cols = heads * head_dim;
        for dtype in Dtype::ALL {
            let x = random(1, skip + tokens * cols, dtype);
            let turns = random(2, tokens * 2 * r, Dtype::F32);
            let (mut buffer, table) = (floats(&device, dtype, &x), numbers(&device, &turns));
            let view = MatrixMut::at(&mut buffer, skip * dtype.size(), dtype, [tokens, cols]).unwrap();
            let table = Matrix::new(&table, Dtype::F32, [tokens, 2 * r]).unwrap();
            device.rotary(view, head_dim, table).unwrap();
            let mut expected = x.clone();
            for pair in 0..tokens * heads * r {
                let (t, head, i) = (pair / (heads * r), pair / r % heads, pair % r);
                let at = skip + t * cols + head * head_dim + i;
                let (cos, sin) = (turns[t * 2 * r + i], turns[t * 2 * r + r + i]);
                expected[at] = x[at] * cos - x[at + r] * sin;
                expected[at + r] = x[at + r] * cos + x[at] * sin;
            }
            close(&read_floats(&device, &buffer, dtype), &expected, dtype, 2, 1.0);
        }
    }
}

fn largest(device: &CudaDevice, dtype: Dtype, x: &[f32], [rows, cols]: [usize; 2]) -> Vec<u32> {
    let x = floats(device, dtype, x);
    let mut y = numbers(device, &vec![u32::MAX; rows + 1]);
    let view = Matrix::new(&x, dtype, [rows, cols]).unwrap();
    device.argmax(view, IndicesMut::new(&mut y, rows).unwrap()).unwrap();
    let mut found = read_numbers::<_, u32>(device, &y);
    assert_eq!(found.pop(), Some(u32::MAX));
    found
}

#[test]
fn the_first_of_the_largest_wins_across_blocks() {
    let Some(device) = device(this_test!()) else { return };
    let cols = 151_936;
    for dtype in Dtype::ALL {
        let mut x = random(1, cols, dtype);
        for places in
            [vec![0], vec![cols - 1], vec![70_001, 90_000, 150_000], vec![4096, 4097], vec![2047, 4095]]
        {
            places.iter().for_each(|at| x[*at] = 3.0);
            assert_eq!(largest(&device, dtype, &x, [1, cols]), [places[0] as u32], "{places:?}");
            places.iter().for_each(|at| x[*at] = 0.0);
        }
        // Not in packs.
        x[50_000] = 3.0;
        assert_eq!(largest(&device, dtype, &x[..50_257], [1, 50_257]), [50_000]);
        x.truncate(3 * 50_001);
        x[50_001 + 7] = 4.0;
        assert_eq!(largest(&device, dtype, &x, [3, 50_001])[..2], [50_000, 7]);
    }
}

#[test]
fn maxima_of_odd_numbers() {
    let Some(device) = small_device(this_test!()) else { return };
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for dtype in Dtype::ALL {
        for (row, expected) in [
            ([nan, -1.0, -2.0, nan], 1),
            ([nan, nan, nan, nan], 0),
            ([-inf, -inf, nan, -inf], 0),
            ([nan, -inf, -inf, nan], 1),
            ([-0.0, 0.0, -1.0, nan], 0),
            ([0.0, -0.0, inf, inf], 2),
            ([-3.0, -2.0, -2.0, -4.0], 1),
        ] {
            assert_eq!(largest(&device, dtype, &row, [1, 4]), [expected], "{row:?}");
            // The same far down a long row of NaN, over several blocks and in packs.
            let mut long = vec![nan; 40_000];
            long[39_000..39_004].copy_from_slice(&row);
            let all_nan = row.iter().all(|x| x.is_nan());
            let expected = if all_nan { 0 } else { 39_000 + expected };
            let found = largest(&device, dtype, &long, [1, 40_000]);
            // Where the first of the row's equals is NaN's better, that is the first; −∞ is more than NaN.
            assert_eq!(found, [expected], "{row:?}");
        }
        // More rows than blocks.
        let rows = 300;
        let x: Vec<f32> = (0..rows * 5).map(|at| if at % 5 == at / 5 % 5 { 1.0 } else { 0.0 }).collect();
        let expected: Vec<u32> = (0..rows as u32).map(|row| row % 5).collect();
        assert_eq!(largest(&device, dtype, &x, [rows, 5]), expected);
    }
}

#[test]
fn rows_that_are_not_there_are_skipped() {
    let Some(device) = device(this_test!()) else { return };
    for (dtype, cols) in Dtype::ALL.into_iter().flat_map(|dtype| [(dtype, 8), (dtype, 5)]) {
        let table = random(1, 4 * cols, dtype);
        let before = random(2, 5 * cols, dtype);
        let ids = [3u32, 4, 0, u32::MAX, 1];
        let (rows, places) = (floats(&device, dtype, &table), numbers(&device, &ids));
        let (rows, places) =
            (Matrix::new(&rows, dtype, [4, cols]).unwrap(), Indices::new(&places, 5).unwrap());
        let expected = |add: bool| -> Vec<f32> {
            let row = |t: usize, col: usize| {
                let (id, old) = (ids[t] as usize, before[t * cols + col]);
                match id {
                    0..4 if add => rounded(old + table[id * cols + col], dtype),
                    0..4 => table[id * cols + col],
                    _ => old,
                }
            };
            (0..5 * cols).map(|at| row(at / cols, at % cols)).collect()
        };
        for how in 0..3 {
            let mut y = floats(&device, dtype, &before);
            let into = MatrixMut::new(&mut y, dtype, [5, cols]).unwrap();
            match how {
                0 => device.embedding(places, rows, into).unwrap(),
                1 => device.add_embedding(places, rows, into).unwrap(),
                _ => device.gather_rows(rows, places, into).unwrap(),
            }
            assert_eq!(read_floats(&device, &y, dtype), expected(how == 1));
        }
        // No rows at all.
        let mut y = floats(&device, dtype, &before);
        let empty = device.alloc(0).unwrap();
        let none = Matrix::new(&empty, dtype, [0, cols]).unwrap();
        device.embedding(places, none, MatrixMut::new(&mut y, dtype, [5, cols]).unwrap()).unwrap();
        assert_eq!(read_floats(&device, &y, dtype), before);
    }
}

#[test]
fn sequences_that_are_not_there_are_skipped() {
    let Some(device) = device(this_test!()) else { return };
    for (dtype, cols) in Dtype::ALL.into_iter().flat_map(|dtype| [(dtype, 72), (dtype, 37)]) {
        let (rows, starts) = (50, [0u32, 3, 3, 40, 39, 51, 50, u32::MAX, 0, 50]);
        let sequences = starts.len() - 1;
        let (x, before) = (random(1, rows * cols, dtype), random(2, sequences * cols, dtype));
        let (source, places) = (floats(&device, dtype, &x), numbers(&device, &starts));
        let source = Matrix::new(&source, dtype, [rows, cols]).unwrap();
        let batch = Ragged { starts: Indices::new(&places, starts.len()).unwrap(), longest: rows };
        let (mut mean, mut last) = (floats(&device, dtype, &before), floats(&device, dtype, &before));
        let shape = [sequences, cols];
        device.mean_pool(source, batch, MatrixMut::new(&mut mean, dtype, shape).unwrap()).unwrap();
        device.last_rows(source, batch, MatrixMut::new(&mut last, dtype, shape).unwrap()).unwrap();
        let (mut means, mut lasts) = (before.clone(), before);
        for s in 0..sequences {
            let (from, to) = (starts[s] as usize, starts[s + 1] as usize);
            for col in 0..cols {
                let column = |row: usize| x[row * cols + col];
                if from <= to && to <= rows {
                    means[s * cols + col] = (from..to).map(column).sum::<f32>() / (to - from).max(1) as f32;
                }
                if from < to && to <= rows {
                    lasts[s * cols + col] = column(to - 1);
                }
            }
        }
        close(&read_floats(&device, &mean, dtype), &means, dtype, rows, 1.0);
        assert_eq!(read_floats(&device, &last, dtype), lasts);
    }
}

#[test]
fn formats_shapes_and_nothing() {
    let Some(device) = device(this_test!()) else { return };
    let x = numbers(&device, &[0.5f32; 64]);
    let mut y = numbers(&device, &[0.25f32; 64]);
    let f32s = |shape| Matrix::new(&x, Dtype::F32, shape).unwrap();
    let f16s = |shape| Matrix::new(&x, Dtype::F16, shape).unwrap();
    let ids = numbers(&device, &[0u32, 1]);
    let ids = Indices::new(&ids, 2).unwrap();
    let batch = Ragged { starts: ids, longest: 4 };
    let mut into = MatrixMut::new(&mut y, Dtype::F32, [2, 8]).unwrap();
    let refused = |outcome: Result<()>, argument: &str| match outcome {
        Err(Error::Dtype { argument: found, .. }) => assert_eq!(found, argument),
        other => panic!("{argument}: {other:?}"),
    };
    refused(device.rms_norm(f16s([2, 8]), f32s([1, 8]), 1.0, into.reborrow()), "y");
    refused(
        device.add_rms_norm(
            into.reborrow(),
            f16s([2, 8]),
            f32s([1, 8]),
            1.0,
            MatrixMut::new(&mut device.alloc(64).unwrap(), Dtype::F32, [2, 8]).unwrap(),
        ),
        "x",
    );
    refused(device.add_layer_norm(into.reborrow(), f16s([2, 8]), f32s([1, 8]), f32s([1, 8]), 1.0), "x");
    refused(device.rotary(into.reborrow(), 8, f16s([2, 4])), "table");
    refused(device.rotary_table(ids, f16s([1, 4]), 1.0, into.reborrow()), "inv_freq");
    refused(device.gather_rows(f16s([2, 8]), ids, into.reborrow()), "y");
    refused(device.last_rows(f16s([2, 8]), batch, into.reborrow().rows(0..1).unwrap()), "y");
    refused(device.mean_pool(f16s([2, 8]), batch, into.reborrow().rows(0..1).unwrap()), "y");
    let wrong = device.embedding(ids, f16s([2, 7]), into.reborrow());
    assert!(matches!(wrong, Err(Error::Shape { op: "embedding", .. })), "{wrong:?}");

    let (nothing, no_ids) = (device.alloc(0).unwrap(), Indices::new(&x, 0).unwrap());
    let (mut target, none) = (device.alloc(0).unwrap(), Matrix::new(&nothing, Dtype::F32, [0, 8]).unwrap());
    let mut into = MatrixMut::new(&mut target, Dtype::F32, [0, 8]).unwrap();
    device.embedding(no_ids, none, into.reborrow()).unwrap();
    device.gather_rows(none, no_ids, into.reborrow()).unwrap();
    device.rms_norm(none, f32s([1, 8]), 1.0, into.reborrow()).unwrap();
    device.rms_norm_in_place(into.reborrow(), f32s([1, 4]), 1.0).unwrap();
    device.layer_norm_in_place(into.reborrow(), f32s([1, 8]), f32s([1, 8]), 1.0).unwrap();
    device.rotary(into.reborrow(), 4, Matrix::new(&nothing, Dtype::F32, [0, 4]).unwrap()).unwrap();
    device.rotary_table(no_ids, f32s([1, 4]), 1.0, into.reborrow()).unwrap();
    device.argmax(none, IndicesMut::new(&mut device.alloc(0).unwrap(), 0).unwrap()).unwrap();
    let one = Ragged { starts: Indices::new(&x, 1).unwrap(), longest: 0 };
    device.mean_pool(f32s([2, 8]), one, into.reborrow()).unwrap();
    device.last_rows(f32s([2, 8]), one, into).unwrap();
    device.sync().unwrap();
}
