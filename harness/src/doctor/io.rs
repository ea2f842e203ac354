//! Reads that are tried: around the page cache, and through a ring. Each checks the bytes that came back.

use std::fs::{File, OpenOptions};
use std::io::{Error, Result};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use coldstart_profiles::Bytes;
use io_uring::{IoUring, opcode, types};

use super::storage::contents;

const READ_BYTES: usize = 64 << 10;
/// What one tried read asks for.
pub(super) const READ: Bytes = Bytes::new(READ_BYTES as u64);
/// No block device of today asks for more.
const ALIGN: usize = 4096;

/// Reads a piece of the probe at `path` with O_DIRECT.
pub(super) fn direct_read(path: &Path) -> Result<()> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path)?;
    let mut memory = vec![0u8; READ_BYTES + ALIGN];
    let start = memory.as_ptr().align_offset(ALIGN);
    let target = memory
        .get_mut(start..)
        .and_then(|rest| rest.get_mut(..READ_BYTES))
        .ok_or_else(|| Error::other("no aligned memory"))?;
    let read = file.read_at(target, ALIGN as u64)?;
    compare(target, read)
}

/// Makes a ring and reads a piece of the probe at `path` through it.
pub(super) fn ring_read(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    let mut ring = IoUring::new(1)?;
    let mut target = vec![0u8; READ_BYTES];
    let read = opcode::Read::new(types::Fd(file.as_raw_fd()), target.as_mut_ptr(), READ_BYTES as u32)
        .offset(ALIGN as u64)
        .build();
    // SAFETY: the file and the memory outlive the read: below, either its completion was seen, or both are leaked.
    unsafe { ring.submission().push(&read) }.map_err(|_| Error::other("the submission queue is full"))?;
    let done = loop {
        match ring.submit_and_wait(1) {
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
            Err(error) => break Err(error),
            Ok(_) => match ring.completion().next() {
                Some(entry) => break Ok(entry.result()),
                None => continue,
            },
        }
    };
    match done {
        Ok(result) if result < 0 => Err(Error::from_raw_os_error(-result)),
        Ok(result) => compare(&target, usize::try_from(result).unwrap_or(0)),
        Err(error) => {
            // The kernel may have taken the read and still write to the memory.
            std::mem::forget((file, target, ring));
            Err(error)
        }
    }
}

/// Whether the first `read` bytes are those of the probe behind its first page.
fn compare(target: &[u8], read: usize) -> Result<()> {
    let expected = contents();
    match expected.get(ALIGN..ALIGN + READ_BYTES) {
        _ if read != READ_BYTES => Err(Error::other(format!("only {read} of {READ_BYTES} bytes came"))),
        Some(expected) if expected == target => Ok(()),
        _ => Err(Error::other("other bytes came than were written")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_comes_back_is_compared() {
        let mut other = tempfile::NamedTempFile::new().unwrap();
        other.write_all(&vec![7; ALIGN + READ_BYTES]).unwrap();
        let mut short = tempfile::NamedTempFile::new().unwrap();
        short.write_all(&vec![7; ALIGN + 10]).unwrap();
        for (file, says) in [(&other, "other bytes"), (&short, "only 10 of")] {
            // Where the sandbox of the tests forbids rings, that error comes first.
            let error = ring_read(file.path()).unwrap_err();
            assert!(error.raw_os_error().is_some() || error.to_string().contains(says), "{error}");
        }
        let mut right = tempfile::NamedTempFile::new().unwrap();
        right.write_all(&contents()).unwrap();
        if let Err(error) = ring_read(right.path()) {
            assert!(error.raw_os_error().is_some(), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let gone = Path::new("/nonexistent/file");
        assert!(direct_read(gone).is_err() && ring_read(gone).is_err());
    }
}
