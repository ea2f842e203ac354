//! CLOCK_MONOTONIC as a number that processes of one kernel can compare.

use coldstart_profiles::Nanos;

/// The current reading of CLOCK_MONOTONIC.
pub(crate) fn monotonic() -> Nanos {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; CLOCK_MONOTONIC exists on every kernel that Rust supports.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Nanos::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}
