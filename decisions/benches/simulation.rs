//! What simulations cost: requests a second on one core, and the standby search on Azure's conversation trace.

use std::hint::black_box;

use coldstart_decisions::service::{RequestSize, ServiceModel, SingleForward, Sla};
use coldstart_decisions::simulate::{
    Dispatch, Fixed, Monitoring, Planned, Scenario, Search, fixed, largest_rates, standby_for,
};
use coldstart_decisions::traffic::{Arrival, MOST_REQUESTS, Poisson, Sizes, read};
use coldstart_profiles::Nanos;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const REQUESTS: usize = 200_000;
const CONV: &[u8] = include_bytes!("../../tests/fixtures/traces/AzureLLMInferenceTrace_conv.csv");

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulate_single_forward");
    group.throughput(Throughput::Elements(REQUESTS as u64)).sample_size(20);
    let service = ServiceModel::SingleForward(SingleForward::by_hand(8e6, 2e6, 16));
    let sla = Sla::p99(Nanos::from_millis(100));
    for replicas in [4, 16, 64] {
        let rate = service.most_per_s(RequestSize::ONE) * f64::from(replicas) * 0.8;
        let arrivals: Vec<Arrival> =
            Poisson::new(rate, Sizes::One(RequestSize::ONE), 1).take(REQUESTS).collect();
        for dispatch in [Dispatch::Shared, Dispatch::LeastLoaded, Dispatch::Random] {
            let setup = Fixed::new(replicas, dispatch, 1);
            group.bench_with_input(
                BenchmarkId::new(dispatch.to_string(), replicas),
                &arrivals,
                |b, arrivals| {
                    b.iter(|| fixed(&service, &sla, setup, black_box(arrivals).iter().copied()));
                },
            );
        }
    }
    group.finish();
}

fn trace(c: &mut Criterion) {
    let mut group = c.benchmark_group("conversation_trace");
    group.sample_size(10);
    group.bench_function("read", |b| {
        b.iter(|| read(black_box(CONV), MOST_REQUESTS).map(|file| file.trace.len()))
    });
    let Ok(file) = read(CONV, MOST_REQUESTS) else { return };
    let service = ServiceModel::SingleForward(SingleForward::by_hand(5e8, 5e8, 8));
    let sla = Sla::p99(Nanos::from_secs(3));
    let search = Search { requests: 4_000, ..Search::new(Dispatch::LeastLoaded, &sla, 1, 100) };
    let table = || largest_rates(&service, &sla, Sizes::Of(&file.trace), search, 20.0).unwrap_or_default();
    group.bench_function("largest_rates", |b| b.iter(table));
    let plan = Planned {
        largest_rates_per_s: table(),
        standby: 0,
        min_replicas: 1,
        max_replicas: 100,
        period_ns: Nanos::from_secs(15),
        scale_down_window_ns: Nanos::from_secs(300),
    };
    let starts = [Nanos::from_secs(60)];
    let scenario = Scenario {
        service: &service,
        sla: &sla,
        trace: &file.trace,
        dispatch: Dispatch::LeastLoaded,
        cold_starts: &starts,
        initial_replicas: 4,
        monitoring: Monitoring::default(),
        prices: None,
        seed: 1,
    };
    group.bench_function("standby_for", |b| b.iter(|| standby_for(black_box(&scenario), &plan, 2)));
    group.finish();
}

criterion_group!(benches, requests, trace);
criterion_main!(benches);
