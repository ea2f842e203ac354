//! Memory of the host device: fresh anonymous pages.

use std::ops::Range;

use memmap2::{Advice, MmapMut, MmapOptions};

use crate::{Error, HostMemory, Memory, Result};

/// The page size that touching and alignment count on; a larger real one only makes touching redundant.
pub(super) const PAGE: usize = 4096;

/// The size of a huge page, and the alignment that lets the kernel use one.
const HUGE_PAGE: usize = 2 << 20;

/// A stretch of fresh pages, aligned to a page, and to a huge page where such are asked for.
#[derive(Debug)]
struct Pages {
    /// `None` for no bytes, which cannot be mapped. They are aligned all the same: wherever they are viewed as numbers
    /// the alignment is checked.
    map: Option<MmapMut>,
    range: Range<usize>,
}

impl Pages {
    fn new(what: &'static str, bytes: usize, huge: bool, free: u64) -> Result<Pages> {
        let refused = |source| Error::OutOfMemory { what, requested: bytes, free, source };
        if bytes == 0 {
            return Ok(Pages { map: None, range: 0..0 });
        }
        // An overcommitting kernel would grant it and kill the process later.
        if u64::try_from(bytes).is_ok_and(|bytes| bytes > free) {
            return Err(refused(None));
        }
        let slack = if huge { HUGE_PAGE } else { 0 };
        let len = bytes.checked_add(slack).ok_or_else(|| refused(None))?;
        let map = MmapOptions::new().len(len).map_anon().map_err(|error| refused(Some(error)))?;
        let start = if huge { map.as_ptr().align_offset(HUGE_PAGE).min(slack) } else { 0 };
        if huge {
            // A request: kernels without transparent huge pages refuse it, and the memory is as good without.
            let _ = map.advise(Advice::HugePage);
        }
        Ok(Pages { map: Some(map), range: start..start + bytes })
    }

    fn as_slice(&self) -> &[u8] {
        self.map.as_deref().map_or(bytemuck::cast_slice::<u128, u8>(&[]), |map| &map[self.range.clone()])
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        let nothing = || bytemuck::cast_slice_mut::<u128, u8>(&mut []);
        self.map.as_deref_mut().map_or_else(nothing, |map| &mut map[self.range.clone()])
    }
}

/// Device memory of the host device.
#[derive(Debug)]
pub struct HostBuffer(Pages);

impl HostBuffer {
    pub(super) fn new(bytes: usize, huge: bool, free: u64) -> Result<HostBuffer> {
        Pages::new("of device memory", bytes, huge, free).map(HostBuffer)
    }

    /// Its bytes. Only the host device's memory can be looked at without a download.
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Its bytes, to be written: what a loader reads a file into when no staging is wanted.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.0.as_mut_slice()
    }
}

impl Memory for HostBuffer {
    fn len(&self) -> usize {
        self.0.range.len()
    }
}

/// Staging memory of the host device: ordinary pages, since nothing has to be locked.
#[derive(Debug)]
pub struct HostPinned(Pages);

impl HostPinned {
    pub(super) fn new(bytes: usize, huge: bool, free: u64) -> Result<HostPinned> {
        Pages::new("of pinned host memory", bytes, huge, free).map(HostPinned)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_mut_slice()
    }
}

impl HostMemory for HostPinned {
    fn len(&self) -> usize {
        self.0.range.len()
    }

    fn as_slice(&self) -> Result<&[u8]> {
        Ok(self.bytes())
    }

    fn as_mut_slice(&mut self) -> Result<&mut [u8]> {
        Ok(self.bytes_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_the_size_asked_for_and_is_aligned() {
        for (bytes, huge, align) in
            [(0, false, 16), (1, false, PAGE), (5000, false, PAGE), (3 << 20, true, HUGE_PAGE)]
        {
            let mut buffer = HostBuffer::new(bytes, huge, u64::MAX).unwrap();
            assert_eq!((buffer.len(), buffer.as_slice().len()), (bytes, bytes));
            assert_eq!(buffer.as_slice().as_ptr().align_offset(align), 0, "{bytes}");
            buffer.as_mut_slice().fill(7);
            assert!(buffer.as_slice().iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn more_than_is_free_is_refused_before_it_is_mapped() {
        let error = HostBuffer::new(1 << 20, false, 1000).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { requested: 1_048_576, free: 1000, .. }), "{error}");
        let error = HostPinned::new(usize::MAX, true, u64::MAX).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    }
}
