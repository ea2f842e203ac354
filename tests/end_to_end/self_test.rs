//! `coldstart doctor --self-test` on the host device.

use coldstart_profiles::{SelfTestReport, SelfTestStatus, exit};

use crate::support::{Scratch, words};

#[test]
fn the_host_device_passes() {
    let scratch = Scratch::new();
    let ran = scratch.run(&words("doctor --self-test --device host --cases 3 --json"));
    let report: SelfTestReport = serde_json::from_str(&ran.expect_code(exit::OK).stdout).unwrap();
    assert!(report.passed() && !report.stand_in && report.described.is_some(), "{report:?}");
    for area in ["kernel", "graph", "upload", "timing"] {
        assert!(report.lines.iter().any(|line| line.area == area), "no check of {area}");
    }
    let skipped: Vec<&str> = report
        .lines
        .iter()
        .filter(|line| line.status == SelfTestStatus::Skipped)
        .map(|line| line.area.as_str())
        .collect();
    // A busy machine can't tell whether a doubled copy takes doubled time.
    let absent =
        skipped.starts_with(&["graph", "timing"]) && skipped[2..].iter().all(|area| *area == "timing");
    assert!(absent, "only what the host device has not: {report:?}");
}

#[test]
fn one_line_a_check_and_one_for_all() {
    let scratch = Scratch::new();
    let ran = scratch.run(&words("doctor --self-test --device host --cases 1 --seed 9"));
    let lines: Vec<&str> = ran.expect_code(exit::OK).stdout.lines().collect();
    let (last, checks) = lines.split_last().unwrap();
    assert!(
        checks.iter().all(|line| line.starts_with("passed") || line.starts_with("skipped")),
        "{checks:?}"
    );
    assert!(checks.iter().any(|line| line.contains("rms_norm") && line.contains("1 case")), "{checks:?}");
    assert!(last.contains("0 failed") && last.contains("seed 9"), "{last}");
}

#[test]
fn no_device_of_that_name_or_number() {
    let scratch = Scratch::new();
    scratch
        .run(&words("doctor --self-test --device tpu"))
        .expect_error(exit::USAGE, &["tpu", "auto, host, cuda or cuda:N"]);
    scratch.run(&words("doctor --seed 4")).expect_error(exit::USAGE, &["--self-test"]);
    let ran = scratch.run(&words("doctor --self-test --device cuda:4095"));
    assert!(ran.expect_code(exit::FAILED).stdout.starts_with("failed"), "{}", ran.stdout);
}
