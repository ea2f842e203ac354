//! The device that a test runs on, its memory, and how results are compared.

use std::env;

use coldstart_kernels::cuda::{CudaDevice, Driver};
use coldstart_kernels::{Device, Dtype, Memory, Result, checksum, self_test};
use half::{bf16, f16};

/// Set by the stand-in's crate in the process that runs one test.
const CHILD: &str = "COLDSTART_STAND_IN_TEST";

/// The CUDA device that this test, [`this_test!`](coldstart_stand_in::this_test), is to run on. `None` where there is nothing
/// left to do: the test has been run by another process, which has the stand-in driver, or there can be no stand-in,
/// which has been said.
///
/// # Panics
/// Where the other process fails, or where COLDSTART_REQUIRE lists `cuda` and there is no GPU.
#[must_use]
pub(crate) fn device(test: &str) -> Option<CudaDevice> {
    device_with(test, &[])
}

/// The same on a GPU of few multiprocessors, where loops over blocks take more than one turn.
#[must_use]
pub(crate) fn small_device(test: &str) -> Option<CudaDevice> {
    device_with(test, &[("COLDSTART_STAND_IN_MULTIPROCESSORS", "1")])
}

/// Runs a test on a GPU with enough multiprocessors for work to be split.
///
/// # Panics
/// As [`device`], and where the test fails.
pub(crate) fn on_device(test: &str, body: impl FnOnce(CudaDevice) -> Result<()>) {
    if let Some(device) = device_with(test, &[("COLDSTART_STAND_IN_MULTIPROCESSORS", "24")]) {
        body(device).unwrap();
    }
}

fn device_with(test: &str, settings: &[(&str, &str)]) -> Option<CudaDevice> {
    let required = env::var("COLDSTART_REQUIRE").unwrap_or_default();
    if env::var_os(CHILD).is_none() && required.split(',').any(|name| name == "cuda") {
        let driver = Driver::load().unwrap().driver;
        assert!(!driver.is_stand_in(), "a GPU is required by COLDSTART_REQUIRE, not a stand-in");
        return Some(CudaDevice::open(0).unwrap());
    }
    let mut device = None;
    coldstart_stand_in::in_process(test, settings, || device = Some(CudaDevice::open(0).unwrap()));
    device
}

/// Runs so many random cases of these checks of the crate's self-test.
///
/// # Panics
/// Where one fails, with the seed that makes it again.
#[track_caller]
pub(crate) fn self_test(device: &CudaDevice, checks: &[&str], cases: usize) {
    for name in checks {
        let check = self_test::run(device, name, 0x5EED, cases).unwrap().unwrap();
        assert_eq!(check.failure, None, "{name}, case {}", check.cases);
    }
}

/// Fresh memory with these bytes.
pub(crate) fn memory<D: Device>(device: &D, bytes: &[u8]) -> D::Buffer {
    let mut buffer = device.alloc(bytes.len()).unwrap();
    device.upload(device.compute(), bytes, &mut buffer, 0).unwrap();
    buffer
}

/// Fresh memory with these numbers as they are.
pub(crate) fn numbers<D: Device, T: bytemuck::Pod>(device: &D, numbers: &[T]) -> D::Buffer {
    memory(device, bytemuck::cast_slice(numbers))
}

/// Fresh memory with these numbers rounded to a format.
pub(crate) fn floats<D: Device>(device: &D, dtype: Dtype, floats: &[f32]) -> D::Buffer {
    match dtype {
        Dtype::F32 => numbers(device, floats),
        Dtype::F16 => numbers(device, &floats.iter().map(|x| f16::from_f32(*x)).collect::<Vec<_>>()),
        Dtype::Bf16 => numbers(device, &floats.iter().map(|x| bf16::from_f32(*x)).collect::<Vec<_>>()),
    }
}

/// All bytes of a buffer.
pub(crate) fn read<D: Device>(device: &D, buffer: &D::Buffer) -> Vec<u8> {
    let mut bytes = vec![0; buffer.len()];
    device.download(device.compute(), buffer, 0, &mut bytes).unwrap();
    bytes
}

/// Bytes as numbers.
pub(crate) fn as_numbers<T: bytemuck::Pod>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

/// All of a buffer as numbers.
pub(crate) fn read_numbers<D: Device, T: bytemuck::Pod>(device: &D, buffer: &D::Buffer) -> Vec<T> {
    as_numbers(&read(device, buffer))
}

/// All of a buffer as numbers of a format.
pub(crate) fn read_floats<D: Device>(device: &D, buffer: &D::Buffer, dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::F32 => read_numbers(device, buffer),
        Dtype::F16 => read_numbers::<_, f16>(device, buffer).into_iter().map(f16::to_f32).collect(),
        Dtype::Bf16 => read_numbers::<_, bf16>(device, buffer).into_iter().map(bf16::to_f32).collect(),
    }
}

/// `count` numbers in [−1, 1), as `dtype` holds them.
pub(crate) fn random(seed: u64, count: usize, dtype: Dtype) -> Vec<f32> {
    (0..count as u64).map(|at| rounded(checksum::uniform(seed, at, 1.0), dtype)).collect()
}

/// The nearest number of a format.
pub(crate) fn rounded(x: f32, dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F32 => x,
        Dtype::F16 => f16::from_f32(x).to_f32(),
        Dtype::Bf16 => bf16::from_f32(x).to_f32(),
    }
}

/// What `rounds` roundings to a format may be off, relatively.
fn epsilon(dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F32 => f32::EPSILON / 2.0,
        Dtype::F16 => 2f32.powi(-11),
        Dtype::Bf16 => 2f32.powi(-8),
    }
}

/// Fails unless all are equal but for `rounds` roundings of a format and the order of a sum of `terms`, relatively to
/// 1 + |expected|.
#[track_caller]
pub(crate) fn close(found: &[f32], expected: &[f32], dtype: Dtype, terms: usize, rounds: f32) {
    assert_eq!(found.len(), expected.len());
    let tolerance = 2e-6 * (terms.max(1) as f32).sqrt() + rounds * epsilon(dtype);
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (found - expected).abs() / (1.0 + expected.abs());
        assert!(off <= tolerance, "[{at}] is {found}, expected {expected} ± {tolerance:e} ({dtype})");
    }
}
