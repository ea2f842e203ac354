//! One number of many nodes: five of them that stand for all, and the nodes that are slowest.

use crate::stats::{OrderStatistics, Percentile};
use crate::units::Nanos;

/// The times of many nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The nodes, by their place in what was given, with their times; the slowest first.
    pub nodes: Vec<(usize, Nanos)>,
    /// The least.
    pub min: Nanos,
    /// A quarter of the nodes is not above it (nearest rank).
    pub quarter: Nanos,
    /// The median (nearest rank).
    pub median: Nanos,
    /// Three quarters of the nodes are not above it (nearest rank).
    pub three_quarters: Nanos,
    /// The largest.
    pub max: Nanos,
}

impl Distribution {
    /// The times of the nodes that have one; `None` where none has.
    pub fn of(times: impl IntoIterator<Item = (usize, Nanos)>) -> Option<Self> {
        let mut nodes: Vec<(usize, Nanos)> = times.into_iter().collect();
        nodes.sort_by_key(|(node, time)| (std::cmp::Reverse(*time), *node));
        let order = OrderStatistics::new(nodes.iter().map(|(_, time)| *time).collect()).ok()?;
        let at = |permille| Some(order.nearest_rank(Percentile::from_permille(permille)?));
        Some(Distribution {
            min: order.min(),
            quarter: at(250)?,
            median: at(500)?,
            three_quarters: at(750)?,
            max: order.max(),
            nodes,
        })
    }

    /// A time over the median; `None` where the median is zero.
    pub fn over_median(&self, time: Nanos) -> Option<f64> {
        (self.median > Nanos::ZERO).then(|| time.as_secs_f64() / self.median.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_numbers_and_the_slowest_first() {
        let times = [40, 10, 30, 20, 40].map(Nanos::from_millis);
        let of_all = Distribution::of(times.into_iter().enumerate()).unwrap();
        let five = [of_all.min, of_all.quarter, of_all.median, of_all.three_quarters, of_all.max];
        assert_eq!(five, [10, 20, 30, 40, 40].map(Nanos::from_millis));
        let order: Vec<usize> = of_all.nodes.iter().map(|(node, _)| *node).collect();
        assert_eq!(order, [0, 4, 2, 3, 1]);
        assert_eq!(of_all.over_median(Nanos::from_millis(45)), Some(1.5));
        assert_eq!(Distribution::of([]), None);
        let zero = Distribution::of([(3, Nanos::ZERO)]).unwrap();
        assert_eq!((zero.over_median(Nanos::from_millis(1)), zero.nodes.len()), (None, 1));
    }
}
