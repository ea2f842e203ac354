//! Order statistics: percentiles, distribution-free intervals, and tails certified with a confidence.

use crate::error::ProfileError;
use crate::samples::Samples;
use crate::stats::binomial::largest_below;
use crate::stats::percentile::Percentile;
use crate::units::Nanos;

/// The chance of error of all intervals and one-sided bounds: 5 %.
const ALPHA: f64 = 0.05;
/// The chance of error of a certified tail: 1 %, as in MLPerf LoadGen (c = 0.99).
const ALPHA_CERTIFIED: f64 = 0.01;

/// At least one reading, in ascending order.
///
/// The intervals assume nothing of the distribution but independence. Under autocorrelation they are too
/// narrow; [`mean_interval`](crate::stats::mean_interval) is the one that corrects for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderStatistics {
    ascending: Vec<Nanos>,
}

impl OrderStatistics {
    /// Sorts the readings. Fails when there are none.
    pub fn new(mut readings: Vec<Nanos>) -> Result<Self, ProfileError> {
        if readings.is_empty() {
            return Err(ProfileError::NoSamples);
        }
        readings.sort_unstable();
        Ok(OrderStatistics { ascending: readings })
    }

    /// The samples that summaries rest on: all but those that a mark excludes (all when every one is excluded).
    pub fn of(samples: &Samples) -> Self {
        let mut ascending = samples.included();
        ascending.sort_unstable();
        OrderStatistics { ascending }
    }

    /// How many; never zero.
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one reading")]
    pub fn len(&self) -> usize {
        self.ascending.len()
    }

    /// The readings in ascending order.
    pub fn as_slice(&self) -> &[Nanos] {
        &self.ascending
    }

    /// The least reading.
    pub fn min(&self) -> Nanos {
        self.ascending[0]
    }

    /// The largest reading.
    pub fn max(&self) -> Nanos {
        self.ascending[self.len() - 1]
    }

    /// The percentile by nearest rank: always one of the readings. Of an even number the median is the lower middle one.
    pub fn nearest_rank(&self, percentile: Percentile) -> Nanos {
        self.at_rank(percentile.nearest_rank(self.len()))
    }

    /// The percentile by linear interpolation (Hyndman & Fan 1996, definition 7), for display.
    pub fn hyndman_fan_7(&self, percentile: Percentile) -> Nanos {
        let position = (self.len() - 1) as f64 * percentile.fraction();
        let below = (position as usize).min(self.len() - 1);
        let above = (below + 1).min(self.len() - 1);
        let (low, high) = (self.ascending[below], self.ascending[above]);
        let step = high.saturating_sub(low).as_nanos() as f64 * (position - below as f64);
        low.saturating_add(Nanos::from_nanos_f64(step)).min(high)
    }

    /// The arithmetic mean, rounded to the nanosecond.
    pub fn mean(&self) -> Nanos {
        let n = self.len() as u128;
        let sum: u128 = self.ascending.iter().map(|reading| u128::from(reading.as_nanos())).sum();
        // A mean is at most the maximum, so the conversion cannot fail.
        Nanos::from_nanos(u64::try_from((sum + n / 2) / n).unwrap_or(u64::MAX))
    }

    /// The median absolute deviation from the median, both by nearest rank, not scaled to a standard deviation.
    pub fn mad(&self) -> Nanos {
        let median = self.nearest_rank(Percentile::P50).as_nanos();
        let mut deviations: Vec<u64> =
            self.ascending.iter().map(|reading| reading.as_nanos().abs_diff(median)).collect();
        let middle = Percentile::P50.nearest_rank(self.len()) - 1;
        let (_, mad, _) = deviations.select_nth_unstable(middle);
        Nanos::from_nanos(*mad)
    }

    /// The two-sided 95 % interval of a percentile; `None` below the least n at which one exists (6 for the median).
    ///
    /// The ends are the readings at ranks l and u with P(B < l) ≤ 2.5 % and P(B ≥ u) ≤ 2.5 % for
    /// B ~ Binomial(n, q), the number of readings below the true percentile (David & Nagaraja 2003, 7.1).
    pub fn interval(&self, percentile: Percentile) -> Option<(Nanos, Nanos)> {
        let n = self.len();
        let below = largest_below(n, percentile.fraction(), ALPHA / 2.0)?;
        let above = largest_below(n, percentile.complement(), ALPHA / 2.0)?;
        Some((self.at_rank(below + 1), self.at_rank(n - above)))
    }

    /// The one-sided 95 % upper bound of a percentile; `None` below 29 readings for p90, 59 for p95 and 299 for p99.
    pub fn upper_bound(&self, percentile: Percentile) -> Option<Nanos> {
        let above = largest_below(self.len(), percentile.complement(), ALPHA)?;
        Some(self.at_rank(self.len() - above))
    }

    /// A value that the percentile stays below with 99 % confidence; `None` below 64 readings for p90 and 662 for p99.
    ///
    /// This is the early-stopping estimate of MLPerf LoadGen with c = 0.99 and d = 0: the t-th largest reading
    /// for the largest t ≥ 1 with P(B ≤ t) ≤ 1 %, B ~ Binomial(n, 1 − q). It is one reading more careful than
    /// the exact bound, which would do with P(B ≤ t − 1); kept so that the numbers can be set beside MLPerf's.
    pub fn certified_tail(&self, percentile: Percentile) -> Option<Nanos> {
        let t = largest_below(self.len(), percentile.complement(), ALPHA_CERTIFIED)?;
        (t >= 1).then(|| self.at_rank(self.len() - t + 1))
    }

    /// The reading at a rank counted from 1.
    fn at_rank(&self, rank: usize) -> Nanos {
        self.ascending[rank.clamp(1, self.len()) - 1]
    }
}

/// How often the span from the least to the largest of n readings covers the true percentile: 1 − qⁿ − (1 − q)ⁿ.
///
/// For the median of 5 readings 0.9375.
pub fn min_max_coverage(n: usize, percentile: Percentile) -> f64 {
    let n = i32::try_from(n).unwrap_or(i32::MAX);
    (1.0 - percentile.fraction().powi(n) - percentile.complement().powi(n)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_to(n: u64) -> OrderStatistics {
        OrderStatistics::new((1..=n).map(Nanos::from_nanos).collect()).unwrap()
    }

    fn some(value: u64) -> Option<Nanos> {
        Some(Nanos::from_nanos(value))
    }

    #[test]
    fn intervals_of_the_median_are_those_of_the_tables() {
        // Conover, Practical Nonparametric Statistics, table A3: ranks at 95 %.
        for (n, ranks) in [
            (5, None),
            (6, Some((1, 6))),
            (8, Some((1, 8))),
            (9, Some((2, 8))),
            (10, Some((2, 9))),
            (20, Some((6, 15))),
            (50, Some((18, 33))),
            (100, Some((40, 61))),
        ] {
            let expected = ranks.map(|(low, high)| (Nanos::from_nanos(low), Nanos::from_nanos(high)));
            assert_eq!(one_to(n).interval(Percentile::P50), expected, "n = {n}");
        }
    }

    #[test]
    fn one_sided_floors() {
        for (percentile, floor) in [(Percentile::P90, 29), (Percentile::P95, 59), (Percentile::P99, 299)] {
            assert_eq!(one_to(floor - 1).upper_bound(percentile), None, "{percentile:?}");
            assert_eq!(one_to(floor).upper_bound(percentile), some(floor), "{percentile:?}");
        }
    }

    #[test]
    fn certified_tails_match_published_loadgen_runs() {
        // Floors as LoadGen prints them, and "Would discard d highest" (d = t − 1) of published p90 results.
        for (n, discarded) in [(64, 0), (2048, 172), (2116, 178), (2145, 181)] {
            assert_eq!(one_to(n).certified_tail(Percentile::P90), some(n - discarded), "n = {n}");
        }
        assert_eq!(one_to(63).certified_tail(Percentile::P90), None);
        assert_eq!(one_to(661).certified_tail(Percentile::P99), None);
        assert_eq!(one_to(662).certified_tail(Percentile::P99), some(662));
    }

    #[test]
    fn interpolation_for_display_and_ranks_for_gates() {
        let readings = one_to(4);
        assert_eq!(readings.nearest_rank(Percentile::P50), Nanos::from_nanos(2));
        let spread = OrderStatistics::new([10, 20, 30, 40].map(Nanos::from_nanos).to_vec()).unwrap();
        assert_eq!(spread.hyndman_fan_7(Percentile::P50), Nanos::from_nanos(25));
        assert_eq!(spread.hyndman_fan_7(Percentile::P90), Nanos::from_nanos(37));
        assert_eq!(one_to(1).hyndman_fan_7(Percentile::P99), Nanos::from_nanos(1));
    }

    #[test]
    fn coverage_of_the_whole_span() {
        for (n, coverage) in [(1, 0.0), (3, 0.75), (5, 0.9375)] {
            assert_eq!(min_max_coverage(n, Percentile::P50), coverage, "n = {n}");
        }
        // The largest of five covers the 90th percentile with 41 % confidence.
        assert!((min_max_coverage(5, Percentile::P90) - 0.4095).abs() < 1e-4);
    }
}
