//! The analyser on curves of known truth.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::curves::{ar1, quantise, shape, spike, to_nanos};
use super::{WarmUpAnalysis, WarmUpClass, analyse};
use crate::units::Nanos;

/// One unit of all curves: 1 ms.
const UNIT_NS: f64 = 1e6;
/// The clock of all curves.
const TICK: Nanos = Nanos::from_nanos(30);
/// Draws of each curve; all are seeded, so counts do not vary between runs.
const DRAWS: u64 = 100;

/// Noise around a curve.
#[derive(Debug, Clone, Copy)]
struct Noise {
    rho: f64,
    sd: f64,
    spikes: f64,
}

const NOISES: [Noise; 4] = [
    Noise { rho: 0.0, sd: 0.01, spikes: 0.0 },
    Noise { rho: 0.0, sd: 0.02, spikes: 0.02 },
    Noise { rho: 0.7, sd: 0.01, spikes: 0.0 },
    Noise { rho: 0.7, sd: 0.02, spikes: 0.02 },
];

fn draw(seed: u64, n: usize, noise: Noise, factor: impl Fn(usize) -> f64) -> Vec<Nanos> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = ar1(&mut rng, n, noise.rho, noise.sd);
    spike(&mut rng, &mut values, noise.spikes);
    shape(&mut values, factor);
    to_nanos(&values, UNIT_NS)
}

/// Checks that at least `least` of 100 draws under every noise are of the class and pass the test of truth.
fn expect_class(
    class: WarmUpClass,
    least: usize,
    n: usize,
    factor: impl Fn(usize) -> f64 + Copy,
    truth: impl Fn(&WarmUpAnalysis, Noise) -> bool,
) {
    for noise in NOISES {
        let analyses: Vec<WarmUpAnalysis> =
            (0..DRAWS).map(|seed| analyse(&draw(seed, n, noise, factor), TICK)).collect();
        let right =
            analyses.iter().filter(|analysis| analysis.class == class && truth(analysis, noise)).count();
        let wrong = analyses.iter().find(|analysis| analysis.class != class || !truth(analysis, noise));
        assert!(right >= least, "{noise:?}: {right} of {DRAWS}, such as {wrong:?}");
    }
}

/// Whether the cost is within 10 % of the truth, give or take the noise of a few iterations. Spikes cost what they cost.
fn costs(analysis: &WarmUpAnalysis, noise: Noise, units: f64) -> bool {
    let slack = if noise.spikes > 0.0 { f64::INFINITY } else { 1.0 };
    analysis
        .warmup_cost_ns
        .is_some_and(|cost| (cost as f64 / UNIT_NS - units).abs() <= 0.1 * units.abs() + slack)
}

#[test]
fn stationary_series_are_flat() {
    // A spike on the first iteration cannot be told from a warm-up: 2 % of the spiked series.
    expect_class(WarmUpClass::Flat, 92, 300, |_| 1.0, |analysis, _| analysis.steady_start == Some(0));
}

#[test]
fn steps_down_are_warm_ups_with_their_cost() {
    let truth = |analysis: &WarmUpAnalysis, noise: Noise| {
        analysis.steady_start.is_some_and(|start| start.abs_diff(40) <= 2) && costs(analysis, noise, 20.0)
    };
    expect_class(WarmUpClass::Warmup, 90, 300, |i| if i < 40 { 1.5 } else { 1.0 }, truth);
}

#[test]
fn exponential_approaches_are_warm_ups_with_their_cost() {
    // Σ 2·exp(−i/15) = 31.0 units; 2 % above the steady level is reached at i = 69.
    let truth = |analysis: &WarmUpAnalysis, noise: Noise| {
        analysis.steady_start.is_some_and(|start| (25..=110).contains(&start)) && costs(analysis, noise, 31.0)
    };
    expect_class(WarmUpClass::Warmup, 90, 400, |i| 1.0 + 2.0 * (-(i as f64) / 15.0).exp(), truth);
}

#[test]
fn one_slow_first_iteration_is_a_warm_up_of_one() {
    // A spike on iteration 1 or 2 makes it a warm-up of three: 4 % of the spiked series.
    let truth = |analysis: &WarmUpAnalysis, noise: Noise| {
        analysis.steady_start == Some(1) && costs(analysis, noise, 9.0)
    };
    expect_class(WarmUpClass::Warmup, 84, 100, |i| if i == 0 { 10.0 } else { 1.0 }, truth);
}

#[test]
fn steps_up_are_slowdowns_of_negative_cost() {
    let truth = |analysis: &WarmUpAnalysis, noise: Noise| {
        analysis.steady_start.is_some_and(|start| start.abs_diff(100) <= 3) && costs(analysis, noise, -30.0)
    };
    expect_class(WarmUpClass::Slowdown, 90, 300, |i| if i < 100 { 1.0 } else { 1.3 }, truth);
}

#[test]
fn the_first_segment_names_the_class() {
    expect_class(WarmUpClass::Warmup, 90, 300, |i| [2.0, 0.7, 1.0][(i / 50).min(2)], |_, _| true);
    expect_class(WarmUpClass::Slowdown, 90, 300, |i| [0.7, 2.0, 1.0][(i / 50).min(2)], |_, _| true);
}

#[test]
fn drifts_and_late_changes_are_no_steady_state() {
    let truth = |analysis: &WarmUpAnalysis, _| analysis.why.is_some() && analysis.steady_median_ns.is_none();
    expect_class(WarmUpClass::NoSteadyState, 90, 300, |i| 1.0 + i as f64 / 300.0, truth);
    expect_class(WarmUpClass::NoSteadyState, 90, 200, |i| if i < 175 { 1.0 } else { 1.5 }, truth);
}

#[test]
fn a_slow_drift_within_one_segment_is_seen_by_the_trend_test() {
    // 10 % over 200 iterations under 8 % noise: no changepoint can be paid for.
    let noise = Noise { rho: 0.0, sd: 0.08, spikes: 0.0 };
    let found = (0..DRAWS)
        .map(|seed| analyse(&draw(seed, 200, noise, |i| 1.0 + i as f64 / 2000.0), TICK))
        .filter(|analysis| analysis.class == WarmUpClass::NoSteadyState && analysis.changepoints.is_empty())
        .count();
    assert!(found >= 80, "{found} of {DRAWS}");
}

#[test]
fn coarse_clocks_make_no_changes() {
    let mut flat = 0;
    for seed in 0..DRAWS {
        let mut readings = draw(seed, 300, NOISES[0], |_| 1.0);
        // A tick of 1.5 % of the reading: most values fall on one or two ticks.
        quantise(&mut readings, Nanos::from_nanos(15_000));
        flat += usize::from(analyse(&readings, Nanos::from_nanos(15_000)).class == WarmUpClass::Flat);
    }
    assert!(flat >= 98, "{flat} of {DRAWS}");
}

#[test]
fn constant_zero_and_short_series() {
    let constant = analyse(&[Nanos::from_nanos(77); 60], TICK);
    assert_eq!(
        (constant.class, constant.steady_start, constant.warmup_cost_ns),
        (WarmUpClass::Flat, Some(0), Some(0))
    );
    assert_eq!(constant.noise_ppm, 389_610, "a clock of 30 ns cannot tell 77 from 100");
    assert_eq!(analyse(&[Nanos::ZERO; 60], TICK).class, WarmUpClass::Flat);
    for n in [0, 1, 2, 29] {
        let short = analyse(&vec![Nanos::from_nanos(1000); n], TICK);
        assert_eq!((short.class, short.iterations), (WarmUpClass::NoSteadyState, n));
        assert!(short.why.is_some());
    }
}

#[test]
fn extreme_readings_do_not_overflow() {
    let mut readings = vec![Nanos::from_nanos(u64::MAX); 5];
    readings.extend([Nanos::from_nanos(1); 100]);
    let analysis = analyse(&readings, Nanos::ZERO);
    assert_eq!((analysis.class, analysis.steady_start), (WarmUpClass::Warmup, Some(5)));
    assert_eq!(analysis.warmup_cost_ns, Some(i64::MAX), "saturates");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_slower_clock_changes_nothing_but_the_scale(
        seed in any::<u64>(), scale in 2u64..1000, early in 0.5f64..3.0, change in 0usize..60,
    ) {
        let readings = draw(seed, 200, NOISES[3], |i| if i < change { early } else { 1.0 });
        let scaled: Vec<Nanos> = readings.iter().map(|r| Nanos::from_nanos(r.as_nanos() * scale)).collect();
        let one = analyse(&readings, TICK);
        let other = analyse(&scaled, Nanos::from_nanos(30 * scale));
        prop_assert_eq!(&one.changepoints, &other.changepoints);
        prop_assert_eq!((one.class, one.steady_start, one.noise_ppm), (other.class, other.steady_start, other.noise_ppm));
        let times = |value: Option<Nanos>| value.map(|value| Nanos::from_nanos(value.as_nanos() * scale));
        prop_assert_eq!(times(one.steady_median_ns), other.steady_median_ns);
        prop_assert_eq!(times(one.time_to_steady_ns), other.time_to_steady_ns);
        prop_assert_eq!(one.warmup_cost_ns.map(|cost| cost * scale as i64), other.warmup_cost_ns);
    }
}
