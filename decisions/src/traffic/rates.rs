//! The rate over time, and how fast it grows.

use std::collections::VecDeque;

use super::trace::Trace;

/// A window is sampled this often.
const STEPS_A_WINDOW: u64 = 10;
/// A series has at most this many points, whatever the trace and the window: 8 MB.
const MOST_POINTS: u64 = 1_000_000;

/// rate(t) = arrivals in (t − w, t] ÷ w, sampled every tenth of a window (less often where the trace is longer than 100 000 windows).
///
/// The first point is at t = w, so that every window is full; a trace shorter than the window has one point, its mean rate.
#[derive(Debug, Clone, PartialEq)]
pub struct RateSeries {
    window_ns: u64,
    start_ns: u64,
    step_ns: u64,
    values: Vec<f64>,
}

impl RateSeries {
    /// The rate of a trace over windows of `window_ns`; a window of 0 counts as 1 ns.
    pub fn new(trace: &Trace, window_ns: u64) -> Self {
        let window_ns = window_ns.max(1);
        let duration = trace.duration_ns();
        let step_ns = (window_ns / STEPS_A_WINDOW).max(duration / MOST_POINTS).max(1);
        if duration <= window_ns {
            let mean = trace.len() as f64 / (duration as f64 / 1e9);
            return RateSeries { window_ns, start_ns: duration, step_ns, values: vec![mean] };
        }
        let arrivals = trace.arrivals();
        let points = (duration - window_ns) / step_ns + 1;
        let (mut first, mut end) = (0, 0);
        let values = (0..points)
            .map(|point| {
                let until = window_ns + point * step_ns;
                while arrivals.get(end).is_some_and(|arrival| arrival.time_ns <= until) {
                    end += 1;
                }
                // The window is open at its start, except that the very first arrival belongs to the first one.
                while arrivals.get(first).is_some_and(|arrival| {
                    arrival.time_ns + window_ns <= until && (point > 0 || arrival.time_ns > 0)
                }) {
                    first += 1;
                }
                (end - first) as f64 / (window_ns as f64 / 1e9)
            })
            .collect();
        RateSeries { window_ns, start_ns: window_ns, step_ns, values }
    }

    /// The window in nanoseconds.
    pub fn window_ns(&self) -> u64 {
        self.window_ns
    }

    /// The time of the first point, in nanoseconds from the start of the trace.
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// Between two points, in nanoseconds.
    pub fn step_ns(&self) -> u64 {
        self.step_ns
    }

    /// The rates in requests a second; never empty.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The largest rate.
    pub fn peak_per_s(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }

    /// max_{u ≤ L} rate(t + u) for every point t; shorter than L near the end.
    pub fn max_ahead(&self, lead_ns: u64) -> Vec<f64> {
        let reach = (lead_ns.div_ceil(self.step_ns)).min(self.values.len() as u64) as usize;
        // A queue of falling rates from the end to the front: its first element is the largest within reach.
        let mut falling: VecDeque<usize> = VecDeque::new();
        let mut ahead = vec![0.0; self.values.len()];
        for at in (0..self.values.len()).rev() {
            while falling.back().is_some_and(|last| self.values[*last] <= self.values[at]) {
                falling.pop_back();
            }
            falling.push_back(at);
            while falling.front().is_some_and(|first| *first > at + reach) {
                falling.pop_front();
            }
            ahead[at] = falling.front().map_or(self.values[at], |first| self.values[*first]);
        }
        ahead
    }

    /// g(L): the q-quantile (nearest rank) over t of max_{u ≤ L} rate(t + u) − rate(t), at least 0, in requests a second.
    ///
    /// Points whose look-ahead would end after the trace are left out, as long as others remain.
    pub fn growth(&self, lead_ns: u64, q: f64) -> f64 {
        let ahead = self.max_ahead(lead_ns);
        let whole = self.values.len().saturating_sub(lead_ns.div_ceil(self.step_ns) as usize).max(1);
        let mut growth: Vec<f64> =
            ahead.iter().zip(&self.values).take(whole).map(|(ahead, now)| ahead - now).collect();
        quantile(&mut growth, q).max(0.0)
    }
}

/// The nearest-rank quantile; reorders the values. 0 without any.
pub(crate) fn quantile(values: &mut [f64], q: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let rank = ((values.len() as f64 * q.clamp(0.0, 1.0)).ceil() as usize).clamp(1, values.len());
    let (_, value, _) = values.select_nth_unstable_by(rank - 1, f64::total_cmp);
    *value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::traffic::Arrival;

    const S: u64 = 1_000_000_000;

    fn trace(times_ns: &[u64]) -> Trace {
        let arrivals =
            times_ns.iter().map(|time_ns| Arrival { time_ns: *time_ns, tokens_in: 0, tokens_out: 0 });
        Trace::new(arrivals.collect(), false).unwrap()
    }

    #[test]
    fn a_step_grows_by_its_height() {
        // 2 a second for 100 s, then 5 a second for 100 s.
        let slow = (0..200).map(|i| i * S / 2);
        let fast = (0..500).map(|i| 100 * S + i * S / 5);
        let rates = RateSeries::new(&trace(&slow.chain(fast).collect::<Vec<_>>()), 10 * S);
        assert_eq!((rates.window_ns(), rates.step_ns(), rates.start_ns()), (10 * S, S, 10 * S));
        assert!((rates.values()[20] - 2.0).abs() < 0.11 && (rates.peak_per_s() - 5.0).abs() < 0.11);
        // The step is ahead of one moment in four within 45 s, of one in sixteen within 10 s.
        assert!((rates.growth(45 * S, 0.95) - 3.0).abs() < 0.2, "{}", rates.growth(45 * S, 0.95));
        assert!(rates.growth(45 * S, 0.5) < 0.2 && rates.growth(0, 1.0) < 0.2);
        assert_eq!(rates.growth(10_000 * S, 1.0), rates.max_ahead(10_000 * S)[0] - rates.values()[0]);
    }

    #[test]
    fn a_trace_shorter_than_the_window_has_its_mean() {
        let rates = RateSeries::new(&trace(&[0, S, 2 * S]), 10 * S);
        assert_eq!((rates.values(), rates.growth(S, 0.99)), (&[1.5][..], 0.0));
        assert!(RateSeries::new(&trace(&[0, S]), 0).values().len() <= 1_000_001);
    }

    proptest! {
        #[test]
        fn windows_and_look_ahead_are_what_they_say(
            mut times in prop::collection::vec(0u64..600 * S, 2..200), window_s in 1u64..60, lead_s in 0u64..200,
        ) {
            times.sort_unstable();
            times.dedup();
            prop_assume!(times.len() >= 2);
            let trace = trace(&times);
            let rates = RateSeries::new(&trace, window_s * S);
            let ahead = rates.max_ahead(lead_s * S);
            prop_assert_eq!(ahead.len(), rates.values().len());
            if rates.values().len() > 1 {
                for (i, value) in rates.values().iter().enumerate() {
                    let until = rates.start_ns() + i as u64 * rates.step_ns();
                    let inside = trace.arrivals().iter().filter(|arrival| {
                        arrival.time_ns <= until && (arrival.time_ns + window_s * S > until || (i == 0 && arrival.time_ns == 0))
                    });
                    prop_assert!((value - inside.count() as f64 / window_s as f64).abs() < 1e-9);
                }
            }
            let reach = (lead_s * S).div_ceil(rates.step_ns()) as usize;
            for (i, most) in ahead.iter().enumerate() {
                let end = (i + reach + 1).min(rates.values().len());
                let naive = rates.values()[i..end].iter().copied().fold(0.0, f64::max);
                prop_assert_eq!(*most, naive);
            }
            prop_assert!(rates.growth(lead_s * S, 0.9) <= rates.growth(lead_s * S, 1.0));
            prop_assert!(rates.growth(lead_s * S, 0.5) >= 0.0);
        }
    }
}
