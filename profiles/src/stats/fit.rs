//! Service times as functions of the work: lines T(n) = α + β·n and planes T(n, ctx) = α + β·n + γ·n·ctx.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ProfileError;
use crate::stats::least_squares::solve;

/// Fewer distinct points than this show no deviation from a straight line.
const LEAST_POINTS: usize = 4;

/// T(n) = α + β·n, by least squares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinearFit {
    /// α: the time of no work at all, in nanoseconds. Extrapolated, so it may be negative.
    pub alpha_ns: f64,
    /// β: the time of one more unit of work, in nanoseconds.
    pub beta_ns: f64,
    /// How well it fits.
    pub quality: FitQuality,
}

/// T(n, ctx) = α + β·n + γ·n·ctx, by least squares: the time of a decode step of n sequences with ctx tokens of context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlaneFit {
    /// α: the time of an empty step, in nanoseconds. Extrapolated, so it may be negative.
    pub alpha_ns: f64,
    /// β: the time of one more sequence without context, in nanoseconds.
    pub beta_ns: f64,
    /// γ: the time of one more token of context of one sequence, in nanoseconds.
    pub gamma_ns: f64,
    /// How well it fits.
    pub quality: FitQuality,
}

/// How well a fit describes its points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FitQuality {
    /// How many points were fitted.
    pub points: usize,
    /// 1 − residual ÷ total sum of squares; 1 when all times are equal.
    pub r_squared: f64,
    /// The largest distance of a point from the fit, in nanoseconds.
    pub largest_residual_ns: f64,
    /// The same as a fraction of that point's measured time; 0 where the time is 0.
    pub largest_residual_ratio: f64,
    /// Which point that is, counted from 0 in the order given.
    pub largest_residual_at: usize,
}

impl LinearFit {
    /// The fitted time of `n` units of work, in nanoseconds.
    pub fn at(&self, n: f64) -> f64 {
        self.alpha_ns + self.beta_ns * n
    }
}

impl PlaneFit {
    /// The fitted time of a step of `n` sequences that hold `n_ctx` tokens of context together, in nanoseconds.
    pub fn at(&self, n: f64, n_ctx: f64) -> f64 {
        self.alpha_ns + self.beta_ns * n + self.gamma_ns * n_ctx
    }
}

/// Fits T(n) = α + β·n to points (n, T in nanoseconds).
///
/// Fails with fewer than four distinct n, and on numbers that are not finite.
pub fn fit_line(points: &[(f64, f64)]) -> Result<LinearFit, ProfileError> {
    require_distinct(points.iter().map(|(n, _)| [*n, 0.0]))?;
    let rows: Vec<[f64; 2]> = points.iter().map(|(n, _)| [1.0, *n]).collect();
    let times: Vec<f64> = points.iter().map(|(_, time)| *time).collect();
    let ([alpha_ns, beta_ns], quality) = fit(&rows, &times)?;
    Ok(LinearFit { alpha_ns, beta_ns, quality })
}

/// Fits T = α + β·n + γ·n·ctx to points (n, n·ctx, T in nanoseconds).
///
/// Fails with fewer than four distinct pairs, when they lie on a line (one context only, or one batch only), and
/// on numbers that are not finite.
pub fn fit_plane(points: &[(f64, f64, f64)]) -> Result<PlaneFit, ProfileError> {
    require_distinct(points.iter().map(|(n, n_ctx, _)| [*n, *n_ctx]))?;
    let rows: Vec<[f64; 3]> = points.iter().map(|(n, n_ctx, _)| [1.0, *n, *n_ctx]).collect();
    let times: Vec<f64> = points.iter().map(|(_, _, time)| *time).collect();
    let ([alpha_ns, beta_ns, gamma_ns], quality) = fit(&rows, &times)?;
    Ok(PlaneFit { alpha_ns, beta_ns, gamma_ns, quality })
}

fn require_distinct(places: impl Iterator<Item = [f64; 2]>) -> Result<(), ProfileError> {
    let mut places: Vec<[f64; 2]> = places.collect();
    places.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    places.dedup();
    match places.len() {
        found if found < LEAST_POINTS => Err(ProfileError::TooFewPoints { needed: LEAST_POINTS, found }),
        _ => Ok(()),
    }
}

fn fit<const P: usize>(rows: &[[f64; P]], times: &[f64]) -> Result<([f64; P], FitQuality), ProfileError> {
    if !rows.iter().flatten().chain(times).all(|value| value.is_finite()) {
        return Err(ProfileError::DegeneratePoints);
    }
    let coefficients = solve(rows, times).ok_or(ProfileError::DegeneratePoints)?;
    let residuals: Vec<f64> = (rows.iter().zip(times))
        .map(|(row, time)| time - row.iter().zip(&coefficients).map(|(x, c)| x * c).sum::<f64>())
        .collect();
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    let total: f64 = times.iter().map(|time| (time - mean).powi(2)).sum();
    let left: f64 = residuals.iter().map(|residual| residual.powi(2)).sum();
    let mut at = 0;
    for (index, residual) in residuals.iter().enumerate() {
        if residual.abs() > residuals[at].abs() {
            at = index;
        }
    }
    let largest = residuals[at].abs();
    let quality = FitQuality {
        points: rows.len(),
        r_squared: if total > 0.0 { (1.0 - left / total).clamp(0.0, 1.0) } else { 1.0 },
        largest_residual_ns: largest,
        largest_residual_ratio: if times[at] == 0.0 { 0.0 } else { largest / times[at].abs() },
        largest_residual_at: at,
    };
    let finite =
        quality.r_squared.is_finite() && largest.is_finite() && quality.largest_residual_ratio.is_finite();
    if finite { Ok((coefficients, quality)) } else { Err(ProfileError::DegeneratePoints) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_regression() {
        // Anscombe's first quartet: y = 3.0001 + 0.5001 x, R² = 0.6665.
        let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
        let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
        let fit = fit_line(&x.into_iter().zip(y).collect::<Vec<_>>()).unwrap();
        assert!((fit.alpha_ns - 3.0001).abs() < 1e-4 && (fit.beta_ns - 0.5001).abs() < 1e-4, "{fit:?}");
        assert!((fit.quality.r_squared - 0.6665).abs() < 1e-4, "{fit:?}");
        assert_eq!((fit.quality.points, fit.quality.largest_residual_at), (11, 2));
        assert!((fit.quality.largest_residual_ns - 1.9212).abs() < 1e-3, "{fit:?}");
    }

    #[test]
    fn too_little_to_fit_is_said() {
        let few = fit_line(&[(1.0, 1.0), (1.0, 2.0), (2.0, 2.0), (4.0, 3.0)]).unwrap_err();
        assert_eq!(
            few.to_string(),
            "fit a service time to 3 distinct points: at least 4 are needed; sweep more batch sizes or lengths"
        );
        let one_context: Vec<_> = [1.0, 2.0, 4.0, 8.0].map(|n| (n, n * 128.0, n)).to_vec();
        assert!(matches!(fit_plane(&one_context), Err(ProfileError::DegeneratePoints)));
        let huge = [1.0, 2.0, 3.0, 4.0].map(|n| (n, f64::MAX)).to_vec();
        assert!(fit_line(&huge).is_err(), "sums overflow");
        assert!(fit_line(&[(1.0, 1.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 1.0)]).is_err());
    }

    #[test]
    fn equal_times_are_a_perfect_flat_line() {
        let fit = fit_line(&[1.0, 2.0, 4.0, 8.0].map(|n| (n, 5e6))).unwrap();
        assert!((fit.alpha_ns - 5e6).abs() < 1e-3 && fit.beta_ns.abs() < 1e-3, "{fit:?}");
        assert_eq!(fit.quality.r_squared, 1.0);
    }

    proptest! {
        #[test]
        fn exact_lines_are_recovered(alpha in -1e9f64..1e9, beta in -1e8f64..1e8, n in 4usize..12) {
            let points: Vec<_> = (0..n).map(|i| f64::from(1u32 << i)).map(|x| (x, alpha + beta * x)).collect();
            let fit = fit_line(&points).unwrap();
            let scale = alpha.abs() + beta.abs() * points[n - 1].0 + 1.0;
            prop_assert!((fit.alpha_ns - alpha).abs() < 1e-9 * scale, "{:?}", fit);
            prop_assert!((fit.beta_ns - beta).abs() < 1e-9 * scale, "{:?}", fit);
            prop_assert!(fit.quality.largest_residual_ns < 1e-9 * scale);
        }

        #[test]
        fn exact_planes_are_recovered(alpha in 0f64..1e9, beta in 0f64..1e8, gamma in 0f64..1e5) {
            let points: Vec<_> = [1.0, 2.0, 4.0, 8.0, 16.0].into_iter()
                .flat_map(|n| [128.0, 512.0, 2048.0].map(|ctx| (n, n * ctx, alpha + beta * n + gamma * n * ctx)))
                .collect();
            let fit = fit_plane(&points).unwrap();
            let scale = alpha + beta * 16.0 + gamma * 32768.0 + 1.0;
            prop_assert!((fit.alpha_ns - alpha).abs() < 1e-9 * scale, "{:?}", fit);
            prop_assert!((fit.beta_ns - beta).abs() < 1e-9 * scale, "{:?}", fit);
            prop_assert!((fit.gamma_ns - gamma).abs() * 32768.0 < 1e-8 * scale, "{:?}", fit);
        }
    }
}
