//! What the statistics cost: summaries, and the analysis of warm-up curves of every length that a run makes.

use std::hint::black_box;

use coldstart_profiles::warm_up::analyse;
use coldstart_profiles::{Nanos, Samples, StopLimits, StopRule, summarize};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A curve that warms up over its first tenth: 1 ms with 2 % noise, twice as slow before.
fn curve(n: usize) -> Vec<Nanos> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    (0..n)
        .map(|i| {
            let level = if i < n / 10 { 2e6 } else { 1e6 };
            Nanos::from_nanos_f64(level * rng.random_range(0.98..1.02))
        })
        .collect()
}

fn summaries(c: &mut Criterion) {
    let mut group = c.benchmark_group("summarize");
    for n in [5, 500, 100_000] {
        let samples = Samples::new(curve(n)).unwrap_or_else(|_| Samples::one(Nanos::ZERO));
        group.throughput(Throughput::Elements(n as u64));
        group.bench_with_input(BenchmarkId::from_parameter(n), &samples, |b, samples| {
            b.iter(|| summarize(black_box(samples)));
        });
    }
    group.finish();
}

fn warm_up(c: &mut Criterion) {
    let mut group = c.benchmark_group("warm_up_analysis");
    group.sample_size(20);
    for n in [50, 500, 100_000] {
        let curve = curve(n);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_with_input(BenchmarkId::from_parameter(n), &curve, |b, curve| {
            b.iter(|| analyse(black_box(curve), Nanos::from_nanos(20)));
        });
    }
    group.finish();
}

/// All decisions of a stop rule over one curve: must stay far below the time that the curve itself took (0.5 s).
fn stop_rule(c: &mut Criterion) {
    let curve = curve(500);
    c.bench_function("stop_rule/500 pushes", |b| {
        b.iter(|| {
            let mut rule =
                StopRule::new(StopLimits::within_budget(Nanos::from_secs(3)), Nanos::from_nanos(20));
            curve.iter().find_map(|reading| rule.push(black_box(*reading)))
        });
    });
}

criterion_group!(benches, summaries, warm_up, stop_rule);
criterion_main!(benches);
