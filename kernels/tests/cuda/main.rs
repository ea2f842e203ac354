//! The CUDA device on the stand-in driver, which runs the real kernels on the CPU, against the host device.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod attention;
mod graph;

use coldstart_kernels::cuda::CudaDevice;
use coldstart_kernels::{Device, Result};
use coldstart_stand_in::in_process;

/// Runs a test on a device with enough multiprocessors for work to be split.
fn on_device(test: &str, body: impl FnOnce(CudaDevice) -> Result<()>) {
    in_process(test, &[("COLDSTART_STAND_IN_MULTIPROCESSORS", "24")], || {
        body(CudaDevice::open(0).unwrap()).unwrap();
    });
}
