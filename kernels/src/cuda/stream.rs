//! Streams: queues of work.

use std::ptr;
use std::sync::Arc;

use cudarc::driver::sys;

use super::event::Event;
use super::primary::Primary;
use crate::Result;

/// A stream of a CUDA device, which waits for no other (`CU_STREAM_NON_BLOCKING`).
#[derive(Debug)]
pub struct CudaStream {
    primary: Arc<Primary>,
    handle: sys::CUstream,
    number: u64,
}

// SAFETY: the handle is only passed to the driver, whose functions may be called from any thread.
unsafe impl Send for CudaStream {}
// SAFETY: as above.
unsafe impl Sync for CudaStream {}

impl CudaStream {
    pub(super) fn new(primary: &Arc<Primary>) -> Result<CudaStream> {
        let mut handle = ptr::null_mut();
        let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: `handle` is writable, and the context is current.
        primary.call(format_args!("make a stream"), || unsafe { sys::cuStreamCreate(&mut handle, flags) })?;
        Ok(CudaStream { primary: Arc::clone(primary), handle, number: primary.next_stream() })
    }

    pub(super) fn handle(&self) -> sys::CUstream {
        self.handle
    }

    pub(super) fn primary(&self) -> &Arc<Primary> {
        &self.primary
    }

    /// Whether it is the stream of that context with that number.
    pub(super) fn is(&self, primary: &Arc<Primary>, number: u64) -> bool {
        self.number == number && Arc::ptr_eq(&self.primary, primary)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// What is enqueued here from now on waits for what is on `earlier` now.
    pub(super) fn follow(&self, earlier: &CudaStream) -> Result<()> {
        let event = Event::new(&earlier.primary, false)?;
        event.record(earlier)?;
        event.hold(self)
    }

    /// Waits until all that is on it is done.
    pub(super) fn wait(&self) -> Result<()> {
        // SAFETY: the stream is alive.
        self.primary
            .call(format_args!("wait for a stream"), || unsafe { sys::cuStreamSynchronize(self.handle) })
    }
}

impl Drop for CudaStream {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle. The driver lets what is enqueued on it finish.
        self.primary
            .release(format_args!("destroy a stream"), || unsafe { sys::cuStreamDestroy_v2(self.handle) });
    }
}
