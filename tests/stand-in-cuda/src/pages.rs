//! Address space for device memory: fresh memory reads as 0xFF bytes (NaN in every float format), freed memory can't be
//! touched.
//!
//! Large allocations are windows onto one small file of 0xFF, mapped privately again and again: they cost memory only
//! where they are written.

use std::ffi::c_void;
use std::sync::OnceLock;

/// What fresh memory holds.
const POISON: u8 = 0xFF;
/// Up to here memory is filled at once.
const FILL: usize = 1 << 20;
/// The size of the file of poison.
const WINDOW: usize = 4 << 20;
/// How far into its mapping an allocation begins: aligned to 256 bytes and, as on a device, to no more.
const OFFSET: usize = 256;

/// A piece of address space.
#[derive(Debug)]
pub(crate) struct Pages {
    base: *mut c_void,
    len: usize,
}

// SAFETY: it is a number; whoever holds it owns the mapping, from whatever thread.
unsafe impl Send for Pages {}

fn window() -> Option<i32> {
    static FILE: OnceLock<i32> = OnceLock::new();
    let file = *FILE.get_or_init(|| {
        let poison = vec![POISON; WINDOW];
        // SAFETY: the name is a C string, the buffer is as long as said.
        unsafe {
            let file = libc::memfd_create(c"coldstart-stand-in-poison".as_ptr(), libc::MFD_CLOEXEC);
            if file >= 0 && libc::write(file, poison.as_ptr().cast(), WINDOW) != WINDOW as isize {
                return -1;
            }
            file
        }
    });
    (file >= 0).then_some(file)
}

impl Pages {
    /// Address space of at least `bytes`, full of poison, and the address at which the allocation begins. `aligned` is for host
    /// memory, which begins at a page.
    pub(crate) fn poisoned(bytes: usize, aligned: bool) -> Option<(Pages, u64)> {
        let offset = if aligned { 0 } else { OFFSET };
        let len = (bytes + offset).next_multiple_of(4096).max(4096);
        // SAFETY: a new anonymous mapping, which overlaps nothing.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return None;
        }
        let pages = Pages { base, len };
        match window() {
            Some(file) if len > FILL => pages.map_windows(file)?,
            // SAFETY: the mapping has `len` bytes.
            _ => unsafe { std::ptr::write_bytes(base.cast::<u8>(), POISON, len) },
        }
        Some((pages, base as u64 + offset as u64))
    }

    fn map_windows(&self, file: i32) -> Option<()> {
        for at in (0..self.len).step_by(WINDOW) {
            // SAFETY: the place lies in our own mapping, the file is at least as long.
            let mapped = unsafe {
                libc::mmap(
                    self.base.byte_add(at),
                    WINDOW.min(self.len - at),
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE,
                    file,
                    0,
                )
            };
            if mapped == libc::MAP_FAILED {
                return None;
            }
        }
        Some(())
    }

    /// Takes the memory away and keeps the addresses, so that nothing else comes to lie there.
    pub(crate) fn close(&self) {
        // SAFETY: replaces our own mapping by one that can't be touched.
        unsafe {
            libc::mmap(
                self.base,
                self.len,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
                -1,
                0,
            );
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody uses any more.
        unsafe { libc::munmap(self.base, self.len) };
    }
}
