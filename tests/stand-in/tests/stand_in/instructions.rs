//! Instructions against plain arithmetic.

use coldstart_stand_in::this_test;
use half::{bf16, f16};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::cuda::{alloc, download, kernel, on_stand_in, open, report, stream, sync, upload};

fn random(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-2.0..2.0)).collect()
}

/// a·b + d of [16, 16] and [16, n], in f64.
fn product(a: &[f32], b: &[f32], d: &[f32], n: usize) -> Vec<f64> {
    (0..16 * n)
        .map(|i| {
            let sum: f64 = (0..16).map(|k| f64::from(a[i / n * 16 + k]) * f64::from(b[k * n + i % n])).sum();
            sum + f64::from(d[i])
        })
        .collect()
}

fn assert_close(got: &[f32], expected: &[f64]) {
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((f64::from(*got) - expected).abs() < 1e-4, "element {index}: {got}, not {expected}");
    }
}

#[test]
fn products_of_tensor_cores() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let stream = stream();
        for name in ["product_f16", "product_bf16"] {
            let narrow = |x: &f32| {
                if name == "product_f16" { f16::from_f32(*x).to_bits() } else { bf16::from_f32(*x).to_bits() }
            };
            let widen = |x: &u16| {
                if name == "product_f16" { f16::from_bits(*x).to_f32() } else { bf16::from_bits(*x).to_f32() }
            };
            let mma = kernel(name, &[8, 8, 8], 0);
            for _ in 0..10 {
                let [a, b] = [256, 128].map(|n| random(&mut rng, n).iter().map(narrow).collect::<Vec<u16>>());
                let d = random(&mut rng, 128);
                let target = upload(&d);
                assert_eq!(mma.launch(stream, 1, 32, 0, &[&upload(&a), &upload(&b), &target]), 0);
                assert_eq!(sync(stream), 0, "{}", report());
                let [a, b] = [a, b].map(|x| x.iter().map(widen).collect::<Vec<f32>>());
                assert_close(&download::<f32>(target, 128), &product(&a, &b, &d, 8));
            }
        }
    });
}

#[test]
fn matrices_loaded_from_shared_memory() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let stream = stream();
        let mma = kernel("product_loaded", &[8, 8, 8], 1024);
        for _ in 0..10 {
            let [a, b] = [256, 256]
                .map(|n| random(&mut rng, n).iter().map(|x| f16::from_f32(*x)).collect::<Vec<f16>>());
            let d = alloc(1024);
            assert_eq!(mma.launch(stream, 1, 32, 0, &[&upload(&a), &upload(&b), &d]), 0);
            assert_eq!(sync(stream), 0, "{}", report());
            let [a, b] = [a, b].map(|x| x.iter().map(|x| x.to_f32()).collect::<Vec<f32>>());
            assert_close(&download::<f32>(d, 256), &product(&a, &b, &[0.0; 256], 16));
        }
    });
}

#[test]
fn all_conversions() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let stream = stream();
        let (wide_f16, wide_bf16) = (alloc(4 << 16), alloc(4 << 16));
        let widen = kernel("widen", &[8, 8], 0);
        assert_eq!(widen.launch(stream, 256, 256, 0, &[&wide_f16, &wide_bf16]), 0);
        assert_eq!(sync(stream), 0, "{}", report());
        let same = |got: f32, expected: f32| {
            got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan())
        };
        for (bits, (from_f16, from_bf16)) in
            download::<f32>(wide_f16, 1 << 16).iter().zip(download::<f32>(wide_bf16, 1 << 16)).enumerate()
        {
            assert!(same(*from_f16, f16::from_bits(bits as u16).to_f32()), "f16 {bits:#x}");
            assert!(same(from_bf16, bf16::from_bits(bits as u16).to_f32()), "bf16 {bits:#x}");
        }

        // Numbers of all sizes, and those halfway between two of 16 bits, and a little beside.
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut numbers: Vec<f32> = (0..1 << 16).map(|_| f32::from_bits(rng.random())).collect();
        for bits in 0..1u32 << 15 {
            let halfway =
                (f16::from_bits(bits as u16).to_f32() + f16::from_bits(bits as u16 + 1).to_f32()) / 2.0;
            numbers.extend([
                halfway,
                -halfway,
                f32::from_bits(halfway.to_bits().wrapping_add(1)),
                halfway * 0.999_999,
            ]);
        }
        numbers.extend([
            0.0,
            -0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            65504.0,
            65519.9,
            65520.0,
            f32::MAX,
            1e-8,
        ]);
        numbers.resize(numbers.len().next_multiple_of(256), 1.0);
        let n = numbers.len();
        let (x, as_f16, as_bf16, packed) = (upload(&numbers), alloc(2 * n), alloc(2 * n), alloc(4 * n));
        let narrow = kernel("narrow", &[8, 8, 8, 8], 0);
        assert_eq!(narrow.launch(stream, n as u32 / 256, 256, 0, &[&x, &as_f16, &as_bf16, &packed]), 0);
        assert_eq!(sync(stream), 0, "{}", report());
        let (as_f16, as_bf16, packed) =
            (download::<u16>(as_f16, n), download::<u16>(as_bf16, n), download::<u32>(packed, n));
        for (index, x) in numbers.iter().enumerate() {
            let (wide, brain) = (f16::from_f32(*x).to_bits(), bf16::from_f32(*x).to_bits());
            let [wide, brain] = if x.is_nan() { [0x7fff; 2] } else { [wide, brain] };
            assert_eq!(as_f16[index], wide, "{x:e} as f16");
            assert_eq!(as_bf16[index], brain, "{x:e} as bf16");
            assert_eq!(packed[index], 0x3c00 << 16 | u32::from(wide), "{x:e} packed");
        }
    });
}

#[test]
fn sums_and_shuffles() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let stream = stream();
        let x: Vec<f32> = (0..512).map(|i| i as f32).collect();
        let y = alloc(2048);
        let sums = kernel("block_sums", &[8, 8], 128);
        assert_eq!(sums.launch(stream, 2, 256, 0, &[&upload(&x), &y]), 0);
        assert_eq!(sync(stream), 0, "{}", report());
        assert_eq!(download::<f32>(y, 512), [[32_640.0; 256], [98_176.0; 256]].concat());

        let y = alloc(160 * 4);
        let shuffles = kernel("shuffles", &[8], 0);
        assert_eq!(shuffles.launch(stream, 1, 32, 0, &[&y]), 0);
        assert_eq!(sync(stream), 0, "{}", report());
        let got = download::<u32>(y, 160);
        for lane in 0..32u32 {
            let at = |row: u32| got[(row * 32 + lane) as usize];
            assert_eq!(at(0), 100 + if lane < 3 { lane } else { lane - 3 }, "up, lane {lane}");
            assert_eq!(at(1), 100 + if lane > 28 { lane } else { lane + 3 }, "down, lane {lane}");
            assert_eq!(at(2), 100 + lane / 8 * 8 + 5, "from lane 5 of 8, lane {lane}");
            assert_eq!(at(3), 0b0100_1001_0010_0100_1001_0010_0100_1001, "ballot");
            assert_eq!(
                at(4),
                100 + if lane & 8 == 0 { lane } else { lane - 8 },
                "xor 8 within 8, lane {lane}"
            );
        }
    });
}
