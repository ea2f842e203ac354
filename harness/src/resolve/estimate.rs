//! What steps are going to take, from a quick look at the machine. Estimates only share out time: no result rests on them.

use coldstart_profiles::{Bytes, ForwardMode, Nanos, Probe};

/// What a forward pass costs, as far as estimates need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardFacts {
    /// Whether it turns texts into vectors; otherwise it generates tokens.
    pub encoder: bool,
    /// The longest sequence that it takes, in tokens.
    pub max_tokens: u32,
    /// Operations for each token of a prompt.
    pub flops_per_token: u64,
    /// Operations for each sequence besides: the projection of its last token onto the vocabulary.
    pub flops_per_sequence: u64,
    /// Bytes of the weights.
    pub weight_bytes: u64,
    /// Bytes of the KV cache for each token.
    pub kv_bytes_per_token: u64,
}

impl ForwardFacts {
    /// Time of one forward pass: the longer of its operations and its bytes at the probed rates, with a margin for
    /// attention, norms and the rest.
    pub(super) fn iteration(&self, mode: ForwardMode, batch: u32, tokens: u32, probe: &Probe) -> Nanos {
        let (batch, tokens) = (f64::from(batch), f64::from(tokens));
        let (computed, cached) = match mode {
            ForwardMode::Prefill | ForwardMode::Encode => (batch * tokens, 0.0),
            ForwardMode::Decode => (batch, batch * tokens),
        };
        let flops = computed * self.flops_per_token as f64 + batch * self.flops_per_sequence as f64;
        let bytes = self.weight_bytes as f64 + cached * self.kv_bytes_per_token as f64;
        // A GPU's copies count both ways; a pass only reads.
        let memory =
            probe.device.as_ref().map_or(probe.memcpy_bytes_per_s, |device| device.memory_bytes_per_s);
        let seconds = (flops / probe.gemm_flops_per_s).max(bytes / memory);
        Nanos::from_nanos_f64(seconds * MARGIN * 1e9 + 100_000.0)
    }
}

/// Achieved rates stay below the probed ones by about this factor.
const MARGIN: f64 = 1.4;

/// Starting a child, until it opens its files.
pub(super) const PROCESS: Nanos = Nanos::from_millis(30);

/// Creating, starting and removing a container.
pub(super) const CONTAINER: Nanos = Nanos::from_millis(600);

/// Time to move bytes at a rate.
pub(super) fn at(bytes: Bytes, per_second: f64) -> Nanos {
    Nanos::from_nanos_f64(bytes.get() as f64 / per_second.max(1.0) * 1e9)
}

/// Time of a synthetic pull: building and compressing the layers before the clock, and the engine's inflating and
/// writing them behind it. Rates of one core for gzip; zstd is faster.
pub(super) fn synthetic_pull(size: Bytes) -> Nanos {
    const BUILD: f64 = 100e6;
    const UNPACK: f64 = 80e6;
    Nanos::from_millis(200).saturating_add(at(size, BUILD)).saturating_add(at(size, UNPACK))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::resolve) const PROBE: Probe =
        Probe { memcpy_bytes_per_s: 10e9, gemm_flops_per_s: 100e9, read_bytes_per_s: 2e9, device: None };

    #[test]
    fn the_longer_of_compute_and_memory_counts() {
        let facts = ForwardFacts {
            encoder: false,
            max_tokens: 1024,
            flops_per_token: 1_000_000,
            flops_per_sequence: 0,
            weight_bytes: 100_000_000,
            kv_bytes_per_token: 0,
        };
        let decode = facts.iteration(ForwardMode::Decode, 1, 100, &PROBE);
        assert_eq!(decode, facts.iteration(ForwardMode::Decode, 2, 100, &PROBE), "bound by memory");
        let long = facts.iteration(ForwardMode::Prefill, 4, 1000, &PROBE);
        assert!(long > facts.iteration(ForwardMode::Prefill, 2, 1000, &PROBE), "bound by compute");
    }
}
