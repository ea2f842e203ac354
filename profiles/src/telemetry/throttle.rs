//! Which iterations ran while the GPU was held down.

use super::sample::TelemetrySample;
use crate::samples::{Mark, THROTTLED};
use crate::units::Nanos;

/// A run with a larger share of throttled samples, or of marked iterations, was not taken on a fit machine: 5 %.
pub const THROTTLED_LIMIT: f64 = 0.05;

/// A sample says nothing of what is further away than this: a sampler that stood still must not mark what it did not see.
const REACH: Nanos = Nanos::from_millis(500);

/// Marks on the iterations that ran while heat, the power supply or the hardware held the clocks down. Marked
/// iterations count: they are only pointed at.
///
/// Each sample speaks for the time from half way to the one before it to half way to the one behind it, and for no more
/// than half a second on either side. An iteration is marked when any of its time belongs to a throttled sample.
/// `iterations` are begins and durations on the samples' clock.
pub fn throttle_marks(
    samples: &[TelemetrySample],
    iterations: impl IntoIterator<Item = (Nanos, Nanos)>,
) -> Vec<Mark> {
    let samples: Vec<&TelemetrySample> = samples.iter().collect();
    let spans: Vec<(Nanos, Nanos, String)> =
        (0..samples.len()).filter_map(|index| span(&samples, index)).collect();
    if spans.is_empty() {
        return Vec::new();
    }
    let marked = |(index, (begin, duration)): (usize, (Nanos, Nanos))| {
        let end = begin.saturating_add(duration);
        let from = spans.partition_point(|span| span.1 <= begin);
        let (_, _, events) = spans.get(from).filter(|span| span.0 < end)?;
        Some(Mark { index, reason: format!("{THROTTLED}{events}"), excluded: false })
    };
    iterations.into_iter().enumerate().filter_map(marked).collect()
}

/// The spans that throttled samples speak for, in order; those that touch are one.
pub(super) fn throttled_spans(samples: &[&TelemetrySample]) -> Vec<(Nanos, Nanos)> {
    let mut spans: Vec<(Nanos, Nanos)> = Vec::new();
    for (from, to, _) in (0..samples.len()).filter_map(|index| span(samples, index)) {
        match spans.last_mut().filter(|last| from <= last.1) {
            Some(last) => last.1 = to,
            None => spans.push((from, to)),
        }
    }
    spans
}

/// What a throttled sample speaks for: from, to, and its events.
fn span(samples: &[&TelemetrySample], index: usize) -> Option<(Nanos, Nanos, String)> {
    let sample = samples[index];
    let events: Vec<&str> = sample.throttles()?.map(|event| event.name()).collect();
    if events.is_empty() {
        return None;
    }
    let at = sample.at_ns;
    let middle = |other: Nanos| Nanos::from_nanos(at.as_nanos().midpoint(other.as_nanos()));
    let before = index.checked_sub(1).map_or(Nanos::ZERO, |before| middle(samples[before].at_ns));
    let behind = samples.get(index + 1).map_or(Nanos::from_nanos(u64::MAX), |behind| middle(behind.at_ns));
    let (from, to) = (before.max(at.saturating_sub(REACH)), behind.min(at.saturating_add(REACH)));
    Some((from, to, events.join(", ")))
}
