//! What a forward pass costs: floating-point operations, bytes moved, memory held. All counts saturate.
//!
//! A multiply-add counts as two operations. Norms, activations, softmax and rotations are left out: they are under
//! one percent of a transformer's operations, and no limit is stated in them.

use coldstart_kernels::{Dtype, flops};

use super::config::{DecoderConfig, EncoderConfig};

impl DecoderConfig {
    /// Operations of one token in all projections of all layers, without attention and the output projection.
    fn projection_flops(&self, tokens: usize) -> u64 {
        let qkv = flops::linear(tokens, self.q_width() + 2 * self.kv_width(), self.hidden);
        let output = flops::linear(tokens, self.hidden, self.q_width());
        let mlp = flops::linear(tokens, self.intermediate, self.hidden).saturating_mul(3);
        qkv.saturating_add(output).saturating_add(mlp).saturating_mul(self.layers as u64)
    }

    /// Operations of attention in all layers for `new` tokens of one sequence after `past` others.
    fn attention_flops(&self, past: usize, new: usize) -> u64 {
        let per_pair = (self.q_width() as u64).saturating_mul(4);
        let pairs = self.windows.iter().map(|window| attended(past, new, *window));
        pairs.fold(0u64, u64::saturating_add).saturating_mul(per_pair)
    }

    /// Operations of a prefill of sequences of these lengths; the output projection runs for the last token of each.
    pub fn prefill_flops(&self, lengths: impl IntoIterator<Item = usize>) -> u64 {
        let mut total = 0u64;
        for length in lengths {
            total = total
                .saturating_add(self.projection_flops(length))
                .saturating_add(self.attention_flops(0, length))
                .saturating_add(flops::linear(1, self.vocab, self.hidden));
        }
        total
    }

    /// Operations of a decode step of `sequences` sequences whose new token is the last of `context` positions.
    pub fn decode_flops(&self, sequences: usize, context: usize) -> u64 {
        let one = self
            .projection_flops(1)
            .saturating_add(self.attention_flops(context.saturating_sub(1), 1))
            .saturating_add(flops::linear(1, self.vocab, self.hidden));
        one.saturating_mul(sequences as u64)
    }

    /// Bytes of the KV cache for `sequences` sequences of `context` positions: KV(n, ctx) =
    /// 2 · layers · kv_heads · head_dim · ctx · n · bytes of a number. A sliding window does not make it smaller here.
    pub fn kv_bytes(&self, sequences: usize, context: usize, dtype: Dtype) -> u64 {
        let position = (self.kv_width() as u64) * 2 * dtype.size() as u64;
        position
            .saturating_mul(self.layers as u64)
            .saturating_mul(context as u64)
            .saturating_mul(sequences as u64)
    }

    /// Bytes of keys and values that a decode step at `context` positions reads and writes.
    pub(super) fn kv_traffic(&self, sequences: usize, context: usize, dtype: Dtype) -> u64 {
        let position = (self.kv_width() as u64) * 2 * dtype.size() as u64;
        let read = self.windows.iter().map(|window| attended(context.saturating_sub(1), 1, *window));
        let positions = read.fold(self.layers as u64, u64::saturating_add); // one position a layer is written
        positions.saturating_mul(position).saturating_mul(sequences as u64)
    }
}

impl EncoderConfig {
    /// Operations of encoding sequences of these lengths, without the pooler.
    pub fn encode_flops(&self, lengths: impl IntoIterator<Item = usize>) -> u64 {
        let mut total = 0u64;
        for length in lengths {
            let attention = flops::linear(length, self.hidden, self.hidden).saturating_mul(4);
            let mlp = flops::linear(length, self.intermediate, self.hidden).saturating_mul(2);
            let layer = attention.saturating_add(mlp).saturating_add(flops::full_attention(
                self.heads,
                self.head_dim(),
                length,
            ));
            total = total.saturating_add(layer.saturating_mul(self.layers as u64));
        }
        total
    }
}

/// Pairs of a query and a position that it sees, for `new` tokens after `past` others: the token at position p sees
/// `min(p + 1, window)`.
fn attended(past: usize, new: usize, window: Option<usize>) -> u64 {
    let (past, new) = (past as u64, new as u64);
    // The sum of 1..=n, without a product that overflows before it is halved.
    let triangle = |n: u64| (u128::from(n) * (u128::from(n) + 1) / 2).min(u128::from(u64::MAX)) as u64;
    let end = past.saturating_add(new);
    let Some(window) = window.map(|w| w as u64).filter(|w| *w < end) else {
        return triangle(end).saturating_sub(triangle(past));
    };
    let growing = triangle(window).saturating_sub(triangle(past.min(window)));
    let full = (end - past.max(window)).saturating_mul(window);
    growing.saturating_add(full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::{Activation, DecoderFamily};
    use crate::model::rope::{Rope, RopeScaling};

    fn decoder(windows: Vec<Option<usize>>) -> DecoderConfig {
        DecoderConfig {
            family: DecoderFamily::Llama,
            hidden: 10,
            layers: windows.len(),
            heads: 4,
            kv_heads: 2,
            head_dim: 6,
            intermediate: 20,
            vocab: 100,
            max_positions: 64,
            norm_eps: 1e-6,
            rope: Rope { theta: 1e4, scaling: RopeScaling::Default },
            tied: false,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            qk_norm: false,
            windows,
        }
    }

    #[test]
    fn attended_counts_what_a_loop_counts() {
        for past in 0..7 {
            for new in 0..7 {
                for window in [None, Some(1), Some(3), Some(100)] {
                    let looped: usize =
                        (past..past + new).map(|p| (p + 1).min(window.unwrap_or(usize::MAX))).sum();
                    assert_eq!(attended(past, new, window), looped as u64, "{past} {new} {window:?}");
                }
            }
        }
        assert_eq!(attended(0, usize::MAX, None), u64::MAX);
    }

    #[test]
    fn without_a_window_attention_agrees_with_the_kernels_count() {
        let config = decoder(vec![None]);
        assert_eq!(config.attention_flops(3, 5), flops::causal_attention(4, 6, 3, 5));
    }

    #[test]
    fn decoder_counts() {
        let config = decoder(vec![None, Some(2)]);
        // Per layer and token: q 24, k and v 12 each, from 10; o 10 from 24; three MLP products of 10 × 20.
        let projections = 2 * 2 * (48 * 10 + 10 * 24 + 3 * 10 * 20);
        let head = 2 * 10 * 100;
        // Three tokens see 1+2+3 positions in the first layer and 1+2+2 in the second.
        let prefill = 3 * projections + 4 * 24 * (6 + 5) + head;
        assert_eq!(config.prefill_flops([3]), prefill);
        assert_eq!(config.prefill_flops([3, 3]), 2 * prefill);
        // The fourth token sees 4 and 2.
        assert_eq!(config.decode_flops(5, 4), 5 * (projections + 4 * 24 * (4 + 2) + head));
        // Two layers, keys and values of 12 numbers, 7 positions, 3 sequences.
        assert_eq!(config.kv_bytes(3, 7, Dtype::F16), 2 * 2 * 12 * 2 * 7 * 3);
        // Reads 4 and 2 positions, writes one in each layer.
        assert_eq!(config.kv_traffic(1, 4, Dtype::F32), (4 + 2 + 2) * 2 * 12 * 4);
        assert_eq!(config.kv_bytes(usize::MAX, usize::MAX, Dtype::F32), u64::MAX);
    }

    #[test]
    fn encoder_counts() {
        let config = EncoderConfig {
            hidden: 8,
            layers: 2,
            heads: 2,
            intermediate: 32,
            vocab: 100,
            max_positions: 64,
            type_vocab: 2,
            norm_eps: 1e-12,
            activation: Activation::Gelu,
        };
        let layer = 3 * 2 * (4 * 8 * 8 + 2 * 8 * 32) + 4 * 8 * 9;
        assert_eq!(config.encode_flops([3]), 2 * layer);
    }
}
