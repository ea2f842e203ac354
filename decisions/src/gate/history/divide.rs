//! E-divisive: where a series changes its level.
//!
//! Matteson & James, "A Nonparametric Approach for Multiple Change Point Analysis of Multivariate Data", JASA 109 (2014): the
//! split whose parts are furthest apart in energy distance, kept if few permutations of the series have one as far apart, and
//! the same again within its parts. As Hunter (Fleming et al., ICPE 2023) applies it to benchmarks: in pieces no longer than a
//! window.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

/// Neither part of a split is shorter: one run or two that were disturbed are no change.
pub(super) const LEAST_SEGMENT: usize = 3;
/// The order of permutations, the same for everybody.
const SEED: u64 = 0x6869_7374;
/// Permutations for each that may be as far apart: the least p is a fraction of what is asked for.
const DRAWS: f64 = 4.0;

/// A split of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Split {
    /// The first index of the later part.
    pub(super) at: usize,
    /// The share of permutations in which some split is at least as far apart.
    pub(super) p: f64,
}

/// Every split of `values` of which chance makes one as far apart with a probability of at most `level`, in order. Series that
/// are longer than `window` are looked at in windows that overlap by half; what two of them see counts once.
pub(super) fn divide(values: &[f64], window: usize, level: f64) -> Vec<Split> {
    let mut seen: Vec<Split> = Vec::new();
    for (begin, end) in windows(values.len(), window) {
        bisect(&values[begin..end], begin, level, &mut seen);
    }
    seen.sort_by(|a, b| a.p.total_cmp(&b.p).then(a.at.cmp(&b.at)));
    let mut found: Vec<Split> = Vec::new();
    for split in seen {
        if found.iter().all(|known| known.at.abs_diff(split.at) >= LEAST_SEGMENT) {
            found.push(split);
        }
    }
    found.sort_by_key(|split| split.at);
    found
}

/// Begins and ends of the windows over `count` values.
pub(super) fn windows(count: usize, window: usize) -> Vec<(usize, usize)> {
    let window = window.max(2 * LEAST_SEGMENT);
    if count <= window {
        return vec![(0, count)];
    }
    let step = (window / 2).max(1);
    let mut begins: Vec<usize> = (0..count - window).step_by(step).collect();
    // The newest values have a whole window as well.
    begins.push(count - window);
    begins.into_iter().map(|begin| (begin, begin + window)).collect()
}

/// Which values behind a split it is judged by.
#[derive(Debug, Clone, Copy)]
enum Behind {
    /// All: for a level that stays, the surest.
    All,
    /// Those up to where the parts are furthest apart: a level that was taken back would hide the step to it.
    Nearest,
}

/// Splits of one piece, and of its parts.
fn bisect(values: &[f64], offset: usize, level: f64, found: &mut Vec<Split>) {
    let distances = Distances::of(values);
    // Two ways of looking share the probability of a false alarm.
    let look = |behind: Behind| {
        let (at, apart) = distances.best_split(&distances.in_order(), behind)?;
        let p = 2.0 * distances.chance(apart, behind, level / 2.0);
        (p <= level).then_some((at, p))
    };
    let Some((at, p)) = look(Behind::All).or_else(|| look(Behind::Nearest)) else { return };
    bisect(&values[..at], offset, level, found);
    found.push(Split { at: offset + at, p });
    bisect(&values[at..], offset + at, level, found);
}

/// Distances between all values of a piece.
struct Distances {
    count: usize,
    between: Vec<f64>,
}

impl Distances {
    fn of(values: &[f64]) -> Self {
        let between = values.iter().flat_map(|a| values.iter().map(move |b| (a - b).abs())).collect();
        Distances { count: values.len(), between }
    }

    fn in_order(&self) -> Vec<usize> {
        (0..self.count).collect()
    }

    /// Where the values in this order are furthest apart, and how far: the largest of
    /// Q = nm/(n+m) · (2·mean|x−y| − mean|x−x′| − mean|y−y′|) over the first n values and the m that follow them. `None` of
    /// too few values, or of equal ones.
    fn best_split(&self, order: &[usize], behind: Behind) -> Option<(usize, f64)> {
        let count = order.len();
        let sums = self.sums(order);
        // The distances between values from..to and from2..to2, each pair twice where the two are the same.
        let block = |(from, to): (usize, usize), (from2, to2): (usize, usize)| {
            let at = |row: usize, column: usize| sums[row * (count + 1) + column];
            at(to, to2) - at(from, to2) - at(to, from2) + at(from, from2)
        };
        let mut best: Option<(usize, f64)> = None;
        for at in LEAST_SEGMENT..(count + 1).saturating_sub(LEAST_SEGMENT) {
            let n = at as f64;
            let within = block((0, at), (0, at)) / (n * (n - 1.0));
            let nearest = match behind {
                Behind::All => count,
                Behind::Nearest => at + LEAST_SEGMENT,
            };
            for end in nearest..=count {
                let m = (end - at) as f64;
                let across = block((0, at), (at, end)) / (n * m);
                let apart = 2.0 * across - within - block((at, end), (at, end)) / (m * (m - 1.0));
                let apart = n * m / (n + m) * apart;
                if best.is_none_or(|(_, most)| apart > most) {
                    best = Some((at, apart));
                }
            }
        }
        // Sums of differences that should cancel leave their last digits.
        best.filter(|(_, apart)| *apart > 1e-12 * sums.last().copied().unwrap_or(0.0))
    }

    /// Sums of the distances in this order over everything before a row and a column.
    fn sums(&self, order: &[usize]) -> Vec<f64> {
        let width = order.len() + 1;
        let mut sums = vec![0.0; width * width];
        for (row, index) in order.iter().enumerate() {
            let distances = &self.between[index * self.count..][..self.count];
            let mut along = 0.0;
            for (column, other) in order.iter().enumerate() {
                along += distances[*other];
                sums[(row + 1) * width + column + 1] = sums[row * width + column + 1] + along;
            }
        }
        sums
    }

    /// The probability that values in a random order are as far apart at their best split: (1 + as far) ÷ (1 + draws). It is
    /// given up once it is clear that it is above `level` (Besag & Clifford, Biometrika 78, 1991).
    fn chance(&self, apart: f64, behind: Behind, level: f64) -> f64 {
        let draws = (DRAWS / level).ceil() as usize;
        let enough = DRAWS as usize;
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let mut order = self.in_order();
        let mut as_far = 0;
        for drawn in 1..=draws {
            order.shuffle(&mut random);
            // Sums in another order differ in their last digits.
            let close = apart * (1.0 - 1e-9);
            as_far += usize::from(self.best_split(&order, behind).is_some_and(|(_, other)| other >= close));
            if as_far > enough {
                return (1 + as_far) as f64 / (1 + drawn) as f64;
            }
        }
        (1 + as_far) as f64 / (1 + draws) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_distance_by_hand() {
        // Parts {0, 0, 1} and {4, 4, 5}: across 36/9, within 2/3 each, so Q = 9/6 · (8 − 4/3) = 10.
        let values = [0.0, 0.0, 1.0, 4.0, 4.0, 5.0];
        let best = |values: &[f64], behind| {
            let distances = Distances::of(values);
            distances.best_split(&distances.in_order(), behind)
        };
        let (at, apart) = best(&values, Behind::All).unwrap();
        assert_eq!(at, 3);
        assert!((apart - 10.0).abs() < 1e-12, "{apart}");
        assert_eq!(best(&[1.0; 8], Behind::All), None, "nothing is apart");
        assert_eq!(best(&values[..5], Behind::Nearest), None, "too few for two parts");
        // Three that follow lie at the first level again: they take from one, and not from the other.
        let back = [0.0, 0.0, 1.0, 4.0, 4.0, 5.0, 0.0, 1.0, 0.0];
        let (at, apart) = best(&back, Behind::Nearest).unwrap();
        assert!(at == 3 && (apart - 10.0).abs() < 1e-12, "{at} {apart}");
        assert!(best(&back, Behind::All).unwrap().1 < 5.0);
    }

    #[test]
    fn windows_overlap_and_reach_the_end() {
        assert_eq!(windows(10, 50), [(0, 10)]);
        assert_eq!(windows(110, 50), [(0, 50), (25, 75), (50, 100), (60, 110)]);
        assert_eq!(windows(100, 50), [(0, 50), (25, 75), (50, 100)]);
    }
}
