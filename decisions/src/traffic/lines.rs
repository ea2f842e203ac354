//! Bounded lines: a file without line ends must not fill the memory.

use std::io::{self, Read};

/// No trace has longer lines.
const LONGEST_LINE: u64 = 1 << 20;

/// Fails once a line gets longer than 1 MiB.
pub(super) struct BoundedLines<R> {
    inner: R,
    length: u64,
}

impl<R: Read> BoundedLines<R> {
    pub(super) fn new(inner: R) -> Self {
        BoundedLines { inner, length: 0 }
    }
}

impl<R: Read> Read for BoundedLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        // Within one buffer only what follows its last line end can go on.
        let bytes = &buffer[..read];
        let first_end = bytes.iter().position(|byte| *byte == b'\n');
        let longest = self.length + first_end.unwrap_or(read) as u64;
        self.length = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => (read - end - 1) as u64,
            None => longest,
        };
        if longest > LONGEST_LINE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line is longer than 1 MiB: give a text file with one request a line",
            ));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn a_file_without_line_ends_is_refused_and_long_files_are_not() {
        let mut out = Vec::new();
        let endless = io::repeat(b'7').take(5 << 20);
        let error = BufReader::new(BoundedLines::new(endless)).read_to_end(&mut out).unwrap_err();
        assert!(error.to_string().contains("longer than 1 MiB"), "{error}");
        assert!(out.len() < 2 << 20);
        let lines = b"0123456789\n".repeat(300_000);
        assert_eq!(
            io::copy(&mut BoundedLines::new(&lines[..]), &mut io::sink()).unwrap(),
            lines.len() as u64
        );
    }
}
