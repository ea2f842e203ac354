//! Places that differ from look to look, so that none is always or never seen.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use coldstart_kernels::checksum::pattern;

/// What the places of one look are made from.
pub(super) fn seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64)
}

/// One number of `range`; its begin where it is empty.
pub(super) fn of(range: Range<u64>, seed: u64, index: u64) -> u64 {
    range.start + pattern(seed, index) % range.end.saturating_sub(range.start).max(1)
}
