//! How much iterations scatter when nothing changes.

use crate::warm_up::hampel::MAD_TO_SD;

/// Lags over which neighbours are compared.
const LAGS: std::ops::RangeInclusive<usize> = 1..=10;
/// No machine repeats itself more exactly than this fraction.
const LEAST: f64 = 0.001;
/// More pairs than this say nothing new about a median of differences; longer series are sampled evenly.
const ENOUGH_PAIRS: usize = 1 << 16;

/// The standard deviation of the logarithms about a level that may move slowly.
///
/// The maximum over lags 1 to 10 of 1.4826 · median |y[i + lag] − y[i]| ÷ √2 from index `first` on, and never below
/// `clock_ratio` (the clock's resolution ÷ the median reading) or 0.001. Differences ignore the level, the
/// median ignores the few that straddle a change; lag 1 alone is 0 on a coarse clock and too small under
/// autocorrelation.
pub(super) fn noise(logs: &[f64], first: usize, clock_ratio: f64) -> f64 {
    let logs = &logs[first.min(logs.len())..];
    let stride = logs.len().div_ceil(ENOUGH_PAIRS).max(1);
    let mut differences = Vec::with_capacity(logs.len() / stride + 1);
    let mut largest = LEAST.max(clock_ratio);
    for lag in LAGS {
        if lag >= logs.len() {
            break;
        }
        differences.clear();
        let pairs = logs.iter().zip(&logs[lag..]).step_by(stride);
        differences.extend(pairs.map(|(earlier, later)| (later - earlier).abs()));
        let middle = (differences.len() - 1) / 2;
        let (_, median, _) = differences.select_nth_unstable_by(middle, f64::total_cmp);
        largest = largest.max(MAD_TO_SD * *median / std::f64::consts::SQRT_2);
    }
    largest
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
            let sigma = noise(&logs(n, rho, 0.03), 10, 0.0);
            assert!((sigma / 0.03 - 1.0).abs() < tolerance, "n {n}, rho {rho}: {sigma}");
        }
    }

    #[test]
    fn floors_and_short_series() {
        assert_eq!(noise(&[1.0; 50], 10, 0.0), 0.001);
        assert_eq!(noise(&[1.0; 50], 10, 0.02), 0.02);
        assert_eq!(noise(&[1.0, 5.0], 10, 0.0), 0.001);
    }

    #[test]
    fn a_step_does_not_count_as_noise() {
        let mut series = logs(400, 0.0, 0.01);
        series[200..].iter_mut().for_each(|value| *value += 1.0);
        assert!(noise(&series, 10, 0.0) < 0.0125);
    }
}
