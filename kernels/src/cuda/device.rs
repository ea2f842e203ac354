//! The CUDA device.

use std::ffi::c_void;
use std::ops::Range;
use std::time::Duration;

use cudarc::driver::sys;

use super::driver::Driver;
use super::launch::Launch;
use super::memory::{CudaBuffer, CudaPinned, CudaRegistered};
use crate::{Allocation, Description, Device, Error, Kind, MemoryInfo, Pinning, Result, Timed};

/// Whether the driver loads a module's kernels when the module is loaded, or each when it is first needed
/// (`CUDA_MODULE_LOADING`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loading {
    /// At once.
    Eager,
    /// When first needed; the default of drivers from 12.2 on.
    Lazy,
}

/// The primary context of one GPU, current on the thread that made it.
#[derive(Debug)]
pub struct Context(());

impl Context {
    /// Retains the primary context of GPU number `index` and waits until it answers.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where there is no such GPU.
    pub fn create(_driver: Driver, index: usize) -> Result<Context> {
        Err(Error::NoDevice { kind: Kind::Cuda, index, why: "not yet".to_owned() })
    }

    /// How its kernels are loaded.
    pub fn loading(&self) -> Result<Loading> {
        Ok(Loading::Lazy)
    }

    /// Hands all kernels to the driver and resolves every function.
    pub fn load_kernels(self) -> Result<(CudaDevice, ModuleReport)> {
        Err(Error::NoDevice { kind: Kind::Cuda, index: 0, why: "not yet".to_owned() })
    }
}

/// What loading the kernels took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleReport {
    /// PTX handed to the driver, until the modules were there.
    pub load: Duration,
    /// Resolving all functions.
    pub resolve: Duration,
    /// How many kernels.
    pub kernels: usize,
    /// The bytes of PTX.
    pub bytes: usize,
}

/// An NVIDIA GPU with our kernels loaded.
#[derive(Debug)]
pub struct CudaDevice {
    compute: CudaStream,
}

/// A stream of a CUDA device.
#[derive(Debug)]
pub struct CudaStream(());

/// Recorded operations.
#[derive(Debug)]
pub struct CudaGraph(());

impl CudaDevice {
    /// A kernel by its name, to be given its arguments.
    pub(super) fn kernel(&self, name: &'static str) -> Result<Launch<'_>> {
        Ok(Launch::new(self, name, std::ptr::null_mut()))
    }

    /// Enqueues a kernel on the compute stream.
    pub(super) fn launch_raw(
        &self,
        _name: &'static str,
        _function: sys::CUfunction,
        _grid: [u32; 3],
        _block: [u32; 3],
        _shared: u32,
        _parameters: &mut [*mut c_void],
    ) -> Result<()> {
        Ok(())
    }

    /// At least so many bytes of device memory that operations on the compute stream may use one after the other, such as
    /// partial results. It grows when asked for more, not while recording; what was handed out before stays valid as
    /// long as the device, because graphs hold its address.
    pub(super) fn scratch(&self, _bytes: usize) -> Result<u64> {
        Ok(0)
    }

    /// How many multiprocessors it has: what a grid should at least fill.
    pub(super) fn multiprocessors(&self) -> usize {
        1
    }

    pub(super) fn begin_record(&self) -> Result<()> {
        Ok(())
    }

    pub(super) fn end_record(&self) -> Result<CudaGraph> {
        Ok(CudaGraph(()))
    }

    pub(super) fn replay_graph(&self, _graph: &CudaGraph) -> Result<()> {
        Ok(())
    }
}

impl Device for CudaDevice {
    type Buffer = CudaBuffer;
    type Pinned = CudaPinned;
    type Stream = CudaStream;
    type Registered<'m> = CudaRegistered<'m>;

    fn open(index: usize) -> Result<Self> {
        let loaded = Driver::load()?;
        Ok(Context::create(loaded.driver, index)?.load_kernels()?.0)
    }

    fn describe(&self) -> Result<Description> {
        todo!()
    }

    fn memory(&self) -> Result<MemoryInfo> {
        todo!()
    }

    fn alloc_with(&self, _bytes: usize, _how: Allocation) -> Result<CudaBuffer> {
        todo!()
    }

    fn pinned(&self, _bytes: usize, _how: Pinning) -> Result<CudaPinned> {
        todo!()
    }

    fn register<'m>(&self, _memory: &'m [u8]) -> Result<CudaRegistered<'m>> {
        todo!()
    }

    fn stream(&self) -> Result<CudaStream> {
        todo!()
    }

    fn compute(&self) -> &CudaStream {
        &self.compute
    }

    fn join(&self, _later: &CudaStream, _earlier: &CudaStream) -> Result<()> {
        todo!()
    }

    fn upload(&self, _: &CudaStream, _: &[u8], _: &mut CudaBuffer, _: usize) -> Result<()> {
        todo!()
    }

    fn upload_pinned(
        &self,
        _: &CudaStream,
        _: &CudaPinned,
        _: Range<usize>,
        _: &mut CudaBuffer,
        _: usize,
    ) -> Result<()> {
        todo!()
    }

    fn upload_registered(
        &self,
        _: &CudaStream,
        _: &CudaRegistered<'_>,
        _: Range<usize>,
        _: &mut CudaBuffer,
        _: usize,
    ) -> Result<()> {
        todo!()
    }

    fn download(&self, _: &CudaStream, _: &CudaBuffer, _: usize, _: &mut [u8]) -> Result<()> {
        todo!()
    }

    fn download_pinned(
        &self,
        _: &CudaStream,
        _: &CudaBuffer,
        _: usize,
        _: &mut CudaPinned,
        _: Range<usize>,
    ) -> Result<()> {
        todo!()
    }

    fn copy(
        &self,
        _: &CudaStream,
        _: &CudaBuffer,
        _: Range<usize>,
        _: &mut CudaBuffer,
        _: usize,
    ) -> Result<()> {
        todo!()
    }

    fn sync_stream(&self, _: &CudaStream) -> Result<()> {
        todo!()
    }

    fn sync(&self) -> Result<()> {
        todo!()
    }

    fn time<T, E: From<Error>>(&self, _body: impl FnOnce() -> Result<T, E>) -> Result<Timed<T>, E> {
        todo!()
    }
}
