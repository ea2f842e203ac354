//! The host as a device.

use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::apart::Apart;
use super::machine;
use super::memory::{HostBuffer, HostPinned, PAGE};
use super::parallel::each_piece;
use super::pool::Pool;
use super::simd::Isa;
use crate::{Allocation, Description, Device, Error, Kind, MemoryInfo, Pinning, Result, Timed};

/// Copies from this size on are spread over the threads, in pieces of [`PIECE`].
const PARALLEL_COPY: usize = 4 << 20;
/// What one thread copies, touches or sums at a time.
pub(super) const PIECE: usize = 1 << 20;
/// Allocations from this size on are held against the memory that is free.
const CHECKED: usize = 64 << 20;

/// The CPU cores of this process; its device memory is RAM.
///
/// Everything runs at once, on the calling thread and a kept set of workers: a call returns when its work is done.
/// Calls from several threads at a time are allowed; one of them gets the workers.
#[derive(Debug)]
pub struct HostDevice {
    pub(super) pool: Pool,
    pub(super) isa: Isa,
    /// Where matrix products pack their left operand; kept, because fresh pages cost more than the packing.
    pub(super) scratch: Mutex<Vec<f32>>,
    compute: HostStream,
}

/// A stream of the host device, on which everything is done as soon as it is enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostStream(());

impl HostDevice {
    /// The host with so many threads, the caller's included; at least one. Fails with [`Error::Threads`].
    pub fn with_threads(threads: usize) -> Result<HostDevice> {
        Self::with(threads, Isa::detect())
    }

    pub(super) fn with(threads: usize, isa: Isa) -> Result<HostDevice> {
        let pool = Pool::new(threads.max(1))?;
        Ok(HostDevice { pool, isa, scratch: Mutex::new(Vec::new()), compute: HostStream(()) })
    }

    /// How many threads work on an operation.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    fn free_for(&self, bytes: usize) -> Result<u64> {
        if bytes < CHECKED { Ok(u64::MAX) } else { Ok(self.memory()?.free) }
    }

    fn copy_bytes(&self, source: &[u8], target: &mut [u8]) {
        if source.len() < PARALLEL_COPY {
            return target.copy_from_slice(source);
        }
        each_piece(&self.pool, target, PIECE, |offset, piece| {
            piece.copy_from_slice(&source[offset..offset + piece.len()]);
        });
    }
}

/// `range` of `bytes`, or an error that says what was to be viewed.
pub(super) fn part<'a>(what: &str, bytes: &'a [u8], range: Range<usize>) -> Result<&'a [u8]> {
    let len = bytes.len();
    bytes.get(range.clone()).ok_or_else(|| outside(what, range, len))
}

/// As [`part`], to be written.
pub(super) fn part_mut<'a>(what: &str, bytes: &'a mut [u8], range: Range<usize>) -> Result<&'a mut [u8]> {
    let len = bytes.len();
    bytes.get_mut(range.clone()).ok_or_else(|| outside(what, range, len))
}

fn outside(what: &str, range: Range<usize>, len: usize) -> Error {
    Error::View { what: what.to_owned(), offset: range.start, end: range.end, len, align: 1 }
}

/// `offset..offset + len`; an end that does not fit becomes the largest, which no buffer reaches.
fn span(offset: usize, len: usize) -> Range<usize> {
    offset..offset.saturating_add(len)
}

impl Device for HostDevice {
    type Buffer = HostBuffer;
    type Pinned = HostPinned;
    type Stream = HostStream;
    type Registered<'m> = &'m [u8];
    type Mark = Instant;

    /// The host with as many threads as the process may run at once (its affinity mask and CPU quota); there is only
    /// number 0.
    fn open(index: usize) -> Result<Self> {
        if index != 0 {
            let why = "there is one host device: number 0".to_owned();
            return Err(Error::NoDevice { kind: Kind::Host, index: Some(index), why });
        }
        Self::with_threads(std::thread::available_parallelism().map_or(1, usize::from))
    }

    fn describe(&self) -> Result<Description> {
        Ok(Description {
            kind: Kind::Host,
            index: 0,
            name: machine::cpu_model(),
            memory_bytes: self.memory()?.total,
            compute_units: self.threads(),
            features: vec![self.isa.name().to_owned()],
            uuid: None,
            driver: None,
        })
    }

    fn memory(&self) -> Result<MemoryInfo> {
        machine::memory()
    }

    fn alloc_with(&self, bytes: usize, how: Allocation) -> Result<HostBuffer> {
        HostBuffer::new(bytes, how.huge_pages, self.free_for(bytes)?)
    }

    fn pinned(&self, bytes: usize, how: Pinning) -> Result<HostPinned> {
        let mut pinned = HostPinned::new(bytes, how.huge_pages, self.free_for(bytes)?)?;
        if how.touch {
            each_piece(&self.pool, pinned.bytes_mut(), PIECE, |_, piece| {
                piece.iter_mut().step_by(PAGE).for_each(|byte| *byte = 0);
            });
        }
        Ok(pinned)
    }

    fn register<'m>(&self, memory: &'m [u8]) -> Result<&'m [u8]> {
        Ok(memory)
    }

    fn stream(&self) -> Result<HostStream> {
        Ok(HostStream(()))
    }

    fn compute(&self) -> &HostStream {
        &self.compute
    }

    fn join(&self, _later: &HostStream, _earlier: &HostStream) -> Result<()> {
        Ok(())
    }

    fn upload(&self, _: &HostStream, source: &[u8], target: &mut HostBuffer, offset: usize) -> Result<()> {
        let target = part_mut("the target of an upload", target.as_mut_slice(), span(offset, source.len()))?;
        self.copy_bytes(source, target);
        Ok(())
    }

    fn upload_pinned(
        &self,
        stream: &HostStream,
        source: &HostPinned,
        range: Range<usize>,
        target: &mut HostBuffer,
        offset: usize,
    ) -> Result<()> {
        self.upload(stream, part("the source of an upload", source.bytes(), range)?, target, offset)
    }

    fn upload_registered(
        &self,
        stream: &HostStream,
        source: &&[u8],
        range: Range<usize>,
        target: &mut HostBuffer,
        offset: usize,
    ) -> Result<()> {
        self.upload(stream, part("the source of an upload", source, range)?, target, offset)
    }

    fn download(&self, _: &HostStream, source: &HostBuffer, offset: usize, target: &mut [u8]) -> Result<()> {
        let source = part("the source of a download", source.as_slice(), span(offset, target.len()))?;
        self.copy_bytes(source, target);
        Ok(())
    }

    fn download_pinned(
        &self,
        stream: &HostStream,
        source: &HostBuffer,
        offset: usize,
        target: &mut HostPinned,
        range: Range<usize>,
    ) -> Result<()> {
        let target = part_mut("the target of a download", target.bytes_mut(), range)?;
        self.download(stream, source, offset, target)
    }

    fn copy(
        &self,
        _: &HostStream,
        source: &HostBuffer,
        range: Range<usize>,
        target: &mut HostBuffer,
        offset: usize,
    ) -> Result<()> {
        let source = part("the source of a copy", source.as_slice(), range)?;
        let target = part_mut("the target of a copy", target.as_mut_slice(), span(offset, source.len()))?;
        self.copy_bytes(source, target);
        Ok(())
    }

    fn sync_stream(&self, _: &HostStream) -> Result<()> {
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn keep_apart(&self) -> Apart<'_> {
        Apart::keep(self.pool.workers())
    }

    fn time<T, E: From<Error>>(&self, body: impl FnOnce() -> Result<T, E>) -> Result<Timed<T>, E> {
        self.sync()?;
        let started = Instant::now();
        let value = body()?;
        self.sync()?;
        Ok(Timed { value, host: started.elapsed(), device: None })
    }

    fn mark(&self) -> Result<Instant> {
        Ok(Instant::now())
    }

    fn between(&self, from: &Instant, to: &Instant) -> Result<Duration> {
        to.checked_duration_since(*from).ok_or_else(|| Error::Shape {
            op: "between",
            what: "the second mark was made before the first".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostMemory, Memory};

    #[test]
    fn marks_have_an_order() {
        let device = HostDevice::with_threads(1).unwrap();
        let from = device.mark().unwrap();
        std::thread::sleep(Duration::from_millis(2));
        let to = device.mark().unwrap();
        assert!(device.between(&from, &to).unwrap() >= Duration::from_millis(2));
        assert!(device.between(&to, &from).unwrap_err().to_string().contains("before the first"));
    }

    #[test]
    fn copies_arrive_and_stay_inside() {
        let device = HostDevice::with_threads(2).unwrap();
        let stream = device.stream().unwrap();
        let bytes: Vec<u8> = (0..PARALLEL_COPY + 12_345).map(|i| (i % 251) as u8).collect();
        let mut a = device.alloc(bytes.len() + 100).unwrap();
        let mut b = device.alloc_with(bytes.len(), Allocation { huge_pages: true }).unwrap();
        device.upload(&stream, &bytes, &mut a, 100).unwrap();
        device.copy(&stream, &a, 100..a.len(), &mut b, 0).unwrap();
        let mut pinned = device.pinned(bytes.len(), Pinning { touch: true, ..Pinning::default() }).unwrap();
        device.download_pinned(&stream, &b, 0, &mut pinned, 0..bytes.len()).unwrap();
        assert_eq!(pinned.as_slice().unwrap(), bytes);
        device.upload_pinned(&stream, &pinned, 1..3, &mut a, 0).unwrap();
        let mut back = [0; 2];
        device.download(&stream, &a, 0, &mut back).unwrap();
        assert_eq!(back, bytes[1..3]);

        for error in [
            device.upload(&stream, &bytes, &mut a, 101).unwrap_err(),
            device.upload(&stream, &[1], &mut a, usize::MAX).unwrap_err(),
            device.copy(&stream, &a, 5..a.len() + 1, &mut b, 0).unwrap_err(),
            device.upload_pinned(&stream, &pinned, 0..bytes.len() + 1, &mut a, 0).unwrap_err(),
            device.download(&stream, &b, b.len(), &mut back).unwrap_err(),
        ] {
            assert!(matches!(error, Error::View { .. }), "{error}");
        }
    }

    #[test]
    fn there_is_one_host() {
        let error = HostDevice::open(1).unwrap_err();
        assert_eq!(error.to_string(), "open host device 1: there is one host device: number 0");
        let description = HostDevice::open(0).unwrap().describe().unwrap();
        assert!(description.compute_units >= 1 && description.memory_bytes > 0);
    }

    #[test]
    fn more_than_the_machine_has_is_refused() {
        let device = HostDevice::with_threads(1).unwrap();
        let error = device.alloc(1 << 60).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { requested, .. } if requested == 1 << 60), "{error}");
    }

    #[test]
    fn the_clock_covers_the_body() {
        let device = HostDevice::with_threads(1).unwrap();
        let pause = std::time::Duration::from_millis(5);
        let timed = device
            .time(|| {
                std::thread::sleep(pause);
                Ok::<_, Error>(7)
            })
            .unwrap();
        assert!(timed.value == 7 && timed.host >= pause && timed.device.is_none());
    }
}
