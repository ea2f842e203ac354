//! Least squares whose coefficients are times, and so never below zero.
//!
//! Plain least squares over noisy points may extrapolate to a prompt of one token that takes less than no time. The best fit
//! with coefficients ≥ 0 is the plain fit of some subset of the columns (Lawson & Hanson, Solving Least Squares Problems, 23);
//! with at most three columns all subsets are tried.

use coldstart_profiles::stats::FitQuality;

/// The coefficients of the best fit of `rows · x ≈ times` with every x ≥ 0, and how good it is. `None` where no subset of the columns
/// gives one.
pub(super) fn fit<const P: usize>(rows: &[[f64; P]], times: &[f64]) -> Option<([f64; P], FitQuality)> {
    let subsets = (1_u32..1 << P).filter_map(|subset| {
        let columns: Vec<usize> = (0..P).filter(|column| subset & (1 << column) != 0).collect();
        let found = solve(rows, times, &columns)?;
        let mut x = [0.0; P];
        for (column, value) in columns.iter().zip(found) {
            x[*column] = value;
        }
        let possible = x.iter().all(|value| value.is_finite() && *value >= 0.0);
        possible.then(|| (squares(rows, times, &x), x))
    });
    let (_, x) = subsets.min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some((x, quality(rows, times, &x)))
}

fn at<const P: usize>(row: &[f64; P], x: &[f64; P]) -> f64 {
    row.iter().zip(x).map(|(value, x)| value * x).sum()
}

fn squares<const P: usize>(rows: &[[f64; P]], times: &[f64], x: &[f64; P]) -> f64 {
    rows.iter().zip(times).map(|(row, time)| (time - at(row, x)).powi(2)).sum()
}

/// Plain least squares over some columns: the normal equations of columns scaled to a largest value of 1, by elimination with pivots.
fn solve<const P: usize>(rows: &[[f64; P]], times: &[f64], columns: &[usize]) -> Option<Vec<f64>> {
    let scale: Vec<f64> =
        columns.iter().map(|column| rows.iter().map(|row| row[*column].abs()).fold(0.0, f64::max)).collect();
    if scale.iter().any(|scale| *scale <= 0.0) {
        return None;
    }
    let size = columns.len();
    let scaled = |row: &[f64; P], index: usize| row[columns[index]] / scale[index];
    let mut system: Vec<Vec<f64>> = (0..size)
        .map(|i| {
            let products = (0..size).map(|j| rows.iter().map(|row| scaled(row, i) * scaled(row, j)).sum());
            let right = rows.iter().zip(times).map(|(row, time)| scaled(row, i) * time).sum();
            products.chain([right]).collect()
        })
        .collect();
    for step in 0..size {
        let pivot = (step..size).max_by(|a, b| system[*a][step].abs().total_cmp(&system[*b][step].abs()))?;
        system.swap(step, pivot);
        if system[step][step].abs() < 1e-10 {
            return None;
        }
        let (done, rest) = system.split_at_mut(step + 1);
        let lead = &done[step];
        for row in rest {
            let factor = row[step] / lead[step];
            for (value, above) in row.iter_mut().zip(lead).skip(step) {
                *value -= factor * above;
            }
        }
    }
    let mut x = vec![0.0; size];
    for step in (0..size).rev() {
        let known: f64 = (step + 1..size).map(|other| system[step][other] * x[other]).sum();
        x[step] = (system[step][size] - known) / system[step][step];
    }
    Some(x.into_iter().zip(scale).map(|(x, scale)| x / scale).collect())
}

fn quality<const P: usize>(rows: &[[f64; P]], times: &[f64], x: &[f64; P]) -> FitQuality {
    let residuals: Vec<f64> = rows.iter().zip(times).map(|(row, time)| (time - at(row, x)).abs()).collect();
    let largest_residual_at =
        residuals.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at);
    let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
    let total: f64 = times.iter().map(|time| (time - mean).powi(2)).sum();
    let largest = residuals.get(largest_residual_at).copied().unwrap_or(0.0);
    let time = times.get(largest_residual_at).copied().unwrap_or(0.0);
    FitQuality {
        points: rows.len(),
        r_squared: if total > 0.0 { (1.0 - squares(rows, times, x) / total).clamp(0.0, 1.0) } else { 1.0 },
        largest_residual_ns: largest,
        largest_residual_ratio: if time == 0.0 { 0.0 } else { largest / time.abs() },
        largest_residual_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_where_that_is_possible_and_on_the_border_where_not() {
        let rows = |points: &[f64]| points.iter().map(|n| [1.0, *n]).collect::<Vec<_>>();
        let line = |points: &[(f64, f64)]| {
            let (n, times): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
            fit(&rows(&n), &times).unwrap()
        };
        let (x, quality) = line(&[(1.0, 15.0), (2.0, 20.0), (4.0, 30.0), (8.0, 50.0)]);
        assert!((x[0] - 10.0).abs() < 1e-9 && (x[1] - 5.0).abs() < 1e-9, "{x:?}");
        assert!(quality.r_squared > 0.999_999);
        // −1 + 2·n: through the origin instead, with Σnt ÷ Σn² = 155 ÷ 85.
        let (x, _) = line(&[(1.0, 1.0), (2.0, 3.0), (4.0, 7.0), (8.0, 15.0)]);
        assert!(x[0] == 0.0 && (x[1] - 155.0 / 85.0).abs() < 1e-9, "{x:?}");
        let (x, _) = line(&[(1.0, 9.0), (2.0, 8.0), (3.0, 7.0), (4.0, 6.0)]);
        assert!(x[1] == 0.0 && (x[0] - 7.5).abs() < 1e-9, "more work in less time is noise: {x:?}");
    }

    #[test]
    fn planes_with_columns_of_very_different_size() {
        let mut rows = Vec::new();
        let mut times = Vec::new();
        for n in [1.0, 2.0, 4.0, 8.0] {
            for context in [64.0, 4096.0] {
                rows.push([1.0, n, n * context]);
                times.push(8e6 + 2e5 * n + 10.0 * n * context);
            }
        }
        let (x, _) = fit(&rows, &times).unwrap();
        for (found, expected) in x.iter().zip([8e6, 2e5, 10.0]) {
            assert!((found / expected - 1.0).abs() < 1e-6, "{x:?}");
        }
        assert!(fit(&[[0.0, 0.0]], &[1.0]).is_none());
    }
}
