//! Scripted arrivals, exact to the nanosecond.

mod formulas;
mod policies;
mod standby;

use coldstart_profiles::{Bytes, Nanos};
use proptest::prelude::*;

use super::*;
use crate::service::{
    Decode, LanguageModel, Prefill, RequestSize, ServiceError, ServiceModel, SingleForward, Sla, Tail,
    Variation,
};
use crate::traffic::{Arrival, Poisson, Sizes};

const MS: u64 = 1_000_000;

fn single(alpha_ms: f64, beta_ms: f64, max_batch: u32) -> ServiceModel {
    ServiceModel::SingleForward(SingleForward::by_hand(alpha_ms * 1e6, beta_ms * 1e6, max_batch))
}

/// Prefill 10 ms + 1 ms a token; a step 5 ms + 1 ms a request + 0.01 ms a token of context; 1 000 tokens fit.
fn language(max_batch: u32) -> ServiceModel {
    ServiceModel::LanguageModel(LanguageModel {
        prefill: Prefill { alpha_ns: 10e6, beta_ns: 1e6, tail: Tail::default(), quality: None },
        decode: Decode { alpha_ns: 5e6, beta_ns: 1e6, gamma_ns: 1e4, tail: Tail::default(), quality: None },
        kv_bytes_per_token: Bytes::new(100),
        free_bytes: Bytes::new(100_000),
        max_batch,
        variation: Variation::Constant,
    })
}

fn at_ms(times: &[u64]) -> Vec<Arrival> {
    times.iter().map(|ms| Arrival { time_ns: ms * MS, tokens_in: 0, tokens_out: 0 }).collect()
}

fn sla_ms(ms: u64) -> Sla {
    Sla::p99(Nanos::from_millis(ms))
}

#[test]
fn rates_and_times_at_the_end_of_what_can_be_counted() {
    let size = RequestSize { tokens_in: 10, tokens_out: 5 };
    let sla = sla_ms(10_000);
    for service in [single(10.0, 5.0, 3), language(4)] {
        let arrivals =
            [0, u64::MAX - 1, u64::MAX].map(|time_ns| Arrival { time_ns, tokens_in: 10, tokens_out: 5 });
        let outcome = fixed(&service, &sla, Fixed::new(1, Dispatch::LeastLoaded, 1), arrivals);
        assert_eq!((outcome.requests, outcome.unanswered), (3, 0));
        for rate_per_s in [1e-6, 3e-8, 1e-300] {
            let load = Load::Poisson { rate_per_s, sizes: Sizes::One(size) };
            let search = Search::new(Dispatch::LeastLoaded, &sla, 1, 100);
            assert_eq!(replicas_for(&service, &sla, load, search).unwrap().replicas, 1, "{rate_per_s}");
        }
    }
}

#[test]
fn batches_form_while_a_replica_is_busy() {
    // T(n) = 10 + 5·n ms, at most 3. The first runs alone 0–15; 1, 2, 3 run 15–40; 4 and 16 run 40–60.
    let outcome = fixed(
        &single(10.0, 5.0, 3),
        &sla_ms(40),
        Fixed::new(1, Dispatch::Shared, 1),
        at_ms(&[0, 1, 2, 3, 4, 16]),
    );
    assert_eq!(outcome.requests, 6);
    let latencies = [15.0, 39.0, 38.0, 37.0, 56.0, 44.0];
    assert!((outcome.latency.mean_ns - latencies.iter().sum::<f64>() / 6.0 * 1e6).abs() < 1.0, "{outcome:?}");
    assert_eq!(outcome.latency.max_ns, Nanos::from_millis(56));
    assert!((outcome.mean_wait_ns - (0.0 + 14.0 + 13.0 + 12.0 + 36.0 + 24.0) / 6.0 * 1e6).abs() < 1.0);
    assert_eq!(outcome.attainment, 4.0 / 6.0);
    assert!(!outcome.meets);
    assert_eq!((outcome.mean_batch, outcome.utilization), (2.0, 1.0));
    assert_eq!(outcome.duration_ns, Nanos::from_millis(60));
    assert!(outcome.ttft.is_none() && outcome.itl.is_none());
}

#[test]
fn dispatch_decides_who_waits() {
    // T = 10 ms, one at a time, two replicas; 0 and 0 fill both, 1 and 2 wait.
    let model = single(10.0, 0.0, 1);
    let arrivals = at_ms(&[0, 0, 1, 2, 3]);
    let mean = |dispatch| {
        fixed(&model, &sla_ms(100), Fixed::new(2, dispatch, 3), arrivals.clone()).latency.mean_ns / 1e6
    };
    assert_eq!(mean(Dispatch::Shared), (10.0 + 10.0 + 19.0 + 18.0 + 27.0) / 5.0);
    assert_eq!(mean(Dispatch::LeastLoaded), (10.0 + 10.0 + 19.0 + 18.0 + 27.0) / 5.0);
    assert!(mean(Dispatch::Random) >= mean(Dispatch::Shared));
}

#[test]
fn a_language_model_prefills_before_it_decodes() {
    let request =
        |time_ms: u64, tokens_in, tokens_out| Arrival { time_ns: time_ms * MS, tokens_in, tokens_out };
    // A: prefill 0–20 (10 tokens), steps at contexts 11, 12 of 6.11 and 6.12 ms; B comes at 21 and is prefilled when A's first
    // step ends: 26.11–56.11 (20 tokens), then one step of both: 5 + 2 + 0.01·(12 + 21) = 7.33 → 63.44.
    let outcome = fixed(
        &language(8),
        &sla_ms(100),
        Fixed::new(1, Dispatch::LeastLoaded, 1),
        [request(0, 10, 3), request(21, 20, 2)],
    );
    let ttft = outcome.ttft.unwrap();
    assert_eq!(ttft.max_ns, Nanos::from_nanos(56_110_000 - 21_000_000));
    assert!((ttft.mean_ns - (20.0 + 35.11) / 2.0 * 1e6).abs() < 1.0, "{ttft:?}");
    let itl = outcome.itl.unwrap();
    // A waits for B's prefill: 63.44 − 26.11 = 37.33; B: 7.33.
    assert_eq!((itl.count, itl.max_ns), (3, Nanos::from_nanos(37_330_000)));
    assert!((itl.mean_ns - (6.11 + 37.33 + 7.33) / 3.0 * 1e6).abs() < 1.0, "{itl:?}");
    assert!((outcome.latency.mean_ns - (63.44 + 42.44) / 2.0 * 1e6).abs() < 1.0, "{outcome:?}");
    assert_eq!(outcome.duration_ns, Nanos::from_nanos(63_440_000));
}

#[test]
fn memory_bounds_what_runs_at_once() {
    // 400 + 200 tokens each: one fits into 1 000, the second waits for its end. 1 200 tokens never fit.
    let request = |tokens_in| Arrival { time_ns: 0, tokens_in, tokens_out: 200 };
    let run = |arrivals: Vec<Arrival>| {
        fixed(&language(8), &sla_ms(1), Fixed::new(1, Dispatch::Shared, 1), arrivals)
    };
    let alone = run(vec![request(400)]);
    let two = run(vec![request(400), request(400)]);
    assert!(
        two.mean_batch == 1.0 && two.latency.max_ns.as_nanos() >= 2 * alone.latency.max_ns.as_nanos() - 2
    );
    let refused = run(vec![request(1_000), request(400)]);
    assert_eq!((refused.requests, refused.unanswered), (2, 1));
    assert_eq!(refused.latency.max_ns, alone.latency.max_ns);
}

#[test]
fn nobody_answers_without_replicas() {
    let outcome =
        fixed(&single(10.0, 5.0, 3), &sla_ms(40), Fixed::new(0, Dispatch::Shared, 1), at_ms(&[0, 1]));
    assert_eq!((outcome.requests, outcome.unanswered, outcome.attainment, outcome.meets), (2, 2, 0.0, false));
    let nothing = fixed(&single(10.0, 5.0, 3), &sla_ms(40), Fixed::new(2, Dispatch::Random, 1), at_ms(&[]));
    assert_eq!(
        (nothing.requests, nothing.attainment, nothing.meets, nothing.utilization),
        (0, 1.0, true, 0.0)
    );
}

#[test]
fn pooling_is_not_linear() {
    // Deterministic T, λ = 5/T, S = 1.5·T: a rule per replica is wrong by a factor of 30.
    let model = single(100.0, 0.0, 1);
    let sla = sla_ms(150);
    let load = Load::Poisson { rate_per_s: 50.0, sizes: Sizes::One(RequestSize::ONE) };
    let replicas =
        |dispatch| replicas_for(&model, &sla, load, Search::new(dispatch, &sla, 1, 1_000)).unwrap().replicas;
    let (shared, random) = (replicas(Dispatch::Shared), replicas(Dispatch::Random));
    assert_eq!(shared, 8);
    assert!(random > 100, "{random}");
}

#[test]
fn a_loose_sla_is_no_excuse_for_a_queue_that_grows() {
    // 101 a second for replicas that serve 100 each: within ten minutes of latency for a long time, but not for ever.
    let (service, sla) = (single(10.0, 0.0, 1), sla_ms(600_000));
    let load = Load::Poisson { rate_per_s: 101.0, sizes: Sizes::One(RequestSize::ONE) };
    let search = Search::new(Dispatch::Shared, &sla, 1, 10);
    assert!(outcome_with(&service, &sla, load, search, 1).meets);
    assert_eq!(replicas_for(&service, &sla, load, search).unwrap().replicas, 2);
    let one = Search { most: 1, ..search };
    let error = replicas_for(&service, &sla, load, one).unwrap_err();
    assert!(matches!(error, CapacityError::TooMuch { most: 1, .. }), "{error}");
    assert!(
        error.to_string().contains("busy all the time they complete 100.0; allow more replicas"),
        "{error}"
    );
    let all = Search { most: MOST_REPLICAS, ..search };
    let load = Load::Poisson { rate_per_s: 1e9, sizes: Sizes::One(RequestSize::ONE) };
    let error = replicas_for(&service, &sla, load, all).unwrap_err().to_string();
    assert!(error.contains("a plan looks at no more of them: divide the traffic"), "{error}");
}

#[test]
fn what_cannot_be_met_is_refused() {
    let sla = sla_ms(10);
    let search = Search::new(Dispatch::Shared, &sla, 1, 20);
    let poisson = |rate_per_s| Load::Poisson { rate_per_s, sizes: Sizes::One(RequestSize::ONE) };
    let error = replicas_for(&single(10.0, 5.0, 4), &sla, poisson(1.0), search).unwrap_err();
    assert!(matches!(error, CapacityError::Service(ServiceError::BelowBatchOne { .. })), "{error}");
    assert!(error.to_string().contains("10.0 ms is below what a request takes alone, 15.0 ms"), "{error}");
    let error = replicas_for(&single(1.0, 5.0, 1), &sla, poisson(1e6), search).unwrap_err();
    assert!(
        error.to_string().starts_with("carry 1000000.0 requests a second on 20 replicas: busy all the time"),
        "{error}"
    );
    assert!(matches!(
        replicas_for(&single(1.0, 5.0, 1), &sla, poisson(f64::NAN), search),
        Err(CapacityError::Rate(_))
    ));
    let idle = replicas_for(&single(1.0, 5.0, 1), &sla, poisson(0.0), search).unwrap();
    assert_eq!(idle.replicas, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_request_is_answered_once_and_runs_repeat(
        replicas in 1u32..6, max_batch in 1u32..9, rate in 1f64..400.0, seed in 0u64..99,
        dispatch in prop_oneof![Just(Dispatch::Shared), Just(Dispatch::LeastLoaded), Just(Dispatch::Random)],
        tokens in prop::bool::ANY,
    ) {
        let service = if tokens { language(max_batch) } else { single(10.0, 2.0, max_batch) };
        let sizes = Sizes::One(RequestSize { tokens_in: 20, tokens_out: 9 });
        let arrivals = || Poisson::new(rate, sizes, seed).take(400);
        let run = || fixed(&service, &sla_ms(100), Fixed::new(replicas, dispatch, seed), arrivals());
        let outcome = run();
        prop_assert_eq!(outcome.requests, 400);
        prop_assert_eq!(outcome.unanswered, 0);
        prop_assert_eq!(outcome.latency.count, 400);
        if let Some(itl) = outcome.itl {
            prop_assert_eq!(itl.count, 400 * 8);
        }
        let alone = service.time(1, RequestSize { tokens_in: 20, tokens_out: 9 });
        prop_assert!(outcome.latency.mean_ns >= alone * 0.999, "{} below {}", outcome.latency.mean_ns, alone);
        prop_assert!((0.0..=1.0).contains(&outcome.utilization) && outcome.mean_batch >= 1.0);
        prop_assert_eq!(run(), outcome);
    }

    #[test]
    fn the_smallest_number_is_the_smallest(rate in 1f64..200.0, seed in 0u64..9) {
        let service = single(20.0, 5.0, 4);
        let sla = sla_ms(60);
        let search = Search::new(Dispatch::LeastLoaded, &sla, seed, 100);
        let load = Load::Poisson { rate_per_s: rate, sizes: Sizes::One(RequestSize::ONE) };
        let found = replicas_for(&service, &sla, load, search).unwrap();
        prop_assert!(outcome_with(&service, &sla, load, search, found.replicas).meets);
        prop_assert!(found.replicas == 1 || !outcome_with(&service, &sla, load, search, found.replicas - 1).meets);
    }
}
