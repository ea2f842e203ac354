//! How much longer than the fitted time the slow batches take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The slow end of measured times as a factor on the fitted ones: T_hi(n) = T(n) · factor(n).
///
/// Linear between the points, constant beyond them, 1 without any.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Tail {
    /// Ordered by `n`.
    points: Vec<TailPoint>,
}

/// The slow end at one measured amount of work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TailPoint {
    /// The work: requests in a batch, or tokens.
    pub n: f64,
    /// The high percentile (or, below its floor, the largest reading) ÷ the fitted time; at least 1.
    pub factor: f64,
}

impl Tail {
    /// From points in any order; what is not finite is left out, factors below 1 become 1.
    pub fn new(points: impl IntoIterator<Item = TailPoint>) -> Self {
        let mut points: Vec<TailPoint> = points
            .into_iter()
            .filter(|point| point.n.is_finite() && point.factor.is_finite())
            .map(|point| TailPoint { n: point.n, factor: point.factor.max(1.0) })
            .collect();
        points.sort_by(|a, b| a.n.total_cmp(&b.n));
        points.dedup_by(|b, a| {
            let same = a.n == b.n;
            if same {
                a.factor = a.factor.max(b.factor);
            }
            same
        });
        Tail { points }
    }

    /// The points, ordered by the work.
    pub fn points(&self) -> &[TailPoint] {
        &self.points
    }

    /// The factor at `n`.
    pub fn factor(&self, n: f64) -> f64 {
        let after = self.points.partition_point(|point| point.n < n);
        match (after.checked_sub(1).and_then(|before| self.points.get(before)), self.points.get(after)) {
            (None, None) => 1.0,
            (None, Some(point)) | (Some(point), None) => point.factor,
            (Some(low), Some(high)) => {
                low.factor + (high.factor - low.factor) * (n - low.n) / (high.n - low.n)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_lie_on_lines_between_the_points() {
        let tail = Tail::new(
            [(8.0, 1.2), (1.0, 2.0), (8.0, 1.4), (2.0, 0.5), (f64::NAN, 3.0)]
                .map(|(n, factor)| TailPoint { n, factor }),
        );
        for (n, factor) in
            [(0.5, 2.0), (1.0, 2.0), (1.5, 1.5), (2.0, 1.0), (5.0, 1.2), (8.0, 1.4), (99.0, 1.4)]
        {
            assert!((tail.factor(n) - factor).abs() < 1e-12, "{n}: {} instead of {factor}", tail.factor(n));
        }
        assert_eq!(Tail::default().factor(4.0), 1.0);
    }
}
