//! How many requests a second one core simulates: `cargo run --release -p coldstart-decisions --example simulation_speed`.

#![expect(clippy::print_stdout, reason = "an example that prints a table")]

use std::time::Instant;

use coldstart_decisions::service::{
    Decode, LanguageModel, Prefill, RequestSize, ServiceModel, SingleForward, Sla, Tail, Variation,
};
use coldstart_decisions::simulate::{Dispatch, Fixed, fixed};
use coldstart_decisions::traffic::{Arrival, Poisson, Sizes};
use coldstart_profiles::{Bytes, Nanos};

const REQUESTS: usize = 2_000_000;

fn main() {
    println!("service         dispatch      replicas  load  requests/s (best of 3)");
    // T(n) = 8 + 2·n ms, up to 16: 400 requests a second and replica.
    let encoder = ServiceModel::SingleForward(SingleForward::by_hand(8e6, 2e6, 16));
    for (replicas, load) in [(4, 0.5), (4, 0.8), (16, 0.8), (64, 0.8)] {
        for dispatch in [Dispatch::Shared, Dispatch::LeastLoaded, Dispatch::Random] {
            print_row("single forward", &encoder, RequestSize::ONE, dispatch, replicas, load, REQUESTS);
        }
    }
    let size = RequestSize { tokens_in: 1_155, tokens_out: 211 };
    for (replicas, load) in [(4, 0.5), (4, 0.8)] {
        print_row(
            "language model",
            &language_model(),
            size,
            Dispatch::LeastLoaded,
            replicas,
            load,
            REQUESTS / 100,
        );
    }
}

/// Of the order of an 8B model on one large GPU.
fn language_model() -> ServiceModel {
    ServiceModel::LanguageModel(LanguageModel {
        prefill: Prefill { alpha_ns: 8e6, beta_ns: 6e4, tail: Tail::default(), quality: None },
        decode: Decode { alpha_ns: 9e6, beta_ns: 1e5, gamma_ns: 40.0, tail: Tail::default(), quality: None },
        kv_bytes_per_token: Bytes::new(131_072),
        free_bytes: Bytes::from_mib(40 << 10),
        max_batch: 128,
        variation: Variation::Constant,
    })
}

fn print_row(
    name: &str,
    service: &ServiceModel,
    size: RequestSize,
    dispatch: Dispatch,
    replicas: u32,
    load: f64,
    requests: usize,
) {
    let rate = service.most_per_s(size) * f64::from(replicas) * load;
    // Made before the clock starts: the simulation is what is timed.
    let arrivals: Vec<Arrival> = Poisson::new(rate, Sizes::One(size), 1).take(requests).collect();
    let sla = Sla::p99(Nanos::from_secs(1));
    let best = (0..3)
        .map(|_| {
            let start = Instant::now();
            let outcome = fixed(service, &sla, Fixed::new(replicas, dispatch, 1), arrivals.iter().copied());
            outcome.requests as f64 / start.elapsed().as_secs_f64()
        })
        .fold(0.0, f64::max);
    println!("{name:15} {dispatch:13} {replicas:7}  {load:4.1}  {best:12.0}");
}
