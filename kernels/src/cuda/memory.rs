//! Memory of a CUDA device.

use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::sys;

use super::primary::Primary;
use super::status;
use crate::{Error, Memory, MemoryInfo, Result};

/// Device memory, allocated synchronously and without a pool (`cuMemAlloc`).
#[derive(Debug)]
pub struct CudaBuffer {
    primary: Arc<Primary>,
    /// 0 where it has no bytes.
    address: sys::CUdeviceptr,
    len: usize,
}

impl CudaBuffer {
    pub(super) fn new(primary: &Arc<Primary>, bytes: usize) -> Result<CudaBuffer> {
        let action = format_args!("allocate {bytes} bytes of device memory");
        primary.refuse_recording(action)?;
        let mut address = 0;
        if bytes > 0 {
            // SAFETY: `address` is writable, and the context is current.
            let answer = primary.attempt(action, || unsafe { sys::cuMemAlloc_v2(&mut address, bytes) })?;
            answer.map_err(|status| {
                if status.code != status::OUT_OF_MEMORY {
                    return primary.error(action, status);
                }
                let free = info(primary).map_or(0, |info| info.free);
                Error::OutOfMemory { what: "of device memory", requested: bytes, free, source: None }
            })?;
        }
        Ok(CudaBuffer { primary: Arc::clone(primary), address, len: bytes })
    }

    /// Its address on the device; 256-byte aligned.
    pub(super) fn address(&self) -> u64 {
        self.address
    }

    /// The address of the `len` bytes from `offset` on.
    pub(super) fn part(&self, what: &str, offset: usize, len: usize) -> Result<u64> {
        let range = inside(what, offset..offset.saturating_add(len), self.len)?;
        Ok(self.address + range.start as u64)
    }
}

impl Memory for CudaBuffer {
    fn len(&self) -> usize {
        self.len
    }
}

impl Drop for CudaBuffer {
    fn drop(&mut self) {
        if self.len > 0 {
            self.primary.free(self.address);
        }
    }
}

/// `range`, where it lies in `0..len`.
pub(super) fn inside(what: &str, range: Range<usize>, len: usize) -> Result<Range<usize>> {
    if range.start <= range.end && range.end <= len {
        return Ok(range);
    }
    Err(Error::View { what: what.to_owned(), offset: range.start, end: range.end, len, align: 1 })
}

/// How much memory the GPU has and has free, of all processes.
pub(super) fn info(primary: &Primary) -> Result<MemoryInfo> {
    let (mut free, mut total) = (0, 0);
    // SAFETY: both are writable, and the context is current.
    primary.call(format_args!("ask for the device's memory"), || unsafe {
        sys::cuMemGetInfo_v2(&mut free, &mut total)
    })?;
    Ok(MemoryInfo { free: free as u64, total: total as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stay_inside() {
        assert_eq!(inside("x", 2..5, 5).unwrap(), 2..5);
        assert_eq!(inside("x", 5..5, 5).unwrap(), 5..5);
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
        let wrong = [4..6, 3..2, 0..usize::MAX];
        for range in wrong {
            assert!(matches!(inside("x", range, 5), Err(Error::View { len: 5, .. })));
        }
    }
}
