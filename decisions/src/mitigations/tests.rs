//! Worked by hand on a measured fleet whose parts are set to known times.

use coldstart_profiles::{Bytes, Key, LimitKind, Params, Phase};

use super::*;
use crate::basis::Basis;
use crate::measured::{ByHand, ColdPart, Fleet, ImageFacts, JitTimes, LimitRate, PullTime};
use crate::testing::profile;

fn seconds(value: f64) -> Nanos {
    Nanos::from_nanos_f64(value * 1e9)
}

fn time(value: f64) -> Figure<Nanos> {
    Figure::new(seconds(value), Basis::of("test"))
}

fn limit(kind: LimitKind, per_s: f64) -> LimitRate {
    LimitRate { kind, params: Params::new(), storage: None, per_s: Figure::new(per_s, Basis::of("test")) }
}

/// A GPU of which everything is known: C = 100 s, of it 40 s pull, 2 s container, 1 s driver, 3 s context, 6 s kernels, 30 s load.
fn known() -> (Measured, ColdStart) {
    let profile = profile();
    let mut measured = Fleet::of(&[("p", &profile)], &ByHand::default(), false).unwrap().classes.remove(0);
    let mut cold = measured.cold_start().unwrap().clone();
    measured.class.device_kind = "cuda".to_owned();
    measured.memory.weights_bytes = Bytes::new(16_000_000_000);
    measured.startup.jit = JitTimes { cold_ns: Some(time(6.0)), warm_ns: Some(time(0.5)) };
    measured.image = Some(ImageFacts {
        reference: "serve:1".to_owned(),
        synthetic: false,
        compressed_bytes: Some(Bytes::new(5_000_000_000)),
        unpacked_bytes: Some(Bytes::new(10_000_000_000)),
        codec: Some("gzip".to_owned()),
        pull_bytes_per_s: Some(0.125e9),
        unpack_bytes_per_s: Some(0.4e9),
        unpack_share: Some(0.5),
        basis: Basis::of("test"),
    });
    measured.limits = vec![
        limit(LimitKind::InflateGzip, 0.5e9),
        limit(LimitKind::InflateZstd, 2e9),
        limit(LimitKind::HostToDevice, 16e9),
    ];
    for load in &mut measured.loads {
        let alone = if load.page_cache == "warm" { 2.0 } else { 15.0 };
        (load.median_ns, load.bytes) = (time(alone), Bytes::new(16_000_000_000));
    }
    cold.parts = [
        (Phase::ImagePull, 40.0),
        (Phase::ContainerStart, 2.0),
        (Phase::DriverInit, 1.0),
        (Phase::ContextCreate, 3.0),
        (Phase::ModuleLoad, 6.0),
        (Phase::WeightsLoad, 30.0),
    ]
    .map(|(phase, value)| ColdPart { phase, median_ns: time(value), max_ns: seconds(value) })
    .to_vec();
    let key = Key::host(Phase::FirstBatch, Params::new());
    cold.median_ns = Figure::new(seconds(100.0), Basis::measured("median", [key], 5));
    cold.hi_ns = Figure::new(seconds(100.0), cold.median_ns.basis.clone());
    cold.pull = PullTime::Measured { times_ns: vec![seconds(40.0)] };
    (measured, cold)
}

/// One standby replica for each 20 s of cold start.
fn answer(measured: &Measured, cold_start: &ColdStart, prices: &Prices) -> Vec<Mitigation> {
    let standby = |cold: Nanos| {
        Some(Figure::new((cold.as_secs_f64() / 20.0).ceil() as u32, Basis::of("a replica for each 20 s")))
    };
    let cluster = ClusterFacts { nodes: Some(10), ..ClusterFacts::default() };
    mitigations(&Question { measured, cold_start, cluster: &cluster, prices, standby_for: &standby })
}

fn effect(all: &[Mitigation], kind: MitigationKind) -> &Effect {
    &all.iter().find(|mitigation| mitigation.kind == kind).unwrap().effect
}

fn cold_of(all: &[Mitigation], kind: MitigationKind) -> f64 {
    match effect(all, kind) {
        Effect::Predicted(prediction) => prediction.cold_start_ns.value.as_secs_f64(),
        other => panic!("{kind:?}: {other:?}"),
    }
}

fn why_of(all: &[Mitigation], kind: MitigationKind) -> (Option<Phase>, &str) {
    match effect(all, kind) {
        Effect::Lacking { phase, why } => (Some(*phase), why),
        Effect::Nothing { why } => (None, why),
        other => panic!("{kind:?}: {other:?}"),
    }
}

const PRICES: Prices =
    Prices { replica_hour: Some(2.0), disk_gb_month: Some(0.1), registry_gb_month: None, miss: None };

#[test]
fn predictions_worked_by_hand() {
    let (measured, cold) = known();
    let all = answer(&measured, &cold, &PRICES);
    for (kind, expected) in [
        (MitigationKind::WarmStandby, 0.0),
        // Half of 40 s.
        (MitigationKind::SmallerImage, 80.0),
        // 10 GB: 20 s of gzip against 5 s of zstd, of 25 s of unpacking; half of the 40 s waited for nothing else: 40·½·15/25.
        (MitigationKind::ZstdImage, 88.0),
        // 30 s, of which 2 s of 15 s stay.
        (MitigationKind::PreloadedStorage, 74.0),
        // 40 + 2 + 1 + 3 + 6 s.
        (MitigationKind::PreWarmedPool, 48.0),
        // 6 s against 0.5 s.
        (MitigationKind::KeptJitCache, 94.5),
        // Copies take 1 s of the load: the 10 s of driver, context and kernels hide behind the other 29 s.
        (MitigationKind::OverlapReadAndContext, 90.0),
    ] {
        assert!((cold_of(&all, kind) - expected).abs() < 1e-6, "{kind:?}: {}", cold_of(&all, kind));
    }
}

#[test]
fn prices_replicas_and_order() {
    let (measured, cold) = known();
    let all = answer(&measured, &cold, &PRICES);
    let order: Vec<MitigationKind> = all.iter().map(|mitigation| mitigation.kind).collect();
    assert_eq!(
        order,
        [
            // Free: by what they save.
            MitigationKind::SmallerImage,
            MitigationKind::ZstdImage,
            MitigationKind::OverlapReadAndContext,
            MitigationKind::KeptJitCache,
            // 26 s for 16 a month; then 100 s and 52 s for the same five replicas.
            MitigationKind::PreloadedStorage,
            MitigationKind::WarmStandby,
            MitigationKind::PreWarmedPool,
        ]
    );
    let predicted = |all: &[Mitigation], kind| match effect(all, kind) {
        Effect::Predicted(prediction) => (**prediction).clone(),
        other => panic!("{kind:?}: {other:?}"),
    };
    let Prediction { cost: Cost::PerMonth { amount }, standby, saves_s_per_cost, .. } =
        predicted(&all, MitigationKind::WarmStandby)
    else {
        panic!("priced")
    };
    let standby = standby.unwrap();
    assert_eq!((amount.value, standby.value), (5.0 * 730.0 * 2.0, 5), "a replica still takes 100 s");
    assert!(!standby.basis.keys.is_empty(), "{:?}", standby.basis);
    assert!((saves_s_per_cost.as_ref().unwrap().value - 100.0 / 7300.0).abs() < 1e-12);
    let Prediction { standby, cost: Cost::PerMonth { amount }, .. } =
        predicted(&all, MitigationKind::PreloadedStorage)
    else {
        panic!("priced")
    };
    assert_eq!((standby.unwrap().value, amount.value), (4, 16.0), "74 s; 16 GB on ten nodes at 0.1");
    assert_eq!(amount.basis.assumed, ["--nodes", "--disk-gb-month"]);

    let unpriced = answer(&measured, &cold, &Prices::default());
    let Prediction { cost: Cost::Unpriced { why }, saves_s_per_cost, .. } =
        predicted(&unpriced, MitigationKind::WarmStandby)
    else {
        panic!("no price")
    };
    assert!(why.contains("--replica-hour") && saves_s_per_cost.is_none(), "{why}");
}

fn prediction(all: &[Mitigation], kind: MitigationKind) -> &Prediction {
    match effect(all, kind) {
        Effect::Predicted(prediction) => prediction,
        other => panic!("{kind:?}: {other:?}"),
    }
}

#[test]
fn the_standby_is_that_of_the_slow_end_less_what_is_saved() {
    let (measured, mut cold) = known();
    cold.hi_ns = Figure::new(seconds(140.0), cold.median_ns.basis.clone());
    let all = answer(&measured, &cold, &PRICES);
    let standby = |kind| prediction(&all, kind).standby.as_ref().unwrap().value;
    // Of 140 s: as the plan has it; less 26 s; less 52 s.
    assert_eq!(standby(MitigationKind::WarmStandby), 7);
    assert_eq!(standby(MitigationKind::PreloadedStorage), 6);
    assert_eq!(standby(MitigationKind::PreWarmedPool), 5);
    let found = prediction(&all, MitigationKind::PreloadedStorage);
    assert!((found.cold_start_ns.value.as_secs_f64() - 74.0).abs() < 1e-6, "told of the median");
    let inputs: Vec<&str> =
        found.standby.as_ref().unwrap().basis.inputs.iter().map(|input| input.name.as_str()).collect();
    assert!(inputs.contains(&"C_hi") && inputs.contains(&"saved"), "{inputs:?}");
    let Cost::PerMonth { amount } = &prediction(&all, MitigationKind::WarmStandby).cost else {
        panic!("priced")
    };
    assert_eq!(amount.value, 7.0 * 730.0 * 2.0, "as many as stand by");
}

/// A cold start that is given by hand is that of the plan, and what a mitigation leaves of it says so.
#[test]
fn a_cold_start_by_hand_is_what_mitigations_begin_at() {
    let profile = profile();
    let by_hand = ByHand { cold_p99_ns: Some(seconds(60.0)), ..ByHand::default() };
    let measured = Fleet::of(&[("p", &profile)], &by_hand, false).unwrap().classes.remove(0);
    let cold = measured.cold_start().unwrap();
    assert!(cold.median_ns.value < seconds(5.0), "{:?}", cold.median_ns);
    let all = answer(&measured, cold, &PRICES);
    let standby = prediction(&all, MitigationKind::WarmStandby);
    assert_eq!((standby.saves_ns.value, standby.standby.as_ref().unwrap().value), (seconds(60.0), 3));
    let pool = prediction(&all, MitigationKind::PreWarmedPool);
    assert!(pool.cold_start_ns.value > seconds(55.0), "{pool:?}");
    for figure in [&standby.saves_ns, &pool.cold_start_ns] {
        assert_eq!(figure.basis.assumed, ["--assume-cold-p99"], "{figure:?}");
    }
    assert!(pool.standby.as_ref().unwrap().is_assumed());
}

#[test]
fn what_was_not_measured_is_named() {
    let (mut measured, mut cold) = known();
    measured.limits.clear();
    measured.startup.jit.warm_ns = None;
    measured.loads.retain(|load| load.page_cache != "warm");
    cold.parts.retain(|part| part.phase == Phase::WeightsLoad);
    cold.pull = PullTime::None { why: "no image of yours was pulled".to_owned() };
    let all = answer(&measured, &cold, &PRICES);
    for (kind, phase, part) in [
        (MitigationKind::SmallerImage, Phase::ImagePull, "no image of yours was pulled"),
        (MitigationKind::ZstdImage, Phase::ImagePull, "no image of yours was pulled"),
        (MitigationKind::PreloadedStorage, Phase::WeightsLoad, "page_cache=warm"),
        (MitigationKind::PreWarmedPool, Phase::ProcessStart, "before its weights"),
        (MitigationKind::KeptJitCache, Phase::ModuleLoad, "jit_cache=warm"),
        (MitigationKind::OverlapReadAndContext, Phase::ContextCreate, "driver_init"),
    ] {
        let (of, why) = why_of(&all, kind);
        assert_eq!(of, Some(phase), "{kind:?}: {why}");
        assert!(why.contains(part), "{kind:?}: {why}");
    }
    assert_eq!(all[0].kind, MitigationKind::WarmStandby, "what is predicted comes first");

    let (mut measured, cold) = known();
    measured.limits.retain(|limit| limit.kind != LimitKind::InflateZstd);
    let all = answer(&measured, &cold, &PRICES);
    let (_, why) = why_of(&all, MitigationKind::ZstdImage);
    assert!(why.contains("inflate_zstd"), "{why}");
}

#[test]
fn what_would_change_nothing_says_so() {
    let (mut measured, cold) = known();
    measured.class.device_kind = "host".to_owned();
    if let Some(image) = &mut measured.image {
        image.codec = Some("zstd".to_owned());
    }
    let all = answer(&measured, &cold, &PRICES);
    for (kind, part) in [
        (MitigationKind::KeptJitCache, "host device"),
        (MitigationKind::OverlapReadAndContext, "host device"),
        (MitigationKind::ZstdImage, "zstd already"),
    ] {
        assert!(why_of(&all, kind).1.contains(part), "{kind:?}");
    }
    if let Some(image) = &mut measured.image {
        (image.codec, image.synthetic) = (Some("gzip".to_owned()), true);
    }
    let all = answer(&measured, &cold, &PRICES);
    let (_, why) = why_of(&all, MitigationKind::ZstdImage);
    assert!(why.contains("--image"), "a synthetic image says nothing of another: {why}");
    let nobody = |_: Nanos| Some(Figure::new(0, Basis::of("none")));
    let cluster = ClusterFacts::default();
    let question = Question {
        measured: &measured,
        cold_start: &cold,
        cluster: &cluster,
        prices: &PRICES,
        standby_for: &nobody,
    };
    let all = mitigations(&question);
    assert!(why_of(&all, MitigationKind::WarmStandby).1.contains("grows by nothing"));
    assert!(why_of(&all, MitigationKind::PreWarmedPool).1.contains("no member"));
}

#[test]
fn on_a_profile_of_this_release_every_kind_has_an_answer() {
    let profile = profile();
    let measured = Fleet::of(&[("p", &profile)], &ByHand::default(), false).unwrap().classes.remove(0);
    let all = answer(&measured, measured.cold_start().unwrap(), &PRICES);
    assert_eq!(all.len(), MitigationKind::ALL.len());
    for mitigation in &all {
        if let Effect::Predicted(prediction) = &mitigation.effect {
            let Prediction { cold_start_ns, saves_ns, .. } = &**prediction;
            let cold = measured.cold_start().unwrap().median_ns.value;
            assert_eq!(cold_start_ns.value.saturating_add(saves_ns.value), cold, "{mitigation:?}");
        }
        let json = serde_json::to_string(mitigation).unwrap();
        assert_eq!(serde_json::from_str::<Mitigation>(&json).unwrap(), *mitigation);
    }
}
