//! Two devices with the same operands: the host device, and the one that is tested.

use half::{bf16, f16};

use super::Found;
use crate::{
    Device, Dtype, HostBuffer, HostDevice, Indices, IndicesMut, Matrix, MatrixMut, Memory, Ops, Result,
    checksum,
};

/// The host device and the tested one, and the source of random shapes and numbers of the case at hand.
pub(super) struct Twins<'d, O: Ops> {
    pub(super) host: HostDevice,
    pub(super) device: &'d O,
    seed: u64,
    drawn: u64,
    format: Dtype,
    described: String,
}

/// A matrix on both devices: on the tested one in `dtype`, on the host in f32 or, for weights, in the same `dtype`.
pub(super) struct Pair<B> {
    pub(super) on_host: HostBuffer,
    pub(super) on_device: B,
    dtype: Dtype,
    host_dtype: Dtype,
    rows: usize,
    cols: usize,
    stride: usize,
    /// Elements before the first.
    skip: usize,
}

/// `u32` numbers on both devices.
pub(super) struct Numbers<B> {
    pub(super) on_host: HostBuffer,
    pub(super) on_device: B,
    len: usize,
}

impl<'d, O: Ops> Twins<'d, O> {
    pub(super) fn new(device: &'d O) -> Result<Self> {
        let host = HostDevice::open(0)?;
        Ok(Twins { host, device, seed: 0, drawn: 0, format: Dtype::F32, described: String::new() })
    }

    /// Starts a case whose activations are of `format`.
    pub(super) fn begin(&mut self, seed: u64, format: Dtype) {
        (self.seed, self.drawn, self.format) = (seed, 0, format);
        self.described.clear();
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// The format of activations on the tested device.
    pub(super) fn format(&self) -> Dtype {
        self.format
    }

    /// Notes shapes for the message of a failure.
    pub(super) fn describe(&mut self, what: std::fmt::Arguments<'_>) {
        self.described = format!("{what}, ");
    }

    pub(super) fn described(&self) -> &str {
        &self.described
    }

    fn word(&mut self) -> u64 {
        self.drawn += 1;
        checksum::pattern(self.seed, self.drawn)
    }

    /// A number in `low..=high`.
    pub(super) fn number(&mut self, low: usize, high: usize) -> usize {
        low + (self.word() % (high - low + 1) as u64) as usize
    }

    /// One of several.
    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.number(0, choices.len() - 1)]
    }

    pub(super) fn coin(&mut self) -> bool {
        self.word() & 1 == 1
    }

    /// A count of rows or columns: often a round one, often one beside it, often small.
    pub(super) fn extent(&mut self, most: usize) -> usize {
        let round = self.one_of(&[1, 8, 16, 32, 64, 128, 256, 512, 1024, 4096]).min(most);
        let extent = match self.number(0, 3) {
            0 => round,
            1 => round + 1,
            2 => round.saturating_sub(1),
            _ => self.number(1, most),
        };
        extent.clamp(1, most)
    }

    /// A format for weights: that of the activations three times out of four.
    pub(super) fn weights_format(&mut self) -> Dtype {
        if self.number(0, 3) == 0 { self.one_of(&Dtype::ALL) } else { self.format }
    }

    /// Random activations in [−1, 1).
    pub(super) fn activations(&mut self, rows: usize, cols: usize) -> Result<Pair<O::Buffer>> {
        let format = self.format;
        self.pair(rows, cols, format, Dtype::F32, true)
    }

    /// Random weights in [−1, 1) of the same format on both.
    pub(super) fn weights(&mut self, rows: usize, cols: usize) -> Result<Pair<O::Buffer>> {
        let format = self.weights_format();
        self.pair(rows, cols, format, format, true)
    }

    /// Random numbers that both devices hold as f32, without gaps.
    pub(super) fn f32s(&mut self, rows: usize, cols: usize) -> Result<Pair<O::Buffer>> {
        self.pair(rows, cols, Dtype::F32, Dtype::F32, false)
    }

    /// Random numbers of one format on both, with gaps.
    pub(super) fn of_format(&mut self, rows: usize, cols: usize, format: Dtype) -> Result<Pair<O::Buffer>> {
        self.pair(rows, cols, format, format, true)
    }

    fn pair(
        &mut self,
        rows: usize,
        cols: usize,
        dtype: Dtype,
        host_dtype: Dtype,
        gaps: bool,
    ) -> Result<Pair<O::Buffer>> {
        let (gap, skip) = match gaps {
            true => (self.one_of(&[0, 0, 1, 8, 24]), self.one_of(&[0, 0, 8, 3])),
            false => (0, 0),
        };
        let stride = cols + gap;
        let count = skip + rows * stride;
        let seed = self.word();
        let numbers: Vec<f32> =
            (0..count).map(|at| rounded(checksum::uniform(seed, at as u64, 1.0), dtype)).collect();
        Ok(Pair {
            on_host: upload(&self.host, &to_bytes(&numbers, host_dtype))?,
            on_device: upload(self.device, &to_bytes(&numbers, dtype))?,
            dtype,
            host_dtype,
            rows,
            cols,
            stride,
            skip,
        })
    }

    /// The same `u32` numbers on both.
    pub(super) fn numbers(&mut self, numbers: &[u32]) -> Result<Numbers<O::Buffer>> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Ok(Numbers {
            on_host: upload(&self.host, &bytes)?,
            on_device: upload(self.device, &bytes)?,
            len: numbers.len(),
        })
    }

    /// `count` random numbers below `limit`.
    pub(super) fn numbers_below(&mut self, count: usize, limit: usize) -> Result<Numbers<O::Buffer>> {
        let numbers: Vec<u32> = (0..count).map(|_| self.number(0, limit - 1) as u32).collect();
        self.numbers(&numbers)
    }

    /// The lengths of a few sequences, each from `least` on.
    pub(super) fn lengths(&mut self, least: usize, most: usize) -> Vec<usize> {
        let sequences = self.number(1, 4);
        (0..sequences).map(|_| self.extent(most).max(least)).collect()
    }

    /// Compares what both hold, gaps included. Off by at most `rounds` roundings of the device's format, and by
    /// 2·10⁻⁶·√terms for sums in another order, both relative to 1 + |expected|.
    pub(super) fn compare(&self, pair: &Pair<O::Buffer>, terms: usize, rounds: f64) -> Result<Found> {
        let found = self.read_device(pair)?;
        let expected = floats(&download(&self.host, &pair.on_host)?, pair.host_dtype);
        let tolerance = 2e-6 * (terms.max(1) as f64).sqrt() + rounds * epsilon(pair.dtype);
        let mut worst = 0.0f64;
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let inside =
                at >= pair.skip && (at - pair.skip) % pair.stride.max(1) < pair.cols && pair.cols > 0;
            let place = match at.checked_sub(pair.skip) {
                Some(at) if pair.stride > 0 => format!("[{}, {}]", at / pair.stride, at % pair.stride),
                _ => format!("{at} elements into the buffer"),
            };
            if !inside {
                if found.to_bits() != expected.to_bits() {
                    return Ok(Found::Wrong(format!("{place}, outside of the view, became {found}")));
                }
                continue;
            }
            let off = f64::from(found - expected).abs() / (1.0 + f64::from(expected.abs()));
            if off > tolerance || (found.is_nan() != expected.is_nan()) {
                return Ok(Found::Wrong(format!(
                    "{place} is {found}, expected {expected} ± {tolerance:.1e}"
                )));
            }
            worst = worst.max(if off.is_nan() { 0.0 } else { off / tolerance });
        }
        Ok(Found::Right(worst))
    }

    fn read_device(&self, pair: &Pair<O::Buffer>) -> Result<Vec<f32>> {
        Ok(floats(&download(self.device, &pair.on_device)?, pair.dtype))
    }

    /// Compares two outcomes that must be equal to the bit.
    pub(super) fn equal<T: PartialEq + std::fmt::Debug>(&self, found: T, expected: T) -> Found {
        if found == expected {
            return Found::Right(0.0);
        }
        Found::Wrong(format!("found {found:?}, expected {expected:?}"))
    }

    /// Compares all numbers of both, to the bit.
    pub(super) fn equal_numbers(&self, numbers: &Numbers<O::Buffer>) -> Result<Found> {
        let found = words(&download(self.device, &numbers.on_device)?);
        let expected = words(&download(&self.host, &numbers.on_host)?);
        Ok(match found.iter().zip(&expected).position(|(found, expected)| found != expected) {
            None => Found::Right(0.0),
            Some(at) => Found::Wrong(format!("[{at}] is {}, expected {}", found[at], expected[at])),
        })
    }
}

impl<B: Memory> Pair<B> {
    /// The shape, `[rows, cols]`.
    pub(super) fn shape(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    pub(super) fn host(&self) -> Result<Matrix<'_, HostBuffer>> {
        let whole = [self.rows, self.stride];
        Matrix::at(&self.on_host, self.skip * self.host_dtype.size(), self.host_dtype, whole)?
            .columns(0..self.cols)
    }

    pub(super) fn device(&self) -> Result<Matrix<'_, B>> {
        let whole = [self.rows, self.stride];
        Matrix::at(&self.on_device, self.skip * self.dtype.size(), self.dtype, whole)?.columns(0..self.cols)
    }

    pub(super) fn host_mut(&mut self) -> Result<MatrixMut<'_, HostBuffer>> {
        let whole = [self.rows, self.stride];
        let offset = self.skip * self.host_dtype.size();
        MatrixMut::at(&mut self.on_host, offset, self.host_dtype, whole)?.columns(0..self.cols)
    }

    pub(super) fn device_mut(&mut self) -> Result<MatrixMut<'_, B>> {
        let whole = [self.rows, self.stride];
        let offset = self.skip * self.dtype.size();
        MatrixMut::at(&mut self.on_device, offset, self.dtype, whole)?.columns(0..self.cols)
    }
}

impl<B: Memory> Numbers<B> {
    pub(super) fn host(&self) -> Result<Indices<'_, HostBuffer>> {
        Indices::new(&self.on_host, self.len)
    }

    pub(super) fn device(&self) -> Result<Indices<'_, B>> {
        Indices::new(&self.on_device, self.len)
    }

    pub(super) fn host_mut(&mut self) -> Result<IndicesMut<'_, HostBuffer>> {
        IndicesMut::new(&mut self.on_host, self.len)
    }

    pub(super) fn device_mut(&mut self) -> Result<IndicesMut<'_, B>> {
        IndicesMut::new(&mut self.on_device, self.len)
    }
}

/// Half the distance between 1 and the next number: what one rounding may be off, relatively.
fn epsilon(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => 2f64.powi(-24),
        Dtype::F16 => 2f64.powi(-11),
        Dtype::Bf16 => 2f64.powi(-8),
    }
}

fn rounded(x: f32, dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F32 => x,
        Dtype::F16 => f16::from_f32(x).to_f32(),
        Dtype::Bf16 => bf16::from_f32(x).to_f32(),
    }
}

fn to_bytes(numbers: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F32 => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Dtype::F16 => numbers.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
        Dtype::Bf16 => numbers.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
    }
}

fn floats(bytes: &[u8], dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect(),
        Dtype::F16 => bytes.as_chunks::<2>().0.iter().map(|x| f16::from_le_bytes(*x).to_f32()).collect(),
        Dtype::Bf16 => bytes.as_chunks::<2>().0.iter().map(|x| bf16::from_le_bytes(*x).to_f32()).collect(),
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|x| u32::from_le_bytes(*x)).collect()
}

/// Fresh memory of a device with these bytes.
pub(super) fn upload<D: Device>(device: &D, bytes: &[u8]) -> Result<D::Buffer> {
    let mut buffer = device.alloc(bytes.len())?;
    device.upload(device.compute(), bytes, &mut buffer, 0)?;
    Ok(buffer)
}

/// All bytes of a buffer.
pub(super) fn download<D: Device>(device: &D, buffer: &D::Buffer) -> Result<Vec<u8>> {
    let mut bytes = vec![0; buffer.len()];
    device.download(device.compute(), buffer, 0, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_found_inside_and_outside_of_the_view() {
        let device = HostDevice::open(0).unwrap();
        let mut twins = Twins::new(&device).unwrap();
        twins.begin(3, Dtype::F32);
        let mut pair = loop {
            let pair = twins.activations(4, 10).unwrap();
            if pair.stride > pair.cols && pair.skip > 0 {
                break pair;
            }
        };
        assert!(matches!(twins.compare(&pair, 1, 1.0).unwrap(), Found::Right(share) if share == 0.0));
        let (inside, gap, before) = (pair.skip + 2 * pair.stride + 1, pair.skip + pair.cols, 0);
        for (at, says) in
            [(inside, "[2, 1] is"), (gap, "[0, 10], outside of the view"), (before, "0 elements into")]
        {
            let bytes = pair.on_device.as_mut_slice();
            let place = at * 4..at * 4 + 4;
            let kept: [u8; 4] = bytes[place.clone()].try_into().unwrap();
            bytes[place.clone()].copy_from_slice(&(f32::from_le_bytes(kept) + 0.001).to_le_bytes());
            match twins.compare(&pair, 1, 1.0).unwrap() {
                Found::Wrong(what) => assert!(what.contains(says), "{what}"),
                Found::Right(_) => panic!("element {at} was changed and not found"),
            }
            pair.on_device.as_mut_slice()[place].copy_from_slice(&kept);
        }
        pair.on_device.as_mut_slice()[inside * 4..inside * 4 + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(matches!(twins.compare(&pair, 1, 1.0).unwrap(), Found::Wrong(_)), "NaN is not found");
    }

    #[test]
    fn numbers_are_compared_to_the_bit() {
        let device = HostDevice::open(0).unwrap();
        let mut twins = Twins::new(&device).unwrap();
        twins.begin(4, Dtype::F32);
        let mut numbers = twins.numbers(&[7, 8]).unwrap();
        assert!(matches!(twins.equal_numbers(&numbers).unwrap(), Found::Right(_)));
        numbers.on_device.as_mut_slice()[4] ^= 1;
        assert!(
            matches!(twins.equal_numbers(&numbers).unwrap(), Found::Wrong(what) if what.starts_with("[1]"))
        );
    }
}
