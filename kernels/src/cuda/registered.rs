//! Memory of the caller, page-locked where it lies.

use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::sys;
use cudarc::driver::sys::CUdevice_attribute as Attribute;

use super::facts::reads_pageable;
use super::memory::inside;
use super::pinned::{Locked, Uses, page_locked};
use super::primary::Primary;
use super::status::check;
use super::stream::CudaStream;
use crate::{Error, Result};

/// Memory of the caller that is page-locked where it lies, as long as this lives; of use to every device of the process.
#[derive(Debug)]
pub struct CudaRegistered<'m> {
    primary: Arc<Primary>,
    begin: usize,
    len: usize,
    uploads: Uses,
    memory: PhantomData<&'m [u8]>,
}

impl<'m> CudaRegistered<'m> {
    /// Page-locks `memory`, to be only read. It must begin at a page; a last page that it fills in part is locked as a
    /// whole, since only whole pages can be. Memory mapped for reading only needs a driver and a system that can do that
    /// (`CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED`).
    pub(super) fn new(primary: &Arc<Primary>, memory: &'m [u8]) -> Result<CudaRegistered<'m>> {
        let (begin, len) = (memory.as_ptr() as usize, memory.len());
        let action = format_args!("page-lock {len} bytes where they lie");
        primary.refuse_recording(action)?;
        let page = page_size();
        if len > 0 && !begin.is_multiple_of(page) {
            let what = "memory to be page-locked, by its address".to_owned();
            return Err(Error::View {
                what,
                offset: begin,
                end: begin.saturating_add(len),
                len,
                align: page,
            });
        }
        if len > 0 {
            let flags = sys::CU_MEMHOSTREGISTER_PORTABLE | read_only(primary, action)?;
            let whole = len.next_multiple_of(page);
            // SAFETY: the pages are mapped, since `memory` lies in them, and the device only reads them. They stay mapped
            // as long as `self`, which unlocks them.
            primary.call(action, || unsafe {
                sys::cuMemHostRegister_v2(memory.as_ptr().cast_mut().cast(), whole, flags)
            })?;
            page_locked::add(begin, len);
        }
        Ok(CudaRegistered {
            primary: Arc::clone(primary),
            begin,
            len,
            uploads: Uses::default(),
            memory: PhantomData,
        })
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Locked for CudaRegistered<'_> {
    fn source(&self, range: Range<usize>) -> Result<*const c_void> {
        let range = inside("the source of an upload", range, self.len)?;
        Ok((self.begin + range.start) as *const c_void)
    }

    fn uploading(&self, stream: &CudaStream) -> Result<()> {
        self.uploads.add(stream)
    }
}

impl Drop for CudaRegistered<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.uploads.wait()
            && !matches!(error, Error::DeviceLost { .. })
        {
            self.primary.say_later(error);
        }
        if self.len > 0 {
            page_locked::remove(self.begin, self.len);
            // SAFETY: registered by this address, once, and no copy is under way.
            self.primary.release(format_args!("unlock host memory"), || unsafe {
                sys::cuMemHostUnregister(self.begin as *mut c_void)
            });
        }
    }
}

/// The flag for memory that may be mapped for reading only. A GPU that reads the host's memory by the host's own page tables
/// needs none; another one that does not know it could not lock such memory.
fn read_only(primary: &Primary, action: fmt::Arguments<'_>) -> Result<u32> {
    if primary.attribute(Attribute::CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED)? != 0 {
        return Ok(sys::CU_MEMHOSTREGISTER_READ_ONLY);
    }
    if reads_pageable(primary)? {
        return Ok(0);
    }
    let refused = check(sys::CUresult::CUDA_ERROR_NOT_SUPPORTED);
    let remedy = "this system cannot page-lock memory that is only read (device attribute \
                  READ_ONLY_HOST_REGISTER_SUPPORTED is 0): take pinned staging";
    refused.map(|()| 0).map_err(|status| Error::Cuda {
        action: action.to_string(),
        status,
        remedy: remedy.to_owned(),
    })
}

fn page_size() -> usize {
    // SAFETY: only reads a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
