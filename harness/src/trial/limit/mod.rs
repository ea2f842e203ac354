//! One reading, or a few in a row, of what the hardware allows.

mod layer;
mod memory;
mod products;

use coldstart_kernels::cuda::CudaDevice;
use coldstart_kernels::{Device as _, Dtype, HostDevice, Ops};
use coldstart_profiles::{Bytes, LimitKind, LimitMeasurement, Nanos, Outcome, Params, Samples, Work};

use super::child::{ChildError, open_model, say};
use super::spec::{ChildLine, LimitSpec};
use crate::weights::limits::{self, LimitReadings};

pub(super) use products::product_rate;

/// At most this much of the model is read for one reading.
const READ_BYTES: Bytes = Bytes::from_mib(1024);
/// What copies move: far more than caches hold.
const COPY_BYTES: Bytes = Bytes::from_mib(256);
/// What copies to, from and within a GPU move at most.
const DEVICE_BYTES: Bytes = Bytes::from_mib(512);

/// Takes the readings and prints them.
pub(super) fn run(spec: &LimitSpec) -> Result<(), ChildError> {
    let kind = spec.kind;
    let of_bytes = |readings: LimitReadings| {
        vec![measurement(kind, readings.params, Work::Bytes(readings.work), readings.times)]
    };
    let readings = match kind {
        LimitKind::DirectRead => of_bytes(limits::direct_read(&open_model(&spec.subject)?, READ_BYTES)?),
        LimitKind::CachedRead => of_bytes(limits::cached_read(&open_model(&spec.subject)?, READ_BYTES)?),
        LimitKind::Memcpy => of_bytes(limits::memcpy(COPY_BYTES)?),
        LimitKind::MemcpyFresh => of_bytes(limits::memcpy_fresh(COPY_BYTES)?),
        LimitKind::MemoryRead => of_bytes(limits::memory_read(COPY_BYTES)?),
        LimitKind::InflateGzip | LimitKind::InflateZstd | LimitKind::Sha256 => {
            vec![layer::reading(kind, spec.subject.seed)?]
        }
        LimitKind::Gemm => match spec.subject.device.gpus().first() {
            Some(index) => products::of_gpu(&CudaDevice::open(*index)?)?,
            None => vec![products::fixed(&HostDevice::open(0)?, 1024, Dtype::F32)?],
        },
        LimitKind::CachedReadStaged
        | LimitKind::HostToDevice
        | LimitKind::DeviceToHost
        | LimitKind::DeviceCopy
        | LimitKind::DeviceRead => match spec.subject.device.gpus().first() {
            Some(index) => on(&CudaDevice::open(*index)?, spec)?,
            None => on(&HostDevice::open(0)?, spec)?,
        },
    };
    for reading in readings {
        say(&ChildLine::Limit(reading));
    }
    Ok(())
}

/// What a device allows. On a host device the copies are those of RAM, which have limits of their own: no plan asks.
fn on<D: Ops>(device: &D, spec: &LimitSpec) -> Result<Vec<LimitMeasurement>, ChildError> {
    let kind = spec.kind;
    let of_bytes = |readings: LimitReadings| {
        vec![measurement(kind, readings.params, Work::Bytes(readings.work), readings.times)]
    };
    Ok(match kind {
        LimitKind::CachedReadStaged => {
            of_bytes(limits::cached_read_staged(device, &open_model(&spec.subject)?, READ_BYTES)?)
        }
        LimitKind::HostToDevice => of_bytes(limits::host_to_device(device, DEVICE_BYTES)?),
        LimitKind::DeviceToHost => of_bytes(limits::device_to_host(device, DEVICE_BYTES)?),
        LimitKind::DeviceCopy => of_bytes(limits::device_copy(device, DEVICE_BYTES)?),
        _ => memory::read(device)?,
    })
}

fn measurement(kind: LimitKind, params: Params, work: Work, times: Vec<Nanos>) -> LimitMeasurement {
    let outcome =
        Samples::new(times).map_or_else(|error| Outcome::failed(error.to_string()), Outcome::measured);
    LimitMeasurement { kind, params, work, outcome }
}

/// A time by the device's own clock where it has one: launching and waiting are not what its memory and its
/// multiprocessors are bound by.
fn device_time<T>(timed: &coldstart_kernels::Timed<T>) -> (Nanos, &'static str) {
    match timed.device {
        Some(time) => (time.into(), "device"),
        None => (timed.host.into(), "host"),
    }
}
