//! Patterns and checksums of raw memory, on all threads.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::device::PIECE;
use super::parallel::each_piece;
use super::pool::Pool;
use super::simd::{Isa, Kernel, Simd};
use crate::{Mismatch, checksum};

/// Fills with the pattern of `seed`.
pub(super) fn fill(pool: &Pool, bytes: &mut [u8], seed: u64) {
    each_piece(pool, bytes, PIECE, |offset, piece| {
        for (index, word) in piece.chunks_mut(8).enumerate() {
            let pattern = checksum::pattern(seed, (offset / 8 + index) as u64).to_le_bytes();
            word.copy_from_slice(&pattern[..word.len()]);
        }
    });
}

/// Compares with the pattern of `seed`.
pub(super) fn verify(pool: &Pool, bytes: &[u8], seed: u64) -> Option<Mismatch> {
    let (first, words) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(0));
    pool.run(bytes.len().div_ceil(PIECE), |piece| {
        let start = piece * PIECE;
        let end = bytes.len().min(start + PIECE);
        for (index, word) in bytes[start..end].chunks(8).enumerate() {
            let at = start + index * 8;
            let pattern = checksum::pattern(seed, (at / 8) as u64).to_le_bytes();
            if let Some(wrong) = word.iter().zip(pattern).position(|(found, expected)| *found != expected) {
                first.fetch_min(at + wrong, Ordering::Relaxed);
                words.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let (first, words) = (first.into_inner(), words.into_inner());
    (words > 0).then_some(Mismatch { first, words })
}

struct Sum<'a> {
    bytes: &'a [u8],
    first: u64,
}

impl Kernel for Sum<'_> {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> u64 {
        checksum::sum(self.bytes, self.first)
    }
}

/// The checksum of `bytes`.
pub(super) fn sum(pool: &Pool, isa: Isa, bytes: &[u8]) -> u64 {
    let sum = AtomicU64::new(0);
    pool.run(bytes.len().div_ceil(PIECE), |piece| {
        let start = piece * PIECE;
        let bytes = &bytes[start..bytes.len().min(start + PIECE)];
        // Wraps, as the checksum does.
        sum.fetch_add(isa.dispatch(Sum { bytes, first: (start / 8) as u64 }), Ordering::Relaxed);
    });
    sum.into_inner()
}
