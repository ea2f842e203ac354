//! Cutting a model into windows: what one thread reads and uploads at a time.

use std::ops::Range;

use crate::weights::layout::{DEVICE_ALIGN, Segment};

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

/// Pieces up to this size are worth a copy by the CPU where that saves one to the device: it takes a few microseconds, which
/// is what enqueuing a copy takes.
const SMALL: usize = 32 << 10;

/// The most that is packed in a window.
const MOST_PACKED: usize = 1 << 20;

/// What becomes one copy to a device with memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// One piece, as it was read.
    Piece(usize),
    /// Small pieces in a row. The gaps between them on the device belong to no tensor, so that the CPU can lay the pieces out
    /// as they are to lie there and have them copied together.
    Packed {
        /// Which pieces.
        pieces: Range<usize>,
        /// Where they are laid out, counted from the begin of what earlier parts of the window take.
        at: usize,
        /// Gaps included.
        bytes: usize,
    },
}

impl Window<'_> {
    /// What of it becomes one copy each, packing at most `room` bytes.
    ///
    /// Almost all tensors of language models are multiples of 256 bytes, so that a window is a single piece. The scales of
    /// quantised weights are not: they come as thousands of tensors of a few bytes.
    pub(super) fn parts(&self, room: usize) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut taken = 0;
        let mut first = 0;
        while let Some(piece) = self.pieces.get(first) {
            let (mut end, mut span) = (first + 1, piece.bytes);
            while piece.bytes <= SMALL
                && let Some(longer) = self.span(first, end)
                && taken + longer <= room
            {
                (end, span) = (end + 1, longer);
            }
            if end == first + 1 {
                parts.push(Part::Piece(first));
            } else {
                parts.push(Part::Packed { pieces: first..end, at: taken, bytes: span });
                taken += span;
            }
            first = end;
        }
        parts
    }

    /// The bytes on the device from the piece `first` to the end of the piece `last`, if that one is small and not far from
    /// the one before it.
    fn span(&self, first: usize, last: usize) -> Option<usize> {
        let place = |index: usize| match self.pieces.get(index) {
            Some(Piece { dest: Dest::Device(offset), bytes, .. }) => Some((*offset, *bytes)),
            _ => None,
        };
        let ((begin, _), (before, length), (offset, bytes)) =
            (place(first)?, place(last.checked_sub(1)?)?, place(last)?);
        let gap = offset.checked_sub(before + length)?;
        (bytes <= SMALL && gap < DEVICE_ALIGN as usize).then(|| offset + bytes - begin)
    }

    /// The bytes that packing takes where there is all the room that is allowed.
    pub(super) fn packed_bytes(&self) -> usize {
        let packed = |part: &Part| match part {
            Part::Packed { bytes, .. } => *bytes,
            Part::Piece(_) => 0,
        };
        self.parts(MOST_PACKED).iter().map(packed).sum()
    }
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
    fn small_neighbours_become_one_copy() {
        // A large tensor, then scalars of 4 bytes with their own lines on the device, then a large one again.
        let mut segments = vec![Segment { file: 0, begin: 0, bytes: 100_000, offset: 0 }];
        for scalar in 0..10u64 {
            segments.push(Segment {
                file: 0,
                begin: 100_000 + 4 * scalar,
                bytes: 4,
                offset: 100_096 + 256 * scalar,
            });
        }
        segments.push(Segment { file: 0, begin: 100_040, bytes: 90_000, offset: 100_096 + 2560 });
        let cut = windows(&segments, 1 << 20, None);
        assert_eq!(cut.len(), 1);
        let packed = |pieces, at, bytes| Part::Packed { pieces, at, bytes };
        let all = 9 * 256 + 4;
        assert_eq!(cut[0].parts(4096), [Part::Piece(0), packed(1..11, 0, all), Part::Piece(11)]);
        assert_eq!(cut[0].packed_bytes(), all);
        // Too little room for all of them: two runs fit, the rest goes alone.
        let parts = cut[0].parts(600);
        assert_eq!(parts[..2], [Part::Piece(0), packed(1..4, 0, 516)]);
        assert_eq!(parts[2..], (4..12).map(Part::Piece).collect::<Vec<_>>());
        assert_eq!(cut[0].parts(0), (0..12).map(Part::Piece).collect::<Vec<_>>());
    }

    #[test]
    fn pieces_that_are_far_apart_on_the_device_are_not_packed() {
        let far = [
            Segment { file: 0, begin: 0, bytes: 4, offset: 0 },
            Segment { file: 0, begin: 4, bytes: 4, offset: 512 },
        ];
        let cut = windows(&far, 4096, None);
        assert_eq!(cut[0].parts(4096), [Part::Piece(0), Part::Piece(1)]);
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
