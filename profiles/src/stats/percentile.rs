//! Which percentile is meant, exactly, and by which convention it is read from a sample.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A percentile in whole thousandths, so that ranks are exact integers: 0.07 · 100 is not 7 in floating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentile {
    permille: u32,
}

impl Percentile {
    /// The median.
    pub const P50: Percentile = Percentile { permille: 500 };
    /// The 90th percentile.
    pub const P90: Percentile = Percentile { permille: 900 };
    /// The 95th percentile.
    pub const P95: Percentile = Percentile { permille: 950 };
    /// The 99th percentile.
    pub const P99: Percentile = Percentile { permille: 990 };

    /// From thousandths, `1..=999`; anything else is no percentile.
    pub const fn from_permille(permille: u32) -> Option<Self> {
        if permille >= 1 && permille <= 999 { Some(Percentile { permille }) } else { None }
    }

    /// The fraction below, such as 0.99.
    pub fn fraction(self) -> f64 {
        f64::from(self.permille) / 1000.0
    }

    /// The fraction above, such as 0.01.
    pub(crate) fn complement(self) -> f64 {
        f64::from(1000 - self.permille) / 1000.0
    }

    /// The nearest rank among `n ≥ 1` ordered readings, counted from 1: the least k with k/n at or above the fraction.
    pub(crate) const fn nearest_rank(self, n: usize) -> usize {
        (n as u128 * self.permille as u128).div_ceil(1000) as usize
    }
}

/// How a percentile is read from ordered readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PercentileConvention {
    /// The least reading with at least that fraction of all readings at or below it. Always one of the
    /// readings; stored in profiles and used by gates.
    #[default]
    NearestRank,
    /// Linear interpolation between readings (Hyndman & Fan 1996, definition 7; the default of R and NumPy).
    /// For display only.
    HyndmanFan7,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_ranks_are_exact() {
        for (permille, n, rank) in [
            (500, 1, 1),
            (500, 5, 3),
            (500, 6, 3),
            (70, 100, 7),
            (900, 10, 9),
            (990, 100, 99),
            (990, 101, 100),
            (1, 10, 1),
            (999, 10, 10),
        ] {
            let percentile = Percentile::from_permille(permille).unwrap();
            assert_eq!(percentile.nearest_rank(n), rank, "{permille} permille of {n}");
        }
        assert_eq!((Percentile::from_permille(0), Percentile::from_permille(1000)), (None, None));
    }
}
