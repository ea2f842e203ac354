//! Times that are independent of each other, in every combination.

use coldstart_profiles::Nanos;

/// So many totals are enough to draw from.
const MOST_TOTALS: usize = 4096;

/// Every total with one time of each of `beside`. Where that is more than anybody needs, it is thinned to evenly spaced quantiles, the
/// least and the largest among them, and before the product is made: its size never depends on how long the lists of a file are.
pub(crate) fn combined(totals: Vec<Nanos>, beside: &[&[Nanos]]) -> Vec<Nanos> {
    let mut all = totals;
    for times in beside {
        let times = thinned(times.to_vec());
        all = thinned(all)
            .iter()
            .flat_map(|total| times.iter().map(|time| total.saturating_add(*time)))
            .collect();
        all = thinned(all);
    }
    all
}

/// Up to [`MOST_TOTALS`] as they are; of more so many quantiles from the least to the largest.
fn thinned(mut times: Vec<Nanos>) -> Vec<Nanos> {
    if times.len() <= MOST_TOTALS {
        return times;
    }
    times.sort_unstable();
    let last = times.len() - 1;
    (0..MOST_TOTALS).filter_map(|at| times.get(at * last / (MOST_TOTALS - 1)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_thinned_before_they_are_combined_and_keep_their_ends() {
        let times =
            |from: u64, count: u64| (0..count).map(|at| Nanos::from_nanos(from + at)).collect::<Vec<_>>();
        let totals = vec![
            Nanos::from_nanos(3_000_000_000),
            Nanos::from_nanos(1_000_000_000),
            Nanos::from_nanos(2_000_000_000),
        ];
        // All of them would be 9 thousand million totals.
        let (pulls, warm_ups) = (times(10_000_000, 3_000), times(0, 1_000_000));
        let all = combined(totals, &[&pulls, &warm_ups]);
        assert_eq!(all.len(), MOST_TOTALS);
        assert_eq!(all.first(), Some(&Nanos::from_nanos(1_010_000_000)), "the least of each");
        assert_eq!(
            all.last(),
            Some(&Nanos::from_nanos(3_010_000_000 + 2_999 + 999_999)),
            "the largest of each"
        );
        let middle = all[MOST_TOTALS / 2].as_nanos();
        assert!(middle.abs_diff(2_010_000_000 + 1_500 + 500_000) < 20_000, "{middle}");
    }

    #[test]
    fn few_are_combined_as_they_are() {
        let all = combined(
            vec![Nanos::from_nanos(1), Nanos::from_nanos(2)],
            &[&[Nanos::from_nanos(10), Nanos::from_nanos(20)], &[Nanos::from_nanos(100)]],
        );
        assert_eq!(all, [111, 121, 112, 122].map(Nanos::from_nanos));
        assert_eq!(combined(vec![Nanos::from_nanos(1)], &[]), [Nanos::from_nanos(1)]);
    }
}
