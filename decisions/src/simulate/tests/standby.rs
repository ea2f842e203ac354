//! The standby beside a brute-force search on Azure's conversation trace: run with `--nocapture` to see the table.

use super::*;
use crate::traffic::{MOST_REQUESTS, RateSeries, Trace, read};

const S: u64 = 1_000_000_000;
/// A scrape every 15 s, rates over 30 s, a look every 15 s.
const MONITORING: Monitoring =
    Monitoring { scrape_ns: Nanos::from_secs(15), window_ns: Nanos::from_secs(30) };
const SYNC: Nanos = Nanos::from_secs(15);
const DETECTION_NS: u64 = 45 * S;

fn conv() -> Trace {
    let bytes = include_bytes!("../../../../tests/fixtures/traces/AzureLLMInferenceTrace_conv.csv");
    read(&bytes[..], MOST_REQUESTS).unwrap().trace
}

/// The plan for a table of largest rates and a cold start.
fn plan(largest_rates_per_s: &[f64], cold_s: u64) -> Planned {
    Planned {
        largest_rates_per_s: largest_rates_per_s.to_vec(),
        standby: 0,
        min_replicas: 1,
        max_replicas: 200,
        period_ns: SYNC,
        scale_down_window_ns: Nanos::from_secs((3 * cold_s).max(300)),
    }
}

/// The first standby that meets the SLA, one by one from none, with other chances than the rule's.
fn brute_force(scenario: &Scenario<'_>, plan: &Planned, seed: u64) -> u32 {
    (0..100)
        .find(|standby| {
            let scenario =
                Scenario { initial_replicas: scenario.initial_replicas + standby, seed, ..*scenario };
            let rule = Rule::Planned(Planned { standby: *standby, ..plan.clone() });
            autoscaled(&scenario, &Policy { name: String::new(), rule }).outcome.meets
        })
        .unwrap()
}

#[test]
fn standby_is_within_one_replica_of_brute_force() {
    let trace = conv();
    let rates = RateSeries::new(&trace, MONITORING.window_ns.as_nanos());
    // T(n) = 0.5 + 0.5·n s, up to 8: the trace needs a handful of replicas.
    let service = single(500.0, 500.0, 8);
    println!("  SLA     C  formula  rule  brute force (3 seeds)  attainment  replica-hours");
    for times in [1.5, 3.0, 10.0] {
        let sla = Sla::p99(Nanos::from_nanos_f64(times * service.time(1, RequestSize::ONE)));
        let search = Search { requests: 4_000, ..Search::new(Dispatch::LeastLoaded, &sla, 1, 200) };
        let table =
            largest_rates(&service, &sla, Sizes::Of(&trace), search, rates.peak_per_s() * 2.0).unwrap();
        for cold_s in [5, 20, 60, 180] {
            let plan = plan(&table, cold_s);
            let starts = [Nanos::from_secs(cold_s)];
            let now = plan.replicas(trace.mean_per_s());
            let growth = rates.growth(cold_s * S + DETECTION_NS, 0.99);
            let formula = plan.replicas(trace.mean_per_s() + growth) - now;
            let scenario = Scenario {
                service: &service,
                sla: &sla,
                trace: &trace,
                dispatch: Dispatch::LeastLoaded,
                cold_starts: &starts,
                initial_replicas: now,
                monitoring: MONITORING,
                prices: None,
                seed: 1,
            };
            let rule = standby_for(&scenario, &plan, formula).unwrap();
            let brute = [2, 3, 4].map(|seed| brute_force(&scenario, &plan, seed));
            let found = &rule.outcome;
            println!(
                " {times:4.1}x  {cold_s:3} s  {formula:7}  {:4}  {brute:21?}  {:10.4}  {:13.2}",
                rule.standby, found.outcome.attainment, found.replica_hours
            );
            assert!(found.outcome.meets);
            for other in brute {
                assert!(
                    other.abs_diff(rule.standby) <= 1,
                    "{times}x {cold_s} s: {} and {brute:?}",
                    rule.standby
                );
            }
        }
    }
}

#[test]
fn more_standby_costs_more_and_misses_less() {
    let trace = conv();
    let (service, sla) = (single(500.0, 500.0, 8), sla_ms(3_000));
    let search = Search { requests: 2_000, ..Search::new(Dispatch::LeastLoaded, &sla, 1, 200) };
    let table = largest_rates(&service, &sla, Sizes::Of(&trace), search, 15.0).unwrap();
    let starts = [Nanos::from_secs(120), Nanos::from_secs(180)];
    let scenario = Scenario {
        service: &service,
        sla: &sla,
        trace: &trace,
        dispatch: Dispatch::LeastLoaded,
        cold_starts: &starts,
        initial_replicas: 3,
        monitoring: MONITORING,
        prices: Some(Prices { replica_hour: 3.0, missed_request: 0.01 }),
        seed: 1,
    };
    let points = pareto(&scenario, &plan(&table, 180), 6);
    for pair in points.windows(2) {
        assert!(pair[1].replica_hours > pair[0].replica_hours, "{pair:?}");
        assert!(pair[1].attainment >= pair[0].attainment - 0.002, "{pair:?}");
    }
    assert!(points.iter().any(|point| point.efficient) && points[6].attainment > points[0].attainment + 0.01);
    let least = points.iter().min_by(|a, b| a.cost.partial_cmp(&b.cost).unwrap()).unwrap();
    assert!(least.efficient, "{points:?}");
    // Too few replicas at the most: no standby helps.
    let small = Planned { max_replicas: 2, ..plan(&table, 180) };
    let error = standby_for(&scenario, &small, 1).unwrap_err();
    assert!(error.to_string().contains("within the SLA on 2 replicas"), "{error}");
}

#[test]
fn the_table_of_largest_rates_is_replicas_for_the_other_way_round() {
    let (service, sla) = (single(50.0, 20.0, 8), sla_ms(200));
    let search = Search { requests: 4_000, ..Search::new(Dispatch::LeastLoaded, &sla, 3, 100) };
    let sizes = Sizes::One(RequestSize::ONE);
    let table = largest_rates(&service, &sla, sizes, search, 300.0).unwrap();
    assert!(table.windows(2).all(|pair| pair[0] <= pair[1]), "{table:?}");
    assert!(*table.last().unwrap() >= 300.0 && table[table.len() - 2] < 300.0, "{table:?}");
    for rate in [5.0, 40.0, 120.0, 250.0] {
        let by_table = table.partition_point(|largest| *largest < rate) + 1;
        let found = replicas_for(&service, &sla, Load::Poisson { rate_per_s: rate, sizes }, search).unwrap();
        assert!(found.replicas.abs_diff(by_table as u32) <= 1, "{rate}: {} and {by_table}", found.replicas);
    }
    let few = Search { most: 3, ..search };
    assert!(matches!(
        largest_rates(&service, &sla, sizes, few, 300.0),
        Err(CapacityError::TooFew { most: 3, .. })
    ));
}
