//! How often the warm-up analysis is wrong: `cargo run -p coldstart-profiles --example false_changepoints`.
//!
//! Stationary series of many kinds of noise have no changepoint and are `flat`; curves of known class are of that
//! class. Everything is seeded, so the table is the same every time, but for the last line: how long a million
//! iterations take to analyse.

use std::time::Instant;

use coldstart_profiles::Nanos;
use coldstart_profiles::warm_up::{WarmUpAnalysis, WarmUpClass, analyse};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[path = "../src/warm_up/curves.rs"]
mod curves;

/// Series of each kind.
const DRAWS: u64 = 400;
/// The clock, except where it is coarse on purpose.
const TICK: Nanos = Nanos::from_nanos(30);

/// A kind of noise.
struct Kind {
    name: &'static str,
    rho: f64,
    sd: f64,
    spikes: f64,
    tick: Nanos,
}

const fn kind(name: &'static str, rho: f64, spikes: f64) -> Kind {
    Kind { name, rho, sd: 0.02, spikes, tick: TICK }
}

const KINDS: [Kind; 14] = [
    kind("independent", 0.0, 0.0),
    kind("AR(1) 0.5", 0.5, 0.0),
    kind("AR(1) 0.7", 0.7, 0.0),
    kind("AR(1) 0.8", 0.8, 0.0),
    kind("AR(1) 0.9", 0.9, 0.0),
    kind("independent, 2 % spikes", 0.0, 0.02),
    kind("AR(1) 0.5, 2 % spikes", 0.5, 0.02),
    kind("AR(1) 0.7, 2 % spikes", 0.7, 0.02),
    kind("AR(1) 0.8, 2 % spikes", 0.8, 0.02),
    kind("AR(1) 0.9, 2 % spikes", 0.9, 0.02),
    Kind { name: "noise of 0.1 %", sd: 0.001, ..kind("", 0.0, 0.0) },
    Kind { name: "noise of 20 %", sd: 0.2, ..kind("", 0.0, 0.0) },
    Kind { name: "clock of 1 %", tick: Nanos::from_nanos(10_000), ..kind("", 0.0, 0.0) },
    Kind { name: "clock of 5 %, 2 % spikes", tick: Nanos::from_nanos(50_000), ..kind("", 0.0, 0.02) },
];

/// A curve, its class, and how slow each of its iterations is.
type Curve = (&'static str, WarmUpClass, fn(usize) -> f64);

const CURVES: [Curve; 8] = [
    ("one slow iteration", WarmUpClass::Warmup, |i| if i == 0 { 10.0 } else { 1.0 }),
    ("step down at 40", WarmUpClass::Warmup, |i| if i < 40 { 1.5 } else { 1.0 }),
    ("exponential, 15", WarmUpClass::Warmup, |i| 1.0 + 2.0 * (-(i as f64) / 15.0).exp()),
    ("step up at 100", WarmUpClass::Slowdown, |i| if i < 100 { 1.0 } else { 1.3 }),
    ("drift of 10 %", WarmUpClass::NoSteadyState, |i| 1.0 + i as f64 / 3000.0),
    ("drift of 30 %", WarmUpClass::NoSteadyState, |i| 1.0 + i as f64 / 1000.0),
    ("drift of 100 %", WarmUpClass::NoSteadyState, |i| 1.0 + i as f64 / 300.0),
    ("late step", WarmUpClass::NoSteadyState, |i| if i < 275 { 1.0 } else { 1.5 }),
];

fn draw(seed: u64, n: usize, kind: &Kind, factor: fn(usize) -> f64) -> WarmUpAnalysis {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = curves::ar1(&mut rng, n, kind.rho, kind.sd);
    curves::spike(&mut rng, &mut values, kind.spikes);
    curves::shape(&mut values, factor);
    let mut readings = curves::to_nanos(&values, 1e6);
    if kind.tick > TICK {
        curves::quantise(&mut readings, kind.tick);
    }
    analyse(&readings, kind.tick)
}

fn draws(n: usize, kind: &Kind, factor: fn(usize) -> f64) -> Vec<WarmUpAnalysis> {
    (0..DRAWS).map(|seed| draw(seed, n, kind, factor)).collect()
}

/// Percentage of the analyses for which something holds.
fn percent(analyses: &[WarmUpAnalysis], holds: impl Fn(&WarmUpAnalysis) -> bool) -> f64 {
    analyses.iter().filter(|found| holds(found)).count() as f64 * 100.0 / analyses.len() as f64
}

fn stationary() {
    println!("Stationary series, {DRAWS} of each kind, noise 2 %: share in %");
    println!(
        "{:26}{:>10}{:>10}{:>10}{:>12}{:>12}",
        "", "changes", "changes", "changes", "not flat", "of these"
    );
    println!(
        "{:26}{:>10}{:>10}{:>10}{:>12}{:>12}",
        "", "n = 100", "n = 300", "n = 1000", "n = 300", "warmup"
    );
    for kind in &KINDS {
        let [short, middle, long] = [100, 300, 1000].map(|n| draws(n, kind, |_| 1.0));
        let [a, b, c] =
            [&short, &middle, &long].map(|found| percent(found, |one| !one.changepoints.is_empty()));
        let wrong = percent(&middle, |found| found.class != WarmUpClass::Flat);
        let warmup = percent(&middle, |found| found.class == WarmUpClass::Warmup);
        println!("{:26}{a:>10.1}{b:>10.1}{c:>10.1}{wrong:>12.1}{warmup:>12.1}", kind.name);
    }
    println!("A spike on the very first iteration cannot be told from a warm-up: 2 % of the spiked series.");
}

fn known_curves() {
    println!("\nCurves of 300 iterations, {DRAWS} of each: share in % whose class is wrong");
    print!("{:26}", "");
    let noises = [&KINDS[0], &KINDS[2], &KINDS[5], &KINDS[7]];
    noises.iter().for_each(|kind| print!("{:>26}", kind.name));
    println!();
    for (name, class, factor) in CURVES {
        print!("{name:26}");
        for kind in noises {
            print!("{:>26.1}", percent(&draws(300, kind, factor), |found| found.class != class));
        }
        println!();
    }
    println!(
        "A drift of 10 % is cut into steps, the last of which drifts less than the 5 % that matter: a slowdown."
    );
}

fn long_series() {
    let seconds = [0.0, 0.9].map(|rho| {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut values = curves::ar1(&mut rng, 1_000_000, rho, 0.02);
        curves::spike(&mut rng, &mut values, 0.02);
        let readings = curves::to_nanos(&values, 1e6);
        let begin = Instant::now();
        let found = analyse(&readings, TICK);
        (begin.elapsed().as_secs_f64(), found.changepoints.len())
    });
    let [(independent, changes), (correlated, more)] = seconds;
    println!(
        "\nA million iterations with 2 % spikes: independent {independent:.2} s ({changes} changes), AR(1) 0.9 {correlated:.2} s ({more} changes)"
    );
}

fn main() {
    stationary();
    known_curves();
    long_series();
}
