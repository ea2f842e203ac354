//! A gate on the compute stream.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::bytes;
use super::device::CudaDevice;
use super::pinned::{CudaPinned, Locked as _};
use crate::{Device, Pinning, Result};

/// What was enqueued on the compute stream after it waits until this is dropped.
///
/// Work that takes the device less time than the host takes to enqueue it can only be timed when it is enqueued as a whole
/// before any of it runs: hold, mark, enqueue, mark, release.
#[derive(Debug)]
pub struct Hold {
    flag: CudaPinned,
    address: *const AtomicU32,
}

// SAFETY: `address` points into `flag`, which may be sent, and is only used for an atomic store.
unsafe impl Send for Hold {}
// SAFETY: as above.
unsafe impl Sync for Hold {}

impl CudaDevice {
    /// Holds back what is enqueued on the compute stream from now on until the result is dropped, or `timeout` has passed
    /// since the device came to it.
    ///
    /// Nothing may wait for the device in between, else it waits for the timeout. That may also be hidden: a driver
    /// queues about a thousand launches before one waits for room, and one that loads kernels when they are first needed
    /// may wait for that, so run the work once before.
    ///
    /// # Errors
    /// When the flag can't be allocated, the kernel not launched, or a graph is being recorded.
    pub fn hold(&self, timeout: Duration) -> Result<Hold> {
        let mut flag = self.pinned(4, Pinning { touch: true, ..Pinning::default() })?;
        crate::HostMemory::as_mut_slice(&mut flag)?.fill(0);
        let address = flag.target(0..4)?;
        // Page-locked memory has the same address on the device ("Unified Addressing" in the driver's documentation).
        bytes::block(self, address as u64, timeout)?;
        // The memory is freed after what is on the stream now: the kernel that reads it.
        flag.uploading(self.compute())?;
        Ok(Hold { flag, address: address.cast_const().cast() })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        debug_assert_eq!(crate::HostMemory::len(&self.flag), 4);
        // SAFETY: it points to four bytes of `flag`, aligned to a page, which are still there.
        unsafe { &*self.address }.store(1, Ordering::Release);
    }
}
