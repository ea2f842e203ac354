//! What a handful of readings says, in whole nanoseconds, with a reason for everything that it cannot say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::samples::Samples;
use crate::stats::{OrderStatistics, Percentile, PercentileConvention, min_max_coverage};
use crate::units::Nanos;

/// A number that is not given, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Withheld {
    /// The key that is `null`.
    pub what: String,
    /// What it would have needed.
    pub why: String,
}

/// The summary of the samples of one measurement. It depends on the samples alone, not on their order, and is
/// computed again when a profile is read: integer arithmetic makes the two equal to the digit.
///
/// Percentiles are readings (nearest rank). One that the number of readings cannot carry is `null`, and
/// `withheld` says what it would have needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// How many samples are summarised.
    pub n: usize,
    /// How many samples were left out because a mark excludes them. When every one is excluded, none is left out.
    pub left_out: usize,
    /// How the percentiles were read from the samples.
    pub percentiles: PercentileConvention,
    /// The least sample.
    pub min_ns: Nanos,
    /// The median; of an even number the lower middle one.
    pub p50_ns: Nanos,
    /// Lower end of the 95 % order-statistic interval of the median; from 6 samples on.
    pub p50_low_ns: Option<Nanos>,
    /// Upper end of the 95 % order-statistic interval of the median; from 6 samples on.
    pub p50_high_ns: Option<Nanos>,
    /// How often the span from `min_ns` to `max_ns` covers the true median, where there is no interval: 0.9375 for n = 5.
    pub min_max_coverage: Option<f64>,
    /// The 90th percentile; from 29 samples on.
    pub p90_ns: Option<Nanos>,
    /// The 95th percentile; from 59 samples on.
    pub p95_ns: Option<Nanos>,
    /// The 99th percentile; from 299 samples on.
    pub p99_ns: Option<Nanos>,
    /// What the 90th percentile stays below with 99 % confidence (MLPerf LoadGen early stopping); from 64 samples on.
    pub p90_certified_ns: Option<Nanos>,
    /// What the 99th percentile stays below with 99 % confidence (MLPerf LoadGen early stopping); from 662 samples on.
    pub p99_certified_ns: Option<Nanos>,
    /// The largest sample.
    pub max_ns: Nanos,
    /// The arithmetic mean, rounded.
    pub mean_ns: Nanos,
    /// The median absolute deviation from the median, not scaled.
    pub mad_ns: Nanos,
    /// Why each `null` above is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Withheld>,
}

/// Least number of samples for a two-sided 95 % interval of the median.
const MEDIAN_FLOOR: usize = 6;

/// Summarises the samples that no mark excludes.
///
/// Floors: the two-sided 95 % interval of the median exists from 6 samples on, a one-sided 95 % bound from 29
/// (p90), 59 (p95) and 299 (p99), a tail certified at 99 % from 64 (p90) and 662 (p99).
pub fn summarize(samples: &Samples) -> Summary {
    let order = OrderStatistics::of(samples);
    let n = order.len();
    let mut withheld = Vec::new();
    let mut from = |what: &str, floor: usize, value: Option<Nanos>| {
        let given = value.filter(|_| n >= floor);
        if given.is_none() {
            withheld.push(Withheld { what: what.to_owned(), why: format!("needs {floor} samples, has {n}") });
        }
        given
    };
    let interval = order.interval(Percentile::P50);
    let p50_low_ns = from("p50_low_ns", MEDIAN_FLOOR, interval.map(|(low, _)| low));
    let p50_high_ns = from("p50_high_ns", MEDIAN_FLOOR, interval.map(|(_, high)| high));
    let mut percentile = |what: &str, floor: usize, percentile: Percentile| {
        from(what, floor, Some(order.nearest_rank(percentile)))
    };
    let p90_ns = percentile("p90_ns", 29, Percentile::P90);
    let p95_ns = percentile("p95_ns", 59, Percentile::P95);
    let p99_ns = percentile("p99_ns", 299, Percentile::P99);
    let p90_certified_ns = from("p90_certified_ns", 64, order.certified_tail(Percentile::P90));
    let p99_certified_ns = from("p99_certified_ns", 662, order.certified_tail(Percentile::P99));
    Summary {
        n,
        left_out: samples.len() - n,
        percentiles: PercentileConvention::NearestRank,
        min_ns: order.min(),
        p50_ns: order.nearest_rank(Percentile::P50),
        p50_low_ns,
        p50_high_ns,
        min_max_coverage: (n < MEDIAN_FLOOR).then(|| min_max_coverage(n, Percentile::P50)),
        p90_ns,
        p95_ns,
        p99_ns,
        p90_certified_ns,
        p99_certified_ns,
        max_ns: order.max(),
        mean_ns: order.mean(),
        mad_ns: order.mad(),
        withheld,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::samples::Mark;

    fn samples(values: &[u64]) -> Samples {
        Samples::new(values.iter().copied().map(Nanos::from_nanos).collect()).unwrap()
    }

    #[test]
    fn five_trials_have_a_span_with_its_coverage_instead_of_an_interval() {
        let summary = summarize(&samples(&[50, 10, 40, 20, 31]));
        assert_eq!(summary.p50_ns, Nanos::from_nanos(31));
        assert_eq!(summary.mean_ns, Nanos::from_nanos(30));
        assert_eq!(summary.mad_ns, Nanos::from_nanos(11));
        assert_eq!(summary.min_max_coverage, Some(0.9375));
        let names: Vec<&str> = summary.withheld.iter().map(|withheld| withheld.what.as_str()).collect();
        assert_eq!(
            names,
            [
                "p50_low_ns",
                "p50_high_ns",
                "p90_ns",
                "p95_ns",
                "p99_ns",
                "p90_certified_ns",
                "p99_certified_ns"
            ]
        );
        assert_eq!(summary.withheld[2].why, "needs 29 samples, has 5");
    }

    #[test]
    fn every_field_appears_at_its_floor_and_not_before() {
        let given = |n: u64| {
            let summary = summarize(&samples(&(1..=n).collect::<Vec<_>>()));
            [
                summary.p50_low_ns,
                summary.p90_ns,
                summary.p95_ns,
                summary.p90_certified_ns,
                summary.p99_ns,
                summary.p99_certified_ns,
            ]
            .iter()
            .flatten()
            .count()
        };
        for (step, floor) in [6, 29, 59, 64, 299, 662].into_iter().enumerate() {
            assert_eq!((given(floor - 1), given(floor)), (step, step + 1), "floor {floor}");
        }
        assert!(summarize(&samples(&(1..=662).collect::<Vec<_>>())).withheld.is_empty());
    }

    #[test]
    fn excluded_samples_are_counted_and_left_out() {
        let marks = vec![
            Mark { index: 0, reason: "partial".into(), excluded: true },
            Mark { index: 1, reason: "throttled".into(), excluded: false },
        ];
        let values = [900, 10, 12].map(Nanos::from_nanos).to_vec();
        let summary = summarize(&Samples::with_marks(values, marks).unwrap());
        assert_eq!((summary.n, summary.left_out, summary.max_ns), (2, 1, Nanos::from_nanos(12)));
    }

    #[test]
    fn the_interval_covers_the_true_median_as_often_as_it_says() {
        // Exact coverage at n = 20 (ranks 6 and 15) is 95.86 %; 4000 draws have a standard error of 0.3 %.
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let covered = (0..4000)
            .filter(|_| {
                let draws: Vec<u64> = (0..20).map(|_| rng.random_range(0..2_000_001)).collect();
                let summary = summarize(&samples(&draws));
                let median = Some(Nanos::from_nanos(1_000_000));
                summary.p50_low_ns <= median && median <= summary.p50_high_ns
            })
            .count();
        assert!((3795..=3873).contains(&covered), "{covered} of 4000");
    }

    proptest! {
        #[test]
        fn ordered_permutable_and_the_same_after_json(
            values in prop::collection::vec(0u64..u64::MAX, 1..800), seed in any::<u64>(),
        ) {
            let summary = summarize(&samples(&values));
            let ladder: Vec<Nanos> = [
                Some(summary.min_ns), summary.p50_low_ns, Some(summary.p50_ns), summary.p50_high_ns,
                Some(summary.max_ns),
            ].into_iter().flatten().collect();
            prop_assert!(ladder.is_sorted());
            let tail: Vec<Nanos> = [
                Some(summary.p50_ns), summary.p90_ns, summary.p95_ns, summary.p99_ns, summary.p99_certified_ns,
                Some(summary.max_ns),
            ].into_iter().flatten().collect();
            prop_assert!(tail.is_sorted());
            prop_assert!(summary.p90_certified_ns.is_none_or(|bound| Some(bound) >= summary.p90_ns));
            prop_assert!((summary.min_ns..=summary.max_ns).contains(&summary.mean_ns));

            let mut shuffled = values;
            shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert_eq!(&summarize(&samples(&shuffled)), &summary);
            let text = serde_json::to_string(&summary).unwrap();
            prop_assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
        }
    }
}
