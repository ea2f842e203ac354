//! How much iterations scatter when nothing changes.

use crate::warm_up::hampel::MAD_TO_SD;

/// Lags over which neighbours are compared.
const LAGS: std::ops::RangeInclusive<usize> = 1..=10;
/// No machine repeats itself more exactly than this fraction.
const LEAST: f64 = 0.001;
/// More pairs than this say nothing new about a median of differences; longer series are sampled evenly.
const ENOUGH_PAIRS: usize = 1 << 16;

/// The most correlation that is believed; on a coarse clock neighbours may all be equal.
const MOST_CORRELATION: f64 = 0.9;

/// How a series scatters about a level that may move slowly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Noise {
    /// The standard deviation.
    pub(super) sigma: f64,
    /// The correlation of neighbours, from 0 to 0.9.
    pub(super) correlation: f64,
}

/// The noise of logarithms from index `first` on.
///
/// σ is the maximum over lags 1 to 10 of 1.4826 · median |y[i + lag] − y[i]| ÷ √2, and never below `clock_ratio` (the
/// clock's resolution ÷ the median reading) or 0.001. Differences ignore the level, the median ignores the few
/// that straddle a change; lag 1 alone is 0 on a coarse clock and too small under autocorrelation.
///
/// The correlation follows from how much smaller the differences at lag 1 are than that maximum: their variance is
/// 2σ²(1 − ρ). Below the floors there is nothing to tell, and it is 0.
pub(super) fn noise(logs: &[f64], first: usize, clock_ratio: f64) -> Noise {
    let logs = &logs[first.min(logs.len())..];
    let floor = LEAST.max(clock_ratio);
    let scatter: Vec<f64> = LAGS.filter(|lag| *lag < logs.len()).map(|lag| scatter_at(logs, lag)).collect();
    let largest = scatter.iter().copied().fold(0.0, f64::max);
    let correlation = match scatter.first() {
        Some(adjacent) if largest > floor => {
            (1.0 - (adjacent / largest).powi(2)).clamp(0.0, MOST_CORRELATION)
        }
        _ => 0.0,
    };
    Noise { sigma: largest.max(floor), correlation }
}

/// 1.4826 · median |y[i + lag] − y[i]| ÷ √2; there is at least one such pair.
fn scatter_at(logs: &[f64], lag: usize) -> f64 {
    let stride = logs.len().div_ceil(ENOUGH_PAIRS).max(1);
    let pairs = logs.iter().zip(&logs[lag..]).step_by(stride);
    let mut differences: Vec<f64> = pairs.map(|(earlier, later)| (later - earlier).abs()).collect();
    let middle = (differences.len() - 1) / 2;
    let (_, median, _) = differences.select_nth_unstable_by(middle, f64::total_cmp);
    MAD_TO_SD * *median / std::f64::consts::SQRT_2
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::warm_up::curves::ar1;

    fn logs(n: usize, rho: f64, sd: f64) -> Vec<f64> {
        ar1(&mut ChaCha8Rng::seed_from_u64(1), n, rho, sd).into_iter().map(f64::ln).collect()
    }

    #[test]
    fn the_true_scatter_is_found_with_and_without_autocorrelation() {
        for (n, rho, tolerance) in [(4000, 0.0, 0.06), (4000, 0.7, 0.1), (300_000, 0.5, 0.02)] {
            let found = noise(&logs(n, rho, 0.03), 10, 0.0);
            assert!((found.sigma / 0.03 - 1.0).abs() < tolerance, "n {n}, rho {rho}: {found:?}");
            assert!((found.correlation - rho).abs() < tolerance + 0.05, "n {n}, rho {rho}: {found:?}");
        }
    }

    #[test]
    fn floors_and_short_series() {
        let floor = |sigma| Noise { sigma, correlation: 0.0 };
        assert_eq!(noise(&[1.0; 50], 10, 0.0), floor(0.001));
        assert_eq!(noise(&[1.0; 50], 10, 0.02), floor(0.02));
        assert_eq!(noise(&[1.0, 5.0], 10, 0.0), floor(0.001));
    }

    #[test]
    fn a_step_does_not_count_as_noise() {
        let mut series = logs(400, 0.0, 0.01);
        series[200..].iter_mut().for_each(|value| *value += 1.0);
        assert!(noise(&series, 10, 0.0).sigma < 0.0125);
    }
}
