//! Trials that crash, hang, are killed or say nothing: failed samples, and the run goes on.

use std::os::unix::fs::PermissionsExt as _;

use coldstart_profiles::{Outcome, Phase, RunState, TraceEnd, exit};

use crate::support::{Ran, Scratch};

/// Runs with children that are this shell script instead of `coldstart trial`.
fn run_with_children(script: &str, more: &[&str]) -> (Scratch, Ran) {
    let scratch = Scratch::new();
    let child = scratch.path("child.sh");
    std::fs::write(&child, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&child, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut args =
        vec!["run", "--synthetic", "tiny", "--phases", "alloc", "--trials", "3", "--out", "p.json"];
    args.extend(more);
    let output = scratch.coldstart(&args).env("COLDSTART_EXE", &child).output().unwrap();
    (scratch, Ran::of(output))
}

/// All three trials failed with `why` and `stderr`, the run ended, and its exit code says so.
#[track_caller]
fn expect_failed_trials(script: &str, more: &[&str], why: &str, stderr: &str) {
    let (scratch, ran) = run_with_children(script, more);
    ran.expect_code(exit::FAILED);
    let profile = scratch.profile("p.json");
    assert_eq!(profile.state, RunState::Complete, "the run went on");
    assert_eq!(profile.traces.len(), 3);
    for trace in &profile.traces {
        let TraceEnd::Failed { why: found, stderr: said } = &trace.end else { panic!("{trace:?}") };
        assert!(found.contains(why) && said.contains(stderr), "{found}\n{said}");
    }
    let row = profile.of_phase(Phase::Alloc).next().unwrap();
    assert!(matches!(&row.outcome, Outcome::Failed { why: found } if found.contains(why)), "{row:?}");
    assert!(ran.stdout.contains(why), "the report says so:\n{}", ran.stdout);
}

#[test]
fn a_crash() {
    expect_failed_trials("echo 'out of luck' >&2; kill -SEGV $$", &[], "killed by signal 11", "out of luck");
}

#[test]
fn a_kill() {
    expect_failed_trials("kill -KILL $$", &[], "SIGKILL", "");
}

#[test]
fn an_exit_code() {
    expect_failed_trials("echo 'no idea' >&2; exit 3", &[], "exit code 3", "no idea");
}

#[test]
fn no_result() {
    expect_failed_trials("echo hello", &[], "said nothing", "");
}

#[test]
fn a_hang() {
    let begin = std::time::Instant::now();
    expect_failed_trials("sleep 600", &["--trial-timeout", "1"], "hung", "");
    assert!(begin.elapsed().as_secs() < 60);
}

#[test]
fn one_failure_among_good_trials_is_one_failed_sample() {
    // The second trial of the run dies; the others are the real thing.
    let real = env!("CARGO_BIN_EXE_coldstart");
    let script = format!(
        "if [ ! -e second ]; then if [ -e first ]; then touch second; kill -KILL $$; fi; touch first; fi; exec {real} \"$@\""
    );
    let (scratch, ran) = run_with_children(&script, &[]);
    ran.expect_code(exit::FAILED);
    let profile = scratch.profile("p.json");
    let failed = profile.traces.iter().filter(|trace| matches!(trace.end, TraceEnd::Failed { .. })).count();
    assert_eq!((failed, profile.traces.len()), (1, 3));
    let (samples, _) = profile.of_phase(Phase::Alloc).next().unwrap().outcome.as_measured().unwrap();
    assert_eq!(samples.len(), 2);
}
