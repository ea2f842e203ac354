//! Where the level of a series moves.

use crate::warm_up::noise::Noise;

/// Each changepoint must lower the cost by this times ln n. Far above the 2 or 3 of independent noise: real
/// series are autocorrelated, and a spurious change is worse here than a missed small one.
const PENALTY: f64 = 15.0;
/// What independent noise needs, times ln n.
const PENALTY_INDEPENDENT: f64 = 3.0;
/// Fewer iterations than this are no segment.
const LEAST_SEGMENT: usize = 3;

/// The indices at which new segments begin, ascending; empty when the level never moves.
///
/// Minimises Σ_segments SS(segment)/σ² + penalty per changepoint exactly, over all partitions into segments of
/// at least 3, where SS is the sum of squares about the segment's mean.
///
/// The penalty is ln n times the larger of 15 and 3·(1 + ρ)/(1 − ρ). By that factor a correlation ρ of neighbours
/// inflates the variance of a segment's mean, and with it what a spurious change can save (Romano, Rigaill,
/// Runge & Fearnhead 2022). The 15 alone cover ρ up to 0.7, and are well short at 0.9.
///
/// The algorithm is functional pruning (FPOP; Maidstone, Hocking, Rigaill & Fearnhead 2017). It finds the same
/// optimum as optimal partitioning with PELT's pruning (Killick 2012), which on a series *without* changes never
/// prunes anything and takes n² steps: a million stationary iterations would take minutes to hours. FPOP keeps,
/// for every possible level of the last segment, the best place where it may have begun; a place that is best
/// for no level is dropped, and on stationary series only about ln n remain.
///
/// The minimum segment needs one change to the published recursion: a place s becomes a candidate three steps
/// late, with its three points added. What it is compared with at that moment is as for s itself, since the
/// points after s add the same to every older candidate.
pub(super) fn changepoints(series: &[f64], noise: Noise) -> Vec<usize> {
    let n = series.len();
    // A constant series has no range of levels to divide among beginnings.
    if n < 2 * LEAST_SEGMENT || series.iter().all(|value| *value == series[0]) {
        return Vec::new();
    }
    let mut search = Search::new(series, noise);
    for end in LEAST_SEGMENT..=n {
        search.extend(end);
    }
    let mut found = Vec::new();
    let mut end = search.begins[n];
    while end > 0 {
        found.push(end);
        end = search.begins[end];
    }
    found.reverse();
    found
}

fn penalty(n: usize, correlation: f64) -> f64 {
    let inflation = (1.0 + correlation) / (1.0 - correlation);
    PENALTY.max(PENALTY_INDEPENDENT * inflation) * (n as f64).ln()
}

/// The levels from `low` to `high`, for which the last segment best begins at `begin`.
#[derive(Debug, Clone, Copy)]
struct Piece {
    low: f64,
    high: f64,
    begin: usize,
}

struct Search {
    /// Sums of the first k values and of their squares, in units of σ about the mean of all.
    sums: Vec<f64>,
    squares: Vec<f64>,
    penalty: f64,
    /// The least cost of the first k values, and where its last segment begins.
    costs: Vec<f64>,
    begins: Vec<usize>,
    /// Ascending and without gaps, from the least to the largest value.
    pieces: Vec<Piece>,
    spare: Vec<Piece>,
}

impl Search {
    fn new(series: &[f64], noise: Noise) -> Search {
        let n = series.len();
        // Sums of squares about zero would lose the digits in which segments differ.
        let mean = series.iter().sum::<f64>() / n as f64;
        let (mut sums, mut squares) = (vec![0.0], vec![0.0]);
        let (mut sum, mut square) = (0.0, 0.0);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in series {
            let value = (value - mean) / noise.sigma;
            sum += value;
            square += value * value;
            sums.push(sum);
            squares.push(square);
            low = low.min(value);
            high = high.max(value);
        }
        let penalty = penalty(n, noise.correlation);
        let mut costs = vec![f64::INFINITY; n + 1];
        // The first segment is not a change.
        costs[0] = -penalty;
        let pieces = vec![Piece { low, high, begin: 0 }];
        Search { sums, squares, penalty, costs, begins: vec![0; n + 1], pieces, spare: Vec::new() }
    }

    /// Finds the least cost of the first `end` values.
    fn extend(&mut self, end: usize) {
        let newest = end - LEAST_SEGMENT;
        if newest >= LEAST_SEGMENT {
            self.admit(newest);
        }
        let (mut best, mut begin) = (f64::INFINITY, 0);
        for piece in &self.pieces {
            let (count, sum, square) = self.between(piece.begin, end);
            let level = (sum / count).clamp(piece.low, piece.high);
            let cost = self.costs[piece.begin] + square - 2.0 * sum * level + count * level * level;
            if cost < best {
                (best, begin) = (cost, piece.begin);
            }
        }
        self.costs[end] = best + self.penalty;
        self.begins[end] = begin;
    }

    /// Gives `newest` all levels at which no older beginning is cheaper.
    fn admit(&mut self, newest: usize) {
        let mut kept = std::mem::take(&mut self.spare);
        kept.clear();
        for piece in &self.pieces {
            // The older one is cheaper where count·μ² − 2·sum·μ + rest < 0: between two roots, or nowhere.
            let (count, sum, square) = self.between(piece.begin, newest);
            let rest = self.costs[piece.begin] + square - self.costs[newest];
            let discriminant = sum * sum - count * rest;
            if discriminant <= 0.0 {
                push(&mut kept, Piece { begin: newest, ..*piece });
                continue;
            }
            let (centre, reach) = (sum / count, discriminant.sqrt() / count);
            let low = (centre - reach).clamp(piece.low, piece.high);
            let high = (centre + reach).clamp(piece.low, piece.high);
            push(&mut kept, Piece { high: low, begin: newest, ..*piece });
            push(&mut kept, Piece { low, high, begin: piece.begin });
            push(&mut kept, Piece { low: high, begin: newest, ..*piece });
        }
        self.spare = std::mem::replace(&mut self.pieces, kept);
    }

    /// Number, sum and sum of squares of the values from `begin` to before `end`.
    fn between(&self, begin: usize, end: usize) -> (f64, f64, f64) {
        let count = (end - begin) as f64;
        (count, self.sums[end] - self.sums[begin], self.squares[end] - self.squares[begin])
    }
}

/// Appends a piece unless it is empty, and joins neighbours of the same beginning.
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    if piece.low >= piece.high {
        return;
    }
    match pieces.last_mut() {
        Some(last) if last.begin == piece.begin => last.high = piece.high,
        _ => pieces.push(piece),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::warm_up::curves::normal;

    fn independent(sigma: f64) -> Noise {
        Noise { sigma, correlation: 0.0 }
    }

    #[test]
    fn penalties() {
        for (correlation, factor) in [(0.0, 15.0), (0.6, 15.0), (0.8, 27.0), (0.9, 57.0)] {
            assert!((penalty(100, correlation) - factor * 100_f64.ln()).abs() < 1e-9, "{correlation}");
        }
    }

    fn sum_of_squares(values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| (value - mean).powi(2)).sum()
    }

    fn cost(series: &[f64], sigma: f64, penalty: f64, changes: &[usize]) -> f64 {
        let ends = changes.iter().copied().chain([series.len()]);
        let begins = [0].into_iter().chain(changes.iter().copied());
        let fits: f64 = begins.zip(ends).map(|(b, e)| sum_of_squares(&series[b..e]) / (sigma * sigma)).sum();
        fits + changes.len() as f64 * penalty
    }

    /// Optimal partitioning (Jackson et al. 2005) from the definition, in n² steps and without any pruning.
    fn by_definition(series: &[f64], sigma: f64, penalty: f64) -> f64 {
        let n = series.len();
        let mut best = vec![f64::INFINITY; n + 1];
        best[0] = -penalty;
        for end in 3..=n {
            for begin in 0..=end - 3 {
                let whole = best[begin] + sum_of_squares(&series[begin..end]) / (sigma * sigma) + penalty;
                best[end] = best[end].min(whole);
            }
        }
        best[n]
    }

    fn levels() -> impl Strategy<Value = Vec<f64>> {
        let level = (-4i32..5, 1usize..25);
        (prop::collection::vec(level, 1..8), any::<u64>(), 0.0f64..2.0).prop_map(|(levels, seed, noise)| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let steps =
                levels.into_iter().flat_map(|(level, n)| std::iter::repeat_n(f64::from(level) * 4.0, n));
            steps.map(|level| level + noise * normal(&mut rng)).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn pruning_loses_nothing(series in levels(), sigma in 0.2f64..2.0, correlation in 0.0f64..0.9) {
            let found = changepoints(&series, Noise { sigma, correlation });
            let bounds: Vec<usize> = [0].into_iter().chain(found.iter().copied()).chain([series.len()]).collect();
            prop_assert!(found.is_empty() || bounds.windows(2).all(|pair| pair[1] - pair[0] >= 3), "{:?}", found);
            if series.len() >= 6 {
                let penalty = penalty(series.len(), correlation);
                let (pruned, exact) = (cost(&series, sigma, penalty, &found), by_definition(&series, sigma, penalty));
                prop_assert!((pruned - exact).abs() <= 1e-9 * (1.0 + exact.abs()), "{} {}", pruned, exact);
            }
        }
    }

    #[test]
    fn steps_are_found_where_they_are() {
        let series: Vec<f64> =
            (0..300).map(|i| [3.0, 1.0, 1.5][i / 100] + 0.01 * f64::from(i as u8 % 5)).collect();
        assert_eq!(changepoints(&series, independent(0.02)), [100, 200]);
        assert_eq!(changepoints(&[1.0; 200], independent(0.001)), [0usize; 0]);
        assert_eq!(changepoints(&[1.0, 9.0, 1.0, 9.0, 1.0], independent(0.001)), [0usize; 0]);
    }

    #[test]
    fn a_stationary_series_keeps_few_candidates() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let series: Vec<f64> = (0..100_000).map(|_| normal(&mut rng)).collect();
        let mut search = Search::new(&series, independent(1.0));
        let mut steps = 0;
        for end in LEAST_SEGMENT..=series.len() {
            search.extend(end);
            steps += search.pieces.len();
        }
        assert!(steps < 40 * series.len(), "{} pieces on average", steps / series.len());
    }
}
