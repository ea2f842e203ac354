//! The device's clock.
//!
//! It shows the time that modelled hardware would have taken: an operation takes its bytes over a configured rate, however long
//! the CPU needs to play it. It advances with the host's clock, except while the host waits for work that is played: then it
//! stops at the moment at which the modelled work is done. So a device time is never longer than the host time around it.
//! What the host enqueues in one go, without waiting and without a pause of a millisecond, counts as enqueued at once: how long the
//! CPU needs for it, on a machine that may be busy, does not show in the times of the device.

use std::time::{Duration, Instant};

/// Nanoseconds of the device's clock.
pub(crate) type Time = u64;

/// After such a pause the host enqueues something new.
const PAUSE: Time = 1_000_000;

#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// Time that went by on the host and not on the device.
    skipped: u64,
    /// When the host began to enqueue what it is enqueueing, and when it last did.
    batch: Option<(Time, Time)>,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { start: Instant::now(), skipped: 0, batch: None }
    }

    /// What it shows.
    pub(crate) fn now(&self) -> Time {
        (self.start.elapsed().as_nanos() as u64).saturating_sub(self.skipped)
    }

    /// The time at which something that is enqueued now counts as enqueued.
    pub(crate) fn enqueue(&mut self) -> Time {
        let now = self.now();
        let begun = match self.batch {
            Some((begun, last)) if now < last + PAUSE => begun,
            _ => now,
        };
        self.batch = Some((begun, now));
        begun
    }

    /// The host waited from `since` on for work that is done at `done`: stops the clock there, or says how long the host still has
    /// to wait.
    pub(crate) fn waited(&mut self, since: Time, done: Time) -> Duration {
        let now = self.now();
        self.batch = None;
        if now < done {
            return Duration::from_nanos(done - now);
        }
        self.skipped += now - done.max(since);
        Duration::ZERO
    }
}

/// How long `bytes` take at `gbps`·10⁹ bytes per second.
pub(crate) fn transfer(bytes: usize, gbps: f64) -> Time {
    (bytes as f64 / gbps).round() as Time
}
