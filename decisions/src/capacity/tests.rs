//! Warm replicas for services and traffic of known numbers.

use coldstart_profiles::Nanos;

use super::*;
use crate::basis::{Basis, Figure};
use crate::cluster::ClusterFacts;
use crate::service::{RequestSize, ServiceModel, SingleForward, Sla};
use crate::simulate::Dispatch;
use crate::traffic::{Ramp, Steady, Traffic};

const SLA: Sla = Sla::p99(Nanos::from_millis(100));

/// T(n) = 10 ms + 5 ms · n, up to 16.
fn service() -> ServiceModel {
    ServiceModel::SingleForward(SingleForward::by_hand(10e6, 5e6, 16))
}

/// From 100 to at most 1000 requests per second, by 5 more each second.
fn ramp() -> Traffic {
    Traffic::Ramp(Ramp {
        base_per_s: 100.0,
        peak_per_s: 1000.0,
        growth_per_s_per_s: 5.0,
        size: RequestSize::ONE,
    })
}

fn demand<'a>(traffic: &'a Traffic, sla: &'a Sla) -> Demand<'a> {
    let window = Nanos::from_secs(10);
    Demand { traffic, sla, window, quantile: 0.99, dispatch: Dispatch::LeastLoaded, seed: 7 }
}

fn cold(seconds: u64) -> Figure<Nanos> {
    Figure::new(Nanos::from_secs(seconds), Basis::of("the largest of 5 trials"))
}

#[test]
fn the_standby_is_what_the_growth_within_the_lead_time_takes() {
    let (traffic, service, cluster, basis) = (ramp(), service(), ClusterFacts::default(), Basis::default());
    let planner = Planner::new(demand(&traffic, &SLA), &service, &basis, &cluster).unwrap();
    let lead = LeadTime::new(&cluster, &cold(60));
    assert_eq!(lead.detection_ns.value, Nanos::from_secs(60), "15 s + 60 s ÷ 2 + 15 s");
    assert_eq!(lead.total_ns.value, Nanos::from_secs(120));
    let warm = planner.warm(&lead).unwrap();
    assert!((warm.growth_per_s.value - 5.0 * 120.0).abs() < 1e-9);
    assert!((warm.peak_per_s.value - 700.0).abs() < 1e-9);
    assert_eq!(warm.replicas_now.value, planner.replicas(100.0).unwrap());
    assert_eq!(warm.replicas_peak.value, planner.replicas(700.0).unwrap());
    assert_eq!(warm.standby.value, warm.replicas_peak.value - warm.replicas_now.value);
    // One replica completes at most 16 ÷ 90 ms = 178 requests per second, so it takes at least four for 700.
    assert!(warm.replicas_peak.value >= 4 && warm.standby.value >= 2, "{warm:?}");
    let fields: Vec<&str> =
        warm.standby.basis.inputs.iter().filter_map(|input| input.field.as_deref()).collect();
    assert_eq!(fields, ["capacity.warm.replicas_peak", "capacity.warm.replicas_now"]);
}

#[test]
fn a_longer_cold_start_never_takes_fewer() {
    let (traffic, service, cluster, basis) = (ramp(), service(), ClusterFacts::default(), Basis::default());
    let planner = Planner::new(demand(&traffic, &SLA), &service, &basis, &cluster).unwrap();
    let rows = sensitivity(&planner, &cold(60), |_| None).unwrap();
    assert_eq!(rows.iter().map(|row| row.factor).collect::<Vec<_>>(), [0.5, 1.0, 2.0]);
    assert_eq!(rows[2].lead_time_ns, Nanos::from_secs(180));
    assert!(rows.windows(2).all(|pair| pair[0].warm.value <= pair[1].warm.value), "{rows:?}");
    assert!(rows[2].standby.value > rows[0].standby.value, "{rows:?}");
    let replayed = sensitivity(&planner, &cold(60), |factor| (factor < 2.0).then_some(1)).unwrap();
    let standby: Vec<u32> = replayed.iter().map(|row| row.standby.value).collect();
    assert_eq!(standby, [1, 1, rows[2].standby.value], "the formula where no replay has an answer");
}

#[test]
fn the_bound_has_its_derivation() {
    let traffic = Traffic::Steady(Steady { rate_per_s: 50.0, size: RequestSize::ONE });
    let (service, cluster) = (service(), ClusterFacts::default());
    let basis = Basis::default().assumed("--max-batch");
    let planner = Planner::new(demand(&traffic, &SLA), &service, &basis, &cluster).unwrap();
    let bound = planner.bound();
    assert_eq!((bound.batch.value, bound.sufficient), (8, true), "2 · (10 + 5·8) = 100 ms");
    assert!((bound.rate_per_s.value - 160.0).abs() < 1e-9);
    assert_eq!(bound.alone_hi_ns.value, Nanos::from_millis(15));
    assert_eq!(bound.rate_per_s.basis.assumed, ["--max-batch"]);
    let warm = planner.warm(&LeadTime::new(&cluster, &cold(60))).unwrap();
    assert_eq!((warm.growth_per_s.value, warm.standby.value), (0.0, 0), "a steady rate does not grow");
}

#[test]
fn what_no_number_of_replicas_can_do_is_refused_with_both_numbers() {
    let (traffic, service, basis) = (ramp(), service(), Basis::default());
    let cluster = ClusterFacts::default();
    let tight = Sla::p99(Nanos::from_millis(14));
    let error = Planner::new(demand(&traffic, &tight), &service, &basis, &cluster).unwrap_err().to_string();
    assert!(error.contains("14.0 ms") && error.contains("15.0 ms"), "{error}");

    let few = ClusterFacts { max_replicas: Some(3), ..cluster };
    let planner = Planner::new(demand(&traffic, &SLA), &service, &basis, &few).unwrap();
    let lead = LeadTime::new(&few, &cold(60));
    match planner.warm(&lead) {
        Err(PlanError::TooFewReplicas { most: 3, needed, peak_per_s }) => {
            assert!(needed > 3 && (peak_per_s - 700.0).abs() < 1e-9);
        }
        other => panic!("{other:?}"),
    }
    // Nor does any cold start ask for more than there may be, however many a replay lets stand by.
    for at in crate::capacity::sensitivity(&planner, &cold(60), |_| Some(3)).unwrap() {
        assert_eq!((at.warm.value, at.standby.value), (3, 3), "{}", at.name);
    }
    let short = ClusterFacts { query_window_ns: Nanos::from_secs(29), ..cluster };
    let error = Planner::new(demand(&traffic, &SLA), &service, &basis, &short).unwrap_err().to_string();
    assert!(
        error.contains("29.0 s") && error.contains("give --query-window 60s, or leave it out"),
        "{error}"
    );
    // Four such scrapes are more than a day, which can't be given.
    let hours = Nanos::from_secs(7 * 3600);
    let long = ClusterFacts { scrape_interval_ns: hours, query_window_ns: hours, ..cluster };
    let error = Planner::new(demand(&traffic, &SLA), &service, &basis, &long).unwrap_err().to_string();
    assert!(error.ends_with("leave --query-window out"), "{error}");
    for quantile in [0.0, 1.0, f64::NAN] {
        let demand = Demand { quantile, ..demand(&traffic, &SLA) };
        assert!(matches!(Planner::new(demand, &service, &basis, &cluster), Err(PlanError::Quantile { .. })));
    }
}
