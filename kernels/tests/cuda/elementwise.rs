//! Operations on single numbers.

use coldstart_kernels::cuda::CudaDevice;
use coldstart_kernels::{
    Activation, Device, Dtype, Error, HostDevice, Matrix, MatrixMut, Ops, Result, checksum,
};
use coldstart_stand_in::this_test;
use half::{bf16, f16};

use crate::activations;
use crate::support::{
    as_numbers, close, device, floats, memory, numbers, random, read, read_floats, read_numbers, self_test,
    small_device,
};

#[test]
fn random_shapes() {
    let Some(device) = device(this_test!()) else { return };
    self_test(&device, &["add", "silu_mul", "activate", "convert", "fill_uniform"], 60);
}

/// How operands lie: element by element or not, with gaps between rows or not, of several turns of the grid.
const PLACES: [(usize, usize, usize, usize); 6] = [
    (40, 800, 800, 0),
    (40, 800, 808, 8),
    (41, 799, 801, 3),
    (1, 40_000, 40_000, 0),
    (3000, 8, 16, 0),
    (3000, 1, 3, 1),
];

/// Changes the last of three matrices.
type Op<O> =
    fn(&O, [Matrix<'_, <O as Device>::Buffer>; 2], MatrixMut<'_, <O as Device>::Buffer>) -> Result<()>;

/// What an operation on `[rows, cols]` makes of the last of these matrices, gaps included.
fn run<O: Ops>(
    device: &O,
    dtype: Dtype,
    numbers: Dtype,
    (rows, cols, stride, skip): (usize, usize, usize, usize),
    op: Op<O>,
) -> Vec<f32> {
    let of = |seed| floats(device, dtype, &random(seed, skip + rows * stride, numbers));
    let (a, b, mut y) = (of(1), of(2), of(3));
    let view = |buffer| {
        Matrix::at(buffer, skip * dtype.size(), dtype, [rows, stride]).unwrap().columns(0..cols).unwrap()
    };
    let into = MatrixMut::at(&mut y, skip * dtype.size(), dtype, [rows, stride]).unwrap();
    op(device, [view(&a), view(&b)], into.columns(0..cols).unwrap()).unwrap();
    read_floats(device, &y, dtype)
}

fn add<O: Ops>(device: &O, [x, _]: [Matrix<'_, O::Buffer>; 2], y: MatrixMut<'_, O::Buffer>) -> Result<()> {
    device.add(x, y)
}
fn silu_mul<O: Ops>(
    device: &O,
    [gate, up]: [Matrix<'_, O::Buffer>; 2],
    y: MatrixMut<'_, O::Buffer>,
) -> Result<()> {
    device.silu_mul(gate, up, y)
}
fn gelu<O: Ops>(device: &O, _: [Matrix<'_, O::Buffer>; 2], y: MatrixMut<'_, O::Buffer>) -> Result<()> {
    device.activate(y, Activation::GeluErf)
}

#[test]
fn wherever_operands_lie() {
    let Some(device) = small_device(this_test!()) else { return };
    let host = HostDevice::open(0).unwrap();
    for dtype in Dtype::ALL {
        for place in PLACES {
            let found = run(&device, dtype, dtype, place, add);
            close(&found, &run(&host, Dtype::F32, dtype, place, add), dtype, 1, 1.0);
            let found = run(&device, dtype, dtype, place, silu_mul);
            close(&found, &run(&host, Dtype::F32, dtype, place, silu_mul), dtype, 4, 1.0);
            let found = run(&device, dtype, dtype, place, gelu);
            close(&found, &run(&host, Dtype::F32, dtype, place, gelu), dtype, 4, 1.0);
        }
    }
}

#[test]
fn activations_are_their_formulas() {
    let Some(device) = device(this_test!()) else { return };
    let x: Vec<f32> = (-4000..4000).map(|i| i as f32 / 300.0).collect();
    for (activation, f) in activations::FORMULAS {
        let expected: Vec<f32> = x.iter().map(|x| f(f64::from(*x)) as f32).collect();
        // In packs, and one by one.
        for skip in [0, 1] {
            let mut y = numbers(&device, &x);
            let view = MatrixMut::at(&mut y, skip * 4, Dtype::F32, [1, x.len() - skip]).unwrap();
            device.activate(view, activation).unwrap();
            close(&read_floats(&device, &y, Dtype::F32)[skip..], &expected[skip..], Dtype::F32, 1, 4.0);
        }
    }
    let mut y = numbers(&device, &[f32::NAN, f32::NEG_INFINITY, f32::INFINITY, -0.0]);
    device.activate(MatrixMut::new(&mut y, Dtype::F32, [1, 4]).unwrap(), Activation::Relu).unwrap();
    let found = read_floats(&device, &y, Dtype::F32);
    assert!(found[0].is_nan() && found[1..] == [0.0, f32::INFINITY, 0.0], "{found:?}");
}

fn convert(device: &CudaDevice, from: Dtype, bytes: &[u8], to: Dtype) -> Vec<u8> {
    let x = memory(device, bytes);
    let count = bytes.len() / from.size();
    let mut y = device.alloc(count * to.size()).unwrap();
    let x = Matrix::new(&x, from, [1, count]).unwrap();
    device.convert(x, MatrixMut::new(&mut y, to, [1, count]).unwrap()).unwrap();
    read(device, &y)
}

#[test]
fn every_16_bit_number_survives() {
    let Some(device) = device(this_test!()) else { return };
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let bytes: &[u8] = bytemuck::cast_slice(&all);
    for (dtype, widen) in [
        (Dtype::F16, (|bits| f16::from_bits(bits).to_f32()) as fn(u16) -> f32),
        (Dtype::Bf16, |bits| bf16::from_bits(bits).to_f32()),
    ] {
        let wide = convert(&device, dtype, bytes, Dtype::F32);
        let numbers: Vec<f32> = as_numbers(&wide);
        for (bits, found) in all.iter().zip(&numbers) {
            let expected = widen(*bits);
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "{bits:#x}"
            );
        }
        let back: Vec<u16> = as_numbers(&convert(&device, Dtype::F32, &wide, dtype));
        for (bits, found) in all.iter().zip(&back) {
            assert!(
                bits == found || widen(*bits).is_nan() && widen(*found).is_nan(),
                "{bits:#x}: {found:#x}"
            );
        }
    }
}

#[test]
fn narrowing_rounds_to_nearest_even() {
    let Some(device) = device(this_test!()) else { return };
    // Around the halves between 16-bit numbers, over all exponents and both signs; then any bits at all.
    let mut x = Vec::new();
    for exponent in 0..256u32 {
        for step in 0..40u32 {
            for low in [0, 1, 0x7fff, 0x8000, 0x8001, 0x0fff, 0x1000, 0x1001, 0x2fff, 0x3000, 0xffff] {
                let bits = exponent << 23 | ((step * 0x3_1000) & 0x7f_0000) | low;
                x.extend([f32::from_bits(bits), f32::from_bits(bits | 0x8000_0000)]);
            }
        }
    }
    x.extend((0..20_001).map(|at| f32::from_bits(checksum::pattern(3, at) as u32)));
    let bytes: &[u8] = bytemuck::cast_slice(&x);
    let f16s: Vec<f16> = as_numbers(&convert(&device, Dtype::F32, bytes, Dtype::F16));
    let bf16s: Vec<bf16> = as_numbers(&convert(&device, Dtype::F32, bytes, Dtype::Bf16));
    for ((x, half), brain) in x.iter().zip(f16s).zip(bf16s) {
        let (f, b) = (f16::from_f32(*x), bf16::from_f32(*x));
        assert!(half.to_bits() == f.to_bits() || half.is_nan() && f.is_nan(), "{x:e}: {half}, expected {f}");
        assert!(
            brain.to_bits() == b.to_bits() || brain.is_nan() && b.is_nan(),
            "{x:e}: {brain}, expected {b}"
        );
    }
}

#[test]
fn uniform_numbers_are_the_same_everywhere() {
    let Some(device) = small_device(this_test!()) else { return };
    for (rows, cols, stride, skip) in PLACES {
        let mut y = numbers(&device, &vec![9.0f32; skip + rows * stride]);
        let into = MatrixMut::at(&mut y, skip * 4, Dtype::F32, [rows, stride]).unwrap();
        device.fill_uniform(into.columns(0..cols).unwrap(), u64::MAX - 7, 0.3).unwrap();
        let found = read_numbers::<_, f32>(&device, &y);
        for (at, found) in found.iter().enumerate() {
            let place = at.checked_sub(skip).map(|at| (at / stride, at % stride));
            let expected = match place {
                Some((row, col)) if col < cols => {
                    checksum::uniform(u64::MAX - 7, (row * cols + col) as u64, 0.3)
                }
                _ => 9.0,
            };
            assert_eq!(found.to_bits(), expected.to_bits(), "{place:?}");
        }
    }
}

#[test]
fn formats_and_shapes_are_checked() {
    let Some(device) = device(this_test!()) else { return };
    let x = numbers(&device, &[0.5f32; 16]);
    let mut y = numbers(&device, &[0.5f32; 16]);
    let wide = Matrix::new(&x, Dtype::F32, [2, 4]).unwrap();
    let error = device.add(wide, MatrixMut::new(&mut y, Dtype::F16, [2, 4]).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "run add: y is F16, but must be in the format of x: convert it first");
    let narrow = Matrix::new(&x, Dtype::Bf16, [2, 4]).unwrap();
    let error =
        device.silu_mul(wide, narrow, MatrixMut::new(&mut y, Dtype::F32, [2, 4]).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Dtype { argument: "up", found: Dtype::Bf16, .. }), "{error}");
    let error = device.convert(wide, MatrixMut::new(&mut y, Dtype::F16, [4, 2]).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Shape { op: "convert", .. }), "{error}");
    for shape in [[0, 4], [4, 0], [0, 0]] {
        let empty = Matrix::new(&x, Dtype::F32, shape).unwrap();
        let mut into = MatrixMut::new(&mut y, Dtype::F32, shape).unwrap();
        device.add(empty, into.reborrow()).unwrap();
        device.silu_mul(empty, empty, into.reborrow()).unwrap();
        device.activate(into.reborrow(), Activation::Tanh).unwrap();
        device.convert(empty, into.reborrow()).unwrap();
        device.fill_uniform(into, 1, 1.0).unwrap();
    }
    assert_eq!(read_numbers::<_, f32>(&device, &y), [0.5; 16]);
}
