//! The primary context of one GPU, as everything on that GPU shares it.

use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use cudarc::driver::sys;

use super::driver::Driver;
use super::event::Pool;
use super::status::{self, check};
use crate::{DriverStatus, Error, Result};

/// The primary context of one GPU. It is released when the last buffer, stream or device on it is dropped.
pub(super) struct Primary {
    pub(super) driver: Driver,
    pub(super) index: usize,
    pub(super) device: sys::CUdevice,
    context: sys::CUcontext,
    /// The status after which nothing works any more.
    lost: OnceLock<DriverStatus>,
    /// What failed in a drop, to be returned by the next call.
    unsaid: Mutex<Vec<Error>>,
    /// Whether there is something in `unsaid`.
    any_unsaid: AtomicBool,
    /// Whether the compute stream is being recorded.
    recording: AtomicBool,
    /// Device memory that was dropped while recording, which must not free.
    unfreed: Mutex<Vec<sys::CUdeviceptr>>,
    streams: AtomicU64,
    pub(super) events: Mutex<Pool>,
}

// SAFETY: the handles are only passed to the driver, whose functions may be called from any thread for any context.
unsafe impl Send for Primary {}
// SAFETY: as above; all else is behind locks and atomics.
unsafe impl Sync for Primary {}

impl fmt::Debug for Primary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cuda:{}", self.index)
    }
}

/// A lock that outlives a panic elsewhere: what is locked here is whole at every moment.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Primary {
    /// Retains the primary context of a GPU.
    pub(super) fn retain(
        driver: Driver,
        index: usize,
        device: sys::CUdevice,
    ) -> Result<Primary, DriverStatus> {
        let mut context = ptr::null_mut();
        // SAFETY: `context` is writable, and the driver checks the GPU's number.
        check(unsafe { sys::cuDevicePrimaryCtxRetain(&mut context, device) })?;
        Ok(Primary {
            driver,
            index,
            device,
            context,
            lost: OnceLock::new(),
            unsaid: Mutex::default(),
            any_unsaid: AtomicBool::new(false),
            recording: AtomicBool::new(false),
            unfreed: Mutex::default(),
            streams: AtomicU64::new(0),
            events: Mutex::default(),
        })
    }

    /// Makes the context current on this thread: what the driver does next here, it does on this GPU. Threads start
    /// with none, and another device may have been used on this one, so every call begins with it; the driver answers
    /// the question from memory of the thread.
    pub(super) fn make_current(&self) -> Result<(), DriverStatus> {
        let mut current = ptr::null_mut();
        // SAFETY: `current` is writable.
        check(unsafe { sys::cuCtxGetCurrent(&mut current) })?;
        if current == self.context {
            return Ok(());
        }
        // SAFETY: the context is retained as long as this lives.
        check(unsafe { sys::cuCtxSetCurrent(self.context) })
    }

    /// Makes one call to the driver in this context. Reports first what failed in drops, and fails at once where the
    /// device is lost.
    pub(super) fn call(
        &self,
        action: fmt::Arguments<'_>,
        body: impl FnOnce() -> sys::CUresult,
    ) -> Result<()> {
        self.attempt(action, body)?.map_err(|status| self.error(action, status))
    }

    /// As [`call`](Primary::call), with the driver's answer for the caller to judge.
    pub(super) fn attempt(
        &self,
        action: fmt::Arguments<'_>,
        body: impl FnOnce() -> sys::CUresult,
    ) -> Result<Result<(), DriverStatus>> {
        if self.any_unsaid.load(Ordering::Acquire) {
            let mut unsaid = lock(&self.unsaid);
            let first = (!unsaid.is_empty()).then(|| unsaid.remove(0));
            self.any_unsaid.store(!unsaid.is_empty(), Ordering::Release);
            if let Some(error) = first {
                return Err(error);
            }
        }
        if let Some(status) = self.lost.get() {
            return Err(self.lost_error(action, *status));
        }
        self.make_current().map_err(|status| self.error(action, status))?;
        Ok(check(body()))
    }

    /// The error that a status stands for. Remembers that the device is lost where it says so.
    pub(super) fn error(&self, action: fmt::Arguments<'_>, status: DriverStatus) -> Error {
        if status::is_lost(&status) {
            let _ = self.lost.set(status);
            return self.lost_error(action, status);
        }
        let remedy = status::remedy(status.code).to_owned();
        Error::Cuda { action: action.to_string(), status, remedy }
    }

    fn lost_error(&self, action: fmt::Arguments<'_>, status: DriverStatus) -> Error {
        Error::DeviceLost { index: self.index, action: action.to_string(), status }
    }

    /// Makes one call to the driver where nothing can be returned: a failure is reported by the next call. A driver that
    /// is shutting down with the process has freed everything already, and a lost device has said so before.
    pub(super) fn release(&self, action: fmt::Arguments<'_>, body: impl FnOnce() -> sys::CUresult) {
        let Err(status) = self.make_current().and_then(|()| check(body())) else { return };
        if status.code != status::DEINITIALIZED && self.lost.get().is_none() {
            let error = self.error(action, status);
            self.say_later(error);
        }
    }

    /// Keeps an error for the next call.
    pub(super) fn say_later(&self, error: Error) {
        let mut unsaid = lock(&self.unsaid);
        unsaid.push(error);
        self.any_unsaid.store(true, Ordering::Release);
    }

    /// Frees device memory after the work that was enqueued before, for which `cuMemFree` itself need not wait. While a
    /// graph is recorded either would end the recording, so the memory waits until that is over.
    pub(super) fn free(&self, address: sys::CUdeviceptr) {
        if self.is_recording() {
            return lock(&self.unfreed).push(address);
        }
        // SAFETY: the context is current.
        self.release(format_args!("wait before device memory is freed"), || unsafe {
            sys::cuCtxSynchronize()
        });
        // SAFETY: the address came from `cuMemAlloc`, its only owner is being dropped, and nothing uses it any more.
        self.release(format_args!("free device memory"), || unsafe { sys::cuMemFree_v2(address) });
    }

    /// Whether the compute stream is being recorded.
    pub(super) fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Acquire)
    }

    /// Fails where a graph is being recorded, which `action` would break.
    pub(super) fn refuse_recording(&self, action: fmt::Arguments<'_>) -> Result<()> {
        if self.is_recording() { Err(Error::Recording { action: action.to_string() }) } else { Ok(()) }
    }

    /// Says that a recording begins; `false` where one is under way.
    pub(super) fn start_recording(&self) -> bool {
        !self.recording.swap(true, Ordering::AcqRel)
    }

    /// Says that the recording is over, and frees what had to wait for that.
    pub(super) fn stop_recording(&self) {
        self.recording.store(false, Ordering::Release);
        let unfreed = std::mem::take(&mut *lock(&self.unfreed));
        unfreed.into_iter().for_each(|address| self.free(address));
    }

    /// A number for a stream that no other of this context has, ever: the driver uses handles again.
    pub(super) fn next_stream(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed)
    }

    /// An attribute of the GPU. Needs no context.
    pub(super) fn attribute(&self, attribute: sys::CUdevice_attribute) -> Result<i32> {
        attribute_of(self.device, attribute).map_err(|status| {
            self.error(format_args!("read an attribute of CUDA device {}", self.index), status)
        })
    }
}

/// An attribute of a GPU, without a context on it.
pub(super) fn attribute_of(
    device: sys::CUdevice,
    attribute: sys::CUdevice_attribute,
) -> Result<i32, DriverStatus> {
    let mut value = 0;
    // SAFETY: `value` is writable; the driver checks both numbers.
    check(unsafe { sys::cuDeviceGetAttribute(&mut value, attribute, device) })?;
    Ok(value)
}

impl Drop for Primary {
    fn drop(&mut self) {
        if self.make_current().is_ok() {
            lock(&self.events).destroy();
        }
        // SAFETY: the context was retained once by this value, and nothing uses it after its drop. Nobody is left to hear
        // of a failure.
        let _ = unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.device) };
    }
}
