//! The one clock that processes of a machine share.

use coldstart_profiles::Nanos;
use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in nanoseconds since boot. Every process and container under one kernel reads the same clock, which
/// is what lets a parent time the start of a child.
pub fn monotonic() -> Nanos {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Nanos::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// The least step that the clock was seen to make, over a few hundred pairs of readings: what a reading can't tell apart.
pub fn resolution() -> Nanos {
    (0..512)
        .filter_map(|_| {
            let first = monotonic();
            // A clock coarser than a reading stands still: wait for its next step.
            let next = (0..100_000).map(|_| monotonic()).find(|next| *next > first)?;
            Some(next.saturating_sub(first))
        })
        .min()
        .unwrap_or(Nanos::from_nanos(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let first = monotonic();
        assert!(first > Nanos::ZERO);
        assert!(monotonic() >= first);
        assert!(resolution() > Nanos::ZERO);
    }
}
