//! A 64-bit position-sensitive checksum and a test pattern, defined to the bit for every device.
//!
//! The bytes are read as little-endian 64-bit words, the last padded with zeros, numbered from 0. The checksum is the
//! wrapping sum of [`mix`] over them:
//!
//! ```text
//! t = word XOR (index + 1)·0x9E3779B97F4A7C15        (mod 2⁶⁴)
//! mix(word, index) = low32(t)·high32(t) + t           (mod 2⁶⁴)
//! ```
//!
//! A sum can be taken in any order and by any number of threads, and pieces add up when each starts at a multiple of
//! eight bytes and counts on from its own first index. One 32 × 32-bit product and two additions a word keep it near
//! the bandwidth of memory on vector units without a 64-bit product; the product is the one of NH (Black et al.,
//! UMAC, CRYPTO 1999), the added `t` keeps a change from vanishing behind a zero factor: a change that stays within one
//! half of a word always shows. It finds what a loader gets wrong (torn, swapped, shifted, missing pieces); it is not
//! made to resist somebody who wants to fool it. The length is not part of it: compare it beside.

/// What the key grows by from word to word: 2⁶⁴ ÷ the golden ratio.
pub const KEY_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// What one word contributes to the checksum.
#[inline]
pub const fn mix(word: u64, index: u64) -> u64 {
    let t = word ^ index.wrapping_add(1).wrapping_mul(KEY_STEP);
    (t & 0xFFFF_FFFF).wrapping_mul(t >> 32).wrapping_add(t)
}

/// The checksum of `bytes`, on the calling thread.
pub fn of(bytes: &[u8]) -> u64 {
    at(bytes, 0)
}

/// What `bytes` contribute to the checksum of a longer stretch in which they start at word `first`, that is at byte
/// 8·`first`. Only the last piece may have a length that is no multiple of eight.
pub fn at(bytes: &[u8], first: u64) -> u64 {
    sum(bytes, first)
}

/// [`at`], to be compiled into the function that calls it, with that function's vector instructions.
#[inline(always)]
pub(crate) fn sum(bytes: &[u8], first: u64) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut key = first.wrapping_mul(KEY_STEP);
    let mut sum = 0u64;
    for word in words {
        key = key.wrapping_add(KEY_STEP);
        let t = u64::from_le_bytes(*word) ^ key;
        sum = sum.wrapping_add((t & 0xFFFF_FFFF).wrapping_mul(t >> 32).wrapping_add(t));
    }
    if !tail.is_empty() {
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        sum = sum.wrapping_add(mix(u64::from_le_bytes(last), first.wrapping_add(words.len() as u64)));
    }
    sum
}

/// Word `index` of the test pattern of `seed`: the SplitMix64 output (Steele et al., OOPSLA 2014) of the state
/// `seed + (index + 1)·KEY_STEP`.
#[inline]
pub const fn pattern(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(KEY_STEP));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Number `index` of the uniform numbers of `seed` in [−bound, bound): the upper 24 bits of [`pattern`] as a fraction of
/// 2²⁴, doubled, less one, times `bound`. Each step but the last is exact in f32.
#[inline]
pub const fn uniform(seed: u64, index: u64, bound: f32) -> f32 {
    let fraction = (pattern(seed, index) >> 40) as f32 / 16_777_216.0;
    (2.0 * fraction - 1.0) * bound
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word.
    fn by_definition(bytes: &[u8]) -> u64 {
        bytes.chunks(8).enumerate().fold(0, |sum: u64, (index, chunk)| {
            let word = chunk.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
            sum.wrapping_add(mix(word, index as u64))
        })
    }

    #[test]
    fn values_are_fixed_for_ever() {
        // Worked out by hand from the formula (Python integers), so that no device can drift.
        assert_eq!(of(b""), 0);
        assert_eq!(mix(0, 0), 0x9E37_79B9_u64 * 0x7F4A_7C15 + 0x9E37_79B9_7F4A_7C15);
        assert_eq!(of(b"abc"), mix(0x63_6261, 0));
        assert_eq!(of(&[0; 8]), of(&[0; 3]));
        assert_eq!(pattern(0, 0), 0xE220_A839_7B1D_CDAF, "first output of SplitMix64 from state 0");
    }

    proptest! {
        #[test]
        fn sums_follow_the_definition(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(of(&bytes), by_definition(&bytes));
        }

        #[test]
        fn pieces_add_up(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..40) {
            let cut = (cut * 8).min(bytes.len() / 8 * 8);
            let (head, tail) = bytes.split_at(cut);
            prop_assert_eq!(of(head).wrapping_add(at(tail, cut as u64 / 8)), of(&bytes));
        }

        #[test]
        fn a_changed_half_word_always_shows(
            bytes in proptest::collection::vec(any::<u8>(), 8..300), place in any::<prop::sample::Index>(), to in any::<u8>(),
        ) {
            let mut other = bytes.clone();
            other[place.index(bytes.len())] = to;
            prop_assert_eq!(of(&bytes) == of(&other), bytes == other);
        }

        #[test]
        fn swapped_words_show(words in proptest::collection::vec(any::<u64>(), 2..40), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
            let mut other = words.clone();
            other.swap(a.index(words.len()), b.index(words.len()));
            prop_assert_eq!(of(bytemuck::cast_slice(&words)) == of(bytemuck::cast_slice(&other)), words == other);
        }

        #[test]
        fn uniform_numbers_stay_inside(seed in any::<u64>(), index in any::<u64>()) {
            let x = uniform(seed, index, 0.5);
            prop_assert!((-0.5..0.5).contains(&x));
        }
    }
}
