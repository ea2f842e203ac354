//! The copies of a device: from pinned host memory, to it, and within its own memory.

use std::ops::Range;

use coldstart_kernels::{Device, Kind, Pinning};
use coldstart_profiles::{Bytes, Nanos, Params};

use super::LimitReadings;
use crate::weights::error::WeightsError;
use crate::weights::memory::available_host_memory;

/// Readings of the shape that turned out best, and of a copy within the device.
const REPEATS: usize = 5;

/// Readings of every shape that is tried, in turns.
const ROUNDS: usize = 3;

/// What one trial of a shape copies at most.
const PROBE_BYTES: usize = 256 << 20;

/// Pieces that a copy is cut into; the last one is as long as all of it.
const CHUNKS: [usize; 5] = [1 << 20, 4 << 20, 16 << 20, 64 << 20, usize::MAX];

/// Streams that the pieces take turns on.
const STREAMS: [usize; 3] = [1, 2, 4];

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToDevice,
    ToHost,
}

/// How a copy is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    chunk: usize,
    streams: usize,
}

impl Shape {
    /// The shapes that differ for so many bytes: a piece that is all of the copy leaves nothing for a second stream.
    fn all(bytes: usize) -> Vec<Shape> {
        let of = |chunk: usize| {
            let pieces = bytes.div_ceil(chunk).max(1);
            STREAMS.into_iter().filter(move |streams| *streams <= pieces).map(move |streams| (chunk, streams))
        };
        let mut chunks: Vec<usize> = CHUNKS.into_iter().map(|chunk| chunk.min(bytes.max(1))).collect();
        chunks.dedup();
        chunks.into_iter().flat_map(of).map(|(chunk, streams)| Shape { chunk, streams }).collect()
    }
}

/// Copy `bytes` from pinned host memory to the device, at the chunk size and the number of streams that turn out best: the
/// readings of those. Less is copied where it would take over a quarter of what is free on either side.
///
/// Every byte of the source is another one, so that no cache holds it. Memory is made, touched and page-locked before any
/// clock starts; a reading runs on the host's clock from the first copy enqueued to the sync after the last.
pub fn host_to_device<D: Device>(device: &D, bytes: Bytes) -> Result<LimitReadings, WeightsError> {
    transfers(device, bytes, Direction::ToDevice)
}

/// Copy `bytes` from the device to pinned host memory: otherwise as [`host_to_device`].
pub fn device_to_host<D: Device>(device: &D, bytes: Bytes) -> Result<LimitReadings, WeightsError> {
    transfers(device, bytes, Direction::ToHost)
}

/// Copy `bytes` from one part of the device's memory to another. Every byte is read and written, and both count: the work is
/// twice what is copied. Less is copied where the two parts would take over half of what is free.
///
/// Readings are those of the device's own clock where it has one: the copy takes less than a millisecond on a GPU, beside which
/// the host's waking up counts.
pub fn device_copy<D: Device>(device: &D, bytes: Bytes) -> Result<LimitReadings, WeightsError> {
    let length = affordable(device, bytes, false)?;
    let source = touched(device, length)?;
    let mut target = touched(device, length)?;
    let failed = WeightsError::device;
    let mut times = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let timed = device
            .time(|| device.copy(device.compute(), &source, 0..length, &mut target, 0))
            .map_err(failed("copy within the device's memory"))?;
        times.push(Nanos::from(timed.device.unwrap_or(timed.host)));
    }
    Ok(LimitReadings { params: Params::new(), work: Bytes::new(2 * length as u64), times })
}

/// Pinned memory, device memory, and the streams between them.
struct Link<'d, D: Device> {
    device: &'d D,
    direction: Direction,
    pinned: D::Pinned,
    buffer: D::Buffer,
    streams: Vec<D::Stream>,
}

fn transfers<D: Device>(
    device: &D,
    bytes: Bytes,
    direction: Direction,
) -> Result<LimitReadings, WeightsError> {
    let length = affordable(device, bytes, true)?;
    let mut link = Link::new(device, length, direction)?;
    let probe = length.min(PROBE_BYTES);
    let shapes = Shape::all(probe);
    let mut best: Option<(Nanos, Shape)> = None;
    for round in 0..ROUNDS {
        for turn in 0..shapes.len() {
            let Some(shape) = shapes.get((turn + round) % shapes.len()).copied() else { continue };
            let time = link.copy(probe, shape)?;
            if best.is_none_or(|(best, _)| time < best) {
                best = Some((time, shape));
            }
        }
    }
    let mut shape = best.map_or(Shape { chunk: length, streams: 1 }, |(_, shape)| shape);
    if shape.chunk == probe {
        shape.chunk = length;
    }
    let times = (0..REPEATS).map(|_| link.copy(length, shape)).collect::<Result<_, _>>()?;
    let chunk = if shape.chunk >= length { "all".to_owned() } else { size(shape.chunk) };
    let params = Params::new().with("chunk", chunk).with("streams", shape.streams);
    Ok(LimitReadings { params, work: Bytes::new(length as u64), times })
}

impl<'d, D: Device> Link<'d, D> {
    fn new(device: &'d D, length: usize, direction: Direction) -> Result<Self, WeightsError> {
        let how = Pinning { touch: true, huge_pages: true, ..Pinning::default() };
        let mut pinned = device.pinned(length, how).map_err(WeightsError::device("make pinned memory"))?;
        coldstart_kernels::HostMemory::as_mut_slice(&mut pinned)
            .map_err(WeightsError::device("write to pinned memory"))?
            .fill(0x5A);
        let buffer = touched(device, length)?;
        let most = STREAMS.into_iter().max().unwrap_or(1);
        let streams = (0..most)
            .map(|_| device.stream().map_err(WeightsError::device("make a stream")))
            .collect::<Result<_, _>>()?;
        Ok(Link { device, direction, pinned, buffer, streams })
    }

    fn copy(&mut self, length: usize, shape: Shape) -> Result<Nanos, WeightsError> {
        let Link { device, direction, pinned, buffer, streams } = self;
        let device = *device;
        let mut each = |stream: &D::Stream, range: Range<usize>| match direction {
            Direction::ToDevice => device.upload_pinned(stream, pinned, range.clone(), buffer, range.start),
            Direction::ToHost => device.download_pinned(stream, buffer, range.start, pinned, range),
        };
        let timed = device.time(|| {
            let used = streams.iter().take(shape.streams).cycle();
            for (begin, stream) in (0..length).step_by(shape.chunk).zip(used) {
                each(stream, begin..length.min(begin.saturating_add(shape.chunk)))?;
            }
            Ok::<_, coldstart_kernels::Error>(())
        });
        let timed = timed.map_err(WeightsError::device(match direction {
            Direction::ToDevice => "copy from pinned memory to the device",
            Direction::ToHost => "copy from the device to pinned memory",
        }))?;
        Ok(timed.host.into())
    }
}

/// Device memory that was written to.
fn touched<D: Device>(device: &D, length: usize) -> Result<D::Buffer, WeightsError> {
    let how = coldstart_kernels::Allocation { huge_pages: true };
    let mut buffer =
        device.alloc_with(length, how).map_err(WeightsError::device("allocate device memory for a limit"))?;
    let zeros = vec![0u8; length.min(8 << 20)];
    let mut fill = || {
        for begin in (0..length).step_by(zeros.len().max(1)) {
            let part = zeros.get(..zeros.len().min(length - begin)).unwrap_or_default();
            device.upload(device.compute(), part, &mut buffer, begin)?;
        }
        device.sync()
    };
    fill().map_err(WeightsError::device("write to device memory for a limit"))?;
    Ok(buffer)
}

/// `wanted` bytes, or fewer: at most a quarter of the device's free memory, and of the host's where pinned memory or the
/// device's own is taken of it.
fn affordable<D: Device>(device: &D, wanted: Bytes, pinned: bool) -> Result<usize, WeightsError> {
    let free = device.memory().map_err(WeightsError::device("ask the device for its free memory"))?.free;
    let kind = device.describe().map_err(WeightsError::device("describe the device"))?.kind;
    let host = if pinned || kind == Kind::Host { available_host_memory().bytes.get() } else { u64::MAX };
    let most = free.min(host) / 4;
    Ok(wanted.get().min(most).max(1) as usize)
}

fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{}MiB", bytes >> 20) } else { format!("{bytes}B") }
}

#[cfg(test)]
mod tests {
    use coldstart_kernels::HostDevice;

    use super::*;

    #[test]
    fn shapes_that_say_the_same_are_tried_once() {
        let shapes = |bytes| {
            let all = Shape::all(bytes);
            all.iter().map(|shape| (shape.chunk, shape.streams)).collect::<Vec<_>>()
        };
        assert_eq!(shapes(100), [(100, 1)]);
        let mib = 1 << 20;
        assert_eq!(shapes(3 * mib), [(mib, 1), (mib, 2), (3 * mib, 1)]);
        assert_eq!(shapes(256 * mib).len(), 4 * 3 + 1);
    }

    #[test]
    fn every_direction_has_readings_with_their_shape() {
        let device = HostDevice::open(0).unwrap();
        let asked = Bytes::from_mib(9);
        for readings in [host_to_device(&device, asked).unwrap(), device_to_host(&device, asked).unwrap()] {
            assert_eq!((readings.work, readings.times.len()), (asked, REPEATS));
            assert!(readings.best() > Nanos::ZERO && readings.rate() > 0.0);
            assert!(readings.params.get("chunk").is_some() && readings.params.get("streams").is_some());
        }
        let within = device_copy(&device, asked).unwrap();
        assert_eq!(within.work, Bytes::from_mib(18), "read and written");
    }

    #[test]
    fn a_transfer_moves_every_byte() {
        let device = HostDevice::open(0).unwrap();
        let length = 10_000;
        let mut link = Link::new(&device, length, Direction::ToDevice).unwrap();
        link.copy(length, Shape { chunk: 999, streams: 3 }).unwrap();
        assert!(link.buffer.as_slice().iter().all(|byte| *byte == 0x5A));
        link.buffer.as_mut_slice().fill(7);
        link.direction = Direction::ToHost;
        link.copy(length, Shape { chunk: 1000, streams: 2 }).unwrap();
        let back = coldstart_kernels::HostMemory::as_slice(&link.pinned).unwrap();
        assert!(back.iter().all(|byte| *byte == 7));
    }
}
