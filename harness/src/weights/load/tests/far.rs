//! A device whose memory the CPU cannot address, for tests: loads must go through its uploads, as they do on a GPU.

use std::ops::Range;
use std::time::{Duration, Instant};

use coldstart_kernels::{
    Allocation, Description, Device, Error, HostBuffer, HostDevice, HostPinned, HostStream, MemoryInfo,
    Pinning, Result, Timed,
};

use super::super::device::LoadDevice;

/// The host device, seen from afar.
pub(super) struct Far(pub(super) HostDevice);

impl LoadDevice for Far {
    fn host_bytes(_: &mut HostBuffer) -> Option<&mut [u8]> {
        None
    }
}

impl Device for Far {
    type Buffer = HostBuffer;
    type Pinned = HostPinned;
    type Stream = HostStream;
    type Registered<'m> = &'m [u8];
    type Mark = Instant;

    fn open(index: usize) -> Result<Self> {
        HostDevice::open(index).map(Far)
    }

    fn describe(&self) -> Result<Description> {
        self.0.describe()
    }

    fn memory(&self) -> Result<MemoryInfo> {
        self.0.memory()
    }

    fn alloc_with(&self, bytes: usize, how: Allocation) -> Result<HostBuffer> {
        self.0.alloc_with(bytes, how)
    }

    fn pinned(&self, bytes: usize, how: Pinning) -> Result<HostPinned> {
        self.0.pinned(bytes, how)
    }

    fn register<'m>(&self, memory: &'m [u8]) -> Result<&'m [u8]> {
        self.0.register(memory)
    }

    fn stream(&self) -> Result<HostStream> {
        self.0.stream()
    }

    fn compute(&self) -> &HostStream {
        self.0.compute()
    }

    fn join(&self, later: &HostStream, earlier: &HostStream) -> Result<()> {
        self.0.join(later, earlier)
    }

    fn upload(
        &self,
        stream: &HostStream,
        source: &[u8],
        target: &mut HostBuffer,
        offset: usize,
    ) -> Result<()> {
        self.0.upload(stream, source, target, offset)
    }

    fn upload_pinned(
        &self,
        stream: &HostStream,
        source: &HostPinned,
        range: Range<usize>,
        target: &mut HostBuffer,
        offset: usize,
    ) -> Result<()> {
        self.0.upload_pinned(stream, source, range, target, offset)
    }

    fn upload_registered(
        &self,
        stream: &HostStream,
        source: &&[u8],
        range: Range<usize>,
        target: &mut HostBuffer,
        offset: usize,
    ) -> Result<()> {
        self.0.upload_registered(stream, source, range, target, offset)
    }

    fn download(
        &self,
        stream: &HostStream,
        source: &HostBuffer,
        offset: usize,
        target: &mut [u8],
    ) -> Result<()> {
        self.0.download(stream, source, offset, target)
    }

    fn download_pinned(
        &self,
        stream: &HostStream,
        source: &HostBuffer,
        offset: usize,
        target: &mut HostPinned,
        range: Range<usize>,
    ) -> Result<()> {
        self.0.download_pinned(stream, source, offset, target, range)
    }

    fn copy(
        &self,
        stream: &HostStream,
        source: &HostBuffer,
        range: Range<usize>,
        target: &mut HostBuffer,
        offset: usize,
    ) -> Result<()> {
        self.0.copy(stream, source, range, target, offset)
    }

    fn sync_stream(&self, stream: &HostStream) -> Result<()> {
        self.0.sync_stream(stream)
    }

    fn sync(&self) -> Result<()> {
        self.0.sync()
    }

    fn time<T, E: From<Error>>(&self, body: impl FnOnce() -> Result<T, E>) -> Result<Timed<T>, E> {
        self.0.time(body)
    }

    fn mark(&self) -> Result<Instant> {
        self.0.mark()
    }

    fn between(&self, from: &Instant, to: &Instant) -> Result<Duration> {
        self.0.between(from, to)
    }
}
