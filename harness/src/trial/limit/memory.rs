//! The bandwidth of reading device memory.

use std::time::{Duration, Instant};

use coldstart_kernels::{Device, Dtype, Matrix, MatrixMut, Ops, Result};
use coldstart_profiles::{Bytes, LimitKind, LimitMeasurement, Nanos, Params, Work};

use super::{device_time, measurement};

/// The least that is read. A device that is worth its name reads more, until its caches hold nothing of it.
const LEAST_BYTES: usize = 1 << 20;
/// The most.
const MOST_BYTES: usize = 2 << 30;
/// Larger readings gain nothing where one takes this long.
const LONG: Nanos = Nanos::from_millis(2);
const READINGS: usize = 10;
/// Columns of the matrix that a vector is multiplied with.
const COLUMNS: usize = 4096;

/// Reading device memory, by the checksum of a buffer, and by the product of one row with a matrix of 16-bit numbers, which
/// is what decoding does. The better one is the limit.
pub(super) fn read<D: Ops>(device: &D) -> Result<Vec<LimitMeasurement>> {
    let (bytes, mut source) = grown(device)?;
    let bytes_of = |bytes: usize| Work::Bytes(Bytes::new(bytes as u64));
    let params = |by: &str| Params::new().with("by", by);
    let mut taken = vec![readings(device, params("checksum"), bytes_of(bytes), || {
        device.checksum(&source, 0..bytes).map(drop)
    })?];
    let dtype = Dtype::Bf16;
    let rows = bytes / (COLUMNS * dtype.size());
    // What a checksum reads may be numbers that are not: a product of NaN is as fast, but nobody should have to know.
    device.fill_uniform(MatrixMut::new(&mut source, dtype, [rows, COLUMNS])?, 1, 1.0)?;
    let mut x = device.alloc(COLUMNS * Dtype::F32.size())?;
    let mut y = device.alloc(rows * Dtype::F32.size())?;
    let activations = device.activation_dtype(dtype);
    device.fill_uniform(MatrixMut::new(&mut x, activations, [1, COLUMNS])?, 2, 1.0)?;
    let read = bytes_of(rows * COLUMNS * dtype.size());
    taken.push(readings(device, params("product with one row"), read, || {
        let x = Matrix::new(&x, activations, [1, COLUMNS])?;
        let w = Matrix::new(&source, dtype, [rows, COLUMNS])?;
        device.linear(x, w, None, MatrixMut::new(&mut y, activations, [1, rows])?)
    })?);
    Ok(taken)
}

/// A written buffer of a size at which its checksum takes long enough to be measured well.
fn grown<D: Ops>(device: &D) -> Result<(usize, D::Buffer)> {
    let most = MOST_BYTES.min((device.memory()?.free / 4) as usize);
    let mut bytes = LEAST_BYTES;
    loop {
        let mut source = device.alloc(bytes)?;
        // Memory that nobody wrote may not be there yet.
        written(device, &mut source)?;
        device.checksum(&source, 0..bytes)?;
        // By the host's clock: what only plays a device may have a device clock of its own making.
        let took = Nanos::from(device.time(|| device.checksum(&source, 0..bytes))?.host);
        if took >= LONG || 2 * bytes > most {
            return Ok((bytes, source));
        }
        bytes *= 2;
    }
}

/// Writes a buffer from the host, a piece at a time: quick also where kernels are not.
fn written<D: Device>(device: &D, buffer: &mut D::Buffer) -> Result<()> {
    let piece = vec![0x3c_u8; LEAST_BYTES];
    let len = coldstart_kernels::Memory::len(buffer);
    for begin in (0..len).step_by(piece.len()) {
        let bytes = piece.len().min(len - begin);
        device.upload(device.compute(), &piece[..bytes], buffer, begin)?;
    }
    device.sync()
}

fn readings<D: Device>(
    device: &D,
    params: Params,
    work: Work,
    mut run: impl FnMut() -> Result<()>,
) -> Result<LimitMeasurement> {
    let mut times: Vec<Nanos> = Vec::with_capacity(READINGS);
    let mut clock = "host";
    let begin = Instant::now();
    while times.is_empty() || (times.len() < READINGS && begin.elapsed() < Duration::from_secs(1)) {
        let timed = device.time(&mut run)?;
        let (time, by) = device_time(&timed);
        clock = by;
        times.push(time);
    }
    Ok(measurement(LimitKind::DeviceRead, params.with("clock", clock), work, times))
}

#[cfg(test)]
mod tests {
    use coldstart_kernels::HostDevice;

    use super::*;

    #[test]
    fn memory_is_read_in_two_ways() {
        let device = HostDevice::open(0).unwrap();
        let read = read(&device).unwrap();
        assert_eq!(read.len(), 2);
        for reading in read {
            assert!(reading.outcome.as_measured().is_some() && reading.work.amount() > 0, "{reading:?}");
        }
    }
}
