//! Curves of known shape for tests and examples: noise, spikes, warm-ups, clocks. All seeded by the caller.
//!
//! An example includes this file by its path, so it names nothing but what both crate roots have.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::Nanos;

/// A standard normal draw (Box & Muller 1958).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// Factors around 1: exp of an autoregressive series with the given lag-1 correlation and standard deviation.
/// `rho = 0` gives independent noise.
pub(crate) fn ar1(rng: &mut ChaCha8Rng, n: usize, rho: f64, sd: f64) -> Vec<f64> {
    let innovation = (1.0 - rho * rho).sqrt();
    let mut state = normal(rng);
    (0..n)
        .map(|_| {
            let factor = (sd * state).exp();
            state = rho * state + innovation * normal(rng);
            factor
        })
        .collect()
}

/// Multiplies a fraction of the values, chosen at random, by 1.5 to 5: interrupts, page faults, neighbours.
pub(crate) fn spike(rng: &mut ChaCha8Rng, values: &mut [f64], fraction: f64) {
    for value in values {
        if rng.random::<f64>() < fraction {
            *value *= rng.random_range(1.5..5.0);
        }
    }
}

/// Multiplies each value by a function of its index.
pub(crate) fn shape(values: &mut [f64], factor: impl Fn(usize) -> f64) {
    for (index, value) in values.iter_mut().enumerate() {
        *value *= factor(index);
    }
}

/// Values as readings with the given unit, in nanoseconds.
pub(crate) fn to_nanos(values: &[f64], unit_ns: f64) -> Vec<Nanos> {
    values.iter().map(|value| Nanos::from_nanos_f64(value * unit_ns)).collect()
}

/// Readings of a clock that only shows multiples of `tick`.
pub(crate) fn quantise(readings: &mut [Nanos], tick: Nanos) {
    let tick = tick.as_nanos();
    for reading in readings {
        *reading = Nanos::from_nanos((reading.as_nanos() + tick / 2) / tick * tick);
    }
}
