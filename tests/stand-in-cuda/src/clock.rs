//! The device's clock.
//!
//! It shows the time that modelled hardware would have taken: an operation takes its bytes over a configured rate, however long
//! the CPU needs to play it. It advances with the host's clock, except while the host waits for work that is played: then it
//! stops at the moment at which the modelled work is done. So a device time is never longer than the host time around it.
//! Work begins when the work before it is done or when the host last waited, whichever is later: how long the host took to
//! enqueue it does not count. So the times of what is enqueued between two waits are the same in every run.

use std::time::{Duration, Instant};

/// Nanoseconds of the device's clock.
pub(crate) type Time = u64;

#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// Time that went by on the host and not on the device.
    skipped: u64,
    /// What it showed when the host last had waited.
    settled: Time,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { start: Instant::now(), skipped: 0, settled: 0 }
    }

    /// What it shows.
    pub(crate) fn now(&self) -> Time {
        (self.start.elapsed().as_nanos() as u64).saturating_sub(self.skipped)
    }

    /// When work that is enqueued now can begin.
    pub(crate) fn settled(&self) -> Time {
        self.settled
    }

    /// The host waited from `since` on for work that is done at `done`: stops the clock there, or says how long the host still has
    /// to wait.
    pub(crate) fn waited(&mut self, since: Time, done: Time) -> Duration {
        let now = self.now();
        self.settled = self.settled.max(done.max(since));
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
