//! Page-locked host memory.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::{Arc, Mutex};

use cudarc::driver::sys;

use super::event::Event;
use super::memory::inside;
use super::primary::{Primary, lock};
use super::status;
use super::stream::CudaStream;
use crate::host::ram;
use crate::{Error, HostMemory, Pinning, Result};

/// Page-locked memory that uploads are made from. It keeps what it gives until the uploads that it was told of are done: it waits
/// for them before it is written, unlocked or freed.
pub(super) trait Locked {
    /// Where `range` begins, to be read by an upload.
    fn source(&self, range: Range<usize>) -> Result<*const c_void>;

    /// Remembers an upload from it that was just enqueued.
    fn uploading(&self, stream: &CudaStream) -> Result<()>;
}

/// The copies that were enqueued on a piece of host memory, one event a stream: a later copy of the same stream ends
/// later, so it takes over the event.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<Vec<Use>>);

#[derive(Debug)]
struct Use {
    primary: Arc<Primary>,
    stream: u64,
    event: Event,
    pending: bool,
}

impl Uses {
    /// Remembers the copy that was just enqueued on `stream`. Where that fails it waits for the copy, so that no copy is
    /// ever forgotten.
    pub(super) fn add(&self, stream: &CudaStream) -> Result<()> {
        let mut uses = lock(&self.0);
        let known = uses.iter_mut().find(|known| stream.is(&known.primary, known.stream));
        let remembered = match known {
            Some(known) => {
                known.pending = true;
                known.event.record(stream)
            }
            None => Event::new(stream.primary(), false).and_then(|event| {
                event.record(stream)?;
                let primary = Arc::clone(stream.primary());
                uses.push(Use { primary, stream: stream.number(), event, pending: true });
                Ok(())
            }),
        };
        remembered.map_err(|error| stream.wait().err().unwrap_or(error))
    }

    /// Waits for all copies.
    pub(super) fn wait(&self) -> Result<()> {
        let mut uses = lock(&self.0);
        for known in uses.iter_mut().filter(|known| known.pending) {
            known.event.wait()?;
            known.pending = false;
        }
        Ok(())
    }
}

/// Page-locked host memory (`cuMemHostAlloc`), of use to every device of the process.
#[derive(Debug)]
pub struct CudaPinned {
    primary: Arc<Primary>,
    begin: NonNull<u8>,
    len: usize,
    /// Copies out of it.
    uploads: Uses,
    /// Copies into it.
    downloads: Uses,
}

// SAFETY: it owns its memory as a `Vec<u8>` does; what the driver writes to it in the meantime is waited for.
unsafe impl Send for CudaPinned {}
// SAFETY: as above; shared, it can only be read.
unsafe impl Sync for CudaPinned {}

impl CudaPinned {
    pub(super) fn new(primary: &Arc<Primary>, bytes: usize, how: Pinning) -> Result<CudaPinned> {
        let action = format_args!("allocate {bytes} bytes of pinned host memory");
        primary.refuse_recording(action)?;
        let mut begin = ptr::null_mut();
        if bytes > 0 {
            let cached = if how.write_combined { sys::CU_MEMHOSTALLOC_WRITECOMBINED } else { 0 };
            let flags = sys::CU_MEMHOSTALLOC_PORTABLE | cached;
            // SAFETY: `begin` is writable, and the context is current.
            let answer =
                primary.attempt(action, || unsafe { sys::cuMemHostAlloc(&mut begin, bytes, flags) })?;
            answer.map_err(|status| {
                if status.code != status::OUT_OF_MEMORY {
                    return primary.error(action, status);
                }
                let free = ram().map_or(0, |info| info.free);
                Error::OutOfMemory { what: "of pinned host memory", requested: bytes, free, source: None }
            })?;
        }
        let begin = NonNull::new(begin.cast::<u8>()).unwrap_or(NonNull::dangling());
        page_locked::add(begin.as_ptr() as usize, bytes);
        Ok(CudaPinned {
            primary: Arc::clone(primary),
            begin,
            len: bytes,
            uploads: Uses::default(),
            downloads: Uses::default(),
        })
    }

    /// Where `range` begins, to be written by a download.
    pub(super) fn target(&mut self, range: Range<usize>) -> Result<*mut c_void> {
        let range = inside("the target of a download", range, self.len)?;
        Ok(self.begin.as_ptr().wrapping_add(range.start).cast())
    }

    /// Remembers a download to it that was just enqueued.
    pub(super) fn downloading(&mut self, stream: &CudaStream) -> Result<()> {
        self.downloads.add(stream)
    }
}

impl Locked for CudaPinned {
    fn source(&self, range: Range<usize>) -> Result<*const c_void> {
        let range = inside("the source of an upload", range, self.len)?;
        Ok(self.begin.as_ptr().wrapping_add(range.start).cast_const().cast())
    }

    fn uploading(&self, stream: &CudaStream) -> Result<()> {
        self.uploads.add(stream)
    }
}

impl HostMemory for CudaPinned {
    fn len(&self) -> usize {
        self.len
    }

    fn as_slice(&self) -> Result<&[u8]> {
        self.downloads.wait()?;
        // SAFETY: `len` bytes of the driver's, alive as long as `self`. Nothing writes to them: no download is under way,
        // and enqueuing one takes `&mut self`.
        Ok(unsafe { slice::from_raw_parts(self.begin.as_ptr(), self.len) })
    }

    fn as_mut_slice(&mut self) -> Result<&mut [u8]> {
        self.downloads.wait()?;
        self.uploads.wait()?;
        // SAFETY: as above, and nothing reads them either.
        Ok(unsafe { slice::from_raw_parts_mut(self.begin.as_ptr(), self.len) })
    }
}

impl Drop for CudaPinned {
    fn drop(&mut self) {
        for waited in [self.downloads.wait(), self.uploads.wait()] {
            // A device that is lost copies nothing any more, and has said so.
            if let Err(error) = waited
                && !matches!(error, Error::DeviceLost { .. })
            {
                self.primary.say_later(error);
            }
        }
        page_locked::remove(self.begin.as_ptr() as usize, self.len);
        if self.len > 0 {
            // SAFETY: from `cuMemHostAlloc`, and nobody else has it. No copy is under way.
            self.primary.release(format_args!("free pinned host memory"), || unsafe {
                sys::cuMemFreeHost(self.begin.as_ptr().cast())
            });
        }
    }
}

/// Which addresses are page-locked by this process.
///
/// An upload from ordinary memory is staged by the driver before it returns, so the memory can be used again. From
/// page-locked memory it is not, even where the caller only has a slice of it: such an upload must be waited for.
pub(super) mod page_locked {
    use std::collections::BTreeMap;
    use std::sync::{PoisonError, RwLock};

    /// From the first address to one past the last. Ranges do not overlap.
    static RANGES: RwLock<BTreeMap<usize, usize>> = RwLock::new(BTreeMap::new());

    pub(in super::super) fn add(begin: usize, len: usize) {
        if len > 0 {
            RANGES.write().unwrap_or_else(PoisonError::into_inner).insert(begin, begin.saturating_add(len));
        }
    }

    pub(in super::super) fn remove(begin: usize, len: usize) {
        if len > 0 {
            RANGES.write().unwrap_or_else(PoisonError::into_inner).remove(&begin);
        }
    }

    /// Whether any byte of it is page-locked.
    pub(in super::super) fn touches(memory: &[u8]) -> bool {
        let begin = memory.as_ptr() as usize;
        let ranges = RANGES.read().unwrap_or_else(PoisonError::into_inner);
        let before_end = ranges.range(..begin.saturating_add(memory.len())).next_back();
        before_end.is_some_and(|(_, end)| *end > begin)
    }
}

#[cfg(test)]
mod tests {
    use super::page_locked;

    #[test]
    fn page_locked_memory_is_known() {
        let memory = vec![0_u8; 300];
        let begin = memory.as_ptr() as usize;
        page_locked::add(begin + 100, 100);
        for (range, expected) in [
            (0..100, false),
            (0..101, true),
            (120..130, true),
            (199..300, true),
            (200..300, false),
            (0..300, true),
        ] {
            assert_eq!(page_locked::touches(&memory[range.clone()]), expected, "{range:?}");
        }
        page_locked::remove(begin + 100, 100);
        assert!(!page_locked::touches(&memory));
    }
}
