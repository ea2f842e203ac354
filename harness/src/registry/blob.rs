//! A blob in memory, with its digest.

use std::ops::Range;

use axum::body::Bytes;
use sha2::{Digest, Sha256};

/// The largest piece that is handed to a connection at once; no byte is copied for it.
const PIECE: usize = 1 << 20;

/// Bytes in one or more parts, named by their digest. Cloning shares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    parts: Vec<Bytes>,
    digest: String,
    size: u64,
}

impl Blob {
    /// A blob of one part.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let mut hash = Sha256::new();
        hash.update(&bytes);
        Blob::hashed(vec![bytes], hash)
    }

    /// A blob whose bytes went through `hash`.
    pub(super) fn hashed(parts: Vec<Bytes>, hash: Sha256) -> Self {
        let size = parts.iter().map(|part| part.len() as u64).sum();
        Blob { parts, digest: digest(hash), size }
    }

    /// `sha256:…`
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The number of bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The parts, in order.
    pub(super) fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// The bytes of a range, in pieces, without copying. What lies past the end is left out.
    pub(super) fn pieces(&self, range: Range<u64>) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let mut offset = 0u64;
        for part in &self.parts {
            let length = part.len() as u64;
            let begin = range.start.saturating_sub(offset).min(length) as usize;
            let end = range.end.saturating_sub(offset).min(length) as usize;
            let mut at = begin;
            while at < end {
                let next = (at + PIECE).min(end);
                pieces.push(part.slice(at..next));
                at = next;
            }
            offset += length;
        }
        pieces
    }
}

/// The digest of what was hashed.
pub(super) fn digest(hash: Sha256) -> String {
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_range_across_parts() {
        let big: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
        let blob = Blob::hashed(vec![Bytes::from(big.clone()), Bytes::from_static(b"tail")], Sha256::new());
        let whole: Vec<u8> = [big.as_slice(), b"tail"].concat();
        assert_eq!(blob.size(), whole.len() as u64);
        for range in [0..blob.size(), 5..6, 2_999_999..3_000_002, 3_000_001..99_000_000, 7..7] {
            let pieces = blob.pieces(range.clone());
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
            let end = (range.end as usize).min(whole.len());
            assert_eq!(pieces.concat(), whole[range.start as usize..end], "{range:?}");
        }
    }

    #[test]
    fn digests_are_sha256() {
        let expected = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Blob::new(Bytes::new()).digest(), expected);
    }
}
