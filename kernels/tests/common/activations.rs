//! Activations as their formulas say, in f64: what devices are held against.

use super::Activation;

/// A function of one number.
pub(crate) type Function = fn(f64) -> f64;

/// Each activation with its formula.
pub(crate) const FORMULAS: [(Activation, Function); 5] = [
    (Activation::Silu, |x| x / (1.0 + (-x).exp())),
    (Activation::Relu, |x| x.max(0.0)),
    (Activation::Tanh, f64::tanh),
    (Activation::GeluTanh, |x| {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
    }),
    // erf by its derivative, Simpson's rule on 2000 steps.
    (Activation::GeluErf, |x| {
        let (n, z) = (2000, x / std::f64::consts::SQRT_2);
        let f = |i: usize| (-(z * i as f64 / n as f64).powi(2)).exp();
        let inner: f64 = (1..n).map(|i| f(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        let erf = 2.0 / std::f64::consts::PI.sqrt() * z / n as f64 / 3.0 * (f(0) + inner + f(n));
        0.5 * x * (1.0 + erf)
    }),
];
