//! Repeating a timed pass until the stop rule says that enough has been seen.

use coldstart_profiles::{Nanos, StopLimits, StopReason, StopRule};

use crate::clock;

/// Every pass of a series from its first, with the time at which each began.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// When each began, on the monotonic clock.
    pub(crate) begins: Vec<Nanos>,
    /// How long each took, in the order taken.
    pub(crate) samples: Vec<Nanos>,
    /// Why it ended.
    pub(crate) stop: StopReason,
}

/// Calls `pass` until `limits` are reached or its times are steady. `first` was taken before, under the same conditions.
///
/// Between passes only the stop rule runs: no sleep, no output, so that clocks don't fall between two passes.
///
/// # Errors
/// The first error of `pass`.
pub(crate) fn until_steady<E>(
    first: Option<(Nanos, Nanos)>,
    limits: StopLimits,
    resolution: Nanos,
    mut pass: impl FnMut() -> Result<Nanos, E>,
) -> Result<Series, E> {
    let mut rule = StopRule::new(limits, resolution);
    let mut begins = Vec::new();
    let mut stop = None;
    if let Some((begin, time)) = first {
        begins.push(begin);
        stop = rule.push(time);
    }
    loop {
        if let Some(stop) = stop {
            return Ok(Series { begins, samples: rule.into_readings(), stop });
        }
        begins.push(clock::monotonic());
        stop = rule.push(pass()?);
    }
}
