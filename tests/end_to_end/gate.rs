//! `coldstart gate` and `coldstart calibrate` on profiles that a run wrote, changed by known amounts.

use std::path::Path;

use coldstart_decisions::gate::{History, Policy, Standing, Verdict};
use coldstart_profiles::{CanaryReading, Nanos, Outcome, Phase, Profile, RunState, Samples, exit};

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
    for (name, factor) in [("a.json", 1.0), ("b.json", 1.02), ("c.json", 1.01), ("d.json", 1.03)] {
        write(&scratch, name, Phase::ProcessStart, factor);
    }
    let ran = scratch.run(&words("calibrate a.json b.json c.json d.json --out policy.json --json"));
    let policy: Policy = serde_json::from_str(&ran.expect_code(exit::OK).stdout).unwrap();
    assert_eq!(policy.runs, 4);
    assert!(ran.stderr.contains("10 are wanted"), "{}", ran.stderr);
    let ran = scratch.run(&words("gate b.json --baseline a.json --policy policy.json --json"));
    let verdict: Verdict = serde_json::from_str(&ran.expect_code(exit::OK).stdout).unwrap();
    let key = verdict.keys.iter().find(|key| key.key.phase == Phase::ProcessStart).unwrap();
    assert!(key.evidence.as_ref().unwrap().thresholds.relative >= 0.05, "{key:?}");
}

#[test]
fn a_calibration_takes_no_run_twice_and_none_that_says_nothing() {
    let scratch = Scratch::new();
    write(&scratch, "a.json", Phase::ProcessStart, 1.0);
    write(&scratch, "b.json", Phase::ProcessStart, 1.02);
    std::fs::copy(scratch.path("a.json"), scratch.path("copy.json")).unwrap();
    let ran = scratch.run(&words("calibrate a.json b.json copy.json --out policy.json"));
    ran.expect_error(exit::USAGE, &["a.json and copy.json", "the same run"]);
    let changes = [
        ((|profile: &mut Profile| profile.state = RunState::Interrupted) as fn(&mut Profile), "--resume"),
        (|profile: &mut Profile| profile.target.device.stand_in = true, "--allow-stand-in"),
    ];
    for (change, says) in changes {
        let mut profile = scratch.profile("b.json");
        change(&mut profile);
        profile.write(&scratch.path("c.json")).unwrap();
        let ran = scratch.run(&words("calibrate a.json c.json --out policy.json"));
        ran.expect_error(exit::USAGE, &["c.json", says]);
    }
    assert!(!scratch.path("policy.json").exists());
}

#[test]
fn what_is_required_and_was_measured_on_neither_side_can_not_be_compared() {
    let scratch = Scratch::new();
    write(&scratch, "base.json", Phase::Alloc, 1.0);
    let rule = "[[rule]]\nmatch = { phase = \"scheduling\" }\nrequired = true\n";
    std::fs::write(scratch.path("gate.toml"), rule).unwrap();
    let ran = scratch.run(&words("gate base.json --baseline base.json --rules gate.toml --github"));
    let text = &ran.expect_code(exit::INCOMPARABLE).stdout;
    assert!(text.contains("::warning title=coldstart gate%3A incomparable::rule 1 requires"), "{text}");
}

#[test]
fn what_is_slower_on_an_unfit_machine_is_no_failure_in_any_report() {
    let scratch = Scratch::new();
    write(&scratch, "base.json", Phase::WeightsLoad, 1.0);
    write(&scratch, "slow.json", Phase::WeightsLoad, 100.0);
    let mut unfit = scratch.profile("slow.json");
    unfit.fitness.canary[1].copy_ns = Nanos::from_millis(9);
    unfit.write(&scratch.path("slow.json")).unwrap();
    let ran = scratch.run(&words("gate slow.json --baseline base.json --junit j.xml --github"));
    let annotations = &ran.expect_code(exit::UNFIT).stdout;
    assert!(annotations.contains("slower%2C but the machine was unfit::"), "{annotations}");
    assert!(!annotations.contains("::error"), "{annotations}");
    let junit = std::fs::read_to_string(scratch.path("j.xml")).unwrap();
    assert!(junit.contains("slower, but the machine was unfit") && !junit.contains("<failure"), "{junit}");
}

#[test]
fn slow_creep_is_found_over_many_profiles() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("nightly")).unwrap();
    for night in 0..20 {
        let factor = if night < 12 { 50.0 } else { 60.0 } + f64::from(night % 3) * 0.1;
        let name = format!("nightly/{night:02}.json");
        write(&scratch, &name, Phase::Alloc, factor);
        let mut profile = scratch.profile(&name);
        profile.started_at = format!("2026-11-{:02}T03:00:00Z", night + 1);
        profile.write(&scratch.path(&name)).unwrap();
    }
    std::fs::write(scratch.path("nightly/notes.json"), "{}").unwrap();
    let ran = scratch.run(&words("gate --history nightly --json --markdown h.md"));
    let found: History = serde_json::from_str(&ran.expect_code(exit::REGRESSION).stdout).unwrap();
    let changes = found.changes();
    assert!(
        matches!(changes.as_slice(), [(_, change)] if change.at == "2026-11-13T03:00:00Z"),
        "{changes:?}"
    );
    assert!(ran.stderr.contains("notes.json"), "{}", ran.stderr);
    let text = std::fs::read_to_string(scratch.path("h.md")).unwrap();
    assert!(text.contains("| 2026-11-13T03:00:00Z |") && text.contains("+20.0 %"), "{text}");
    let ran = scratch.run(&words("gate --history nightly --since 2026-11-14"));
    assert!(
        ran.expect_code(exit::OK).stdout.contains("2026-11-13"),
        "accepted, and listed still: {}",
        ran.stdout
    );

    std::fs::create_dir(scratch.path("empty")).unwrap();
    std::fs::create_dir(scratch.path("few")).unwrap();
    std::fs::copy(scratch.path("nightly/00.json"), scratch.path("few/00.json")).unwrap();
    let few = scratch.run(&words("gate --history few"));
    assert!(few.expect_code(exit::UNFIT).stdout.contains("from 6 runs on"), "{}", few.stdout);
    for (line, code, part) in [
        ("gate --history empty", exit::INCOMPARABLE, "no profile"),
        ("gate --history none", exit::USAGE, "none"),
        ("gate --history nightly --since yesterday", exit::USAGE, "2026-11-28"),
        ("gate --history nightly --least 3", exit::USAGE, "0.5"),
        ("gate --history nightly --baseline nightly/00.json", exit::USAGE, "--history"),
        ("gate --history nightly --runs 3", exit::USAGE, "--runs"),
        ("gate --history nightly --seed 3", exit::USAGE, "--seed"),
        ("gate --history nightly --all", exit::USAGE, "--all"),
        ("gate --history nightly --allow-stand-in", exit::USAGE, "--allow-stand-in"),
        ("gate --history nightly --policy none.json", exit::USAGE, "none.json"),
    ] {
        scratch.run(&words(line)).expect_error(code, &[part]);
    }
}

#[test]
fn a_calibration_that_breaks_off_loses_no_run_and_goes_on() {
    let scratch = Scratch::new();
    for run in 1..=5 {
        write(&scratch, &format!("{run}.json"), Phase::ProcessStart, 1.0 + 0.01 * f64::from(run));
    }
    // Its third run fails, unless the file `mended` is there.
    let command = "n=$(($(cat count 2>/dev/null || echo 0) + 1)); echo $n >count; \
                   if [ $n -eq 3 ] && [ ! -e mended ]; then exit 9; fi; cp $n.json {out}";
    let ran = scratch.run(&["calibrate", "--cmd", command, "--runs", "4", "--out", "policy.json"]);
    ran.expect_error(exit::FAILED, &["exit status: 9", "2 finished runs are kept in", "go on with --keep"]);
    let kept = ran.stderr.split("--keep ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let names = |directory: &str| {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(kept), ["run-001.json", "run-002.json"]);
    std::fs::write(scratch.path("mended"), "").unwrap();
    let line = ["calibrate", "--cmd", command, "--runs", "4", "--out", "policy.json", "--keep", kept];
    let ran = scratch.run(&line);
    assert!(ran.expect_code(exit::OK).stderr.contains("2 runs are in"), "{}", ran.stderr);
    assert_eq!(names(kept).len(), 4, "{:?}", names(kept));
    let policy = std::fs::read_to_string(scratch.path("policy.json")).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&policy).unwrap().runs, 4);
    std::fs::remove_dir_all(kept).unwrap();

    // A directory of one's own, a run that is not like the others, and files there that are no profiles.
    std::fs::remove_file(scratch.path("count")).unwrap();
    let mut other = scratch.profile("2.json");
    other.target.device.name = "another".to_owned();
    other.write(&scratch.path("2.json")).unwrap();
    let line = ["calibrate", "--cmd", command, "--runs", "4", "--out", "policy.json", "--keep", "runs"];
    scratch.run(&line).expect_error(
        exit::FAILED,
        &["run-001.json", "`target.device.name`", "another", "1 finished runs are kept in runs"],
    );
    std::fs::write(scratch.path("runs/run-002.json"), "{}").unwrap();
    scratch.run(&line).expect_error(exit::USAGE, &["run-002.json"]);
}

#[test]
fn a_verdict_says_what_was_judged_and_warns_in_every_output() {
    let scratch = Scratch::new();
    for (name, factor) in [("a.json", 1.0), ("b.json", 1.02)] {
        write(&scratch, name, Phase::ProcessStart, factor);
    }
    let mut new = scratch.profile("b.json");
    new.plan.trials = 9;
    new.started_at = "2026-11-24T18:00:00Z".to_owned();
    new.write(&scratch.path("new.json")).unwrap();
    scratch.run(&words("calibrate a.json b.json --out policy.json")).expect_code(exit::OK);
    std::fs::write(scratch.path("gate.toml"), "on_inconclusive = \"pass\"\n").unwrap();
    let line = "gate new.json --baseline a.json --policy policy.json --rules gate.toml --verdict v.json --junit j.xml --markdown m.md";
    let ran = scratch.run(&words(line));
    let table = ran.expect_code(exit::OK).stdout.clone();
    let read = |name| std::fs::read_to_string(scratch.path(name)).unwrap();
    let verdict: Verdict = serde_json::from_str(&read("v.json")).unwrap();
    let sources = &verdict.sources;
    assert_eq!((sources.baseline[0].name.as_str(), sources.new[0].name.as_str()), ("a.json", "new.json"));
    assert_eq!(sources.rules.as_deref(), Some("gate.toml"));
    assert_eq!(sources.policy.as_ref().map(|policy| policy.name.as_str()), Some("policy.json"));
    assert!(verdict.tool.is_some_and(|tool| tool.name == "coldstart") && verdict.judged_at.is_some());
    let codes: Vec<&str> = verdict.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert!(codes.contains(&"policy_conditions") && codes.contains(&"policy_few_runs"), "{codes:?}");
    for text in [table, read("j.xml"), read("m.md").replace('\\', "")] {
        assert!(
            text.contains("`plan.trials` is 3 in the policy") && text.contains("rests on 2 runs"),
            "{text}"
        );
    }
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
fn a_comparison_that_breaks_off_loses_no_run_and_says_how_they_are_judged() {
    let scratch = Scratch::new();
    write(&scratch, "base.json", Phase::WeightsLoad, 1.0);
    write(&scratch, "slow.json", Phase::WeightsLoad, 100.0);
    let mut cut = scratch.profile("slow.json");
    cut.state = RunState::Interrupted;
    cut.write(&scratch.path("cut.json")).unwrap();
    std::fs::write(scratch.path("gate.toml"), "on_inconclusive = \"pass\"\n").unwrap();
    // The second run of the new side fails, and leaves what the file `left` holds the name of.
    let new = "n=$(($(cat count 2>/dev/null || echo 0) + 1)); echo $n >count; \
               if [ $n -eq 2 ]; then cp $(cat left) {out}; exit 9; fi; cp slow.json {out}";
    let args = ["gate", "--baseline-cmd", "cp base.json {out}", "--new-cmd", new, "--runs", "3"];
    let args = [&args[..], &["--rules", "gate.toml", "--verdict", "v.json"]].concat();
    for (left, parts, told) in [
        ("none.json", vec!["exit status: 9", "wrote no profile"], None),
        ("cut.json", vec!["exit status: 9", "whole"], Some("coldstart run --resume ")),
    ] {
        let _ = std::fs::remove_file(scratch.path("count"));
        std::fs::write(scratch.path("left"), left).unwrap();
        let ran = scratch.run(&args);
        ran.expect_error(
            exit::FAILED,
            &[&parts[..], &["finished runs are kept in", "judge them with"]].concat(),
        );
        assert!(!scratch.path("v.json").exists());
        let told =
            told.map(|told| ran.stderr.split(told).nth(1).and_then(|rest| rest.split('`').next()).unwrap());
        assert!(told.is_none_or(|path| Path::new(path).exists()), "{}", ran.stderr);
        // The command that the error names judges them.
        let line = ran.stderr.split("`coldstart ").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
        assert!(line.starts_with("gate /") && line.ends_with(" --rules gate.toml"), "{line}");
        let judged = scratch.run(&[&words(line)[..], &["--json"]].concat());
        let verdict: Verdict = serde_json::from_str(&judged.expect_code(exit::REGRESSION).stdout).unwrap();
        assert!(verdict.sources.new.len() == 1 && (1..=2).contains(&verdict.sources.baseline.len()));
        let kept = Path::new(words(line)[1]).parent().unwrap();
        std::fs::remove_dir_all(kept).unwrap();
    }
}

#[test]
fn profiles_of_two_commands_are_kept_where_they_are_wanted_or_needed() {
    let scratch = Scratch::new();
    write(&scratch, "base.json", Phase::WeightsLoad, 1.0);
    let mut other = scratch.profile("base.json");
    other.target.device.name = "another".to_owned();
    other.write(&scratch.path("other.json")).unwrap();
    let gate = |new: &'static str, more: &[&'static str]| {
        let args = ["gate", "--baseline-cmd", "cp base.json {out}", "--new-cmd", new];
        scratch.run(&[&args[..], more].concat())
    };
    let names = |directory: &str| {
        let mut names: Vec<_> = std::fs::read_dir(scratch.path(directory))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let keep = ["--runs", "2", "--keep", "runs"];
    gate("cp base.json {out}", &keep).expect_code(exit::OK);
    let all = ["baseline-001.json", "baseline-002.json", "new-001.json", "new-002.json"];
    assert_eq!(names("runs"), all);
    gate("cp base.json {out}", &keep).expect_error(exit::USAGE, &["runs", "is there already"]);
    gate("cp base.json", &["--keep", "unused"]).expect_error(exit::USAGE, &["{out}"]);
    assert!(!scratch.path("unused").exists());

    // What the first pair shows can't be compared or judged is not run again.
    let ran = gate("cp other.json {out}", &["--runs", "5", "--keep", "unlike"]);
    assert!(ran.expect_code(exit::INCOMPARABLE).stdout.contains("`target.device.name`"), "{}", ran.stdout);
    assert_eq!(names("unlike"), ["baseline-001.json", "new-001.json"]);
    let nothing = "[[rule]]\nmatch = { params = { staging = \"gds\" } }\n";
    std::fs::write(scratch.path("nothing.toml"), nothing).unwrap();
    let ran = gate("cp base.json {out}", &["--runs", "5", "--rules", "nothing.toml", "--keep", "typo"]);
    ran.expect_error(exit::USAGE, &["staging=gds", "2 finished runs are kept in typo", "coldstart gate"]);
    assert_eq!(names("typo"), ["baseline-001.json", "new-001.json"]);
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
