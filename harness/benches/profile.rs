//! Reading and writing profiles: a usual one, and one with a long warm-up curve.

use std::hint::black_box;
use std::path::Path;

use coldstart_profiles::{Nanos, Profile, Samples, StopReason, WarmUpCurve};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// A profile that a run wrote.
const FIXTURE: &str = include_str!("../../tests/fixtures/profiles/profile-1.0.json");

fn read(text: &str) -> Option<Profile> {
    Profile::from_json(text, Path::new("profile.json")).ok()
}

fn json(c: &mut Criterion) {
    let Some(usual) = read(FIXTURE) else { return };
    let mut long = usual.clone();
    let readings = (0..100_000).map(|i| Nanos::from_nanos(1_000_000 + i % 1_000)).collect();
    if let Ok(samples) = Samples::new(readings) {
        long.warm_up =
            vec![WarmUpCurve::new("long", samples, Nanos::from_nanos(20), StopReason::MaxIterations)];
    }
    for (name, profile) in [("usual", usual), ("100k iterations", long)] {
        let Ok(text) = profile.to_json() else { continue };
        let mut group = c.benchmark_group(format!("profile/{name}"));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("read and check", |b| b.iter(|| read(black_box(&text))));
        group.bench_function("write", |b| b.iter(|| black_box(&profile).to_json()));
        group.finish();
    }
}

fn derive(c: &mut Criterion) {
    let Some(usual) = read(FIXTURE) else { return };
    c.bench_function("profile/usual/derive rows from readings", |b| {
        b.iter_batched(|| usual.clone(), |mut profile| profile.derive(), criterion::BatchSize::SmallInput);
    });
}

criterion_group!(benches, json, derive);
criterion_main!(benches);
