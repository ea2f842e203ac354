//! Least squares by orthogonalisation, for the few columns of a service-time model.

/// A column that others explain to this fraction of its length is no direction of its own.
const COLLINEAR: f64 = 1e-9;

/// The coefficients that minimise Σ (y − row · coefficients)²; `None` when the columns are linearly dependent
/// or a number overflows.
///
/// Modified Gram–Schmidt on the columns and the right-hand side together, which is as accurate as Householder
/// for this purpose (Björck 1967); normal equations would square the condition number.
pub(super) fn solve<const P: usize>(rows: &[[f64; P]], y: &[f64]) -> Option<[f64; P]> {
    let mut columns: Vec<Vec<f64>> = (0..P).map(|j| rows.iter().map(|row| row[j]).collect()).collect();
    let scales: Vec<f64> = columns.iter_mut().map(|column| scale_down(column)).collect();
    let lengths: Vec<f64> = columns.iter().map(|column| dot(column, column).sqrt()).collect();
    let mut rest = y.to_vec();
    let mut triangle = [[0.0; P]; P];
    let mut projected = [0.0; P];
    for j in 0..P {
        let (done, later) = columns.split_at_mut(j + 1);
        let direction = &mut done[j];
        let length = dot(direction, direction).sqrt();
        if length.is_nan() || length <= COLLINEAR * lengths[j] {
            return None;
        }
        direction.iter_mut().for_each(|value| *value /= length);
        triangle[j][j] = length;
        for (offset, column) in later.iter_mut().enumerate() {
            triangle[j][j + 1 + offset] = remove(direction, column);
        }
        projected[j] = remove(direction, &mut rest);
    }
    let mut solution = [0.0; P];
    for j in (0..P).rev() {
        let known: f64 = (j + 1..P).map(|k| triangle[j][k] * solution[k]).sum();
        solution[j] = (projected[j] - known) / triangle[j][j];
    }
    for (value, scale) in solution.iter_mut().zip(scales) {
        *value /= scale;
    }
    solution.iter().all(|value| value.is_finite()).then_some(solution)
}

/// Divides a column by its largest magnitude, so that squares cannot overflow; returns the divisor.
fn scale_down(column: &mut [f64]) -> f64 {
    let largest = column.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    column.iter_mut().for_each(|value| *value /= scale);
    scale
}

/// Subtracts from `column` its part along the unit vector `direction`; returns that part's length.
fn remove(direction: &[f64], column: &mut [f64]) -> f64 {
    let along = dot(direction, column);
    for (value, unit) in column.iter_mut().zip(direction) {
        *value -= along * unit;
    }
    along
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
