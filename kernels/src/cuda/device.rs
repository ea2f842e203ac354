//! The CUDA device.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cudarc::driver::sys;

use super::context::Context;
use super::driver::Driver;
use super::event::{CudaMark, Event};
use super::facts::{self, Facts};
use super::graph::{self, CudaGraph};
use super::launch::Launch;
use super::linear::Products;
use super::memory::{self, CudaBuffer, inside};
use super::modules::Kernels;
use super::pinned::{CudaPinned, Locked, page_locked};
use super::primary::{Primary, lock};
use super::registered::CudaRegistered;
use super::stream::CudaStream;
use crate::{Allocation, Description, Device, Error, MemoryInfo, Pinning, Result, Timed};

/// Scratch memory is allocated in at least so many bytes.
const SCRATCH: usize = 1 << 20;

/// An NVIDIA GPU with our kernels loaded.
///
/// Calls may come from several threads at once. Work on the compute stream has one order, so threads that launch
/// operations of one device take turns.
#[derive(Debug)]
pub struct CudaDevice {
    /// First, so that it is dropped before what it uses.
    products: Products,
    compute: CudaStream,
    kernels: Arc<Kernels>,
    /// The last is the largest and the one in use.
    scratch: Mutex<Vec<CudaBuffer>>,
    multiprocessors: usize,
    reads_pageable: bool,
    primary: Arc<Primary>,
}

impl CudaDevice {
    pub(super) fn new(primary: Arc<Primary>, kernels: Kernels) -> Result<CudaDevice> {
        Ok(CudaDevice {
            products: Products::default(),
            compute: CudaStream::new(&primary)?,
            kernels: Arc::new(kernels),
            scratch: Mutex::default(),
            multiprocessors: facts::multiprocessors(&primary)?,
            reads_pageable: facts::reads_pageable(&primary)?,
            primary,
        })
    }

    /// What the GPU is, as far as its limits follow from it.
    pub fn facts(&self) -> Result<Facts> {
        Facts::of(&self.primary)
    }

    /// The driver that it runs on.
    pub fn driver(&self) -> Driver {
        self.primary.driver
    }

    /// A kernel by its name, to be given its arguments.
    pub(super) fn kernel(&self, name: &'static str) -> Result<Launch<'_>> {
        Ok(Launch::new(self, name, self.kernels.function(name)?.handle))
    }

    /// Enqueues a kernel on the compute stream.
    pub(super) fn launch_raw(
        &self,
        name: &'static str,
        function: sys::CUfunction,
        grid: [u32; 3],
        block: [u32; 3],
        shared: u32,
        parameters: &mut [*mut c_void],
    ) -> Result<()> {
        self.kernels.allow_shared(name, shared)?;
        let action =
            format_args!("launch {name} on {grid:?} blocks of {block:?} threads, {shared} shared bytes each");
        let stream = self.compute.handle();
        // SAFETY: the function is loaded, the parameters are as many and as long as it has, and the driver has copied them
        // when it returns. Where they point, it was checked against the buffers.
        self.primary.call(action, || unsafe {
            let [x, y, z] = grid;
            let [wide, high, deep] = block;
            let values = parameters.as_mut_ptr();
            sys::cuLaunchKernel(
                function,
                x,
                y,
                z,
                wide,
                high,
                deep,
                shared,
                stream,
                values,
                std::ptr::null_mut(),
            )
        })
    }

    /// At least so many bytes of device memory that operations on the compute stream may use one after the other, such as
    /// partial results. It grows when asked for more, not while recording; what was handed out before stays valid as
    /// long as the device, because graphs hold its address.
    pub(super) fn scratch(&self, bytes: usize) -> Result<u64> {
        let mut kept = lock(&self.scratch);
        let largest = kept.last().map_or(0, crate::Memory::len);
        if bytes > largest || largest == 0 {
            kept.push(CudaBuffer::new(&self.primary, bytes.max(2 * largest).max(SCRATCH))?);
        }
        Ok(kept.last().map_or(0, CudaBuffer::address))
    }

    /// What it knows of its matrix products.
    pub(super) fn gemm_state(&self) -> &Products {
        &self.products
    }

    /// The context that everything of it shares.
    pub(super) fn primary(&self) -> &Arc<Primary> {
        &self.primary
    }

    /// The compute stream, for other libraries that enqueue on it.
    pub(super) fn compute_handle(&self) -> sys::CUstream {
        self.compute.handle()
    }

    /// How many multiprocessors it has: what a grid should at least fill.
    pub(super) fn multiprocessors(&self) -> usize {
        self.multiprocessors
    }

    pub(super) fn begin_record(&self) -> Result<()> {
        graph::begin(&self.compute)
    }

    pub(super) fn end_record(&self) -> Result<CudaGraph> {
        graph::end(&self.compute, &self.kernels)
    }

    pub(super) fn replay_graph(&self, graph: &CudaGraph) -> Result<()> {
        graph.launch(&self.compute)
    }

    /// Fails where a copy on this stream would become part of a graph, which outlives the host's memory.
    fn refuse_host_copy(&self, stream: &CudaStream, action: &str) -> Result<()> {
        if stream.is(&self.primary, self.compute.number()) {
            self.primary.refuse_recording(format_args!("{action}"))?;
        }
        Ok(())
    }

    /// Enqueues a copy from the host. What `source` points to must stay until the copy is done.
    ///
    /// # Safety
    /// `bytes` bytes from `source` on can be read, from `target` on lie in a buffer of this device.
    unsafe fn enqueue_upload(
        &self,
        stream: &CudaStream,
        source: *const c_void,
        target: u64,
        bytes: usize,
    ) -> Result<()> {
        // SAFETY: the caller's promise; the stream is alive.
        self.primary.call(format_args!("upload {bytes} bytes"), || unsafe {
            sys::cuMemcpyHtoDAsync_v2(target, source, bytes, stream.handle())
        })
    }

    /// Enqueues a copy from page-locked memory, which waits for it.
    fn upload_locked(
        &self,
        stream: &CudaStream,
        source: &impl Locked,
        range: Range<usize>,
        target: &CudaBuffer,
        offset: usize,
    ) -> Result<()> {
        let bytes = range.len();
        let from = source.source(range)?;
        let place = target.part("the target of an upload", offset, bytes)?;
        self.refuse_host_copy(stream, "upload from the host")?;
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: both were checked; the memory waits for the copy, of which it is told, before it is written or given up.
        unsafe { self.enqueue_upload(stream, from, place, bytes)? };
        source.uploading(stream)
    }

    /// Enqueues a copy to the host. What `target` points to must stay until the copy is done.
    ///
    /// # Safety
    /// `bytes` bytes from `target` on can be written, from `source` on lie in a buffer of this device.
    unsafe fn enqueue_download(
        &self,
        stream: &CudaStream,
        source: u64,
        target: *mut c_void,
        bytes: usize,
    ) -> Result<()> {
        // SAFETY: the caller's promise; the stream is alive.
        self.primary.call(format_args!("download {bytes} bytes"), || unsafe {
            sys::cuMemcpyDtoHAsync_v2(target, source, bytes, stream.handle())
        })
    }
}

impl Device for CudaDevice {
    type Buffer = CudaBuffer;
    type Pinned = CudaPinned;
    type Stream = CudaStream;
    type Registered<'m> = CudaRegistered<'m>;
    type Mark = CudaMark;

    fn open(index: usize) -> Result<Self> {
        let loaded = Driver::load()?;
        Ok(Context::create(loaded.driver, index)?.load_kernels()?.0)
    }

    fn describe(&self) -> Result<Description> {
        facts::describe(&self.primary)
    }

    fn memory(&self) -> Result<MemoryInfo> {
        memory::info(&self.primary)
    }

    /// `how` has no effect here.
    fn alloc_with(&self, bytes: usize, _how: Allocation) -> Result<CudaBuffer> {
        CudaBuffer::new(&self.primary, bytes)
    }

    /// The driver touches every page in any case and has no huge pages.
    fn pinned(&self, bytes: usize, how: Pinning) -> Result<CudaPinned> {
        CudaPinned::new(&self.primary, bytes, how)
    }

    /// Locks whole pages, also the last one where `memory` only fills a part of it.
    fn register<'m>(&self, memory: &'m [u8]) -> Result<CudaRegistered<'m>> {
        CudaRegistered::new(&self.primary, memory)
    }

    fn stream(&self) -> Result<CudaStream> {
        CudaStream::new(&self.primary)
    }

    fn compute(&self) -> &CudaStream {
        &self.compute
    }

    fn join(&self, later: &CudaStream, earlier: &CudaStream) -> Result<()> {
        later.follow(earlier)
    }

    /// The driver stages pageable memory before it returns ("API synchronization behavior" in the driver's docs). It does
    /// not where `source` is page-locked, nor where the GPU reads pageable memory itself: there this waits for the copy.
    fn upload(
        &self,
        stream: &CudaStream,
        source: &[u8],
        target: &mut CudaBuffer,
        offset: usize,
    ) -> Result<()> {
        let place = target.part("the target of an upload", offset, source.len())?;
        self.refuse_host_copy(stream, "upload from the host")?;
        if source.is_empty() {
            return Ok(());
        }
        // SAFETY: `place` was checked; `source` is not needed after the call, or is waited for.
        unsafe { self.enqueue_upload(stream, source.as_ptr().cast(), place, source.len())? };
        if self.reads_pageable || page_locked::touches(source) { stream.wait() } else { Ok(()) }
    }

    fn upload_pinned(
        &self,
        stream: &CudaStream,
        source: &CudaPinned,
        range: Range<usize>,
        target: &mut CudaBuffer,
        offset: usize,
    ) -> Result<()> {
        self.upload_locked(stream, source, range, target, offset)
    }

    fn upload_registered(
        &self,
        stream: &CudaStream,
        source: &CudaRegistered<'_>,
        range: Range<usize>,
        target: &mut CudaBuffer,
        offset: usize,
    ) -> Result<()> {
        self.upload_locked(stream, source, range, target, offset)
    }

    fn download(
        &self,
        stream: &CudaStream,
        source: &CudaBuffer,
        offset: usize,
        target: &mut [u8],
    ) -> Result<()> {
        let place = source.part("the source of a download", offset, target.len())?;
        self.refuse_host_copy(stream, "download to the host")?;
        if !target.is_empty() {
            // SAFETY: `place` was checked; the wait below keeps `target` until the copy is done, and where it fails the
            // device is lost and copies nothing any more.
            unsafe { self.enqueue_download(stream, place, target.as_mut_ptr().cast(), target.len())? };
        }
        stream.wait()
    }

    fn download_pinned(
        &self,
        stream: &CudaStream,
        source: &CudaBuffer,
        offset: usize,
        target: &mut CudaPinned,
        range: Range<usize>,
    ) -> Result<()> {
        let bytes = range.len();
        let to = target.target(range)?;
        let place = source.part("the source of a download", offset, bytes)?;
        self.refuse_host_copy(stream, "download to the host")?;
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: both were checked; the pinned memory waits for the copy before it is read, written or freed.
        unsafe { self.enqueue_download(stream, place, to, bytes)? };
        target.downloading(stream)
    }

    fn copy(
        &self,
        stream: &CudaStream,
        source: &CudaBuffer,
        range: Range<usize>,
        target: &mut CudaBuffer,
        offset: usize,
    ) -> Result<()> {
        let range = inside("the source of a copy", range, crate::Memory::len(source))?;
        let from = source.part("the source of a copy", range.start, range.len())?;
        let to = target.part("the target of a copy", offset, range.len())?;
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: both were checked and are of different buffers; dropping either waits for the copy.
        self.primary.call(format_args!("copy {} bytes on the device", range.len()), || unsafe {
            sys::cuMemcpyDtoDAsync_v2(to, from, range.len(), stream.handle())
        })
    }

    fn sync_stream(&self, stream: &CudaStream) -> Result<()> {
        self.refuse_host_copy(stream, "wait for the compute stream")?;
        stream.wait()
    }

    fn sync(&self) -> Result<()> {
        let action = format_args!("wait for CUDA device {}", self.primary.index);
        self.primary.refuse_recording(action)?;
        // SAFETY: the context is current.
        self.primary.call(action, || unsafe { sys::cuCtxSynchronize() })
    }

    fn time<T, E: From<Error>>(&self, body: impl FnOnce() -> Result<T, E>) -> Result<Timed<T>, E> {
        let (from, to) = (Event::new(&self.primary, true)?, Event::new(&self.primary, true)?);
        self.sync()?;
        let started = Instant::now();
        from.record(&self.compute)?;
        let value = body()?;
        to.record(&self.compute)?;
        self.sync()?;
        let host = started.elapsed();
        Ok(Timed { value, host, device: Some(from.until(&to)?) })
    }

    fn mark(&self) -> Result<CudaMark> {
        self.primary.refuse_recording(format_args!("mark a moment"))?;
        let event = Event::new(&self.primary, true)?;
        event.record(&self.compute)?;
        Ok(CudaMark(event))
    }

    fn between(&self, from: &CudaMark, to: &CudaMark) -> Result<Duration> {
        from.0.wait()?;
        to.0.wait()?;
        from.0.until(&to.0)
    }
}
