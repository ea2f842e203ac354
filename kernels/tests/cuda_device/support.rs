//! A process for each test, with the stand-in driver on its library path, and small helpers.

use std::any;

use coldstart_kernels::cuda::{CudaBuffer, CudaDevice};
use coldstart_kernels::{Device, Memory};
use coldstart_stand_in::{directory, in_process, in_process_with, without_symbol};

/// Runs `body`, the body of a test, in a process of its own on the stand-in with these settings
/// (`COLDSTART_STAND_IN_…`).
pub(crate) fn on_stand_in<F: FnOnce()>(settings: &[(&str, &str)], body: F) {
    // Loading takes no longer than it does.
    let quick = [("CONTEXT_MS", "0"), ("JIT_US_PER_KERNEL", "0")];
    let settings: Vec<(String, &str)> = quick
        .iter()
        .chain(settings)
        .map(|(name, value)| (format!("COLDSTART_STAND_IN_{name}"), *value))
        .collect();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    in_process(name::<F>(), &settings, body);
}

/// The same on a stand-in that lacks a function.
pub(crate) fn on_stand_in_without<F: FnOnce()>(symbol: &str, body: F) {
    in_process_with(|| without_symbol(&directory()?, symbol), name::<F>(), &[], body);
}

/// Runs `body` in a process of its own that has no stand-in on its library path.
pub(crate) fn without_stand_in<F: FnOnce()>(body: F) {
    in_process_with(|| Ok("/nonexistent".into()), name::<F>(), &[], body);
}

/// The name of the test whose body `F` is: that of the function that the closure stands in, without the crate's.
fn name<F>() -> &'static str {
    let name = any::type_name::<F>().trim_end_matches("::{{closure}}");
    name.split_once("::").unwrap().1
}

/// `len` bytes that depend on their place and on `seed`.
pub(crate) fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 ^ seed).collect()
}

/// All that is in a buffer, after all that was enqueued.
pub(crate) fn read(device: &CudaDevice, buffer: &CudaBuffer) -> Vec<u8> {
    device.sync().unwrap();
    let mut back = vec![0; buffer.len()];
    device.download(device.compute(), buffer, 0, &mut back).unwrap();
    back
}

/// Uploads something and reads it back.
pub(crate) fn round_trip(device: &CudaDevice) {
    let expected = bytes(5000, 77);
    let mut buffer = device.alloc(expected.len()).unwrap();
    device.upload(device.compute(), &expected, &mut buffer, 0).unwrap();
    assert_eq!(read(device, &buffer), expected);
}
