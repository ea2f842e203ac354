//! One replica at work.

use std::collections::VecDeque;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::recorder::Recorder;
use crate::draws::unit;
use crate::traffic::Arrival;

/// What one ready replica does with requests. The cluster calls it when something ended or something came.
pub(super) trait Server {
    /// The service model.
    type Model;
    /// Whether answers come token by token.
    const TOKENS: bool;

    /// A replica without work.
    fn idle() -> Self;

    /// Whether a replica can hold this request at all.
    fn admits(model: &Self::Model, arrival: Arrival) -> bool;

    /// How many requests it works on.
    fn running(&self) -> usize;

    /// Which part of its room for requests is taken: of memory for keys and values, or of the largest batch.
    fn fullness(&self, model: &Self::Model) -> f64;

    /// Ends what ends at `now`, takes from the queue what it can, and says when it is to be called again; none when idle.
    fn advance(
        &mut self,
        model: &Self::Model,
        now: u64,
        queue: &mut VecDeque<Arrival>,
        draws: &mut Draws,
        recorder: &mut Recorder,
    ) -> Option<u64>;

    /// A request waits since `now`: the earlier time at which it is to be called, if there is one.
    fn interrupt(&mut self, model: &Self::Model, arrival: Arrival, now: u64) -> Option<u64>;
}

/// The chances of one simulation.
#[derive(Debug)]
pub(super) struct Draws(ChaCha8Rng);

impl Draws {
    /// Dispatch and service times.
    pub(super) fn new(seed: u64) -> Self {
        Draws::stream(seed, 2)
    }

    /// Cold starts, and when clocks begin: apart, so that policies are compared on equal chances.
    pub(super) fn of_starts(seed: u64) -> Self {
        Draws::stream(seed, 3)
    }

    /// Arrivals of the same seed come from streams 0 and 1.
    fn stream(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Draws(rng)
    }

    /// Evenly from [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        unit(&mut self.0)
    }

    /// Evenly from 0..n, for n ≥ 1.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }
}
