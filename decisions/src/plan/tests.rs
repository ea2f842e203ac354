//! Whole plans from profiles of known times.

use coldstart_profiles::Nanos;

use super::*;
use crate::capacity::PlanError;
use crate::cluster::{ClusterFacts, Prices};
use crate::measured::ByHand;
use crate::service::{RequestSize, Sla};
use crate::simulate::Dispatch;
use crate::testing::{encoder, language_model, with_cold_starts, with_sweep};
use crate::traffic::{Arrival, Ramp, Steady, Trace, Traffic};

pub(super) fn request(sla_ms: u64) -> PlanRequest {
    PlanRequest {
        sla: Sla::p99(Nanos::from_millis(sla_ms)),
        traffic_from: TrafficSource::Numbers,
        window_ns: Nanos::from_secs(10),
        quantile: 0.99,
        dispatch: Dispatch::LeastLoaded,
        cluster: ClusterFacts::default(),
        prices: Prices::default(),
        by_hand: ByHand::default(),
        places: PlacesRequest::default(),
        max_batch: None,
        node_class: None,
        allow_stand_in: false,
        left_out: Vec::new(),
        simulate: false,
        seed: 1,
    }
}

fn ramp(size: RequestSize) -> Traffic {
    Traffic::Ramp(Ramp { base_per_s: 20.0, peak_per_s: 300.0, growth_per_s_per_s: 1.0, size })
}

/// A request each second, and a burst of 200 in the middle minute.
pub(super) fn trace() -> Traffic {
    let steady = (0..600).map(|second| second * 1_000_000_000);
    let burst = (0..200).map(|n| 300_000_000_000 + n * 300_000_000 + 7);
    let arrivals = steady.chain(burst).map(|time_ns| Arrival { time_ns, tokens_in: 100, tokens_out: 20 });
    Traffic::Trace(Trace::new(arrivals.collect(), true).unwrap())
}

#[test]
fn a_plan_holds_what_it_rests_on_and_survives_json() {
    let profile = with_cold_starts(encoder(10.0, 5.0), &[50_000, 60_000, 55_000]);
    let prices = Prices { replica_hour: Some(2.0), miss: Some(0.01), ..Prices::default() };
    let asked = PlanRequest { prices, ..request(100) };
    let plan = make_plan(&[("p.json", &profile)], &ramp(RequestSize::ONE), asked, "0.1.0").unwrap();
    assert_eq!(plan.lead_time.total_ns.value, Nanos::from_secs(120));
    assert_eq!(plan.node_class, "AMD EPYC, 2 cores");
    let warm = &plan.capacity.warm;
    assert!((warm.peak_per_s.value - 140.0).abs() < 1e-9);
    assert_eq!(
        plan.capacity.cost_per_hour.as_ref().unwrap().value,
        2.0 * f64::from(warm.replicas_peak.value)
    );
    assert_eq!(plan.classes.len(), 1);
    assert!(plan.locality.tiers.iter().any(|tier| tier.tier.name() == "local_disk"), "{:?}", plan.locality);
    let disk = plan.locality.tiers.iter().find(|tier| tier.tier.name() == "local_disk").unwrap();
    let median = plan.fleet.classes[0].cold_starts[0].median_ns.value;
    let apart = disk.start_ns.value.as_secs_f64() - median.as_secs_f64();
    assert!(apart.abs() < 1e-3, "the trials read that disk: {disk:?}, and took {median}");
    assert_eq!(plan.mitigations.len(), 7);
    assert_eq!(plan.affinity.len(), 1);
    assert_eq!(plan.classes[0].replicas_peak.as_ref(), Some(&warm.replicas_peak));
    let text = serde_json::to_string_pretty(&plan).unwrap();
    assert_eq!(serde_json::from_str::<ServingPlan>(&text).unwrap(), plan);
    assert!(plan.caveats.iter().any(|caveat| caveat.contains("largest of 3 trials")), "{:?}", plan.caveats);
}

#[test]
fn every_number_can_be_explained_and_fields_lead_on() {
    let profile = with_cold_starts(encoder(10.0, 5.0), &[50_000, 60_000, 55_000]);
    let plan = make_plan(&[("p.json", &profile)], &trace(), request(100), "0.1.0").unwrap();
    let all = fields(&plan).unwrap();
    assert!(all.len() > 40, "{}", all.len());
    let named = |field: &str| all.iter().any(|known| known.field == field);
    let mut followed = 0;
    for known in &all {
        for field in known.basis.inputs.iter().filter_map(|input| input.field.as_deref()) {
            assert!(named(field), "{} rests on {field}, which is no field", known.field);
            followed += 1;
        }
    }
    assert!(followed > 30);
    for field in [
        "lead_time.total_ns",
        "capacity.warm.standby",
        "capacity.bound.rate_per_s",
        "autoscaler.targets.queue_depth.value",
        "service",
    ] {
        let found = explain(&plan, field).unwrap();
        assert_eq!(found.len(), 1, "{field}");
        assert!(!found[0].basis.formula.is_empty());
    }
    let standby = &explain(&plan, "capacity.warm.standby").unwrap()[0];
    assert!(standby.basis.keys.iter().any(|key| key.phase == coldstart_profiles::Phase::Throughput));
    assert!(
        standby.basis.keys.iter().any(|key| key.params.get("total").is_some()),
        "the cold start is in it"
    );
    let every = names(&plan).unwrap();
    assert!(every.is_sorted() && every.len() > all.len(), "{} and {}", every.len(), all.len());
    assert!(all.iter().all(|known| every.contains(&known.field)), "what has a basis of its own");
    for field in ["request.seed", "traffic.peak_per_s", "service.size.tokens_in"] {
        assert!(every.iter().any(|name| name == field), "{field}: {every:#?}");
    }
    for field in every.iter().step_by(every.len() / 10) {
        assert!(!explain(&plan, field).unwrap().is_empty(), "{field}");
    }
    for (field, formula) in [
        ("request.sla.end_to_end_ns", "given with --slo-p99"),
        ("request.seed", "given with --seed, or its default"),
        ("request.cluster.provisioning_ns", "given with --provisioning, or its default"),
    ] {
        assert_eq!(explain(&plan, field).unwrap()[0].basis.formula, formula, "{field}");
    }
    assert!(explain(&plan, "lead_time").unwrap().len() >= 4, "what lies below a field");
    assert!(explain(&plan, "no.such.field").unwrap().is_empty());
}

#[test]
fn language_models_take_the_lengths_of_their_requests() {
    let profile = with_cold_starts(language_model(), &[60_000, 60_000, 60_000]);
    let profiles = [("p.json", &profile)];
    let asked = request(20_000);
    let error = make_plan(&profiles, &ramp(RequestSize::ONE), asked.clone(), "0").unwrap_err();
    assert!(matches!(error, PlanError::NoSizes), "{error}");
    let by_hand = ByHand { free_memory_bytes: Some(coldstart_profiles::Bytes::new(1)), ..ByHand::default() };
    let error = make_plan(&profiles, &trace(), PlanRequest { by_hand, ..asked.clone() }, "0").unwrap_err();
    assert!(error.to_string().contains("give more with --free-memory"), "{error}");
    let plan = make_plan(&profiles, &trace(), asked, "0").unwrap();
    assert_eq!(plan.service.size, RequestSize { tokens_in: 100, tokens_out: 20 });
    assert!(plan.capacity.warm.replicas_now.value >= 1);
}

#[test]
fn what_is_missing_or_impossible_is_refused() {
    let encoder = with_cold_starts(encoder(10.0, 5.0), &[1000, 1000, 1000]);
    let traffic = Traffic::Steady(Steady { rate_per_s: 5.0, size: RequestSize::ONE });
    let refused = |asked: PlanRequest, profile| {
        make_plan(&[("p.json", profile)], &traffic, asked, "0").unwrap_err().to_string()
    };
    assert!(refused(request(10), &encoder).contains("18.0 ms"), "T_hi(1) = 1.2 · 15 ms");
    let slow = Traffic::Steady(Steady { rate_per_s: 1e-7, size: RequestSize::ONE });
    let error = make_plan(&[("p.json", &encoder)], &slow, request(100), "0").unwrap_err().to_string();
    assert!(error.contains("0.0000001") && error.contains("at least 0.000001"), "{error}");
    let mut cold = encoder.clone();
    cold.traces.clear();
    cold.derive();
    assert!(refused(request(100), &cold).contains("first_batch"));
    let assumed = ByHand { cold_p99_ns: Some(Nanos::from_secs(9)), ..ByHand::default() };
    let plan =
        make_plan(&[("p", &cold)], &traffic, PlanRequest { by_hand: assumed, ..request(100) }, "0").unwrap();
    assert!(plan.caveats.iter().any(|text| text.contains("assumed") && text.contains("--assume-cold-p99")));
    assert!(plan.lead_time.total_ns.is_assumed());
    let mut idle = encoder.clone();
    idle.throughput.clear();
    idle.measurements.retain(|row| row.key.phase != coldstart_profiles::Phase::Throughput);
    idle.derive();
    assert!(refused(request(100), &idle).contains("throughput"));
    let asked = PlanRequest { node_class: Some("L4".into()), ..request(100) };
    assert!(refused(asked, &encoder).contains("L4"));
}

#[test]
fn what_lies_beyond_the_measurements_or_far_from_the_fit_is_said() {
    let profile = with_cold_starts(language_model(), &[60_000, 60_000, 60_000]);
    let caveats = |profile, traffic: &Traffic, asked: PlanRequest| {
        make_plan(&[("p.json", profile)], traffic, asked, "0").unwrap().caveats.join("\n")
    };
    let steady = |tokens_in, tokens_out| {
        Traffic::Steady(Steady { rate_per_s: 1.0, size: RequestSize { tokens_in, tokens_out } })
    };
    assert!(!caveats(&profile, &steady(1000, 24), request(60_000)).contains("extrapolated"));
    let found = caveats(&profile, &steady(1000, 200), request(60_000));
    for part in ["its context at the end has 1200 tokens", "measured 1024", "--contexts 64,1200"] {
        assert!(found.contains(part), "{part}: {found}");
    }
    assert!(!found.contains("its prompt has"), "{found}");
    let found = caveats(&profile, &steady(4000, 200), request(60_000));
    assert!(
        found.contains("its prompt has 4000 tokens, the longest prompt that was measured 1024"),
        "{found}"
    );
    assert!(!found.contains("badly"), "{found}");
    let points = [(1, 15e6), (2, 60e6), (4, 30e6), (8, 50e6), (16, 90e6)]
        .map(|(batch, nanos)| (coldstart_profiles::ForwardMode::Encode, batch, 64, nanos));
    let noisy = with_cold_starts(with_sweep(crate::testing::profile(), &points), &[1000, 1000, 1000]);
    let found = caveats(&noisy, &ramp(RequestSize::ONE), request(1000));
    assert!(found.contains("the times of batches fit their line badly (R² 0."), "{found}");
}

#[test]
fn fewer_replicas_than_the_busiest_moment_takes_are_said() {
    let profile = with_cold_starts(encoder(500.0, 500.0), &[1000, 1000, 1000]);
    let asked = PlanRequest { quantile: 0.5, ..request(4000) };
    let plan = make_plan(&[("p.json", &profile)], &trace(), asked.clone(), "0").unwrap();
    assert!(plan.caveats.iter().all(|text| !text.contains("λ_max")), "{:?}", plan.caveats);
    let fixed = plan.capacity.fixed_replicas.as_ref().unwrap().value;
    let peak = plan.capacity.replayed_peak.as_ref().unwrap().value;
    assert!(fixed > plan.capacity.warm.replicas_now.value, "the burst takes more than the mean: {fixed}");
    assert!(peak >= plan.capacity.warm.replicas_now.value, "{peak}");
    let most = plan.capacity.warm.replicas_peak.value;
    let cluster = ClusterFacts { max_replicas: Some(most), ..ClusterFacts::default() };
    let plan = make_plan(&[("p.json", &profile)], &trace(), PlanRequest { cluster, ..asked }, "0").unwrap();
    let caveat = plan.caveats.iter().find(|text| text.contains("λ_max")).unwrap();
    assert!(caveat.contains(&format!("--max-replicas {most}")), "{caveat}");
    assert!(plan.autoscaler.behaviour.scale_up.pods.value <= most, "{:?}", plan.autoscaler.behaviour);
}

/// Fewer replicas than the burst takes: no way meets the SLA, and none is called the cheapest.
#[test]
fn where_nothing_meets_it_nothing_is_the_cheapest() {
    let profile = with_cold_starts(encoder(500.0, 500.0), &[1000, 1000, 1000]);
    let asked = PlanRequest { quantile: 0.01, ..request(4000) };
    let plan = make_plan(&[("p.json", &profile)], &trace(), asked.clone(), "0").unwrap();
    let most = plan.capacity.warm.replicas_peak.value;
    assert!(most < plan.capacity.fixed_replicas.unwrap().value);
    let cluster = ClusterFacts { max_replicas: Some(most), ..ClusterFacts::default() };
    let plan = make_plan(&[("p.json", &profile)], &trace(), PlanRequest { cluster, ..asked }, "0").unwrap();
    let courses = plan.courses.as_ref().unwrap();
    assert_eq!((&courses.cheapest, plan.capacity.fixed_replicas), (&None, None), "no more than there are");
    let export = courses.of_export(crate::autoscaler::Signal::Plan).unwrap();
    assert!(!export.meets, "{export:?}");
    assert!(plan.caveats.iter().any(|text| text.contains("nothing that was replayed meets the SLA")));
}

#[test]
fn classes_stand_side_by_side() {
    let slow = with_cold_starts(encoder(10.0, 5.0), &[10_000, 10_000]);
    let mut fast = with_cold_starts(encoder(5.0, 1.0), &[1000, 1000]);
    fast.target.host.cores = 64;
    let mut broken = slow.clone();
    broken.target.host.cores = 1;
    broken.throughput.clear();
    broken.derive();
    let profiles = [("slow", &slow), ("fast", &fast), ("broken", &broken)];
    let traffic = Traffic::Ramp(Ramp {
        base_per_s: 20.0,
        peak_per_s: 900.0,
        growth_per_s_per_s: 20.0,
        size: RequestSize::ONE,
    });
    let plan = make_plan(&profiles, &traffic, request(100), "0").unwrap();
    assert_eq!(plan.classes.len(), 3);
    let rate = |class: usize| plan.classes[class].rate_per_s.as_ref().unwrap().value;
    let peak = |class: usize| plan.classes[class].replicas_peak.as_ref().unwrap().value;
    assert!(rate(1) > rate(0) && peak(1) < peak(0), "{:?}", plan.classes);
    assert!(plan.classes[2].why.as_deref().unwrap().contains("throughput"), "{:?}", plan.classes[2]);
    let asked = PlanRequest { node_class: Some("AMD EPYC, 64 cores".into()), ..request(100) };
    let plan = make_plan(&profiles, &traffic, asked, "0").unwrap();
    assert_eq!(plan.lead_time.cold_start_ns.value, Nanos::from_secs(1));
    // A trace is replayed for every class, as it is for the one that the plan is for.
    let plan = make_plan(&profiles, &trace(), request(100), "0").unwrap();
    for class in &plan.classes[..2] {
        assert!(class.replayed_standby.is_some() && class.fixed_replicas.is_some(), "{class:?}");
        let asked = PlanRequest { node_class: Some(class.node_class.clone()), ..request(100) };
        let own = make_plan(&profiles, &trace(), asked, "0").unwrap().capacity;
        let value = |figure: &Option<crate::basis::Figure<u32>>| figure.as_ref().map(|figure| figure.value);
        assert_eq!(value(&class.replayed_standby), value(&own.replayed_standby));
        assert_eq!(value(&class.fixed_replicas), value(&own.fixed_replicas));
    }
}

/// Every export is what it is replayed as: the same target, bounds and behaviour; and the cheapest that meets the SLA is the answer.
#[test]
fn what_can_be_carried_out_is_replayed_and_the_cheapest_named() {
    let profile = with_cold_starts(encoder(500.0, 500.0), &[20_000, 20_000, 25_000]);
    let asked = request(4000);
    let short = make_plan(&[("p.json", &profile)], &trace(), asked.clone(), "0").unwrap();
    let asked = PlanRequest { simulate: true, ..asked };
    let plan = make_plan(&[("p.json", &profile)], &trace(), asked, "0").unwrap();
    let (wanted, courses) = (plan.wanted.as_ref().unwrap(), plan.courses.as_ref().unwrap());
    assert_eq!(short.wanted.as_ref(), Some(wanted), "the line is there without --simulate, too");
    let names =
        |courses: &Courses| courses.carried_out.iter().map(|course| course.name.clone()).collect::<Vec<_>>();
    let fixed = plan.capacity.fixed_replicas.as_ref().unwrap().value;
    assert_eq!(
        names(short.courses.as_ref().unwrap()),
        [format!("static {fixed}"), "--signal plan".to_owned()]
    );
    let all = names(courses);
    for name in ["--signal rate", "--signal queue", "--signal concurrency", "--signal p99", "--signal plan"] {
        assert!(all.iter().any(|known| known == name), "{name}: {all:?}");
    }
    // With as many replicas as a fixed number takes, any threshold meets it; what takes as many says so.
    for course in &courses.carried_out {
        assert!(course.meets, "{course:?}");
        assert_eq!(
            course.floor_carries,
            course.export.is_some() && fixed > 1 && course.min_replicas.value >= fixed,
            "{course:?}"
        );
    }
    let cheapest = courses.cheapest.as_ref().unwrap();
    assert!(
        courses.carried_out.iter().all(|course| course.replica_hours.value >= cheapest.replica_hours.value)
    );
    let exactly = courses.exactly.as_ref().unwrap();
    assert!(exactly.meets && exactly.export.is_none());
    // What an autoscaler does costs about what the plan costs, and no fewer are kept than without traffic.
    let export = courses.of_export(crate::autoscaler::Signal::Plan).unwrap();
    assert!(export.replica_hours.value < 1.5 * exactly.replica_hours.value, "{export:?} {exactly:?}");
    assert_eq!(export.min_replicas.value, wanted.min_replicas.value);
    assert!(wanted.max_replicas.value >= export.min_replicas.value);
    let policies = &plan.comparison.as_ref().unwrap().policies;
    assert!(all.iter().all(|name| policies.iter().any(|policy| policy.policy.name == *name)), "{all:?}");
    assert_eq!(policies.last().unwrap().policy.name, "plan, exactly");
    for field in [
        "courses.cheapest.replica_hours",
        "comparison",
        "capacity.sensitivity.twice.standby",
        "wanted.standby",
    ] {
        assert!(!explain(&plan, field).unwrap().is_empty(), "{field}");
    }
}

#[test]
fn a_line_for_numbers_makes_up_for_the_tolerance() {
    let profile = with_cold_starts(encoder(10.0, 5.0), &[50_000, 60_000, 55_000]);
    // So slow a ramp is not over in a day: there is nothing to replay.
    let slow =
        Ramp { base_per_s: 20.0, peak_per_s: 300.0, growth_per_s_per_s: 0.003, size: RequestSize::ONE };
    let plan = make_plan(&[("p.json", &profile)], &Traffic::Ramp(slow), request(100), "0").unwrap();
    assert!(
        plan.caveats
            .iter()
            .any(|text| text.contains("nothing was replayed: the ramp takes longer than a day"))
    );
    let (wanted, warm) = (plan.wanted.unwrap(), &plan.capacity.warm);
    let left_out = (0.1 * f64::from(warm.replicas_peak.value)).floor() as u32;
    assert_eq!(wanted.standby.value, warm.standby.value + left_out);
    assert_eq!(plan.courses, None, "nothing was replayed");
    let now = wanted.without_traffic() + wanted.per_request_per_s.value * warm.now_per_s.value;
    assert!(now.ceil() >= f64::from(warm.replicas_now.value + wanted.standby.value), "{wanted:?}");
}

#[test]
fn policies_are_compared_on_the_traffic() {
    let profile = with_cold_starts(encoder(10.0, 5.0), &[50_000, 60_000, 55_000]);
    let prices = Prices { replica_hour: Some(2.0), ..Prices::default() };
    let asked = PlanRequest { simulate: true, prices, ..request(100) };
    let plan = make_plan(&[("p.json", &profile)], &trace(), asked.clone(), "0").unwrap();
    let comparison = plan.comparison.as_ref().unwrap();
    assert_eq!((comparison.requests, comparison.drawn), (800, false));
    assert!(comparison.policies.len() >= 8);
    let named = |name: &str| {
        comparison
            .policies
            .iter()
            .find(|policy| policy.policy.name == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    let fixed = plan.capacity.fixed_replicas.as_ref().unwrap().value;
    assert!(named(&format!("static {fixed}")).outcome.meets);
    let replayed = plan.capacity.replayed_standby.as_ref().unwrap();
    assert!(replayed.value <= plan.capacity.warm.standby.value, "{replayed:?}");
    assert!(comparison.policies.iter().all(|policy| policy.cost.is_some()));
    assert!(comparison.policies.iter().all(|policy| !policy.policy.name.contains("GPU")), "a host device");
    assert!(comparison.pareto.iter().any(|point| point.standby == plan.capacity.warm.standby.value));
    let hours: Vec<f64> = comparison.pareto.iter().map(|point| point.replica_hours).collect();
    assert!(hours.is_sorted(), "more standby costs more: {hours:?}");
    let moments = plan.over_time(named("plan, exactly"));
    let arrived: f64 = moments.iter().map(|moment| moment.arrivals_per_s).sum();
    let seconds = named("plan, exactly").slice_ns.as_secs_f64();
    assert!((arrived * seconds - 800.0).abs() < 1e-6, "every request is in one stretch");
    assert!(moments.iter().all(|moment| moment.ready >= 1 && moment.capacity_per_s > 0.0));
    assert_eq!(make_plan(&[("p.json", &profile)], &trace(), asked.clone(), "0").unwrap(), plan, "by seed");
    let drawn = make_plan(&[("p.json", &profile)], &ramp(RequestSize::ONE), asked, "0").unwrap();
    assert!(drawn.comparison.unwrap().drawn);
}

/// The window of the lead time is that of the replays, and one that holds fewer than four scrapes is said with the remedy.
#[test]
fn a_window_of_few_scrapes_is_said_with_the_remedy() {
    let profile = with_cold_starts(encoder(10.0, 5.0), &[50_000, 60_000, 55_000]);
    let of = |window: u64| {
        let cluster = ClusterFacts { query_window_ns: Nanos::from_secs(window), ..ClusterFacts::default() };
        let asked = PlanRequest { cluster, ..request(100) };
        make_plan(&[("p.json", &profile)], &trace(), asked, "0").unwrap()
    };
    let (usual, short) = (of(60), of(45));
    assert!(usual.caveats.iter().all(|text| !text.contains("--query-window")), "{:?}", usual.caveats);
    let caveat = short.caveats.iter().find(|text| text.contains("--query-window 60s")).unwrap();
    assert!(caveat.contains("45.0 s holds 3 scrapes of 15.0 s"), "{caveat}");
    let replayed = &short.capacity.replayed_standby.as_ref().unwrap().basis;
    for basis in [&short.lead_time.detection_ns.basis, replayed] {
        let window = basis.inputs.iter().find(|input| input.name == "query window").unwrap();
        assert_eq!(window.value, crate::basis::Quantity::Nanos(Nanos::from_secs(45)));
    }
}

/// Frequent scrapes don't make up for looks that are further apart than the window is long.
#[test]
fn a_window_that_requests_fall_beside_is_said_with_the_remedy() {
    let profile = with_cold_starts(encoder(10.0, 5.0), &[50_000, 60_000, 55_000]);
    let said = |scrape_ms: u64, sync_ms: u64, window_ms: u64| {
        let cluster = ClusterFacts {
            scrape_interval_ns: Nanos::from_millis(scrape_ms),
            sync_interval_ns: Nanos::from_millis(sync_ms),
            query_window_ns: Nanos::from_millis(window_ms),
            ..ClusterFacts::default()
        };
        let asked = PlanRequest { cluster, ..request(100) };
        let traffic = Traffic::Steady(Steady { rate_per_s: 1.0, size: RequestSize::ONE });
        let caveats = make_plan(&[("p.json", &profile)], &traffic, asked, "0").unwrap().caveats;
        caveats.into_iter().find(|text| text.contains("--query-window"))
    };
    let caveat = said(1000, 15_000, 5000).unwrap();
    for part in [
        "the query window of 5.00 s is shorter than a sync of 15.0 s and a scrape of 1.00 s",
        "--query-window 16s",
    ] {
        assert!(caveat.contains(part), "{part}: {caveat}");
    }
    assert!(!caveat.contains("lost"), "five scrapes are enough: {caveat}");
    assert_eq!(said(1000, 15_000, 16_000), None);
    assert_eq!(said(1100, 500, 4400), None, "four scrapes, although the usual window is rounded up to 5 s");
}

/// Numbers are replayed as arrivals that are drawn of them, with and without `--simulate` the same; where none would tell, it is said.
#[test]
fn numbers_are_replayed_on_arrivals_drawn_of_them() {
    let profile = with_cold_starts(encoder(500.0, 500.0), &[20_000, 20_000, 25_000]);
    let climbing = |base_per_s, peak_per_s, growth_per_s_per_s| {
        Traffic::Ramp(Ramp { base_per_s, peak_per_s, growth_per_s_per_s, size: RequestSize::ONE })
    };
    let traffic = climbing(0.5, 4.0, 0.01);
    let plan = make_plan(&[("p.json", &profile)], &traffic, request(4000), "0").unwrap();
    let asked = PlanRequest { simulate: true, ..request(4000) };
    let all = make_plan(&[("p.json", &profile)], &traffic, asked, "0").unwrap();
    assert_eq!(plan.wanted, all.wanted, "--simulate adds, and changes nothing");
    let (some, all) = (plan.courses.as_ref().unwrap(), all.courses.as_ref().unwrap());
    assert!(some.carried_out.iter().all(|course| all.carried_out.contains(course)), "{some:?}");
    let queue = all.of_export(crate::autoscaler::Signal::QueueDepth).unwrap();
    assert!(queue.meets && queue.min_replicas.value >= 1, "{queue:?}");
    assert_eq!(plan.capacity.replayed_standby, None, "of numbers the formula's standby is kept");
    assert!(plan.caveats.iter().any(|text| text.contains("Poisson arrivals over")), "{:?}", plan.caveats);
    for (traffic, why) in [
        (climbing(0.001, 0.002, 1.0), "fewer than 1000 requests come in a day"),
        (climbing(1.0, 4.0, 0.00001), "longer than a day"),
        (climbing(1.0, 3000.0, 1.0), "more than 500000 requests"),
    ] {
        let asked = PlanRequest { simulate: true, ..request(4000) };
        let plan = make_plan(&[("p.json", &profile)], &traffic, asked, "0").unwrap();
        assert_eq!((&plan.courses, &plan.comparison), (&None, &None), "{why}");
        assert!(plan.caveats.iter().any(|text| text.contains(why)), "{why}: {:?}", plan.caveats);
    }
}

/// A mitigation that saves nothing leaves the standby of the plan, whatever its cold start rests on.
#[test]
fn a_warm_standby_is_that_of_the_plan() {
    use crate::mitigations::{Effect, MitigationKind};
    let profile = with_cold_starts(encoder(10.0, 5.0), &[1_000, 60_000, 2_000]);
    let by_hand = ByHand { cold_p99_ns: Some(Nanos::from_secs(90)), ..ByHand::default() };
    for asked in [request(100), PlanRequest { by_hand, ..request(100) }] {
        for traffic in [ramp(RequestSize::ONE), trace()] {
            let plan = make_plan(&[("p.json", &profile)], &traffic, asked.clone(), "0").unwrap();
            let kept = plan.capacity.standby().value;
            let of = plan.mitigations.iter().find(|of| of.kind == MitigationKind::WarmStandby).unwrap();
            match &of.effect {
                Effect::Predicted(found) => assert_eq!(found.standby.as_ref().unwrap().value, kept),
                other => assert!(kept == 0 && matches!(other, Effect::Nothing { .. }), "{kept}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_a_profile_says_against_itself_is_said_of_its_plan() {
    let mut profile = with_cold_starts(encoder(10.0, 5.0), &[1_000, 1_000, 1_000]);
    profile.caveat("load_before", "the load average was 9.00 on 2 cores before the run");
    let plan = make_plan(&[("a/p.json", &profile)], &trace(), request(100), "0").unwrap();
    let caveat = "a/p.json: the load average was 9.00 on 2 cores before the run";
    assert!(plan.caveats.iter().any(|text| text == caveat), "{:?}", plan.caveats);
}
