//! No number of a plan without what it rests on: every one of whole plans is walked.

use std::collections::BTreeSet;
use std::path::Path;

use coldstart_profiles::{Bytes, Nanos, Profile};
use serde_json::Value;

use super::*;
use crate::cluster::{ClusterFacts, Prices};
use crate::measured::{ByHand, PullByHand, ServiceByHand, StepTime, TimeOf};
use crate::service::{RequestSize, Sla};
use crate::simulate::Dispatch;
use crate::testing::{encoder, language_model, with_cold_starts, with_containers, with_pulls};
use crate::traffic::{MOST_REQUESTS, Ramp, Traffic, read};

/// Everything that can be given.
fn request(sla: Sla) -> PlanRequest {
    PlanRequest {
        sla,
        traffic_from: TrafficSource::Numbers,
        window_ns: Nanos::from_secs(10),
        quantile: 0.99,
        dispatch: Dispatch::LeastLoaded,
        cluster: ClusterFacts {
            nodes: Some(30),
            disk_per_node_bytes: Some(Bytes::new(50_000_000_000)),
            max_replicas: Some(60),
            ..ClusterFacts::default()
        },
        prices: Prices {
            replica_hour: Some(0.1),
            disk_gb_month: Some(0.08),
            registry_gb_month: Some(0.1),
            miss: Some(0.001),
        },
        by_hand: ByHand {
            pull: Some(PullByHand { image_bytes: Bytes::new(2_000_000_000), registry_bytes_per_s: 125e6 }),
            free_memory_bytes: Some(Bytes::new(8_000_000_000)),
            weights_bytes: None,
            kv_bytes_per_token: Some(Bytes::new(1_000)),
            cold_p99_ns: None,
            service: None,
        },
        places: PlacesRequest { shared_bytes_per_s: Some(500e6), hit_ratio: Some(0.8) },
        max_batch: Some(4),
        node_class: None,
        allow_stand_in: true,
        left_out: Vec::new(),
        simulate: true,
        seed: 1,
    }
}

/// How many numbers stand in a plan's JSON outside of any basis.
fn count(value: &Value) -> usize {
    match value {
        Value::Number(_) => 1,
        Value::Array(elements) => elements.iter().map(count).sum(),
        Value::Object(members) => {
            members.iter().filter(|(name, _)| *name != "basis").map(|(_, member)| count(member)).sum()
        }
        _ => 0,
    }
}

/// What is wrong with the explanation of a number; `None` where nothing is. One that rests on nothing says so: its formula begins with it.
fn wrong(field: &str, explained: Option<&Explanation>) -> Option<String> {
    let Some(Explanation { value, basis, .. }) = explained else { return Some(format!("{field}: nothing")) };
    let rests =
        !(basis.keys.is_empty() && basis.inputs.is_empty() && basis.assumed.is_empty() && basis.n.is_none());
    let constant = basis.formula.starts_with(&format!("{value}:"))
        || value.as_f64().is_some_and(|value| basis.formula.starts_with(&format!("{value}:")));
    let said = !basis.formula.is_empty() && (rests || constant);
    (!said).then(|| format!("{field} = {value}: `{}`", basis.formula))
}

#[track_caller]
fn assert_explained(plan: &ServingPlan) {
    let all = numbers(plan).unwrap();
    assert_eq!(all.len(), count(&serde_json::to_value(plan).unwrap()), "every number is walked");
    assert!(all.len() > 400, "{}", all.len());
    // Lists of one kind are told once.
    let wrong: BTreeSet<String> =
        all.iter().filter_map(|(field, explained)| wrong(field, explained.as_ref())).collect();
    assert!(wrong.is_empty(), "{} numbers rest on nothing: {wrong:#?}", wrong.len());
    let (field, explained) = &all[all.len() / 2];
    let found = explain(plan, field).unwrap();
    assert!(found.iter().any(|found| Some(found) == explained.as_ref()), "{field}");
}

/// A profile that a run wrote on a machine of two cores, the conversation trace, prices, tiers, and every policy.
#[test]
fn every_number_of_a_plan_on_a_trace_is_explained() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/aa/baseline.json"));
    let trace =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/traces/AzureLLMInferenceTrace_conv.csv");
    let profile = Profile::read(path).unwrap();
    let traffic = Traffic::Trace(read(std::fs::File::open(trace).unwrap(), MOST_REQUESTS).unwrap().trace);
    let from = TrafficSource::Trace { name: "conv.csv".to_owned(), caveats: Vec::new() };
    let asked = PlanRequest { traffic_from: from, ..request(Sla::p99(Nanos::from_secs(20))) };
    let plan = make_plan(&[("baseline.json", &profile)], &traffic, asked, "0").unwrap();
    assert!(plan.comparison.is_some() && plan.courses.is_some());
    assert_explained(&plan);
}

/// Two classes, a ramp, bounds on tokens, a pull that was measured; and an encoder with a cold start by hand.
#[test]
fn every_number_of_a_plan_of_a_fleet_and_numbers_is_explained() {
    let pulled =
        with_pulls(with_containers(language_model(), &[9_000, 8_000, 8_500]), "reference", &[30_000, 31_000]);
    let mut other = with_cold_starts(language_model(), &[60_000, 50_000, 55_000]);
    other.target.host.cores = 64;
    let sla = Sla {
        end_to_end_ns: None,
        ttft_ns: Some(Nanos::from_secs(2)),
        itl_ns: Some(Nanos::from_millis(80)),
        permille: 990,
    };
    let size = RequestSize { tokens_in: 100, tokens_out: 20 };
    let traffic =
        |size| Traffic::Ramp(Ramp { base_per_s: 2.0, peak_per_s: 9.0, growth_per_s_per_s: 0.05, size });
    let asked = PlanRequest { by_hand: ByHand::default(), ..request(sla) };
    let plan = make_plan(&[("a.json", &pulled), ("b.json", &other)], &traffic(size), asked, "0").unwrap();
    assert_eq!(plan.classes.len(), 2);
    assert_explained(&plan);
    let by_hand = ByHand { cold_p99_ns: Some(Nanos::from_secs(40)), ..ByHand::default() };
    let asked = PlanRequest { by_hand, ..request(Sla::p99(Nanos::from_secs(1))) };
    let encoder = with_cold_starts(encoder(10.0, 5.0), &[50_000, 60_000]);
    assert_explained(&make_plan(&[("e.json", &encoder)], &traffic(RequestSize::ONE), asked, "0").unwrap());
}

#[test]
fn every_number_of_a_plan_on_times_by_hand_is_explained() {
    let time = |count, millis| TimeOf { count, time_ns: Nanos::from_millis(millis) };
    let step = |batch, context, millis| StepTime { batch, context, time_ns: Nanos::from_millis(millis) };
    let profile = with_cold_starts(language_model(), &[60_000, 50_000, 55_000]);
    let size = RequestSize { tokens_in: 100, tokens_out: 20 };
    let traffic = Traffic::Ramp(Ramp { base_per_s: 2.0, peak_per_s: 9.0, growth_per_s_per_s: 0.05, size });
    let of = |service| {
        let by_hand = ByHand { service: Some(service), ..request(Sla::p99(Nanos::from_secs(5))).by_hand };
        let asked = PlanRequest { by_hand, ..request(Sla::p99(Nanos::from_secs(5))) };
        make_plan(&[("p.json", &profile)], &traffic, asked, "0").unwrap()
    };
    assert_explained(&of(ServiceByHand::LanguageModel {
        prefill: vec![time(64, 20), time(512, 40), time(1024, 70)],
        decode: vec![
            step(1, Some(64), 12),
            step(8, Some(64), 14),
            step(8, Some(512), 16),
            step(16, Some(512), 20),
        ],
    }));
    assert_explained(&of(ServiceByHand::SingleForward { batches: vec![time(1, 15), time(8, 50)] }));
}

#[test]
fn what_a_mitigation_saves_says_what_it_rests_on() {
    let profile = with_cold_starts(encoder(10.0, 5.0), &[50_000, 60_000, 55_000]);
    let traffic = Traffic::Ramp(Ramp {
        base_per_s: 20.0,
        peak_per_s: 300.0,
        growth_per_s_per_s: 1.0,
        size: RequestSize::ONE,
    });
    let plan = make_plan(&[("p.json", &profile)], &traffic, request(Sla::p99(Nanos::from_millis(100))), "0")
        .unwrap();
    for field in ["saves_ns", "saves_s_per_cost", "standby"] {
        let found = explain(&plan, &format!("mitigations.warm_standby.effect.{field}")).unwrap();
        assert_eq!(found.len(), 1, "{field}");
        assert!(!found[0].basis.keys.is_empty() && !found[0].basis.inputs.is_empty(), "{found:?}");
    }
}
