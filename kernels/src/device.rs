//! A device: memory, copies and a clock.

use std::fmt;
use std::time::Duration;

use crate::{Apart, Error, Result};

/// What sort of device it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The CPU cores of this process; device memory is RAM.
    Host,
    /// A CUDA GPU.
    Cuda,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Host => "host",
            Kind::Cuda => "cuda",
        })
    }
}

/// What a device is, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// Its kind.
    pub kind: Kind,
    /// Its number among those of its kind, from 0.
    pub index: usize,
    /// The maker's name of it: the CPU model or the GPU's product name.
    pub name: String,
    /// Bytes of memory that it has in all.
    pub memory_bytes: u64,
    /// Worker threads (host) or multiprocessors (CUDA) that work is spread over.
    pub compute_units: usize,
    /// The instruction sets that its kernels use here (host), the compute capability (CUDA): `avx512f`, `sm_90`.
    pub features: Vec<String>,
    /// A name that no other device has, where the device has one.
    pub uuid: Option<String>,
    /// The version of its driver, where it has one.
    pub driver: Option<String>,
}

/// How much memory there is at this moment, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryInfo {
    /// What an allocation could take now (host: `MemAvailable`, or what the cgroup leaves where that is less).
    pub free: u64,
    /// All that the device has (host: RAM, or the cgroup's limit where that is less).
    pub total: u64,
}

/// How device memory is to be allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allocation {
    /// Ask for huge pages (host: `madvise(MADV_HUGEPAGE)`, a request that the kernel may ignore; elsewhere without
    /// effect). It cuts the page faults of a first touch by 512.
    pub huge_pages: bool,
}

/// How pinned host memory is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pinning {
    /// Fault every page in before returning. A driver that page-locks does so in any case; on the host device, where
    /// nothing needs locking, this decides whether the first write pays for it.
    pub touch: bool,
    /// Let the CPU write past its caches (CUDA: `CU_MEMHOSTALLOC_WRITECOMBINED`): somewhat faster uploads, but the CPU
    /// must never read such memory. The host device ignores it.
    pub write_combined: bool,
    /// Ask for huge pages, as in [`Allocation::huge_pages`].
    pub huge_pages: bool,
}

/// A piece of device memory.
///
/// Its address stays the same as long as it lives. Dropping it frees it after the work that was enqueued before.
pub trait Memory: fmt::Debug + Send + Sync {
    /// Its size in bytes, exactly as asked for.
    fn len(&self) -> usize;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Page-aligned host memory that the device copies from and to without staging.
///
/// The CPU can touch it only when no copy does: both getters wait for the copies that were enqueued on it, and so does
/// dropping it. That is what makes [`Device::upload_pinned`] safe to return early.
pub trait HostMemory: fmt::Debug + Send {
    /// Its size in bytes, exactly as asked for.
    fn len(&self) -> usize;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes, after the enqueued copies into it are done.
    fn as_slice(&self) -> Result<&[u8]>;

    /// Its bytes, after all enqueued copies from and into it are done.
    fn as_mut_slice(&mut self) -> Result<&mut [u8]>;
}

/// What a timed body returned, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed<T> {
    /// What the body returned.
    pub value: T,
    /// From after the first sync to after the last, on the host's monotonic clock.
    pub host: Duration,
    /// Between two events around the body's work on the compute stream, on the device's own clock; `None` where the
    /// device has no clock of its own (host).
    pub device: Option<Duration>,
}

/// A device that memory is allocated on, copied to and from, and timed on.
///
/// # Order
/// A stream is a queue: what is enqueued on one stream runs in order, different streams run side by side. The
/// operations of [`Ops`](crate::Ops) go to the compute stream; copies go to the stream that they name. A device may
/// execute at once (the host device does), but callers must not count on it: before work on one stream uses what
/// another stream wrote they call [`join`](Device::join) or [`sync`](Device::sync).
///
/// # Lifetimes
/// Nothing enqueued borrows the caller's memory after the call returns, except pinned memory, which guards itself
/// ([`HostMemory`]), and device buffers, which live on until the work enqueued before their drop is done.
///
/// # Errors
/// A device that works asynchronously may report a failure of earlier work from any later call, at the latest from
/// the next `sync`.
pub trait Device: Sized + Send + Sync {
    /// Device memory.
    type Buffer: Memory;
    /// Pinned host memory.
    type Pinned: HostMemory;
    /// A queue of work.
    type Stream: fmt::Debug + Send + Sync;
    /// Memory of the caller that was page-locked where it lies, such as a part of a mapped file.
    type Registered<'m>: fmt::Debug + Send;
    /// A moment on the compute stream.
    type Mark: fmt::Debug + Send;

    /// Opens device number `index` of this kind and makes it ready for work.
    fn open(index: usize) -> Result<Self>;

    /// What the device is.
    fn describe(&self) -> Result<Description>;

    /// How much memory is free and how much there is.
    fn memory(&self) -> Result<MemoryInfo>;

    /// Allocates `bytes` of device memory, synchronously and without a pool: memory that is fresh to this process.
    /// Nothing writes to it, so the first touch is still to be paid where the system defers it. The contents are
    /// unspecified. Fails with [`Error::OutOfMemory`].
    fn alloc_with(&self, bytes: usize, how: Allocation) -> Result<Self::Buffer>;

    /// [`alloc_with`](Device::alloc_with) the defaults.
    fn alloc(&self, bytes: usize) -> Result<Self::Buffer> {
        self.alloc_with(bytes, Allocation::default())
    }

    /// Makes `bytes` of page-aligned pinned host memory; contents unspecified. Fails with [`Error::OutOfMemory`].
    fn pinned(&self, bytes: usize, how: Pinning) -> Result<Self::Pinned>;

    /// Page-locks `memory`, which begins at a page, for as long as the result lives, to be read by copies only. Dropping
    /// the result waits for the copies that were enqueued on it. Memory that the driver refuses fails with the driver's
    /// own code; nothing is staged instead. The host device locks nothing.
    fn register<'m>(&self, memory: &'m [u8]) -> Result<Self::Registered<'m>>;

    /// A new stream, side by side with all others.
    fn stream(&self) -> Result<Self::Stream>;

    /// The stream that the operations of [`Ops`](crate::Ops) are enqueued on.
    fn compute(&self) -> &Self::Stream;

    /// What is enqueued on `later` from now on waits for what is on `earlier` up to now. The host does not wait.
    fn join(&self, later: &Self::Stream, earlier: &Self::Stream) -> Result<()>;

    /// Enqueues a copy of `source` to `offset..offset + source.len()` of `target`. `source` may be reused as soon as
    /// this returns: a device that copies asynchronously stages it first.
    fn upload(
        &self,
        stream: &Self::Stream,
        source: &[u8],
        target: &mut Self::Buffer,
        offset: usize,
    ) -> Result<()>;

    /// Enqueues a copy of `range` of pinned memory to `offset..` of `target`, without staging. The pinned memory may
    /// be the source of several such copies at once; [`HostMemory::as_mut_slice`] waits for them.
    fn upload_pinned(
        &self,
        stream: &Self::Stream,
        source: &Self::Pinned,
        range: std::ops::Range<usize>,
        target: &mut Self::Buffer,
        offset: usize,
    ) -> Result<()>;

    /// Enqueues a copy of `range` of registered memory to `offset..` of `target`, without staging.
    fn upload_registered(
        &self,
        stream: &Self::Stream,
        source: &Self::Registered<'_>,
        range: std::ops::Range<usize>,
        target: &mut Self::Buffer,
        offset: usize,
    ) -> Result<()>;

    /// Copies `offset..offset + target.len()` of `source` to the host after what is on `stream` now, and waits for it.
    fn download(
        &self,
        stream: &Self::Stream,
        source: &Self::Buffer,
        offset: usize,
        target: &mut [u8],
    ) -> Result<()>;

    /// Enqueues a copy of `offset..` of `source` to `range` of pinned memory; [`HostMemory::as_slice`] waits for it.
    fn download_pinned(
        &self,
        stream: &Self::Stream,
        source: &Self::Buffer,
        offset: usize,
        target: &mut Self::Pinned,
        range: std::ops::Range<usize>,
    ) -> Result<()>;

    /// Enqueues a copy of `range` of `source` to `offset..` of `target` within the device.
    fn copy(
        &self,
        stream: &Self::Stream,
        source: &Self::Buffer,
        range: std::ops::Range<usize>,
        target: &mut Self::Buffer,
        offset: usize,
    ) -> Result<()>;

    /// Waits for what is on one stream.
    fn sync_stream(&self, stream: &Self::Stream) -> Result<()>;

    /// Waits for what is on all streams of this device, and reports what failed among it.
    fn sync(&self) -> Result<()>;

    /// Keeps the calling thread and the device's own threads on CPUs of their own as long as the value lives, where the
    /// device computes on CPUs (see [`Apart`]). To be asked for before what is timed.
    fn keep_apart(&self) -> Apart<'_> {
        Apart::nothing()
    }

    /// Times what `body` does: sync, host clock, event, body, event, sync, host clock. What the body enqueues on other
    /// streams counts for the host clock; for the device clock only where it joins them to the compute stream.
    fn time<T, E: From<Error>>(&self, body: impl FnOnce() -> Result<T, E>) -> Result<Timed<T>, E>;

    /// Marks this moment on the compute stream: when the work enqueued before is done. The host does not wait.
    fn mark(&self) -> Result<Self::Mark>;

    /// The time between two marks of this device on its own clock (host: on the host's, which is read by
    /// [`mark`](Device::mark)), after waiting for both. Fails where `to` came before `from`.
    fn between(&self, from: &Self::Mark, to: &Self::Mark) -> Result<Duration>;
}
