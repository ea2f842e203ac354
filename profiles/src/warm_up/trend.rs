//! Whether a series still drifts.

/// Two-sided 1 % of the standard normal distribution.
const SIGNIFICANT: f64 = 2.575_829;
/// Two-sided 5 %: which rank correlations enter the correction.
const CORRELATED: f64 = 1.959_964;
/// A drift over the whole window below this is of no consequence, however certain.
const LEAST_DRIFT: f64 = 0.05;
/// Longer series are averaged into about this many blocks, since the test takes the square of their number of
/// steps. A drift survives averaging; autocorrelation within a block does not.
const BLOCKS: usize = 512;

/// The outcome of the trend test on logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// The standardised Mann-Kendall statistic.
    pub(super) z: f64,
    /// The relative change from the first to the last iteration: 0.1 for 10 % slower at the end.
    pub(super) drift: f64,
}

impl Trend {
    /// Significant at 1 % and at least 5 % over the window.
    pub(super) fn matters(self) -> bool {
        self.z.abs() > SIGNIFICANT && self.drift.abs() >= LEAST_DRIFT
    }
}

/// The Mann-Kendall test with the variance correction of Hamed & Rao (1998) for autocorrelation, and Sen's slope.
///
/// The correction is never below 1: negative autocorrelation would make the test more daring than for
/// independent values, on the strength of correlations that are themselves estimates.
pub(super) fn trend(logs: &[f64]) -> Trend {
    let block = logs.len().div_ceil(BLOCKS).max(1);
    let values: Vec<f64> =
        logs.rchunks_exact(block).rev().map(|chunk| chunk.iter().sum::<f64>() / block as f64).collect();
    let n = values.len();
    if n < 4 {
        return Trend { z: 0.0, drift: 0.0 };
    }
    let (score, slope) = score_and_slope(&values);
    let flat: Vec<f64> =
        values.iter().enumerate().map(|(index, value)| value - slope * index as f64).collect();
    let variance = variance(&values) * inflation(&ranks(&flat));
    let z =
        if score == 0 || variance <= 0.0 { 0.0 } else { (score - score.signum()) as f64 / variance.sqrt() };
    Trend { z, drift: (slope * (n - 1) as f64).exp_m1() }
}

/// Mann-Kendall's S = Σ_{i<j} sign(xⱼ − xᵢ), and Sen's slope, the median of (xⱼ − xᵢ)/(j − i).
fn score_and_slope(values: &[f64]) -> (i64, f64) {
    let mut score = 0;
    let mut slopes = Vec::with_capacity(values.len() * (values.len() - 1) / 2);
    for (i, earlier) in values.iter().enumerate() {
        for (gap, later) in values[i + 1..].iter().enumerate() {
            let rise = later - earlier;
            score += i64::from(rise > 0.0) - i64::from(rise < 0.0);
            slopes.push(rise / (gap + 1) as f64);
        }
    }
    let middle = slopes.len() / 2;
    let even = slopes.len().is_multiple_of(2);
    let (below, upper, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    let lower = if even { below.iter().copied().fold(f64::NEG_INFINITY, f64::max) } else { upper };
    (score, (lower + upper) / 2.0)
}

/// The variance of S for independent values, with the correction for ties.
fn variance(values: &[f64]) -> f64 {
    let term = |count: usize| {
        let count = count as f64;
        count * (count - 1.0) * (2.0 * count + 5.0)
    };
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|group| term(group.len())).sum();
    (term(values.len()) - ties) / 18.0
}

/// Ranks from 1, the mean rank for ties.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = before as f64 + (group.len() + 1) as f64 / 2.0;
        group.iter().for_each(|index| ranks[*index] = rank);
        before += group.len();
    }
    ranks
}

/// n/n* = 1 + 2/(n(n−1)(n−2)) · Σᵢ (n−i)(n−i−1)(n−i−2)·ρᵢ over the lags whose rank correlation is significant at 5 %.
fn inflation(ranks: &[f64]) -> f64 {
    let n = ranks.len();
    let mean = (n + 1) as f64 / 2.0;
    let centred: Vec<f64> = ranks.iter().map(|rank| rank - mean).collect();
    let total: f64 = centred.iter().map(|rank| rank * rank).sum();
    if total <= 0.0 {
        return 1.0;
    }
    let bound = CORRELATED / (n as f64).sqrt();
    let weighted: f64 = (1..n - 2)
        .filter_map(|lag| {
            let rho = centred.iter().zip(&centred[lag..]).map(|(a, b)| a * b).sum::<f64>() / total;
            let left = (n - lag) as f64;
            (rho.abs() >= bound).then_some(left * (left - 1.0) * (left - 2.0) * rho)
        })
        .sum();
    let n = n as f64;
    (1.0 + 2.0 * weighted / (n * (n - 1.0) * (n - 2.0))).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sixty values from a linear congruential generator, so that other programs can make the same.
    fn values(next: impl Fn(f64, f64, usize) -> (f64, f64)) -> Vec<f64> {
        let (mut seed, mut state) = (12_345_u64, 0.0);
        (0..60)
            .map(|i| {
                seed = (seed * 1_103_515_245 + 12_345) % (1 << 31);
                let noise = (seed / 65_536 % 1_000) as f64 / 1_000.0 - 0.5;
                let (after, value) = next(state, noise, i);
                state = after;
                value
            })
            .collect()
    }

    #[test]
    fn agrees_with_pymannkendall() {
        // z of `hamed_rao_modification_test` of pymannkendall 1.4.3 where its correction is above 1 (the
        // autocorrelated series), of `original_test` elsewhere; Sen's slope of either.
        let independent = values(|_, e, _| (0.0, e));
        let rising = values(|_, e, i| (0.0, e + i as f64 * 0.01));
        let correlated = values(|s, e, _| (0.75 * s + e, 0.75 * s + e));
        let correlated_rising = values(|s, e, i| (0.75 * s + e, 0.75 * s + e + i as f64 * 0.05));
        let tied = values(|_, e, i| (0.0, (4.0 * e).round_ties_even() + (i / 20) as f64));
        for (name, series, z, slope) in [
            ("independent", independent, 0.548_535_282_5, 0.001_166_380_8),
            ("rising", rising, 4.037_228_450_2, 0.011_166_380_8),
            ("correlated", correlated, 0.526_022_975_1, 0.002_168_655_98),
            ("correlated, rising", correlated_rising, 5.916_671_645_1, 0.052_168_655_98),
            ("tied", tied, 3.806_251_959_0, 0.045_454_545_5),
        ] {
            let found = trend(&series);
            assert!((found.z - z).abs() < 1e-8, "{name}: z {} for {z}", found.z);
            let drift = f64::exp_m1(slope * 59.0);
            assert!((found.drift - drift).abs() < 1e-7, "{name}: drift {}", found.drift);
        }
    }

    #[test]
    fn long_series_are_averaged_and_keep_their_drift() {
        let series: Vec<f64> = (0..100_001).map(|i| f64::from(i) * 1e-6 + f64::from(i % 7) * 0.01).collect();
        let found = trend(&series);
        assert!(found.matters() && (found.drift - 0.1_f64.exp_m1()).abs() < 0.002, "{found:?}");
    }

    #[test]
    fn nothing_to_see() {
        for series in [vec![], vec![1.0; 3], vec![1.0; 100]] {
            assert_eq!(trend(&series), Trend { z: 0.0, drift: 0.0 });
        }
    }
}
