//! What is gathered from profiles of known times.

use coldstart_profiles::{Bytes, Nanos, Phase, RunState, TotalKind};

use super::*;
use crate::service::ServiceModel;
use crate::testing::{encoder, language_model, profile, with_cold_starts, with_containers, with_pulls};

fn fleet(profiles: &[NamedProfile<'_>]) -> Fleet {
    Fleet::of(profiles, &ByHand::default(), false).unwrap()
}

fn only(fleet: &Fleet) -> &Measured {
    assert_eq!(fleet.classes.len(), 1);
    &fleet.classes[0]
}

const fn millis(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

#[test]
fn a_cold_start_is_its_trials_and_says_what_is_missing() {
    let profile = with_cold_starts(profile(), &[300, 100, 200]);
    let fleet = fleet(&[("a", &profile)]);
    let cold = only(&fleet).cold_start().unwrap();
    assert_eq!((cold.kind, cold.trials, cold.storage.as_str()), (Some(TotalKind::Process), 3, "ext4"));
    assert_eq!((cold.median_ns.value, cold.hi_ns.value), (millis(200), millis(300)));
    assert_eq!(cold.start_hi_ns.as_ref().unwrap().value, millis(300));
    assert_eq!(cold.median_ns.basis.n, Some(3));
    let caveats = cold.hi_ns.basis.caveats.join("\n");
    for part in ["no image pull", "too few containers", "largest of 3 trials", "27 %"] {
        assert!(caveats.contains(part), "{part} in {caveats}");
    }
    let phases: Vec<Phase> = cold.parts.iter().map(|part| part.phase).collect();
    assert!(phases.is_sorted() && phases.contains(&Phase::WeightsLoad), "{phases:?}");
    assert!(cold.median_ns.basis.keys[0].params.get("total") == Some("process"));
}

#[test]
fn containers_come_first_and_get_the_warm_up_of_processes() {
    let profile = with_containers(with_cold_starts(profile(), &[100, 100, 100]), &[400, 600, 500]);
    let warm_ups: Vec<Nanos> = profile
        .of_phase(Phase::WarmUp)
        .filter_map(|row| Some(row.outcome.as_measured()?.0.included()))
        .flatten()
        .collect();
    let fleet = fleet(&[("a", &profile)]);
    let cold = only(&fleet).cold_start().unwrap();
    assert_eq!((cold.kind, cold.ends_with), (Some(TotalKind::Container), Some(Phase::FirstBatch)));
    assert_eq!(cold.totals_ns.len(), 3 * warm_ups.len());
    let most = warm_ups.iter().max().copied().unwrap();
    assert_eq!(cold.hi_ns.value, millis(600).saturating_add(most));
    assert!(cold.part(Phase::WarmUp).is_some() && cold.part(Phase::ContainerStart).is_some());
    assert_eq!(cold.start_hi_ns.as_ref().unwrap().value, millis(600));
}

#[test]
fn a_synthetic_pull_is_never_counted_and_a_real_one_always() {
    let cold = with_cold_starts(profile(), &[100, 100, 100]);
    let synthetic = with_pulls(cold.clone(), "synthetic", &[5000, 6000]);
    let found = fleet(&[("a", &synthetic)]);
    let start = only(&found).cold_start().unwrap();
    assert!(matches!(start.pull, PullTime::None { .. }) && start.hi_ns.value == millis(100));
    let real = with_pulls(cold, "registry", &[5000, 6000]);
    let found = fleet(&[("a", &real)]);
    let start = only(&found).cold_start().unwrap();
    assert_eq!((start.median_ns.value, start.hi_ns.value), (millis(5100), millis(6100)));
    assert_eq!(start.totals_ns.len(), 6);
    assert!(start.median_ns.basis.keys.iter().any(|key| key.phase == Phase::ImagePull));
    assert!(!start.median_ns.is_assumed());
}

#[test]
fn what_is_given_by_hand_is_marked() {
    let profile = with_cold_starts(profile(), &[100, 120, 110]);
    let pull = PullByHand { image_bytes: Bytes::new(10_000_000_000), registry_bytes_per_s: 1e9 };
    let by_hand = ByHand { pull: Some(pull), ..ByHand::default() };
    let found = Fleet::of(&[("a", &profile)], &by_hand, false).unwrap();
    let cold = found.classes[0].cold_start().unwrap();
    assert_eq!(cold.hi_ns.value, millis(10_120));
    assert_eq!(cold.hi_ns.basis.assumed, PullByHand::FLAGS);
    assert_eq!(cold.part(Phase::ImagePull).unwrap().median_ns.basis.inputs.len(), 2);

    let by_hand = ByHand { cold_p99_ns: Some(Nanos::from_secs(60)), ..ByHand::default() };
    let found = Fleet::of(&[("a", &profile)], &by_hand, false).unwrap();
    let cold = found.classes[0].cold_start().unwrap();
    assert_eq!((cold.hi_ns.value, cold.median_ns.value), (Nanos::from_secs(60), millis(110)));
    assert_eq!(cold.totals_ns, [Nanos::from_secs(60)]);
    assert!(cold.hi_ns.is_assumed() && !cold.median_ns.is_assumed());
    let mut bare = profile;
    bare.traces.clear();
    bare.derive();
    let found = Fleet::of(&[("a", &bare)], &by_hand, false).unwrap();
    assert_eq!(found.classes[0].cold_start().unwrap().trials, 0);
    let found = fleet(&[("a", &bare)]);
    let error = only(&found).cold_start().unwrap_err().to_string();
    assert!(error.contains("first_batch") && error.contains("--assume-cold-p99"), "{error}");
}

#[test]
fn nodes_of_a_class_stand_side_by_side_and_storages_apart() {
    let (a, mut b) = (with_cold_starts(profile(), &[100, 110]), with_cold_starts(profile(), &[200, 210]));
    let found = fleet(&[("a", &a), ("b", &b)]);
    let cold = only(&found).cold_start().unwrap();
    assert_eq!((cold.trials, cold.hi_ns.value), (4, millis(210)));
    b.target.model.as_mut().unwrap().file_system = Some("nfs4".into());
    let found = fleet(&[("a", &a), ("b", &b)]);
    let starts = &only(&found).cold_starts;
    assert_eq!(starts.iter().map(|start| start.storage.as_str()).collect::<Vec<_>>(), ["ext4", "nfs4"]);
    assert_eq!(starts[1].trials, 2);
    let storages: Vec<&str> = only(&found).loads.iter().map(|load| load.storage.as_str()).collect();
    assert!(storages.contains(&"ext4") && storages.contains(&"nfs4"), "{storages:?}");
    b.target.host.cores = 64;
    let found = fleet(&[("a", &a), ("b", &b)]);
    assert_eq!(found.classes.len(), 2);
    assert!(found.class(Some("AMD EPYC, 64 cores")).is_ok() && found.class(None).unwrap().class.cores == 2);
    let error = found.class(Some("L4")).unwrap_err().to_string();
    assert!(error.contains("AMD EPYC, 2 cores, AMD EPYC, 64 cores"), "{error}");
}

#[test]
fn what_can_not_be_planned_with_is_refused() {
    let one = profile();
    let mut other = profile();
    other.target.model.as_mut().unwrap().header_sha256 = "ff".into();
    other.target.model.as_mut().unwrap().source = "llama".into();
    let refused = |profiles: &[NamedProfile<'_>]| {
        Fleet::of(profiles, &ByHand::default(), false).unwrap_err().to_string()
    };
    let error = refused(&[("a.json", &one), ("b.json", &other)]);
    for part in ["different models", "a.json measured synthetic:tiny", "b.json measured llama"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(refused(&[]).contains("coldstart run"));
    let mut stand_in = profile();
    stand_in.target.device.stand_in = true;
    assert!(refused(&[("s", &stand_in)]).contains("--allow-stand-in"));
    let allowed = Fleet::of(&[("s", &stand_in)], &ByHand::default(), true).unwrap();
    assert!(allowed.classes[0].stand_in());
    stand_in.state = RunState::Partial;
    assert!(!Fleet::of(&[("s", &stand_in)], &ByHand::default(), true).unwrap().classes[0].complete());
}

#[test]
fn single_forwards_are_fitted_and_carry_their_tail() {
    let profile = encoder(10.0, 5.0);
    let found = fleet(&[("a", &profile)]);
    let measured = only(&found);
    let (model, basis) = measured.service.model(&measured.memory, Some(32), None).unwrap();
    let ServiceModel::SingleForward(single) = &model else { panic!("{model:?}") };
    assert!((single.alpha_ns - 10e6).abs() < 1.0 && (single.beta_ns - 5e6).abs() < 1.0, "{single:?}");
    assert_eq!(single.max_batch, 16);
    assert!(
        (single.time_hi(4) - 36e6).abs() < 10.0,
        "the largest of ten is 20 % above: {}",
        single.time_hi(4)
    );
    assert_eq!(basis.keys.len(), 5);
    assert!(basis.caveats.join(" ").contains("largest iteration"));
    let (model, basis) = measured.service.model(&measured.memory, Some(100), Some(64)).unwrap();
    assert_eq!(model.batch_limit(crate::service::RequestSize::ONE), 64);
    assert_eq!(basis.assumed, ["--max-batch"]);
    assert!(basis.caveats.iter().any(|text| text.contains("above 64 tokens")), "{basis:?}");
}

#[test]
fn language_models_need_both_phases() {
    let profile = language_model();
    let found = fleet(&[("a", &profile)]);
    let measured = only(&found);
    let (model, _) = measured.service.model(&measured.memory, None, None).unwrap();
    let ServiceModel::LanguageModel(model) = &model else { panic!("{model:?}") };
    assert!((model.prefill.alpha_ns - 2e6).abs() < 1.0 && (model.prefill.beta_ns - 50e3).abs() < 1e-3);
    assert!((model.decode.gamma_ns - 10.0).abs() < 1e-3 && model.max_batch == 8, "{:?}", model.decode);
    assert_eq!(model.kv_bytes_per_token, Bytes::new(2048));
    assert_eq!(measured.memory.at_batch.len(), 24);

    let mut half = profile;
    half.throughput.retain(|point| point.mode == coldstart_profiles::ForwardMode::Prefill);
    half.derive();
    let found = fleet(&[("a", &half)]);
    let error = only(&found).service.model(&only(&found).memory, None, None).unwrap_err().to_string();
    assert!(error.contains("throughput (decode: ") && error.contains("--batches"), "{error}");
    half.throughput.clear();
    half.measurements.retain(|row| row.key.phase != Phase::Throughput);
    half.derive();
    let found = fleet(&[("a", &half)]);
    let error = only(&found).service.model(&only(&found).memory, None, None).unwrap_err().to_string();
    assert!(error.contains("throughput (skipped: "), "{error}");
}

#[test]
fn a_context_that_seems_to_help_counts_for_nothing() {
    use coldstart_profiles::ForwardMode::{Decode, Prefill};
    let mut points = Vec::new();
    for batch in [1_u32, 2, 4, 8] {
        for tokens in [64_u32, 256] {
            let all = f64::from(batch * tokens);
            points.push((Prefill, batch, tokens, 1e6 + 100.0 * all));
            points.push((Decode, batch, tokens, 8e6 + 1e6 * f64::from(batch) - 10.0 * all));
        }
    }
    let profile = crate::testing::with_sweep(profile(), &points);
    let found = fleet(&[("a", &profile)]);
    let (model, _) = only(&found).service.model(&only(&found).memory, None, None).unwrap();
    let ServiceModel::LanguageModel(model) = &model else { panic!("{model:?}") };
    assert_eq!(model.decode.gamma_ns, 0.0);
    assert!(model.decode.beta_ns > 0.9e6, "{:?}", model.decode);
}

#[test]
fn facts_survive_json() {
    let profile = with_pulls(with_containers(language_model(), &[300]), "registry", &[900]);
    let found = fleet(&[("a", &profile)]);
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Fleet>(&text).unwrap(), found);
    assert!(!text.contains("null,null") || text.len() > 1000);
}
