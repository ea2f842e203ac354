//! What a user meets who asks for more than the GPU, its driver or a model can give, on the stand-in driver.

use coldstart_profiles::{Outcome, Phase, SelfTestReport, SelfTestStatus, exit};

use crate::bad_models::integers;
use crate::cuda::{LOADS, find, on, run, stand_in};
use crate::support::{Scratch, words};

#[test]
fn a_gpu_where_there_is_none_is_one_clear_error() {
    let scratch = Scratch::new();
    // A machine with a driver hides its GPUs here.
    let ran = scratch.run(&words("run --synthetic tiny --device cuda:0 --phases alloc"));
    ran.expect_error(exit::USAGE, &["cuda:0", "--device host"]);
    assert!(ran.stderr.contains("libcuda") || ran.stderr.contains("no GPU"), "{}", ran.stderr);
}

#[test]
fn a_format_without_a_kernel_is_loaded_and_its_forward_phases_are_skipped() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    integers(&scratch);
    let line = "run --model integers --device cuda:0 --quick --strategies direct \
                --phases alloc,weights_load,first_batch,throughput --out p.json";
    run(&mut on(&driver, &scratch, line)).expect_code(exit::OK);
    let profile = scratch.profile("p.json");
    for phase in [Phase::FirstBatch, Phase::Throughput] {
        let row = profile.of_phase(phase).next().unwrap();
        assert!(matches!(&row.outcome, Outcome::Skipped { why } if why.contains("I16")), "{row:?}");
    }
    let load = find(&profile, Phase::WeightsLoad, &[("staging", "direct")]);
    assert!(load.outcome.as_measured().is_some(), "its weights are loaded and timed: {load:?}");
}

#[test]
fn the_self_test_passes_and_says_what_it_ran_on() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let line = "doctor --self-test --device cuda:0 --cases 1 --json";
    let ran = run(&mut on(&driver, &scratch, line));
    let report: SelfTestReport = serde_json::from_str(&ran.expect_code(exit::OK).stdout).unwrap();
    assert!(report.passed() && report.stand_in, "{report:?}");
    for area in ["kernel", "graph", "upload"] {
        let passed = |line: &&coldstart_profiles::SelfTestLine| {
            line.area == area && line.status == SelfTestStatus::Passed
        };
        assert!(report.lines.iter().any(|line| passed(&line)), "no check of {area} passed: {report:?}");
    }
}

#[test]
fn a_self_test_names_what_failed_and_goes_on() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let line = "doctor --self-test --device cuda:0 --cases 1 --json";
    let mut faulty = on(&driver, &scratch, line);
    // Every process loses its device early on.
    let ran = run(faulty.env("COLDSTART_STAND_IN_FAULT", "launch:60+:700"));
    let report: SelfTestReport = serde_json::from_str(&ran.expect_code(exit::FAILED).stdout).unwrap();
    let failed = |line: &&coldstart_profiles::SelfTestLine| line.status == SelfTestStatus::Failed;
    let first = report.lines.iter().find(failed).unwrap();
    assert!(first.found.contains("700"), "{first:?}");
    let last = report.lines.last().unwrap();
    assert_ne!(last.name, first.name, "the others are tried too");
}

#[test]
fn a_gate_takes_no_profile_of_a_stand_in_unless_it_is_told_to() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    run(&mut on(&driver, &scratch, LOADS)).expect_code(exit::OK);
    let refused = scratch.run(&words("gate p.json --baseline p.json"));
    refused.expect_code(exit::INCOMPARABLE);
    let told = [refused.stdout.as_str(), refused.stderr.as_str()].concat();
    assert!(told.contains("--allow-stand-in"), "{told}");
    let calibration = scratch.run(&words("calibrate p.json p.json --out policy.json"));
    calibration.expect_error(exit::USAGE, &["p.json", "--allow-stand-in"]);
    let allowed = scratch.run(&words("gate p.json --baseline p.json --allow-stand-in"));
    assert_ne!(allowed.code, refused.code, "{}", allowed.stdout);
}
