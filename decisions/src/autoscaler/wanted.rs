//! replicas(λ) + standby as a straight line of the rate: what a query can compute, and an autoscaler follow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::basis::Figure;

/// How many replicas are wanted: `standby + base + per_request_per_s · λ`, which an autoscaler with a target of 1 for each replica
/// rounds up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// Where the line begins, in replicas; not below zero.
    pub base: Figure<f64>,
    /// Replicas more for each request per second more.
    pub per_request_per_s: Figure<f64>,
    /// Replicas on top, so many that the autoscaler with its tolerance and its delays meets the SLA.
    pub standby: Figure<u32>,
    /// The fewest replicas: those without any traffic.
    pub min_replicas: Figure<u32>,
    /// The most replicas.
    pub max_replicas: Figure<u32>,
}

impl Wanted {
    /// Both directions of scaling may change once in so many seconds, as Kubernetes has it.
    pub const PERIOD_S: u32 = 15;

    /// standby + base: what is wanted without any traffic.
    pub fn without_traffic(&self) -> f64 {
        f64::from(self.standby.value) + self.base.value
    }
}

/// A straight line of the rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub(crate) base: f64,
    pub(crate) slope: f64,
}

/// Coefficients have so many significant digits, rounded up: the query shows the very numbers that were replayed.
const DIGITS: i32 = 4;

impl Line {
    /// The line that, rounded up, is nowhere below the replicas that a rate takes, and least at `mean` of all such lines.
    ///
    /// `largest_rates_per_s` are the largest rates that 1, 2, 3 … replicas carry. Right above the largest rate of j replicas it takes
    /// j + 1, which a line through (that rate, j) rounds up to. Of the lines above all those points the one along the edge of their
    /// upper hull around the mean has the least mean over the traffic.
    pub(crate) fn above(largest_rates_per_s: &[f64], mean: f64) -> Self {
        let fewer = largest_rates_per_s.len().saturating_sub(1);
        let corners = largest_rates_per_s.iter().take(fewer).copied().zip((1..).map(f64::from));
        let hull = upper_hull(std::iter::once((0.0, 0.0)).chain(corners));
        // One number of replicas carries every rate: then up to its own corner, so that the line rises with the traffic all the same.
        let corner = hull.last().copied().zip(largest_rates_per_s.last().copied().filter(|rate| *rate > 0.0));
        let corner = corner.map(|(from, rate)| [from, (rate, largest_rates_per_s.len() as f64)]);
        let edge = hull.windows(2).find(|edge| mean < edge[1].0).or_else(|| hull.windows(2).last());
        let edge = edge.and_then(|edge| edge.first_chunk().copied()).or(corner);
        let Some([(x, y), (next_x, next_y)]) = edge else { return Line { base: 1.0, slope: 0.0 } };
        let slope = rounded_up((next_y - y) / (next_x - x));
        let base = y - (next_y - y) / (next_x - x) * x;
        // What is left of a difference of equal numbers is not rounded up to anything.
        Line { base: if base < 1e-9 { 0.0 } else { rounded_up(base) }, slope }
    }

    /// Its height.
    pub(crate) fn at(self, rate_per_s: f64) -> f64 {
        self.base + self.slope * rate_per_s
    }
}

/// The corners of the least concave function above points in the order of x; of points at one x the highest counts.
fn upper_hull(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for (x, y) in points {
        while hull.last().is_some_and(|last| last.0 >= x && last.1 <= y) {
            hull.pop();
        }
        while let [.., a, b] = hull.as_slice() {
            // Whether b lies on or below the line from a to the new point.
            if (b.1 - a.1) * (x - a.0) > (y - a.1) * (b.0 - a.0) {
                break;
            }
            hull.pop();
        }
        hull.push((x, y));
    }
    hull
}

fn rounded_up(value: f64) -> f64 {
    if !(value.is_finite() && value > 0.0) {
        return value;
    }
    let scale = 10f64.powi(DIGITS - 1 - value.log10().floor() as i32);
    // Binary fractions of what has few digits already lie a little above.
    (value * scale - 1e-6).ceil() / scale
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_straight_table_is_met_exactly() {
        let table: Vec<f64> = (1..=10).map(|n| 2.5 * f64::from(n)).collect();
        let line = Line::above(&table, 11.0);
        assert_eq!(line, Line { base: 0.0, slope: 0.4 });
        for (rate, replicas) in [(0.1, 1.0), (2.5, 1.0), (2.6, 2.0), (24.9, 10.0), (25.0, 10.0)] {
            assert_eq!((line.at(rate) - 1e-9).ceil(), replicas, "{rate}");
        }
        // It rises with any traffic, since KEDA takes a metric that does not for a pause.
        assert_eq!(Line::above(&[7.0], 3.0), Line { base: 0.0, slope: 0.1429 });
        assert_eq!(Line::above(&[0.0, 0.0, 9.0], 3.0), Line { base: 2.0, slope: 0.1112 });
        assert_eq!(Line::above(&[], 0.0), Line { base: 1.0, slope: 0.0 });
        assert_eq!(Line::above(&[0.0, 4.0, 9.0], 3.0), Line { base: 1.0, slope: 0.25 });
    }

    proptest! {
        #[test]
        fn it_is_nowhere_below_the_table(steps in prop::collection::vec(0.0f64..5.0, 1..40), mean in 0.0f64..60.0) {
            let table: Vec<f64> = steps.iter().scan(0.0, |sum, step| { *sum += step; Some(*sum) }).collect();
            let line = Line::above(&table, mean);
            prop_assert!(line.base >= 0.0 && line.slope >= 0.0, "{line:?}");
            let needed = |rate: f64| table.partition_point(|largest| *largest < rate) + 1;
            for rate in table.iter().flat_map(|rate| [*rate, rate * (1.0 + 1e-6) + 1e-6]) {
                let replicas = needed(rate).min(table.len()) as f64;
                prop_assert!((line.at(rate) + 1e-6).ceil() >= replicas, "{line:?} at {rate}: {replicas}");
            }
        }
    }
}
