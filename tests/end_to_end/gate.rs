//! `coldstart gate` and `coldstart calibrate` on profiles that a run wrote, changed by known amounts.

use std::path::Path;

use coldstart_decisions::gate::{Policy, Standing, Verdict};
use coldstart_profiles::{CanaryReading, Nanos, Outcome, Phase, Profile, Samples, exit};

use crate::support::{Scratch, words};

/// Writes the profile of a real run with a quiet canary, the times of `phase` multiplied by `factor`.
fn write(scratch: &Scratch, name: &str, phase: Phase, factor: f64) {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profiles/profile-1.0.json");
    let mut profile = Profile::read(Path::new(fixture)).unwrap();
    let (copy_ns, gemm_ns) = (Nanos::from_millis(3), Nanos::from_millis(1));
    profile.fitness.canary =
        ["before", "after"].map(|when| CanaryReading { when: when.to_owned(), copy_ns, gemm_ns }).to_vec();
    for row in profile.measurements.iter_mut().filter(|row| row.key.phase == phase) {
        if let Outcome::Measured { samples, .. } = &row.outcome {
            let scaled = samples.as_slice().iter();
            let scaled = scaled.map(|time| Nanos::from_nanos_f64(time.as_nanos() as f64 * factor)).collect();
            row.outcome = Outcome::measured(Samples::new(scaled).unwrap());
        }
    }
    profile.write(&scratch.path(name)).unwrap();
}

#[test]
fn the_answer_is_the_exit_code_and_every_output_holds_it() {
    let scratch = Scratch::new();
    write(&scratch, "base.json", Phase::Throughput, 1.0);
    write(&scratch, "slow.json", Phase::Throughput, 2.0);
    let line = "gate slow.json slow.json slow.json --baseline base.json --baseline base.json --baseline base.json \
                --verdict v.json --junit j.xml --markdown m.md";
    let ran = scratch.run(&words(line));
    assert!(ran.expect_code(exit::REGRESSION).stdout.contains("REGRESSION"), "{}", ran.stdout);
    let verdict: Verdict =
        serde_json::from_str(&std::fs::read_to_string(scratch.path("v.json")).unwrap()).unwrap();
    assert_eq!(verdict.standing, Standing::Regression);
    assert!(verdict.of("slower").all(|key| key.key.phase == Phase::Throughput));
    let read = |name| std::fs::read_to_string(scratch.path(name)).unwrap();
    assert!(read("j.xml").contains("<failure") && read("m.md").contains("regression"));

    scratch.run(&words("gate base.json --baseline base.json")).expect_code(exit::OK);
    let ran = scratch.run(&words("gate base.json --baseline base.json --json"));
    let verdict: Verdict = serde_json::from_str(&ran.expect_code(exit::OK).stdout).unwrap();
    assert_eq!(verdict.standing, Standing::Passed);
}

#[test]
fn what_can_not_be_used_is_named() {
    let scratch = Scratch::new();
    write(&scratch, "base.json", Phase::Alloc, 1.0);
    std::fs::write(scratch.path("typo.toml"), "[[rule]]\nthreshhold = 0.1\n").unwrap();
    let nothing = "[[rule]]\nmatch = { params = { staging = \"gds\" } }\n";
    std::fs::write(scratch.path("nothing.toml"), nothing).unwrap();
    std::fs::write(scratch.path("policy.json"), "{\"version\": 1}").unwrap();
    for (line, code, parts) in [
        ("gate base.json --baseline none.json", exit::INCOMPARABLE, vec!["none.json", "coldstart run"]),
        ("gate none.json --baseline base.json", exit::USAGE, vec!["none.json"]),
        ("gate base.json", exit::USAGE, vec!["--baseline"]),
        (
            "gate base.json --baseline base.json --rules typo.toml",
            exit::USAGE,
            vec!["threshhold", "typo.toml"],
        ),
        (
            "gate base.json --baseline base.json --rules nothing.toml",
            exit::USAGE,
            vec!["rule 1", "staging=gds"],
        ),
        (
            "gate base.json --baseline base.json --policy policy.json",
            exit::USAGE,
            vec!["policy.json", "calibrate"],
        ),
        ("gate base.json --baseline base.json --junit no/such/dir/j.xml", exit::USAGE, vec!["no/such/dir"]),
        ("calibrate base.json", exit::USAGE, vec!["one profile"]),
    ] {
        scratch.run(&words(line)).expect_error(code, &parts);
    }
    let commands = ["gate", "--baseline-cmd", "true", "--new-cmd", "true"];
    scratch.run(&commands).expect_error(exit::USAGE, &["{out}"]);
}

#[test]
fn a_policy_is_made_and_used() {
    let scratch = Scratch::new();
    write(&scratch, "a.json", Phase::ProcessStart, 1.0);
    write(&scratch, "b.json", Phase::ProcessStart, 1.02);
    let ran = scratch.run(&words("calibrate a.json b.json a.json b.json --out policy.json --json"));
    let policy: Policy = serde_json::from_str(&ran.expect_code(exit::OK).stdout).unwrap();
    assert_eq!(policy.runs, 4);
    assert!(ran.stderr.contains("10 are wanted"), "{}", ran.stderr);
    let ran = scratch.run(&words("gate b.json --baseline a.json --policy policy.json --json"));
    let verdict: Verdict = serde_json::from_str(&ran.expect_code(exit::OK).stdout).unwrap();
    let key = verdict.keys.iter().find(|key| key.key.phase == Phase::ProcessStart).unwrap();
    assert!(key.evidence.as_ref().unwrap().thresholds.relative >= 0.05, "{key:?}");
}

#[test]
fn two_commands_are_run_in_turn() {
    let scratch = Scratch::new();
    write(&scratch, "base.json", Phase::WeightsLoad, 1.0);
    write(&scratch, "slow.json", Phase::WeightsLoad, 100.0);
    let args = ["gate", "--baseline-cmd", "cp base.json {out}", "--new-cmd", "cp slow.json {out}", "--json"];
    let verdict: Verdict =
        serde_json::from_str(&scratch.run(&args).expect_code(exit::REGRESSION).stdout).unwrap();
    assert_eq!(verdict.standing, Standing::Regression, "{:?}", verdict.reasons);
}

#[test]
fn reports_are_written_whole_or_not_at_all() {
    let scratch = Scratch::new();
    write(&scratch, "p.json", Phase::Alloc, 1.0);
    let ran = scratch.run(&words("report p.json --html r.html --trace t.json"));
    assert_eq!(ran.expect_code(exit::OK).stdout, "", "what was asked for is in its files");
    let page = std::fs::read_to_string(scratch.path("r.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    let trace: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(scratch.path("t.json")).unwrap()).unwrap();
    assert!(trace["traceEvents"].as_array().is_some_and(|events| !events.is_empty()));
    let ran = scratch.run(&words("report p.json --markdown"));
    assert!(
        ran.expect_code(exit::OK).stdout.starts_with("### Cold start of synthetic:tiny"),
        "{}",
        ran.stdout
    );
    scratch.run(&words("report p.json --html no/such/r.html")).expect_error(exit::USAGE, &["no/such"]);
    scratch.run(&words("report p.json p.json --trace t.json")).expect_error(exit::USAGE, &["--trace"]);
}
