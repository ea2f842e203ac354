//! Random numbers.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;

/// Evenly from [0, 1): the upper 53 bits.
pub(crate) fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
