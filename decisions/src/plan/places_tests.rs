//! Where the model should live, in whole plans of machines and of a cluster's pods.

use coldstart_profiles::{Bytes, Detail, Nanos, ObservedDetail, Phase, Profile};

use super::tests::request;
use super::*;
use crate::basis::Quantity;
use crate::locality::{Locality, StrategyFigures, StrategyOutcome};
use crate::measured::{ByHand, PullByHand, ServiceByHand, TimeOf};
use crate::service::RequestSize;
use crate::testing::{encoder, pods, with_cold_starts};
use crate::traffic::{Steady, Traffic};

fn steady() -> Traffic {
    Traffic::Steady(Steady { rate_per_s: 5.0, size: RequestSize::ONE })
}

fn planned(profiles: &[(&str, &Profile)], asked: PlanRequest) -> ServingPlan {
    make_plan(profiles, &steady(), asked, "0").unwrap()
}

/// All that it takes to plan with pods alone.
fn of_pods() -> ByHand {
    let time = |count, millis| TimeOf { count, time_ns: Nanos::from_millis(millis) };
    ByHand {
        weights_bytes: Some(Bytes::new(2_000_000_000)),
        service: Some(ServiceByHand::SingleForward { batches: vec![time(1, 15), time(8, 50)] }),
        ..ByHand::default()
    }
}

fn with_mount(by_hand: ByHand) -> PlanRequest {
    PlanRequest {
        by_hand,
        places: PlacesRequest { shared_bytes_per_s: Some(1e9), hit_ratio: None },
        ..request(200)
    }
}

fn possible(locality: &Locality) -> Vec<&StrategyFigures> {
    let figures = locality.strategies.iter().filter_map(|time| match &time.outcome {
        StrategyOutcome::Possible(figures) => Some(&**figures),
        StrategyOutcome::Impossible { .. } => None,
    });
    figures.collect()
}

/// What pods do until they are ready holds the load: a load from anywhere else can't be added to it.
#[test]
fn a_load_that_readiness_holds_is_not_counted_twice() {
    let pods = pods(&[(60, 30), (70, 32)]);
    let plan = planned(&[("pods.json", &pods)], with_mount(of_pods()));
    assert_eq!((plan.locality.choice, possible(&plan.locality).len()), (None, 0));
    for part in ["the readiness of the pods, 30.0 s, holds the load", "twice", "coldstart run"] {
        assert!(plan.locality.why.contains(part), "{part}: {}", plan.locality.why);
    }
    // A machine beside them tells how long the load is.
    let machine = with_cold_starts(encoder(10.0, 5.0), &[5_000, 5_000, 5_000]);
    let profiles = [("m.json", &machine), ("pods.json", &pods)];
    let plan = planned(&profiles, with_mount(ByHand::default()));
    let cold = plan.fleet.classes[0].cold_start().unwrap();
    assert!(cold.part(Phase::Readiness).is_some());
    let load = plan.fleet.classes[0].load_within(cold).unwrap().value;
    let mount = plan.locality.tiers.iter().find(|tier| tier.tier.name() == "shared_storage").unwrap();
    let besides = mount.start_ns.value.saturating_sub(mount.load_ns.value);
    assert_eq!(besides, Nanos::from_secs(30).saturating_sub(load), "C less the pull of 60 s and the load");
}

/// The sizes that nodes told make a rate of the registry; where none was told, that is said.
#[test]
fn pulls_of_pods_tell_the_registry_where_their_size_is_known() {
    let machine = with_cold_starts(encoder(10.0, 5.0), &[5_000, 5_000, 5_000]);
    let silent = pods(&[(60, 30), (70, 32)]);
    let mut telling = silent.clone();
    for reading in telling.traces.iter_mut().flat_map(|trace| &mut trace.readings) {
        if reading.phase == Phase::ImagePull {
            reading.detail = Some(Detail::Observed(ObservedDetail {
                begins_with: "event Pulling".to_owned(),
                ends_with: "event Pulled".to_owned(),
                uncertainty_ns: Nanos::from_millis(1),
                image_bytes: Some(Bytes::new(6_000_000_000)),
                // 10 s of each were waiting for others.
                pulling_ns: Some(reading.duration_ns.saturating_sub(Nanos::from_secs(10))),
            }));
        }
    }
    let of = |pods: &Profile| planned(&[("m.json", &machine), ("pods.json", pods)], request(200)).locality;
    let why = |locality: &Locality| {
        let missing = locality.missing.iter().find(|missing| missing.tier.name() == "registry");
        missing.map(|missing| missing.why.clone())
    };
    let known = of(&telling);
    assert_eq!(why(&known), None);
    let registry = known.tiers.iter().find(|tier| tier.tier.name() == "registry").unwrap();
    let bandwidth = registry.load_ns.basis.inputs.iter().find(|input| input.name == "bandwidth").unwrap();
    let Quantity::BytesPerSecond(rate) = bandwidth.value else { panic!("{bandwidth:?}") };
    assert!((rate - 12e9 / 110.0).abs() < 1.0, "12 GB in 50 s and 60 s: {rate}");
    let why = why(&of(&silent)).unwrap();
    assert!(why.contains("took 60.0 s") && why.contains("--registry-bandwidth"), "{why}");
}

/// What the choice of a strategy rests on is named where it was given, and where it is a default.
#[test]
fn what_a_choice_of_places_assumes_is_said() {
    let machine = with_cold_starts(encoder(10.0, 5.0), &[5_000, 5_000, 5_000]);
    let assumed = |asked| {
        let plan = planned(&[("m.json", &machine)], asked);
        plan.caveats.into_iter().find(|text| text.starts_with("assumed, not measured"))
    };
    assert_eq!(
        assumed(with_mount(ByHand::default())).as_deref(),
        Some("assumed, not measured: --hit-ratio (0.9, its default), --shared-bandwidth")
    );
    let places = PlacesRequest { shared_bytes_per_s: Some(1e9), hit_ratio: Some(0.8) };
    assert_eq!(
        assumed(PlanRequest { places, ..request(200) }).as_deref(),
        Some("assumed, not measured: --hit-ratio, --shared-bandwidth")
    );
    assert_eq!(assumed(request(200)), None, "no place but the disk is known, and no strategy is chosen");
    // Of pods alone none is computed, whatever was given.
    let plan = planned(&[("pods.json", &pods(&[(60, 30), (70, 32)]))], with_mount(of_pods()));
    assert!(plan.caveats.iter().all(|text| !text.contains("--hit-ratio")), "{:?}", plan.caveats);
    let pull = PullByHand { image_bytes: Bytes::new(8_000_000_000), registry_bytes_per_s: 100e6 };
    let by_hand = ByHand { pull: Some(pull), ..of_pods() };
    let plan = planned(&[("pods.json", &pods(&[(60, 30), (70, 32)]))], with_mount(by_hand));
    let unused =
        "--image-bytes and --registry-bandwidth are not used for the cold start: its pull was measured";
    assert!(plan.caveats.iter().any(|text| text == unused), "{:?}", plan.caveats);
    assert!(
        plan.caveats.iter().all(|text| !text.contains("assumed, not measured: --image")),
        "{:?}",
        plan.caveats
    );
}

#[test]
fn a_cold_start_by_hand_of_which_nothing_was_measured_tells_no_place() {
    let mut bare = with_cold_starts(encoder(10.0, 5.0), &[1_000]);
    bare.traces.clear();
    bare.derive();
    let by_hand = ByHand { cold_p99_ns: Some(Nanos::from_secs(60)), ..ByHand::default() };
    let plan = planned(&[("p.json", &bare)], with_mount(by_hand.clone()));
    assert_eq!(plan.locality.choice, None);
    assert!(plan.locality.why.contains("given by hand as a whole"), "{}", plan.locality.why);
    // With its parts it is less of what was given.
    let whole = with_cold_starts(encoder(10.0, 5.0), &[5_000, 5_000, 5_000]);
    let plan = planned(&[("p.json", &whole)], with_mount(by_hand));
    let disk = plan.locality.tiers.iter().find(|tier| tier.tier.name() == "local_disk").unwrap();
    let apart = disk.start_ns.value.as_secs_f64() - 60.0;
    assert!(apart.abs() < 1e-3 && disk.start_ns.is_assumed(), "as the lead time has it: {disk:?}");
}

/// The same file twice is no more trials, and the plan says so.
#[test]
fn a_profile_that_is_given_twice_counts_once() {
    let machine = with_cold_starts(encoder(10.0, 5.0), &[5_000, 6_000, 7_000]);
    let once = planned(&[("m.json", &machine)], request(200));
    let twice = planned(&[("m.json", &machine), ("dup.json", &machine)], request(200));
    assert_eq!(twice.fleet, once.fleet);
    assert_eq!(twice.fleet.classes[0].cold_start().unwrap().trials, 3);
    let said = "dup.json is the run of m.json once more, and left out: its trials are no others";
    assert!(twice.caveats.iter().any(|text| text == said), "{:?}", twice.caveats);
}
