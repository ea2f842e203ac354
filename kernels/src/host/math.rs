//! Functions of single numbers, written so that a loop over them becomes vector code, and sums over slices.

use super::simd::Simd;

/// eˣ to 2 ulp between −87.3 and 88; 0 below, about 1.7·10³⁸ above. Range reduction and polynomial of Cephes' `expf`
/// (Moshier); the nearest integer comes from adding 1.5·2²³, whose low bits then hold it.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.0);
    let shifted = simd.fma1(clamped, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = simd.fma1(n, -0.693_359_4, clamped);
    let r = simd.fma1(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = simd.fma1(p, r, c);
    }
    let p = simd.fma1(p, r * r, r) + 1.0;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3F80_0000));
    if x < -87.3 { 0.0 } else { p * scale }
}

/// x/(1 + e⁻ˣ)
#[inline(always)]
pub(super) fn silu<S: Simd>(simd: S, x: f32) -> f32 {
    x / (1.0 + exp(simd, -x))
}

/// tanh x to a few ulp: the rational minimax approximation of Eigen (`generic_fast_tanh_float`).
#[inline(always)]
pub(super) fn tanh<S: Simd>(simd: S, x: f32) -> f32 {
    let x = x.clamp(-7.905_311, 7.905_311);
    let x2 = x * x;
    let mut p = -2.760_768_5e-16;
    for c in [2.000_188e-13, -8.604_672e-11, 5.122_297_1e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3] {
        p = simd.fma1(p, x2, c);
    }
    let mut q = 1.198_258_4e-6;
    for c in [1.185_347e-4, 2.268_434_6e-3, 4.893_525e-3] {
        q = simd.fma1(q, x2, c);
    }
    x * p / q
}

/// erf x to a few ulp: the rational minimax approximation of Eigen (`generic_fast_erf_float`).
#[inline(always)]
pub(super) fn erf<S: Simd>(simd: S, x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let x2 = x * x;
    let mut p = -2.726_142_3e-10;
    for c in [2.770_681_4e-8, -2.101_024e-6, -5.692_506_4e-5, -7.349_906_3e-4, -2.954_6e-3, -1.609_603_3e-2] {
        p = simd.fma1(p, x2, c);
    }
    let mut q = -1.456_607_2e-5;
    for c in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2] {
        q = simd.fma1(q, x2, c);
    }
    x * p / q
}

/// The lanes that sums over slices run in, whatever the vector: they keep the order of the additions.
const LANES: usize = 16;

/// Σ f(x), in 16 interleaved sums.
#[inline(always)]
pub(super) fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (vectors, tail) = x.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for vector in vectors {
        for (sum, x) in sums.iter_mut().zip(vector) {
            *sum += f(*x);
        }
    }
    for (sum, x) in sums.iter_mut().zip(tail) {
        *sum += f(*x);
    }
    sums.iter().sum()
}

/// The largest number that is not NaN; −∞ of none.
#[inline(always)]
pub(super) fn max(x: &[f32]) -> f32 {
    let (vectors, tail) = x.as_chunks::<LANES>();
    let mut largest = [f32::NEG_INFINITY; LANES];
    for vector in vectors {
        for (max, x) in largest.iter_mut().zip(vector) {
            *max = if *x > *max { *x } else { *max };
        }
    }
    for (max, x) in largest.iter_mut().zip(tail) {
        *max = if *x > *max { *x } else { *max };
    }
    largest.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b))
}

#[cfg(test)]
mod tests {
    use super::super::simd::{Isa, Kernel};
    use super::*;

    struct Apply<'a>(&'a str, f32);
    impl Kernel for Apply<'_> {
        type Output = f32;
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f32 {
            match self.0 {
                "exp" => exp(simd, self.1),
                "silu" => silu(simd, self.1),
                "tanh" => tanh(simd, self.1),
                _ => erf(simd, self.1),
            }
        }
    }

    /// Σ of the Maclaurin series; exact to 1e-10 for |x| ≤ 4 in f64.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn functions_are_right_to_a_few_ulp() {
        for isa in Isa::all() {
            for step in -8000..=8000 {
                let x = step as f32 / 1000.0;
                let wide = f64::from(x);
                for (name, expected, tolerance) in [
                    ("exp", wide.exp(), 3e-7),
                    ("silu", wide / (1.0 + (-wide).exp()), 5e-7),
                    ("tanh", wide.tanh(), 5e-7),
                    ("erf", if x.abs() < 4.0 { erf_series(wide) } else { wide.signum() }, 5e-7),
                ] {
                    let found = f64::from(isa.dispatch(Apply(name, x)));
                    let off = (found - expected).abs() / expected.abs().max(1e-30);
                    assert!(
                        off < tolerance || expected == found,
                        "{name}({x}) = {found}, not {expected} ({isa:?})"
                    );
                }
            }
        }
    }

    #[test]
    fn extremes_stay_finite_or_vanish() {
        for isa in Isa::all() {
            assert_eq!(isa.dispatch(Apply("exp", f32::NEG_INFINITY)), 0.0);
            assert_eq!(isa.dispatch(Apply("exp", -100.0)), 0.0);
            assert_eq!(isa.dispatch(Apply("exp", 0.0)), 1.0);
            assert!(isa.dispatch(Apply("exp", 1000.0)).is_finite());
            assert!(isa.dispatch(Apply("silu", -1000.0)).abs() < 1e-30);
            assert_eq!(isa.dispatch(Apply("silu", 1000.0)), 1000.0);
            assert!((isa.dispatch(Apply("tanh", 50.0)) - 1.0).abs() < 1e-6);
            assert!(isa.dispatch(Apply("exp", f32::NAN)).is_nan());
        }
    }

    #[test]
    fn sums_and_maxima_take_every_element() {
        for len in 0..50 {
            let x: Vec<f32> = (0..len).map(|i| (i * 7 % 13) as f32).collect();
            assert_eq!(sum(&x, |x| 2.0 * x), 2.0 * x.iter().sum::<f32>());
            assert_eq!(max(&x), x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
        assert_eq!(max(&[f32::NAN, -1.0]), -1.0);
    }
}
