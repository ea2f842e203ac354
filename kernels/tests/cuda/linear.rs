//! Matrix products against sums in f64, by our own kernels and by the stand-in of cuBLASLt.

use std::fs;

use coldstart_kernels::cuda::{CudaBuffer, CudaDevice};
use coldstart_kernels::{
    Device, Dtype, Error, GemmRun, Implementation, Matrix, MatrixMut, Memory, Ops, Product, Result,
};
use coldstart_stand_in::{in_process, this_test};

use crate::support::{close, device, floats, on_device, random, read, read_floats, self_test, small_device};

/// A product, and how its operands lie.
#[derive(Debug, Clone, Copy)]
struct Case {
    shape: [usize; 3],
    /// Of x, w and y.
    dtypes: [Dtype; 3],
    /// Elements between rows and before the first, of each.
    gaps: [usize; 3],
    skips: [usize; 3],
    /// Its format and the elements before it.
    bias: Option<(Dtype, usize)>,
}

impl Case {
    fn new(shape: [usize; 3], dtype: Dtype) -> Case {
        Case { shape, dtypes: [dtype; 3], gaps: [0; 3], skips: [0; 3], bias: None }
    }

    fn with_bias(self) -> Case {
        Case { bias: Some((self.dtypes[0], 0)), ..self }
    }
}

/// One operand: `[rows, cols]` with gaps.
struct Operand {
    buffer: CudaBuffer,
    numbers: Vec<f32>,
    dtype: Dtype,
    shape: [usize; 2],
    stride: usize,
    skip: usize,
}

impl Operand {
    fn new(
        device: &CudaDevice,
        seed: u64,
        dtype: Dtype,
        shape: [usize; 2],
        gap: usize,
        skip: usize,
    ) -> Operand {
        let [rows, cols] = shape;
        let stride = cols + gap;
        let numbers = random(seed, skip + rows * stride, dtype);
        Operand { buffer: floats(device, dtype, &numbers), numbers, dtype, shape, stride, skip }
    }

    fn view(&self) -> Matrix<'_, CudaBuffer> {
        let whole = [self.shape[0], self.stride];
        let all = Matrix::at(&self.buffer, self.skip * self.dtype.size(), self.dtype, whole).unwrap();
        all.columns(0..self.shape[1]).unwrap()
    }

    fn view_mut(&mut self) -> MatrixMut<'_, CudaBuffer> {
        let whole = [self.shape[0], self.stride];
        let all = MatrixMut::at(&mut self.buffer, self.skip * self.dtype.size(), self.dtype, whole).unwrap();
        all.columns(0..self.shape[1]).unwrap()
    }

    fn at(&self, row: usize, col: usize) -> f64 {
        f64::from(self.numbers[self.skip + row * self.stride + col])
    }
}

/// Runs a product by `run` and compares all of y's memory; `rounds` roundings of y's format are allowed.
#[track_caller]
fn check_with(
    device: &CudaDevice,
    case: Case,
    rounds: f32,
    run: impl FnOnce(
        Matrix<'_, CudaBuffer>,
        Matrix<'_, CudaBuffer>,
        Option<Matrix<'_, CudaBuffer>>,
        MatrixMut<'_, CudaBuffer>,
    ) -> Result<()>,
) {
    let [m, n, k] = case.shape;
    let operand = |at: usize, shape| {
        Operand::new(device, at as u64 + 1, case.dtypes[at], shape, case.gaps[at], case.skips[at])
    };
    let (x, w, mut y) = (operand(0, [m, k]), operand(1, [n, k]), operand(2, [m, n]));
    let bias = case.bias.map(|(dtype, skip)| Operand::new(device, 9, dtype, [1, n], 0, skip));
    run(x.view(), w.view(), bias.as_ref().map(Operand::view), y.view_mut()).unwrap();
    let mut expected = y.numbers.clone();
    for row in 0..m {
        for col in 0..n {
            let sum: f64 = (0..k).map(|at| x.at(row, at) * w.at(col, at)).sum();
            let added = bias.as_ref().map_or(0.0, |bias| bias.at(0, col));
            expected[y.skip + row * y.stride + col] = (sum + added) as f32;
        }
    }
    let found = read_floats(device, &y.buffer, y.dtype);
    for (at, (found, before)) in found.iter().zip(&y.numbers).enumerate() {
        let col = at.wrapping_sub(y.skip) % y.stride;
        assert!(at >= y.skip && col < n || found == before, "{case:?}: {at}, outside of y, is {found}");
    }
    // The message of a failure has the place only.
    println!("{case:?}");
    close(&found, &expected, y.dtype, k, rounds);
}

#[track_caller]
fn check(device: &CudaDevice, case: Case) {
    check_with(device, case, 1.01, |x, w, bias, y| device.linear(x, w, bias, y));
}

/// The kernels that ran, in the order in which they first did.
fn kernels(device: &CudaDevice) -> Vec<String> {
    device.products().into_iter().map(|product| product.kernel).collect()
}

#[test]
fn random_products() {
    let Some(device) = device(this_test!()) else { return };
    self_test(&device, &["linear"], 120);
}

#[test]
fn shapes_around_the_tiles() {
    let Some(device) = device(this_test!()) else { return };
    for dtype in Dtype::ALL {
        for shape in [
            [1, 1, 1],
            [1, 16, 32],
            [1, 17, 1000],
            [2, 15, 257],
            [8, 33, 129],
            [9, 16, 128],
            [16, 5, 65],
            [17, 40, 192],
            [32, 31, 7],
            [33, 64, 64],
            [64, 63, 95],
            [65, 129, 33],
            [128, 1, 300],
            [130, 257, 300],
        ] {
            check(&device, Case::new(shape, dtype));
            let gaps = [8, 8, 3].map(|gap| gap + shape[2].next_multiple_of(8) - shape[2]);
            check(&device, Case { gaps, ..Case::new(shape, dtype).with_bias() });
        }
    }
}

#[test]
fn large_tiles() {
    // One multiprocessor is filled by them already.
    let Some(device) = small_device(this_test!()) else { return };
    for (shape, kernel) in [([250, 500, 96], "128x256"), ([250, 380, 40], "128x128")] {
        for dtype in [Dtype::F16, Dtype::Bf16] {
            check(&device, Case::new(shape, dtype).with_bias());
        }
        let ran = kernels(&device);
        assert!(ran.iter().any(|name| name.contains(kernel)), "{shape:?}: {ran:?}");
    }
    check(&device, Case::new([256, 260, 64], Dtype::F32).with_bias());
    assert!(kernels(&device).contains(&"gemm_128x128_f32".to_owned()), "{:?}", kernels(&device));
}

#[test]
fn deep_sums_are_split() {
    on_device(this_test!(), |device| {
        for dtype in Dtype::ALL {
            for (gap, bias) in [(0, None), (1, Some((dtype, 1))), (4, Some((Dtype::F32, 3)))] {
                let case = Case { gaps: [0, 0, gap], bias, ..Case::new([40, 70, 4096 + 24], dtype) };
                check(&device, case);
            }
        }
        let ran = kernels(&device);
        assert!(ran.iter().all(|name| name.contains(" × ")), "{ran:?}");
        Ok(())
    });
}

#[test]
fn sums_are_not_split_where_there_is_no_memory_for_parts() {
    on_device(this_test!(), |device| {
        let (m, n, k) = (40, 70, 4096);
        let x = floats(&device, Dtype::F32, &vec![0.5; m * k]);
        let w = floats(&device, Dtype::F32, &vec![0.25; n * k]);
        let mut y = floats(&device, Dtype::F32, &vec![0.0; m * n]);
        // Recorded before anything else ran: memory can't be allocated now.
        let graph = device.record(|| {
            device.linear(
                Matrix::new(&x, Dtype::F32, [m, k])?,
                Matrix::new(&w, Dtype::F32, [n, k])?,
                None,
                MatrixMut::new(&mut y, Dtype::F32, [m, n])?,
            )
        })?;
        device.replay(&graph.unwrap())?;
        assert_eq!(read_floats(&device, &y, Dtype::F32), vec![512.0; m * n]);
        assert_eq!(kernels(&device), ["gemm_64x64_f32"]);
        Ok(())
    });
}

#[test]
fn all_formats_go_together() {
    let Some(device) = device(this_test!()) else { return };
    for x in Dtype::ALL {
        for w in Dtype::ALL {
            for y in Dtype::ALL {
                for m in [3, 20] {
                    let dtypes = [x, w, y];
                    check(&device, Case { dtypes, bias: Some((w, 0)), ..Case::new([m, 21, 50], x) });
                }
            }
        }
    }
}

#[test]
fn rows_need_not_be_aligned() {
    let Some(device) = device(this_test!()) else { return };
    for dtype in Dtype::ALL {
        for m in [1, 5, 9, 70] {
            for (gaps, skips) in
                [([1, 0, 0], [0; 3]), ([0, 3, 1], [0; 3]), ([0; 3], [1, 0, 0]), ([0; 3], [0, 5, 3])]
            {
                check(&device, Case { gaps, skips, ..Case::new([m, 37, 64], dtype).with_bias() });
            }
        }
    }
}

#[test]
fn nothing_to_sum_is_the_bias_and_nothing_to_write_is_nothing() {
    let Some(device) = device(this_test!()) else { return };
    for dtype in Dtype::ALL {
        for m in [1, 12, 40] {
            check(&device, Case::new([m, 10, 0], dtype).with_bias());
            check(&device, Case::new([m, 10, 0], dtype));
        }
        check(&device, Case::new([0, 10, 8], dtype));
        check(&device, Case::new([10, 0, 8], dtype));
    }
    let x = floats(&device, Dtype::F32, &[0.0; 6]);
    let mut y = floats(&device, Dtype::F32, &[0.0; 6]);
    let wrong = device.linear(
        Matrix::new(&x, Dtype::F32, [2, 3]).unwrap(),
        Matrix::new(&x, Dtype::F32, [3, 2]).unwrap(),
        None,
        MatrixMut::new(&mut y, Dtype::F32, [2, 3]).unwrap(),
    );
    assert!(matches!(wrong, Err(Error::Shape { op: "linear", .. })), "{wrong:?}");
}

#[test]
fn what_ran_is_on_record() {
    let Some(device) = device(this_test!()) else { return };
    assert_eq!(device.gemm_name(), "own kernel");
    for _ in 0..2 {
        check(&device, Case::new([1, 16, 64], Dtype::Bf16));
    }
    check(&device, Case::new([40, 16, 64], Dtype::F32));
    let product = |shape, dtype, kernel: &str, calls| Product {
        shape,
        dtypes: [dtype; 3],
        implementation: Implementation::Own,
        kernel: kernel.to_owned(),
        calls,
    };
    let expected = [
        product([1, 16, 64], Dtype::Bf16, "gemv_8_bf16", 2),
        product([40, 16, 64], Dtype::F32, "gemm_64x64_f32", 1),
    ];
    assert_eq!(device.products(), expected);
}

/// Runs a test on the stand-in with the stand-in of cuBLASLt where it is looked for. Not on a GPU, whose library is not
/// known to be there.
fn with_library(test: &str, settings: &str, body: impl FnOnce(CudaDevice)) {
    let library = coldstart_stand_in_cublaslt::library().unwrap();
    let environment = [
        ("COLDSTART_CUBLASLT", library.to_str().unwrap()),
        (coldstart_stand_in_cublaslt::SETTINGS_VARIABLE, settings),
    ];
    in_process(test, &environment, || body(CudaDevice::open(0).unwrap()));
}

#[test]
fn the_library_runs_what_it_is_better_at() {
    with_library(this_test!(), "version=130102", |device| {
        let before = device.memory().unwrap().free;
        let found = device.load_cublaslt().unwrap();
        assert_eq!(found.version, "13.1.2");
        assert!(found.path.ends_with("libcoldstart_stand_in_cublaslt.so"), "{}", found.path.display());
        assert!(found.load.as_nanos() > 0);
        assert_eq!(device.load_cublaslt().unwrap(), found, "it is loaded once");
        assert_eq!(before - device.memory().unwrap().free, 32 << 20, "the workspace");
        assert_eq!(device.gemm_name(), "cuBLASLt 13.1.2 (m > 16), own kernel (m ≤ 16)");
        for dtype in Dtype::ALL {
            for m in [16, 17, 70] {
                check(&device, Case::new([m, 37, 64], dtype));
                check(&device, Case::new([m, 37, 64], dtype).with_bias());
            }
        }
        for product in device.products() {
            let by_library = product.implementation == Implementation::CublasLt;
            assert_eq!(by_library, product.shape[0] > 16, "{product:?}");
            assert_eq!(by_library, product.kernel == "cuBLASLt 13.1.2", "{product:?}");
            assert_eq!(product.calls, 2, "with and without a bias: {product:?}");
        }
        device.use_gemm(Implementation::Own).unwrap();
        assert_eq!(device.gemm_name(), "own kernel");
        check(&device, Case::new([70, 37, 64], Dtype::F16));
        assert_eq!(device.products().last().unwrap().implementation, Implementation::Own);
        device.use_gemm(Implementation::CublasLt).unwrap();
        assert!(device.gemm_name().starts_with("cuBLASLt"));
    });
}

#[test]
fn the_library_takes_views_and_what_it_does_not_take_is_done_without_it() {
    with_library(this_test!(), "none_from=300", |device| {
        device.load_cublaslt().unwrap();
        let by_library = |case: Case| {
            let before = device.products().len();
            // A bias that the library can't add is added to what was rounded.
            check_with(&device, case, 2.01, |x, w, bias, y| device.linear(x, w, bias, y));
            let products = device.products();
            assert_eq!(products.len(), before + 1, "{case:?}");
            products[before].implementation == Implementation::CublasLt
        };
        for (at, dtype) in Dtype::ALL.into_iter().enumerate() {
            let case = |n: usize| Case::new([20, n + at, 40], dtype);
            assert!(by_library(Case { gaps: [8, 16, 24], skips: [8, 16, 8], ..case(10) }));
            assert!(by_library(Case { gaps: [1, 3, 5], skips: [1, 2, 3], ..case(20) }));
            // A bias of another format, or not aligned.
            let other = Dtype::ALL[(at + 1) % 3];
            assert!(by_library(Case { bias: Some((other, 0)), ..case(30) }));
            assert!(by_library(Case { bias: Some((dtype, 1)), gaps: [0, 0, 2], ..case(40) }));
            let dtypes = [dtype, other, dtype];
            assert!(!by_library(Case { dtypes, ..case(50) }), "formats that differ");
            assert!(!by_library(Case::new([20, 60 + at, 0], dtype)), "nothing to sum");
            assert!(!by_library(Case::new([20, 70 + at, 304], dtype)), "no algorithm");
        }
    });
}

#[test]
fn either_can_be_asked_for() {
    with_library(this_test!(), "none_from=300", |device| {
        let mut run = GemmRun::new(&device, [32, 48, 64], Dtype::F16).unwrap();
        let missing = run.enqueue_with(&device, Implementation::CublasLt).unwrap_err();
        assert_eq!(missing.to_string(), "use cuBLASLt: it was not loaded: call load_cublaslt first");
        assert!(device.use_gemm(Implementation::CublasLt).is_err());
        device.load_cublaslt().unwrap();
        for implementation in [Implementation::Own, Implementation::CublasLt] {
            run.enqueue_with(&device, implementation).unwrap();
            let case = Case::new([3, 20, 40], Dtype::Bf16).with_bias();
            check_with(&device, case, 1.01, |x, w, bias, y| {
                device.linear_with(implementation, x, w, bias, y)
            });
            let ran: Vec<_> = device.products().iter().map(|product| product.implementation).collect();
            assert!(ran[ran.len() - 2..].iter().all(|ran| *ran == implementation), "{ran:?}");
        }
        let mut deep = GemmRun::new(&device, [32, 48, 300], Dtype::F16).unwrap();
        let refused = deep.enqueue_with(&device, Implementation::CublasLt).unwrap_err().to_string();
        assert!(refused.contains("no algorithm for [32, 300] by [48, 300]ᵀ"), "{refused}");
    });
}

#[test]
fn products_of_the_library_are_recorded_into_graphs() {
    with_library(this_test!(), "", |device| {
        device.load_cublaslt().unwrap();
        let mut x = floats(&device, Dtype::F32, &vec![1.0; 20 * 8]);
        let w = floats(&device, Dtype::F32, &[0.5; 4 * 8]);
        let mut y = floats(&device, Dtype::F32, &[0.0; 20 * 4]);
        let product = |x: &CudaBuffer, y: &mut CudaBuffer| {
            device.linear(
                Matrix::new(x, Dtype::F32, [20, 8])?,
                Matrix::new(&w, Dtype::F32, [4, 8])?,
                None,
                MatrixMut::new(y, Dtype::F32, [20, 4])?,
            )
        };
        let graph = device.record(|| product(&x, &mut y)).unwrap().unwrap();
        assert_eq!(read_floats(&device, &y, Dtype::F32), [0.0; 80], "only recorded");
        for number in [1.0f32, 3.0] {
            let bytes: Vec<u8> = vec![number; 160].iter().flat_map(|x| x.to_le_bytes()).collect();
            device.upload(device.compute(), &bytes, &mut x, 0).unwrap();
            device.replay(&graph).unwrap();
            assert_eq!(read_floats(&device, &y, Dtype::F32), [4.0 * number; 80]);
        }
        assert_eq!(read(&device, &w).len(), w.len());
        let wanted = Implementation::CublasLt;
        assert_eq!(
            device.products().iter().map(|p| (p.implementation, p.calls)).collect::<Vec<_>>(),
            [(wanted, 1)]
        );
    });
}

#[test]
fn a_library_that_fails_is_an_error_with_its_status() {
    for (settings, says) in [
        (
            "fail=cublasLtCreate:1",
            "cublasLtCreate answers 1, CUBLAS_STATUS_NOT_INITIALIZED): set COLDSTART_CUBLASLT",
        ),
        ("fail=cublasLtMatmulDescCreate:3", "cublasLtMatmulDescCreate answers 3, CUBLAS_STATUS_ALLOC_FAILED"),
        (
            "fail=cublasLtMatrixLayoutCreate:7",
            "cublasLtMatrixLayoutCreate answers 7, CUBLAS_STATUS_INVALID_VALUE",
        ),
        ("fail=cublasLtMatmulPreferenceCreate:3", "answers 3, CUBLAS_STATUS_ALLOC_FAILED"),
        ("fail=cublasLtMatmulPreferenceSetAttribute:7", "cublasLtMatmulPreferenceSetAttribute answers 7"),
        ("fail=cublasLtMatmulAlgoGetHeuristic:14", "answers 14, CUBLAS_STATUS_INTERNAL_ERROR"),
        ("fail=cublasLtMatmul:13", "cublasLtMatmul answers 13, CUBLAS_STATUS_EXECUTION_FAILED"),
    ] {
        with_library(this_test!(), settings, |device| {
            // The process that plays one of the cases comes by all of them.
            if std::env::var(coldstart_stand_in_cublaslt::SETTINGS_VARIABLE).unwrap() != settings {
                return;
            }
            let run = || {
                device.load_cublaslt()?;
                GemmRun::new(&device, [32, 8, 8], Dtype::F32)?.enqueue_with(&device, Implementation::CublasLt)
            };
            let error = run().unwrap_err();
            assert!(matches!(error, Error::CublasLt { .. }) && error.to_string().contains(says), "{error}");
            // What is ours still works.
            check_with(&device, Case::new([32, 8, 8], Dtype::F32), 1.01, |x, w, bias, y| {
                device.linear_with(Implementation::Own, x, w, bias, y)
            });
        });
    }
}

#[test]
fn a_library_that_is_not_there_is_said_with_what_was_tried() {
    let place = "/nowhere/libcublasLt.so.12";
    in_process(this_test!(), &[("COLDSTART_CUBLASLT", place)], || {
        let device = CudaDevice::open(0).unwrap();
        let error = device.load_cublaslt().unwrap_err().to_string();
        assert!(
            error.starts_with("use cuBLASLt: none was found that works here (/nowhere/libcublasLt.so.12: "),
            "{error}"
        );
        assert!(
            error.ends_with("set COLDSTART_CUBLASLT to the library or to a directory with it"),
            "{error}"
        );
        assert_eq!(device.gemm_name(), "own kernel");
    });
}

#[test]
fn a_library_that_does_not_work_here_makes_way_for_the_next() {
    let test = this_test!();
    let directory = std::env::temp_dir().join(format!("coldstart-cublaslt-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("libcublasLt.so.13"), "not a library").unwrap();
    fs::copy(coldstart_stand_in_cublaslt::library().unwrap(), directory.join("libcublasLt.so.12")).unwrap();
    in_process(test, &[("COLDSTART_CUBLASLT", directory.to_str().unwrap())], || {
        let device = CudaDevice::open(0).unwrap();
        assert!(device.load_cublaslt().unwrap().path.ends_with("libcublasLt.so.12"));
    });
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn no_memory_for_the_workspace_is_an_error() {
    let library = coldstart_stand_in_cublaslt::library().unwrap();
    let environment =
        [("COLDSTART_CUBLASLT", library.to_str().unwrap()), ("COLDSTART_STAND_IN_MEMORY_MB", "20")];
    in_process(this_test!(), &environment, || {
        let device = CudaDevice::open(0).unwrap();
        let error = device.load_cublaslt().unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { requested: 33_554_432, .. }), "{error}");
        check(&device, Case::new([20, 8, 8], Dtype::F32));
        assert_eq!(device.gemm_name(), "own kernel");
    });
}
