//! Poisson arrivals.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::trace::{Arrival, Sizes};
use crate::draws::unit;

/// Endless Poisson arrivals at a rate, the same for the same seed.
#[derive(Debug, Clone)]
pub struct Poisson<'a> {
    mean_ns: f64,
    sizes: Sizes<'a>,
    time_ns: f64,
    rng: ChaCha8Rng,
}

impl<'a> Poisson<'a> {
    /// At `rate_per_s` requests a second, which is above zero.
    pub fn new(rate_per_s: f64, sizes: Sizes<'a>, seed: u64) -> Self {
        Poisson { mean_ns: 1e9 / rate_per_s, sizes, time_ns: 0.0, rng: ChaCha8Rng::seed_from_u64(seed) }
    }
}

impl Iterator for Poisson<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        self.time_ns -= (-unit(&mut self.rng)).ln_1p() * self.mean_ns;
        let size = match self.sizes {
            Sizes::One(size) => size,
            Sizes::Of(trace) => {
                let at = (unit(&mut self.rng) * trace.len() as f64) as usize;
                trace.arrivals()[at.min(trace.len() - 1)].size()
            }
        };
        Some(Arrival { time_ns: self.time_ns as u64, tokens_in: size.tokens_in, tokens_out: size.tokens_out })
    }
}

/// Keeps arrivals with a given chance (Lewis & Shedler 1979): Poisson arrivals of a rate that changes.
pub(super) struct Thinning(ChaCha8Rng);

impl Thinning {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        Thinning(rng)
    }

    pub(super) fn keep(&mut self, chance: f64) -> bool {
        unit(&mut self.0) < chance
    }
}
