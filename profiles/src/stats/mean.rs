//! The mean of a series in the order taken, with an interval that survives autocorrelation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::units::Nanos;

/// Above this lag-1 autocorrelation neighbours are too alike to count as separate readings.
const CORRELATED: f64 = 0.2;
/// Fewer readings than this have no interval of their mean.
const LEAST: usize = 6;

/// The mean of a series and its 95 % interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MeanInterval {
    /// The mean.
    pub mean_ns: Nanos,
    /// Lower end of the interval.
    pub low_ns: Nanos,
    /// Upper end of the interval.
    pub high_ns: Nanos,
    /// Correlation of each reading with the one after it.
    pub lag1_autocorrelation: f64,
    /// How many neighbours were averaged into one: 1 when the readings could be taken as independent.
    pub batch_size: usize,
    /// How many such averages the interval rests on.
    pub batches: usize,
}

/// The correlation of each value with the next: Σ (xᵢ − x̄)(xᵢ₊₁ − x̄) ÷ Σ (xᵢ − x̄)² (Box & Jenkins 1976).
///
/// 0 for fewer than three values and for a constant series.
pub fn lag1_autocorrelation(values: &[f64]) -> f64 {
    if values.len() < 3 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let spread: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let shared: f64 = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    let ratio = shared / spread;
    if ratio.is_finite() { ratio } else { 0.0 }
}

/// The mean of a series with its 95 % interval by Student's t; `None` for fewer than six readings.
///
/// When the lag-1 autocorrelation is above 0.2, the interval rests on the means of non-overlapping batches of
/// b = ⌈√n⌉ neighbours (Law & Kelton, method of batch means). Readings that fill no batch are left out of the
/// interval at the beginning of the series, where a warm-up would be.
pub fn mean_interval(series: &[Nanos]) -> Option<MeanInterval> {
    let n = series.len();
    if n < LEAST {
        return None;
    }
    let values: Vec<f64> = series.iter().map(|reading| reading.as_nanos() as f64).collect();
    let lag1 = lag1_autocorrelation(&values);
    let batch_size = if lag1 > CORRELATED { (n as f64).sqrt().ceil() as usize } else { 1 };
    let means: Vec<f64> = (values.rchunks_exact(batch_size))
        .map(|batch| batch.iter().sum::<f64>() / batch_size as f64)
        .collect();
    let batches = means.len();
    let centre = means.iter().sum::<f64>() / batches as f64;
    let variance = means.iter().map(|mean| (mean - centre).powi(2)).sum::<f64>() / (batches - 1) as f64;
    let t = StudentsT::new(0.0, 1.0, (batches - 1) as f64).ok()?.inverse_cdf(0.975);
    let half = t * (variance / batches as f64).sqrt();
    Some(MeanInterval {
        mean_ns: Nanos::from_nanos_f64(values.iter().sum::<f64>() / n as f64),
        low_ns: Nanos::from_nanos_f64(centre - half),
        high_ns: Nanos::from_nanos_f64(centre + half),
        lag1_autocorrelation: lag1,
        batch_size,
        batches,
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::warm_up::curves::{ar1, to_nanos};

    #[test]
    fn independent_readings_have_students_interval() {
        let series: Vec<Nanos> = [10, 13, 8, 11, 9, 15, 10, 12].map(|n| Nanos::from_nanos(n * 1000)).to_vec();
        let interval = mean_interval(&series).unwrap();
        // mean 11, standard deviation 2.2678, t(7) = 2.3646: 11 ± 1.8959
        assert_eq!((interval.batch_size, interval.batches), (1, 8));
        let found = [interval.low_ns, interval.mean_ns, interval.high_ns].map(Nanos::as_nanos);
        assert_eq!(found, [9104, 11000, 12896]);
    }

    #[test]
    fn few_or_constant_readings() {
        assert_eq!(mean_interval(&[Nanos::from_nanos(5); 5]), None);
        let flat = mean_interval(&[Nanos::from_nanos(5); 6]).unwrap();
        assert_eq!((flat.low_ns, flat.high_ns), (Nanos::from_nanos(5), Nanos::from_nanos(5)));
        assert_eq!(lag1_autocorrelation(&[1.0, 2.0, 1.0, 2.0]), -0.75);
    }

    #[test]
    fn batches_restore_most_of_the_coverage_that_autocorrelation_takes() {
        let mut covered = [0; 2];
        for seed in 0..400 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let series = to_nanos(&ar1(&mut rng, 900, 0.7, 0.02), 1e6);
            let interval = mean_interval(&series).unwrap();
            assert!(interval.lag1_autocorrelation > 0.5 && interval.batch_size == 30);
            covered[0] +=
                usize::from((interval.low_ns..=interval.high_ns).contains(&Nanos::from_nanos(1_000_200)));
            let naive = (interval.mean_ns.as_nanos().abs_diff(1_000_200)) as f64;
            covered[1] += usize::from(naive <= 1.96 * 20_000.0 / 30.0);
        }
        assert!(
            covered[0] >= 360 && covered[1] <= 300,
            "of 400: batches {}, naive {}",
            covered[0],
            covered[1]
        );
    }
}
