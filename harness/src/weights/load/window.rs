//! Cutting a model into windows: what one thread reads and uploads at a time.

use std::ops::Range;

use crate::weights::layout::Segment;

/// Where a piece of a file goes.
#[derive(Debug)]
pub(super) enum Dest<'a> {
    /// Device memory that the CPU can address: this piece's own part of it.
    Host(&'a mut [u8]),
    /// The byte offset in the device's buffer.
    Device(usize),
}

/// A part of a window that lies in one segment.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// The first byte, counted from the start of the file.
    pub(super) begin: u64,
    pub(super) bytes: usize,
    pub(super) dest: Dest<'a>,
}

/// A range of one file, and where its pieces go. Windows end at multiples of the chunk size, so that a read around the page
/// cache can be aligned without reading a byte twice.
#[derive(Debug)]
pub(super) struct Window<'a> {
    /// Its number in the order of the files.
    pub(super) index: usize,
    pub(super) file: usize,
    /// The bytes of the file that the pieces cover.
    pub(super) range: Range<u64>,
    pub(super) pieces: Vec<Piece<'a>>,
}

/// Cut `segments` at multiples of `chunk`. With `host`, every piece gets its own part of that device memory.
pub(super) fn windows<'a>(
    segments: &[Segment],
    chunk: u64,
    mut host: Option<&'a mut [u8]>,
) -> Vec<Window<'a>> {
    let mut windows: Vec<Window<'a>> = Vec::new();
    // How much of the device memory was cut off from the front of `host`.
    let mut taken = 0u64;
    for segment in segments {
        let end = segment.begin + segment.bytes;
        let mut begin = segment.begin;
        while begin < end {
            let stop = ((begin / chunk + 1) * chunk).min(end);
            let offset = segment.offset + (begin - segment.begin);
            let bytes = (stop - begin) as usize;
            let dest = match host.take() {
                Some(memory) => {
                    let (_, from_here) = memory.split_at_mut((offset - taken) as usize);
                    let (own, rest) = from_here.split_at_mut(bytes);
                    taken = offset + bytes as u64;
                    host = Some(rest);
                    Dest::Host(own)
                }
                None => Dest::Device(offset as usize),
            };
            let piece = Piece { begin, bytes, dest };
            match windows.last_mut() {
                Some(last)
                    if last.file == segment.file
                        && last.range.start / chunk == begin / chunk
                        && last.range.end == begin =>
                {
                    last.range.end = stop;
                    last.pieces.push(piece);
                }
                _ => windows.push(Window {
                    index: windows.len(),
                    file: segment.file,
                    range: begin..stop,
                    pieces: vec![piece],
                }),
            }
            begin = stop;
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENTS: [Segment; 3] = [
        Segment { file: 0, begin: 100, bytes: 50, offset: 0 },
        Segment { file: 0, begin: 150, bytes: 200, offset: 256 },
        Segment { file: 1, begin: 20, bytes: 10, offset: 512 },
    ];

    #[test]
    fn windows_end_at_multiples_of_the_chunk_and_miss_nothing() {
        let cut = windows(&SEGMENTS, 128, None);
        let ranges: Vec<_> = cut.iter().map(|window| (window.file, window.range.clone())).collect();
        assert_eq!(ranges, [(0, 100..128), (0, 128..256), (0, 256..350), (1, 20..30)]);
        let pieces: Vec<_> = cut[1].pieces.iter().map(|piece| (piece.begin, piece.bytes)).collect();
        assert_eq!(pieces, [(128, 22), (150, 106)]);
        assert!(matches!(cut[1].pieces[1].dest, Dest::Device(256)));
        assert!(cut.iter().enumerate().all(|(at, window)| window.index == at));
    }

    #[test]
    fn every_piece_gets_its_own_part_of_host_memory() {
        let mut memory = vec![0u8; 522];
        for window in windows(&SEGMENTS, 128, Some(&mut memory)) {
            for piece in window.pieces {
                let Dest::Host(own) = piece.dest else { panic!("host memory was given") };
                assert_eq!(own.len(), piece.bytes);
                for (at, byte) in own.iter_mut().enumerate() {
                    *byte += (piece.begin as usize + at + window.file) as u8;
                }
            }
        }
        for segment in SEGMENTS {
            for at in 0..segment.bytes {
                let expected = (segment.begin + at + segment.file as u64) as u8;
                assert_eq!(memory[(segment.offset + at) as usize], expected, "{segment:?} at {at}");
            }
        }
        assert!(memory[50..256].iter().all(|byte| *byte == 0), "gaps stay untouched");
    }
}
