//! Throughput: work completed over the time in which it was completed.

use crate::units::Nanos;

/// A piece of work, credited in full at the moment when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// When it ended, on any clock that all completions share.
    pub end: Nanos,
    /// How much it was: items, tokens, bytes, FLOPs.
    pub work: u64,
}

/// Work per second over (first end, last end]; `None` when that window is empty.
///
/// What ended first opens the window and was done before it, so it is not counted: of n equal pieces that end
/// every second, n − 1 are done in n − 1 seconds. The order of the completions does not matter.
pub fn throughput_per_s(completions: &[Completion]) -> Option<f64> {
    let first = completions.iter().map(|done| done.end).min()?;
    let last = completions.iter().map(|done| done.end).max()?;
    let window = last.saturating_sub(first);
    if window == Nanos::ZERO {
        return None;
    }
    let work: u128 =
        completions.iter().filter(|done| done.end > first).map(|done| u128::from(done.work)).sum();
    Some(work as f64 / window.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_by_end_and_without_the_fencepost() {
        let at = |secs, work| Completion { end: Nanos::from_secs(secs), work };
        for (completions, rate) in [
            (vec![], None),
            (vec![at(1, 8)], None),
            (vec![at(1, 8), at(1, 8)], None),
            (vec![at(1, 8), at(2, 8), at(3, 8), at(4, 8)], Some(8.0)),
            (vec![at(4, 6), at(1, 100), at(3, 6)], Some(4.0)),
        ] {
            assert_eq!(throughput_per_s(&completions), rate, "{completions:?}");
        }
    }
}
