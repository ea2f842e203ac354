//! The cheapest settings against all others, and limits on replicas that the replay knows better than the formula.

use coldstart_profiles::{Nanos, Profile};

use super::tests::{request, trace};
use super::*;
use crate::autoscaler::Signal;
use crate::basis::{Basis, Figure};
use crate::capacity::PlanError;
use crate::cluster::{ClusterFacts, Prices};
use crate::service::Sla;
use crate::testing::{encoder, with_cold_starts};
use crate::traffic::{Ramp, Traffic};

fn profile() -> Profile {
    with_cold_starts(encoder(500.0, 500.0), &[20_000, 20_000, 25_000])
}

fn plan(asked: PlanRequest) -> ServingPlan {
    make_plan(&[("p.json", &profile())], &trace(), asked, "0").unwrap()
}

fn with_prices(replica_hour: f64, miss: f64) -> PlanRequest {
    let prices = Prices { replica_hour: Some(replica_hour), miss: Some(miss), ..Prices::default() };
    // Half of the requests may miss it, so that misses are left to pay for.
    PlanRequest { sla: Sla { permille: 800, ..Sla::p99(Nanos::from_millis(4000)) }, prices, ..request(4000) }
}

/// With so few replicas that the SLA just holds every fifth request may miss it: at a price of misses more are cheaper, and the answer
/// says what the fewest would have cost.
#[test]
fn more_than_the_fewest_are_taken_where_they_are_cheaper() {
    let cheap = plan(with_prices(1.0, 0.0));
    let fewest = cheap.capacity.fixed_replicas.as_ref().unwrap().value;
    let fixed = |plan: &ServingPlan| plan.courses.as_ref().unwrap().carried_out[0].clone();
    assert_eq!((fixed(&cheap).min_replicas.value, fixed(&cheap).fewest), (fewest, None));

    let dear = plan(with_prices(1.0, 10.0));
    let chosen = fixed(&dear);
    assert!(chosen.min_replicas.value > fewest, "{chosen:?}");
    let saved = chosen.fewest.as_ref().unwrap();
    assert_eq!(saved.replicas.value, fewest, "the fewest are still told");
    let cost = chosen.cost.as_ref().unwrap().value;
    assert!(cost < saved.cost.as_ref().unwrap().value, "{chosen:?}");
    assert!(chosen.replica_hours.value > saved.replica_hours.value);
    assert_eq!(chosen.name, format!("static {}", chosen.min_replicas.value));
    // No number that may be is cheaper.
    for most in fewest..chosen.min_replicas.value + 12 {
        let cluster = ClusterFacts { max_replicas: Some(most), ..ClusterFacts::default() };
        let other = fixed(&plan(PlanRequest { cluster, ..with_prices(1.0, 10.0) }));
        assert!(other.cost.unwrap().value >= cost - 1e-9, "{most}");
    }
    let wanted = |plan: &ServingPlan| plan.wanted.as_ref().unwrap().standby.value;
    assert!(wanted(&dear) > wanted(&cheap), "{} {}", wanted(&dear), wanted(&cheap));
    let of_plan = dear.courses.as_ref().unwrap().of_export(Signal::Plan).unwrap();
    let fewest = of_plan.fewest.as_ref().unwrap();
    assert_eq!(fewest.replicas.value, wanted(&cheap));
    assert!(of_plan.cost.as_ref().unwrap().value < fewest.cost.as_ref().unwrap().value, "{of_plan:?}");
    let explained =
        explain(&dear, &format!("courses.carried_out.static_{}.fewest.cost", chosen.min_replicas.value))
            .unwrap();
    assert!(!explained.is_empty());
}

/// What the sentence says of the plan and what the table says of as many standing by is one number.
#[test]
fn of_numbers_the_plan_is_carried_out_with_its_own_standby() {
    let traffic = Traffic::Ramp(Ramp {
        base_per_s: 2.0,
        peak_per_s: 12.0,
        growth_per_s_per_s: 0.05,
        size: crate::service::RequestSize::ONE,
    });
    let asked = PlanRequest { simulate: true, ..request(4000) };
    let plan = make_plan(&[("p.json", &profile())], &traffic, asked, "0").unwrap();
    let standby = plan.capacity.standby().value;
    assert!(standby > 1, "else it would be hard to tell from others: {standby}");
    let exactly = plan.courses.as_ref().unwrap().exactly.as_ref().unwrap();
    let comparison = plan.comparison.as_ref().unwrap();
    let point = comparison.pareto.iter().find(|point| point.standby == standby).unwrap();
    assert_eq!((exactly.replica_hours.value, exactly.meets), (point.replica_hours, point.meets));
    assert_eq!(comparison.policies.last().unwrap().replica_hours, point.replica_hours);
    assert!(comparison.pareto.iter().any(|other| other.replica_hours != point.replica_hours));
}

#[test]
fn what_scales_has_to_be_worth_it() {
    let course = |name: &str, export, hours: f64, meets| Course {
        name: name.to_owned(),
        export,
        to_zero: false,
        min_replicas: Figure::new(1, Basis::default()),
        fewest: None,
        meets,
        attainment: Figure::new(1.0, Basis::default()),
        replica_hours: Figure::new(hours, Basis::default()),
        cost: None,
        floor_carries: false,
    };
    for (fixed, signal, meets, cheapest) in [
        (2.0, 1.99, true, "static"),
        (2.0, 1.9, true, "signal"),
        (2.0, 2.5, true, "static"),
        (1.0, 1.99, false, "signal"),
    ] {
        let courses = Courses::new(
            None,
            vec![course("static", None, fixed, meets), course("signal", Some(Signal::Plan), signal, true)],
        );
        assert_eq!(courses.cheapest.unwrap().name, cheapest, "{fixed} {signal}");
    }
}

#[test]
fn batches_beyond_the_sweep_are_said_to_be_extrapolated() {
    let asked = |most| plan(PlanRequest { max_batch: Some(most), ..request(4000) }).caveats.join("\n");
    assert!(asked(64).contains("batches of up to 64 are extrapolated: the largest that was measured is 16"));
    assert!(!asked(16).contains("extrapolated"));
}

#[test]
fn no_signal_is_dearer_than_with_its_fewest_replicas() {
    let found = plan(PlanRequest { simulate: true, ..with_prices(1.0, 0.05) });
    let courses = found.courses.as_ref().unwrap();
    for course in &courses.carried_out {
        let Some(fewest) = &course.fewest else { continue };
        assert!(course.meets && course.cost.as_ref().unwrap().value < fewest.cost.as_ref().unwrap().value);
    }
    // What scales nothing is no signal to export.
    if let Some(export) = courses.cheapest_export() {
        assert!(!export.floor_carries && export.meets, "{export:?}");
    }
}

/// A fixed number that carries the trace is enough, whatever the formula asks for.
#[test]
fn a_limit_that_the_trace_keeps_to_is_no_refusal() {
    let free = plan(request(4000));
    let (fixed, peak) =
        (free.capacity.fixed_replicas.as_ref().unwrap().value, free.capacity.warm.replicas_peak.value);
    assert!(fixed < peak, "the formula is safe: {fixed} {peak}");
    let limited = |most: u32| {
        let cluster = ClusterFacts { max_replicas: Some(most), ..ClusterFacts::default() };
        make_plan(&[("p.json", &profile())], &trace(), PlanRequest { cluster, ..request(4000) }, "0")
    };
    let found = limited(fixed).unwrap();
    assert_eq!(found.capacity.fixed_replicas.as_ref().unwrap().value, fixed);
    assert!(found.courses.as_ref().unwrap().cheapest.is_some());
    for count in [found.capacity.warm.replicas_now.value, found.capacity.warm.replicas_peak.value] {
        assert!(count <= fixed, "{count} of {fixed}");
    }
    assert!(found.capacity.warm.replicas_peak.basis.caveats.iter().any(|text| text.contains("replayed")));
    assert!(found.wanted.unwrap().max_replicas.value <= fixed);
    match limited(fixed - 1) {
        Err(PlanError::TooFewForTrace { most, needed }) => assert_eq!((most, needed), (fixed - 1, fixed)),
        other => panic!("{other:?}"),
    }
}

/// However many stand by in a replay, no more are kept than there may be; and without a limit the sum is kept.
#[test]
fn no_more_are_kept_warm_than_there_may_be() {
    let mut found = plan(request(4000)).capacity;
    let (now, most) = (found.warm.replicas_now.value, found.warm.replicas_now.value + 1);
    found.replayed_standby.as_mut().unwrap().value = most;
    let kept = found.kept(Some(most));
    assert_eq!((kept.value, found.kept(None).value), (most, now + most));
    assert!(kept.basis.formula.contains("--max-replicas"), "{}", kept.basis.formula);
}

#[test]
fn files_that_were_left_out_are_a_caveat_each_and_not_too_many() {
    let left_out = |n: usize| {
        let file = |n| LeftOutProfile { name: format!("fleet/{n}.json"), why: "it is cut off".to_owned() };
        plan(PlanRequest { left_out: (0..n).map(file).collect(), ..request(4000) }).caveats
    };
    let caveats = left_out(2);
    for name in ["fleet/0.json", "fleet/1.json"] {
        assert!(caveats.iter().any(|text| text.contains(name) && text.contains("cut off")), "{caveats:?}");
    }
    let caveats = left_out(40);
    assert_eq!(caveats.iter().filter(|text| text.contains("fleet/")).count(), 5);
    assert!(caveats.iter().any(|text| text.contains("35 more files")), "{caveats:?}");
}
