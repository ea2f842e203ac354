//! Floating-point operations of the operations, for rates; a multiply-add counts as two.

/// `y[m, n] = x[m, k] · w[n, k]ᵀ`: 2·m·n·k. Saturates.
pub const fn linear(m: usize, n: usize, k: usize) -> u64 {
    (m as u64).saturating_mul(n as u64).saturating_mul(k as u64).saturating_mul(2)
}

/// Causal attention of `new` tokens after `past` others, in one layer: each new token at position p takes 2·(p + 1)
/// multiply-adds per query head and head dimension (scores and weighted values). Saturates.
pub const fn causal_attention(query_heads: usize, head_dim: usize, past: usize, new: usize) -> u64 {
    let (past, new) = (past as u64, new as u64);
    let attended = new.saturating_mul(past).saturating_add(new.saturating_mul(new + 1) / 2);
    attended.saturating_mul((query_heads as u64).saturating_mul(head_dim as u64)).saturating_mul(4)
}

/// Bidirectional attention among `tokens` of one sequence, in one layer. Saturates.
pub const fn full_attention(query_heads: usize, head_dim: usize, tokens: usize) -> u64 {
    let pairs = (tokens as u64).saturating_mul(tokens as u64);
    pairs.saturating_mul((query_heads as u64).saturating_mul(head_dim as u64)).saturating_mul(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_loops() {
        assert_eq!(linear(2, 3, 5), 60);
        assert_eq!(linear(usize::MAX, 2, 1), u64::MAX);
        // Two new tokens after one: they attend to 2 and 3 positions.
        assert_eq!(causal_attention(4, 8, 1, 2), 4 * 4 * 8 * 5);
        assert_eq!(causal_attention(1, 1, 9, 1), 4 * 10);
        assert_eq!(full_attention(4, 8, 3), 4 * 4 * 8 * 9);
    }
}
