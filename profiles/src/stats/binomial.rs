//! Tails of the binomial distribution by sums, with nothing but the four operations of IEEE arithmetic.
//!
//! Ranks of order statistics follow from these tails and stand in profiles that are recomputed on read, so
//! they must not depend on the platform's mathematical library; and continued fractions of the incomplete
//! beta function, the usual way, converge slowly near the mean for n in the millions.

/// Terms below this fraction of the largest are left out; even 10⁷ of them weigh less than rounding.
const NEGLIGIBLE: f64 = 1e-24;

/// The largest t with P(X ≤ t) ≤ `alpha` for X ~ Binomial(n, p); `None` when even P(X = 0) is above.
///
/// `p` lies in (0, 1) and `alpha` in (0, 1). Takes O(√n) steps.
pub(super) fn largest_below(n: usize, p: f64, alpha: f64) -> Option<usize> {
    let weights = Weights::around_mode(n, p);
    let limit = alpha * weights.total;
    let mut sum = 0.0;
    let mut below = weights.first.checked_sub(1);
    for (offset, weight) in weights.values.iter().enumerate() {
        sum += weight;
        if sum > limit {
            break;
        }
        below = Some(weights.first + offset);
    }
    below
}

/// Probabilities up to a common factor, for `first`, `first + 1`, …; all others are negligible.
struct Weights {
    first: usize,
    values: Vec<f64>,
    total: f64,
}

impl Weights {
    fn around_mode(n: usize, p: f64) -> Weights {
        let odds = p / (1.0 - p);
        let mode = (((n + 1) as f64 * p) as usize).min(n);
        let mut below = Vec::new();
        let (mut k, mut weight) = (mode, 1.0);
        while k > 0 && weight > NEGLIGIBLE {
            // P(k − 1) / P(k)
            weight *= k as f64 / ((n - k + 1) as f64 * odds);
            k -= 1;
            below.push(weight);
        }
        let first = k;
        let mut values: Vec<f64> = below.into_iter().rev().collect();
        values.push(1.0);
        let (mut k, mut weight) = (mode, 1.0);
        while k < n && weight > NEGLIGIBLE {
            // P(k + 1) / P(k)
            weight *= (n - k) as f64 * odds / (k + 1) as f64;
            k += 1;
            values.push(weight);
        }
        let total = values.iter().sum();
        Weights { first, values, total }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::distribution::{Binomial, DiscreteCDF};

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_the_distribution_function(n in 1usize..400, p in 0.01f64..0.99, alpha in 0.001f64..0.2) {
            let binomial = Binomial::new(p, n as u64).unwrap();
            match largest_below(n, p, alpha) {
                None => prop_assert!(binomial.cdf(0) > alpha - 1e-12),
                Some(t) => {
                    prop_assert!(binomial.cdf(t as u64) <= alpha + 1e-12);
                    prop_assert!(binomial.cdf(t as u64 + 1) > alpha - 1e-12);
                }
            }
        }
    }

    #[test]
    fn a_million_trials_are_no_trouble() {
        // Normal approximation: 500 000 − 1.959964 · 500 = 499 020.02; the least count above is one more.
        let t = largest_below(1_000_000, 0.5, 0.025).unwrap();
        assert!((499_018..=499_020).contains(&t), "{t}");
    }
}
