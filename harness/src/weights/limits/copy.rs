//! The bandwidth of memory.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use coldstart_kernels::checksum;
use coldstart_profiles::{Bytes, Nanos, Params};

use super::LimitReadings;
use super::fresh::{affordable, cores, fresh, touched};
use crate::weights::error::WeightsError;

/// Readings a call.
const REPEATS: usize = 3;

/// Copy `bytes` between two touched buffers with all cores.
pub fn memcpy(bytes: Bytes) -> Result<LimitReadings, WeightsError> {
    let length = affordable(bytes.get())?;
    let source = touched(length)?;
    let mut target = touched(length)?;
    let times = (0..REPEATS).map(|_| copy(&source[..length], &mut target[..length])).collect();
    Ok(readings(length, times))
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
    let source = touched(length)?;
    let part = part(length);
    let read = || {
        let start = Instant::now();
        thread::scope(|scope| {
            for part in source[..length].chunks(part) {
                scope.spawn(move || black_box(checksum::of(part)));
            }
        });
        Nanos::from(start.elapsed())
    };
    Ok(readings(length, (0..REPEATS).map(|_| read()).collect()))
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
