//! Two groups of readings, side by side: evidence of how far apart they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

/// Up to so many readings on both sides together the distribution of U is counted out instead of approximated.
const EXACT: usize = 40;

/// The Mann-Whitney test: whether readings of one group tend to be larger than those of the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MannWhitney {
    /// How many pairs (a, b) have b above a, ties counted half.
    pub u: f64,
    /// The two-sided probability of a U as far from its middle, if both groups came from one distribution.
    pub p: f64,
}

/// The median of some numbers, the mean of the middle two of an even count; `None` of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// 1.4826 × the median absolute deviation from the median: the standard deviation of a normal distribution with that
/// spread, whatever a minority of outliers does. `None` of no values.
pub fn robust_deviation(values: &[f64]) -> Option<f64> {
    let centre = median(values)?;
    let deviations: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    Some(1.4826 * median(&deviations)?)
}

/// Mann & Whitney 1947. Exact without ties and up to 40 readings, else by the normal distribution with the correction for
/// ties and for continuity (Lehmann, Nonparametrics, 1.2). `None` when a group is empty.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<MannWhitney> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let u = pairs_above(a, b);
    let (n, m) = (a.len() as f64, b.len() as f64);
    let ties = tie_groups(a, b);
    let p = if ties.is_empty() && a.len() + b.len() <= EXACT {
        exact_p(a.len(), b.len(), u)
    } else {
        let total = n + m;
        let tied: f64 = ties.iter().map(|t| t.powi(3) - t).sum();
        let variance = n * m / 12.0 * (total + 1.0 - tied / (total * (total - 1.0)));
        if variance <= 0.0 {
            1.0
        } else {
            let z = ((u - n * m / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
            2.0 * (1.0 - Normal::standard().cdf(z))
        }
    };
    Some(MannWhitney { u, p: p.clamp(0.0, 1.0) })
}

/// Cliff's δ (1993): the share of pairs in which b is above a, less the share in which it is below; from −1 to 1. `None`
/// when a group is empty.
pub fn cliffs_delta(a: &[f64], b: &[f64]) -> Option<f64> {
    let pairs = (a.len() * b.len()) as f64;
    (pairs > 0.0).then(|| 2.0 * pairs_above(a, b) / pairs - 1.0)
}

/// Pairs with b above a, ties counted half, in O(n log n).
fn pairs_above(a: &[f64], b: &[f64]) -> f64 {
    let mut sorted = a.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let above = |b: &f64| {
        let below = sorted.partition_point(|a| a < b);
        let not_above = sorted.partition_point(|a| a <= b);
        below as f64 + (not_above - below) as f64 / 2.0
    };
    b.iter().map(above).sum()
}

/// How many readings share each value that occurs more than once.
fn tie_groups(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_unstable_by(f64::total_cmp);
    all.chunk_by(|x, y| x == y).map(|group| group.len() as f64).filter(|count| *count > 1.0).collect()
}

/// The two-sided probability by counting: how many of the orders of n and m readings have a U so far from the middle.
fn exact_p(n: usize, m: usize, u: f64) -> f64 {
    // counts[i][u] orders of i readings of a and the b so far: add one b at a time, which beats 0..=n of the a.
    let most = n * m;
    let mut counts = vec![vec![0.0f64; most + 1]; n + 1];
    for row in &mut counts {
        row[0] = 1.0;
    }
    for _ in 0..m {
        let mut next = vec![vec![0.0f64; most + 1]; n + 1];
        for i in 0..=n {
            for u in 0..=most {
                // The largest reading of all is an a (i − 1 are left), or the new b, which beats all i.
                let from_a = if i > 0 { next[i - 1][u] } else { 0.0 };
                let from_b = if u >= i { counts[i][u - i] } else { 0.0 };
                next[i][u] = from_a + from_b;
            }
        }
        counts = next;
    }
    let distribution = &counts[n];
    let total: f64 = distribution.iter().sum();
    let low = u.min(most as f64 - u).floor() as usize;
    let tail: f64 = distribution[..=low].iter().sum();
    2.0 * tail / total
}

/// The 95 % percentile-bootstrap interval of median(b) ÷ median(a) (Efron & Tibshirani 1993, chapter 13): both groups drawn
/// anew with replacement, `draws` times, by a generator with a fixed seed. With five readings a group it is coarse: it is
/// printed for the eye, nothing is decided on it. `None` for an empty group or a median of zero.
pub fn ratio_interval(a: &[f64], b: &[f64], draws: usize) -> Option<(f64, f64)> {
    use rand::{RngExt as _, SeedableRng as _};

    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(0x636f_6c64);
    let mut again = |from: &[f64]| -> Option<f64> {
        let drawn: Vec<f64> = (0..from.len())
            .map(|_| from.get(random.random_range(0..from.len())).copied())
            .collect::<Option<_>>()?;
        median(&drawn)
    };
    let mut ratios = Vec::with_capacity(draws);
    for _ in 0..draws {
        let (below, above) = (again(a)?, again(b)?);
        if below <= 0.0 {
            return None;
        }
        ratios.push(above / below);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| ratios.get(((ratios.len() - 1) as f64 * share).round() as usize).copied();
    Some((at(0.025)?, at(0.975)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn probabilities_are_those_of_the_tables() {
        // scipy.stats.mannwhitneyu(a, b, method="exact"), and wilcox.test of R.
        let a = [1.0, 2.0, 3.0, 4.0, 5.0];
        for (b, u, p) in [
            ([6.0, 7.0, 8.0, 9.0, 10.0], 25.0, 0.007_936_507_936_507_936),
            ([0.5, 7.0, 8.0, 9.0, 10.0], 20.0, 0.150_793_650_793_650_8),
            ([0.5, 1.5, 2.5, 3.5, 4.5], 10.0, 0.690_476_190_476_190_5),
        ] {
            let found = mann_whitney(&a, &b).unwrap();
            assert_eq!(found.u, u);
            assert!((found.p - p).abs() < 1e-12, "{found:?} {p}");
        }
        // With ties, by hand: σ² = 25/12·(11 − 30/90) = 22.2, z = (7.5 − 0.5)/4.714 = 1.485.
        let tied = mann_whitney(&[1.0, 2.0, 2.0, 3.0, 5.0], &[2.0, 4.0, 4.0, 6.0, 7.0]).unwrap();
        assert!((tied.u - 20.0).abs() < 1e-12 && (tied.p - 0.1376).abs() < 5e-4, "{tied:?}");
        assert_eq!(mann_whitney(&[1.0; 4], &[1.0; 4]).unwrap().p, 1.0);
        assert_eq!(mann_whitney(&[], &a), None);
    }

    #[test]
    fn deltas_and_deviations() {
        assert_eq!(cliffs_delta(&[1.0, 2.0], &[3.0, 4.0]), Some(1.0));
        assert_eq!(cliffs_delta(&[1.0, 2.0], &[2.0, 1.0]), Some(0.0));
        assert_eq!(median(&[3.0, 1.0, 2.0, 10.0]), Some(2.5));
        assert_eq!(robust_deviation(&[1.0, 2.0, 3.0, 4.0, 1000.0]), Some(1.4826));
    }

    #[test]
    fn the_interval_holds_the_ratio() {
        let a = [100.0, 101.0, 99.0, 100.5, 99.5];
        let b = a.map(|x| x * 1.2);
        let (low, high) = ratio_interval(&a, &b, 2000).unwrap();
        assert!(low <= 1.2 && 1.2 <= high && low > 1.17 && high < 1.23, "{low} {high}");
        assert_eq!(ratio_interval(&a, &b, 2000), ratio_interval(&a, &b, 2000), "the seed is fixed");
        assert_eq!(ratio_interval(&[0.0], &[1.0], 10), None);
    }

    proptest! {
        #[test]
        fn swapping_the_groups_mirrors_everything(
            a in prop::collection::vec(0u32..50, 1..12), b in prop::collection::vec(0u32..50, 1..12),
        ) {
            let (a, b): (Vec<f64>, Vec<f64>) = (a.into_iter().map(f64::from).collect(), b.into_iter().map(f64::from).collect());
            let (ab, ba) = (mann_whitney(&a, &b).unwrap(), mann_whitney(&b, &a).unwrap());
            prop_assert!((ab.u + ba.u - (a.len() * b.len()) as f64).abs() < 1e-9);
            prop_assert!((ab.p - ba.p).abs() < 1e-9 && (0.0..=1.0).contains(&ab.p));
            prop_assert!((cliffs_delta(&a, &b).unwrap() + cliffs_delta(&b, &a).unwrap()).abs() < 1e-12);
        }
    }
}
