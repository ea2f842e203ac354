//! Plans on service times that were given by hand.

use coldstart_profiles::{Bytes, Nanos, Phase, Profile};

use super::tests::{request, trace};
use super::*;
use crate::capacity::PlanError;
use crate::measured::{ByHand, ServiceByHand, StepTime, TimeOf};
use crate::service::{RequestSize, ServiceModel};
use crate::testing::{encoder, language_model, with_cold_starts};
use crate::traffic::{Steady, Traffic};

fn times<const N: usize>(of: [(u32, u64); N]) -> Vec<TimeOf> {
    of.map(|(count, millis)| TimeOf { count, time_ns: Nanos::from_millis(millis) }).to_vec()
}

fn steps<const N: usize>(of: [(u32, Option<u32>, u64); N]) -> Vec<StepTime> {
    of.map(|(batch, context, millis)| StepTime { batch, context, time_ns: Nanos::from_millis(millis) })
        .to_vec()
}

fn batches<const N: usize>(of: [(u32, u64); N]) -> ServiceByHand {
    ServiceByHand::SingleForward { batches: times(of) }
}

/// A profile of cold starts that never served.
fn without_throughput(mut profile: Profile) -> Profile {
    profile.throughput.clear();
    profile.measurements.retain(|row| row.key.phase != Phase::Throughput);
    profile.derive();
    profile
}

fn idle() -> Profile {
    without_throughput(with_cold_starts(encoder(10.0, 5.0), &[9_000, 8_000, 8_500]))
}

fn steady(tokens_in: u32, tokens_out: u32) -> Traffic {
    Traffic::Steady(Steady { rate_per_s: 5.0, size: RequestSize { tokens_in, tokens_out } })
}

fn planned(
    profile: &Profile,
    traffic: &Traffic,
    service: ServiceByHand,
    asked: PlanRequest,
) -> Result<ServingPlan, PlanError> {
    let by_hand = ByHand { service: Some(service), ..asked.by_hand.clone() };
    make_plan(&[("p.json", profile)], traffic, PlanRequest { by_hand, ..asked }, "0")
}

#[track_caller]
fn refused(service: ServiceByHand) -> String {
    planned(&idle(), &steady(100, 20), service, request(60_000)).unwrap_err().to_string()
}

#[test]
fn a_profile_that_never_served_is_planned_with_times_by_hand() {
    let refusal =
        make_plan(&[("p.json", &idle())], &steady(1, 1), request(100), "0").unwrap_err().to_string();
    assert!(refusal.contains("throughput") && refusal.contains("--assume-batches"), "{refusal}");
    let plan = planned(&idle(), &steady(1, 1), batches([(1, 15), (8, 50)]), request(100)).unwrap();
    let ServiceModel::SingleForward(model) = &plan.service.model else { panic!("{:?}", plan.service) };
    assert!((model.alpha_ns - 10e6).abs() < 1.0 && (model.beta_ns - 5e6).abs() < 1.0, "{model:?}");
    assert_eq!((model.max_batch, &model.quality), (8, &None));
    // 2·T(8) = 100 ms.
    assert_eq!(plan.capacity.bound.batch.value, 8);
    assert!(plan.capacity.bound.batch.is_assumed() && plan.capacity.warm.replicas_now.is_assumed());
    let said = plan.caveats.join("\n");
    assert!(
        said.contains("assumed, not measured: --assume-batches") && said.contains("99th percentiles"),
        "{said}"
    );
    let measured = with_cold_starts(encoder(10.0, 5.0), &[9_000, 8_000, 8_500]);
    let instead = planned(&measured, &steady(1, 1), batches([(1, 15), (8, 50)]), request(100)).unwrap();
    assert_eq!(instead.service.model, plan.service.model, "in place of what was measured");
}

#[test]
fn the_slow_end_is_no_faster_than_what_was_given() {
    // Times that bend upwards: a line with α ≥ 0 is far below the last of them.
    let plan = planned(&idle(), &steady(1, 1), batches([(1, 10), (4, 60), (8, 200)]), request(1000)).unwrap();
    let ServiceModel::SingleForward(model) = &plan.service.model else { panic!("{:?}", plan.service) };
    for (batch, millis) in [(1, 10.0), (4, 60.0), (8, 200.0)] {
        assert!(model.time_hi(batch) >= millis * 1e6 - 1.0, "{batch}: {}", model.time_hi(batch));
    }
    let quality = model.quality.as_ref().unwrap();
    assert_eq!(quality.points, 3);
    assert!(plan.caveats.iter().any(|text| text.contains("fit their line badly")), "{:?}", plan.caveats);
}

#[test]
fn one_time_is_taken_for_smaller_batches_and_never_for_larger() {
    let plan = planned(&idle(), &steady(1, 1), batches([(4, 30)]), request(1000)).unwrap();
    let time = |n| plan.service.model.time(n, RequestSize::ONE);
    assert_eq!((time(1), time(4), plan.service.model.batch_limit(RequestSize::ONE)), (30e6, 30e6, 4));
    let said = plan.caveats.join("\n");
    assert!(
        said.contains("4=30.0 ms is all that is known: smaller batches are taken to take as long"),
        "{said}"
    );
    let asked = PlanRequest { max_batch: Some(8), ..request(1000) };
    let error = planned(&idle(), &steady(1, 1), batches([(4, 30)]), asked.clone()).unwrap_err().to_string();
    assert!(error.contains("4=30.0 ms alone says nothing of the 8 of --max-batch"), "{error}");
    let plan = planned(&idle(), &steady(1, 1), batches([(1, 15), (4, 30)]), asked).unwrap();
    assert_eq!(plan.service.model.time(8, RequestSize::ONE), 50e6);
    let said = plan.caveats.join("\n");
    assert!(said.contains("batches of up to 8 are extrapolated from times of up to 4"), "{said}");
    assert!(said.contains("--assume-batches, --max-batch"), "{said}");
}

#[test]
fn language_models_are_planned_with_prefills_and_decode_steps_by_hand() {
    let profile = without_throughput(with_cold_starts(language_model(), &[60_000, 60_000, 60_000]));
    let prefill = || times([(64, 20), (1024, 116)]);
    let decode = steps([(1, Some(512), 12), (32, Some(512), 28), (32, Some(4096), 140)]);
    let given = ServiceByHand::LanguageModel { prefill: prefill(), decode };
    let by_hand = ByHand {
        kv_bytes_per_token: Some(Bytes::new(1000)),
        free_memory_bytes: Some(Bytes::new(1_000_000)),
        ..ByHand::default()
    };
    let plan =
        planned(&profile, &trace(), given.clone(), PlanRequest { by_hand, ..request(60_000) }).unwrap();
    let ServiceModel::LanguageModel(model) = &plan.service.model else { panic!("{:?}", plan.service) };
    assert!((model.prefill.time(2048.0) - 218.4e6).abs() < 1.0, "{model:?}");
    assert!((model.decode.time(32.0, 32.0 * 4096.0) - 140e6).abs() < 1.0, "{model:?}");
    assert_eq!((model.token_limit(), model.max_batch), (1000, 32));
    // 120 tokens a request.
    assert_eq!(plan.service.model.batch_limit(plan.service.size), 8);
    for flag in ["--assume-prefill", "--assume-decode", "--kv-per-token", "--free-memory"] {
        assert!(plan.service.basis.assumed.iter().any(|known| known == flag), "{flag}");
    }
    let error = planned(&profile, &steady(1, 1), given.clone(), request(60_000)).unwrap_err();
    assert!(matches!(error, PlanError::NoSizes), "{error}");
    let long = planned(&profile, &steady(3000, 4000), given, request(600_000)).unwrap();
    let said = long.caveats.join("\n");
    assert!(said.contains("longest prompt that was given by hand 1024"), "{said}");
    assert!(said.contains("longest context that was given by hand 4096"), "{said}");
    // Without contexts nothing is said of their length but that.
    let plain =
        ServiceByHand::LanguageModel { prefill: prefill(), decode: steps([(1, None, 12), (32, None, 28)]) };
    let plan = planned(&profile, &steady(1000, 4000), plain, request(600_000)).unwrap();
    let said = plan.caveats.join("\n");
    assert!(said.contains("without a context") && !said.contains("longest context"), "{said}");
}

#[test]
fn times_that_cannot_be_are_refused_with_their_flag() {
    let decode = |decode| ServiceByHand::LanguageModel { prefill: times([(64, 20), (1024, 116)]), decode };
    for (given, parts) in [
        (batches([]), ["--assume-batches", "no time"]),
        (batches([(4, 20), (4, 25)]), ["4=20.0 ms and 4=25.0 ms", "give one of them"]),
        (batches([(8, 20), (1, 25)]), ["8=20.0 ms takes less time than 1=25.0 ms", "less work"]),
        (decode(steps([(1, None, 12), (8, Some(64), 14)])), ["--assume-decode", "some steps have a context"]),
        (decode(steps([(1, Some(64), 12), (8, Some(64), 14)])), ["--assume-decode", "three times or more"]),
        (
            decode(steps([(1, Some(64), 12), (8, Some(64), 14), (8, Some(512), 13)])),
            ["8x512=13.0 ms takes less time than 8x64=14.0 ms", "--assume-decode"],
        ),
        (
            ServiceByHand::LanguageModel {
                prefill: times([(64, 20), (1024, 10)]),
                decode: steps([(1, None, 12)]),
            },
            ["--assume-prefill", "less work"],
        ),
    ] {
        let error = refused(given);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    // More requests of shorter contexts may take less.
    let fine = decode(steps([(1, Some(8192), 40), (2, Some(64), 14), (8, Some(64), 20)]));
    planned(&idle(), &steady(100, 20), fine, request(60_000)).unwrap();
}
