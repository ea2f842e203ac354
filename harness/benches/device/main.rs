//! Copies, loads, kernels, forward passes and starts on the device that `COLDSTART_DEVICE` names: `auto` (the first GPU, else the
//! host), `host` or `cuda:N`. Rates are printed beside the times.
//!
//! What runs on the device alone is timed by its own clock; what the host takes part in, such as reading files and starting
//! processes, by the host's. Benches of several devices stand side by side: their names begin with the device's kind.
//! `COLDSTART_BENCH_MODEL` names the synthetic model: `tiny` where it names none, or a larger one for a GPU.

mod copies;
mod device_time;
mod forward;
mod kernels;
mod loads;
mod start;

use std::process::ExitCode;

use coldstart::DeviceName;
use coldstart::weights::LoadDevice;
use coldstart_kernels::cuda::{CudaDevice, Driver};
use coldstart_kernels::{HostDevice, Ops};
use criterion::Criterion;

use device_time::DeviceTime;

/// Why a bench could not be taken.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    // This program has no `trial` command: children are those of the real one, which may have been carried elsewhere.
    if std::env::var_os("COLDSTART_EXE").is_none() {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("COLDSTART_EXE", env!("CARGO_BIN_EXE_coldstart")) };
    }
    let name = std::env::var("COLDSTART_DEVICE").unwrap_or_else(|_| "auto".to_owned());
    match opened(&name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to bench `{name}`: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Opens the device and takes all benches on it.
fn opened(name: &str) -> Result<(), Failure> {
    use coldstart_kernels::Device as _;
    let name: DeviceName = match name {
        "auto" => first(),
        name => name.parse()?,
    };
    match name.gpus().first() {
        Some(index) => on(&CudaDevice::open(*index)?, &name, "cuda"),
        None => on(&HostDevice::open(0)?, &name, "host"),
    }
}

/// The first GPU, else the host, and why.
fn first() -> DeviceName {
    match Driver::load().and_then(|loaded| loaded.driver.devices()) {
        Ok(1..) => return DeviceName::first_cuda(),
        Ok(0) => eprintln!("on the host device: the driver shows no GPU"),
        Err(error) => eprintln!("on the host device: failed to {error}"),
    }
    DeviceName::Host
}

fn on<D: LoadDevice + Ops>(device: &D, name: &DeviceName, kind: &str) -> Result<(), Failure> {
    let mut by_device = Criterion::default().with_measurement(DeviceTime::new(device)).configure_from_args();
    let mut by_host = Criterion::default().configure_from_args();
    for (what, taken) in [
        ("copies", copies::benches(&mut by_device, device, kind)),
        ("kernels", kernels::benches(&mut by_device, device, kind)),
        ("forward passes", forward::benches(&mut by_device, device, kind)),
        ("loads", loads::benches(&mut by_host, device, kind)),
        ("starts", start::benches(&mut by_host, name, kind)),
    ] {
        if let Err(error) = taken {
            eprintln!("skipped the rest of the {what}: {error}");
        }
    }
    by_device.final_summary();
    Ok(())
}

/// What an operation gave. A bench that fails half way has no result: it ends the program.
#[expect(clippy::panic, reason = "criterion takes no errors")]
fn must<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("failed to {error}"))
}
