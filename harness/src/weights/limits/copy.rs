//! The bandwidth of memory.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use coldstart_kernels::{Allocation, Device as _, HostBuffer, HostDevice, Ops as _};
use coldstart_profiles::{Bytes, Nanos, Params};

use super::LimitReadings;
use super::fresh::{affordable, cores, fresh, touched};
use crate::weights::error::WeightsError;

/// Readings a call.
const REPEATS: usize = 3;

/// Copy `bytes` between two touched buffers with all cores.
pub fn memcpy(bytes: Bytes) -> Result<LimitReadings, WeightsError> {
    let length = affordable(bytes.get())?;
    let device = host()?;
    let (source, mut target) = (written(&device, length)?, written(&device, length)?);
    repeated(&device, length, || device.copy(device.compute(), &source, 0..length, &mut target, 0))
}

/// Copy `bytes` from a touched buffer into fresh memory with all cores: every first touch is included.
pub fn memcpy_fresh(bytes: Bytes) -> Result<LimitReadings, WeightsError> {
    let length = affordable(bytes.get())?;
    let source = touched(length)?;
    let times = (0..REPEATS)
        .map(|_| Ok(copy(&source[..length], &mut fresh(length)?[..length])))
        .collect::<Result<_, WeightsError>>()?;
    Ok(readings(length, times))
}

/// Read `bytes` of touched memory with all cores (their checksum, which runs at the speed of memory).
pub fn memory_read(bytes: Bytes) -> Result<LimitReadings, WeightsError> {
    let length = affordable(bytes.get())?;
    let device = host()?;
    let source = written(&device, length)?;
    repeated(&device, length, || device.checksum(&source, 0..length).map(drop))
}

/// The host device with the threads of all limits.
fn host() -> Result<HostDevice, WeightsError> {
    HostDevice::with_threads(cores()).map_err(WeightsError::device("open the host device"))
}

/// Touched memory of huge pages.
fn written(device: &HostDevice, length: usize) -> Result<HostBuffer, WeightsError> {
    let how = Allocation { huge_pages: true };
    let buffer = device.alloc_with(length, how).and_then(|mut buffer| {
        device.fill_pattern(&mut buffer, 0..length, 1)?;
        Ok(buffer)
    });
    buffer.map_err(WeightsError::device("allocate memory for a limit"))
}

/// Some readings of work on `length` bytes, by threads that are there already and keep out of each other's way: of those
/// that are started for it, two may begin on one CPU.
fn repeated(
    device: &HostDevice,
    length: usize,
    mut work: impl FnMut() -> coldstart_kernels::Result<()>,
) -> Result<LimitReadings, WeightsError> {
    let _apart = device.keep_apart();
    let times = (0..REPEATS).map(|_| Ok(Nanos::from(device.time(&mut work)?.host)));
    let times = times.collect::<coldstart_kernels::Result<_>>();
    Ok(readings(length, times.map_err(WeightsError::device("measure the bandwidth of memory"))?))
}

fn part(length: usize) -> usize {
    length.div_ceil(cores()).max(1)
}

fn copy(source: &[u8], target: &mut [u8]) -> Nanos {
    let part = part(source.len());
    let start = Instant::now();
    thread::scope(|scope| {
        for (from, to) in source.chunks(part).zip(target.chunks_mut(part)) {
            scope.spawn(move || to.copy_from_slice(from));
        }
    });
    let time = Nanos::from(start.elapsed());
    black_box(target);
    time
}

fn readings(length: usize, times: Vec<Nanos>) -> LimitReadings {
    let params = Params::new().with("threads", cores());
    LimitReadings { params, work: Bytes::new(length as u64), times }
}
