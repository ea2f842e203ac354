//! Events: moments on a stream.

use std::mem;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::sys;

use super::primary::{Primary, lock};
use super::stream::CudaStream;
use crate::{Error, Result};

/// Events that are not in use. Making one takes longer than recording it, so they are kept.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Those that take the time.
    timed: Vec<Handle>,
    /// Those that do not, which is what makes them cheap.
    plain: Vec<Handle>,
}

/// An event of the driver.
#[derive(Debug, Clone, Copy)]
struct Handle(sys::CUevent);

// SAFETY: only passed to the driver, whose functions may be called from any thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Pool {
    fn of(&mut self, timed: bool) -> &mut Vec<Handle> {
        if timed { &mut self.timed } else { &mut self.plain }
    }

    /// Destroys all events. Their context must be current.
    pub(super) fn destroy(&mut self) {
        for event in mem::take(&mut self.timed).into_iter().chain(mem::take(&mut self.plain)) {
            // SAFETY: the event is in nobody's hands but the pool's. The context goes next; a failure changes nothing.
            let _ = unsafe { sys::cuEventDestroy_v2(event.0) };
        }
    }
}

/// An event, back in its pool when dropped.
#[derive(Debug)]
pub(super) struct Event {
    primary: Arc<Primary>,
    handle: Handle,
    timed: bool,
}

impl Event {
    /// One that takes the time where `timed`.
    pub(super) fn new(primary: &Arc<Primary>, timed: bool) -> Result<Event> {
        let kept = lock(&primary.events).of(timed).pop();
        let handle = match kept {
            Some(handle) => handle,
            None => {
                let flags = if timed {
                    sys::CUevent_flags::CU_EVENT_DEFAULT
                } else {
                    sys::CUevent_flags::CU_EVENT_DISABLE_TIMING
                };
                let mut event = ptr::null_mut();
                // SAFETY: `event` is writable, and the context is current.
                primary.call(format_args!("make an event"), || unsafe {
                    sys::cuEventCreate(&mut event, flags as u32)
                })?;
                Handle(event)
            }
        };
        Ok(Event { primary: Arc::clone(primary), handle, timed })
    }

    /// Makes it stand for the work that is on `stream` now, which must be of the same device.
    pub(super) fn record(&self, stream: &CudaStream) -> Result<()> {
        // SAFETY: event and stream are alive; the driver refuses those of different contexts.
        self.primary.call(format_args!("record an event"), || unsafe {
            sys::cuEventRecord(self.handle.0, stream.handle())
        })
    }

    /// What is enqueued on `stream` from now on waits for it.
    pub(super) fn hold(&self, stream: &CudaStream) -> Result<()> {
        // SAFETY: event and stream are alive. The driver keeps what it needs of the event, so it may be used again.
        self.primary.call(format_args!("let a stream wait for another"), || unsafe {
            sys::cuStreamWaitEvent(stream.handle(), self.handle.0, 0)
        })
    }

    /// Waits until the work that it stands for is done.
    pub(super) fn wait(&self) -> Result<()> {
        // SAFETY: the event is alive.
        self.primary
            .call(format_args!("wait for an event"), || unsafe { sys::cuEventSynchronize(self.handle.0) })
    }

    /// From this event to a later one, both of which must have happened. The driver's clock has steps of about 0.5 µs.
    pub(super) fn until(&self, later: &Event) -> Result<Duration> {
        let mut milliseconds = 0.0;
        // SAFETY: both events are alive and take the time; the driver refuses what it cannot compare.
        self.primary.call(format_args!("read the time between two events"), || unsafe {
            sys::cuEventElapsedTime(&mut milliseconds, self.handle.0, later.handle.0)
        })?;
        Duration::try_from_secs_f64(f64::from(milliseconds) / 1e3).map_err(|_| Error::Shape {
            op: "between",
            what: format!("{milliseconds} ms passed between the marks: the second was made before the first"),
        })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        lock(&self.primary.events).of(self.timed).push(self.handle);
    }
}

/// A moment on the compute stream of a CUDA device.
#[derive(Debug)]
pub struct CudaMark(pub(super) Event);
