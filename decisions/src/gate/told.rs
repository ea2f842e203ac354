//! What verdicts, policies and histories tell of themselves.

use coldstart_profiles::{
    Bytes, EngineTarget, ImageSource, ImageSpec, ImageTarget, Nanos, Outcome, Params, Phase, Profile, Replay,
    Samples, SyntheticImage, Total, TotalKind, exit,
};

use super::tests::{NOW, by_policy, profile, run, runs, slowed};
use super::*;

/// The profile with pulls and container starts on an engine.
fn with_engine() -> Profile {
    let mut profile = profile();
    let engine = EngineTarget {
        version: "20.10.24".to_owned(),
        api_version: "1.41".to_owned(),
        storage: "overlay2".to_owned(),
        local: true,
    };
    profile.target.engine = Some(engine);
    profile.target.image = Some(ImageTarget {
        source: ImageSource::Synthetic,
        reference: "coldstart/synthetic".to_owned(),
        digest: None,
        compressed_bytes: None,
        unpacked_bytes: None,
        layers: Some(4),
    });
    profile.plan.image = Some(ImageSpec {
        source: ImageSource::Synthetic,
        reference: "coldstart/synthetic".to_owned(),
        synthetic: Some(SyntheticImage {
            size_bytes: Bytes::new(1 << 24),
            layers: 4,
            compressibility: 0.5,
            codec: "gzip".to_owned(),
        }),
    });
    let measured = || Outcome::measured(Samples::new(vec![Nanos::from_millis(500); 3]).unwrap());
    for row in &mut profile.measurements {
        if matches!(row.key.phase, Phase::ImagePull | Phase::ContainerStart) {
            row.outcome = measured();
        }
    }
    profile.totals.push(Total {
        kind: TotalKind::Container,
        params: Params::new().with("page_cache", "cold"),
        ends_with: Phase::FirstBatch,
        outcome: measured(),
    });
    profile
}

fn engine(profile: &mut Profile) -> &mut EngineTarget {
    profile.target.engine.as_mut().unwrap()
}

/// A field that differs: how, its name, its values, and which keys it makes incomparable.
type Case = (fn(&mut Profile), &'static str, [&'static str; 2], fn(&SeriesKey) -> bool);

#[test]
fn what_single_keys_depend_on_makes_only_them_incomparable() {
    let on_engine =
        |key: &SeriesKey| matches!(key.phase, Phase::ImagePull | Phase::ContainerStart) || in_container(key);
    fn in_container(key: &SeriesKey) -> bool {
        key.params.get("total") == Some("container")
    }
    let cases: [Case; 6] = [
        (
            |new| engine(new).storage = "vfs".to_owned(),
            "target.engine.storage",
            ["overlay2", "vfs"],
            on_engine,
        ),
        (
            |new| engine(new).version = "28.1.0".to_owned(),
            "target.engine.version",
            ["20.10", "28.1"],
            on_engine,
        ),
        (|new| engine(new).local = false, "target.engine.local", ["true", "false"], on_engine),
        (
            |new| new.target.image.as_mut().unwrap().reference = "serve:1.4".to_owned(),
            "target.image.reference",
            ["coldstart/synthetic", "serve:1.4"],
            |key| key.phase == Phase::ContainerStart || in_container(key),
        ),
        (
            |new| {
                let image = new.plan.image.as_mut().unwrap();
                image.synthetic.as_mut().unwrap().compressibility = 0.9;
            },
            "plan.image.synthetic.compressibility",
            ["0.5", "0.9"],
            |key| key.phase == Phase::ImagePull,
        ),
        (
            |new| new.target.model.as_mut().unwrap().file_system = Some("nfs4".to_owned()),
            "target.model.file_system",
            ["ext4", "nfs4"],
            |key| key.phase == Phase::WeightsLoad || key.metric == Metric::Total,
        ),
    ];
    for (change, field, [before, after], concerns) in cases {
        let mut base = with_engine();
        base.target.model.as_mut().unwrap().file_system = Some("ext4".to_owned());
        let mut new = base.clone();
        change(&mut new);
        let verdict = run(&[&base], &[&new], "");
        assert_eq!((verdict.standing, verdict.differences.len()), (Standing::Passed, 0), "{field}");
        assert!(verdict.of("incomparable").count() > 0, "{field}");
        let expected =
            Difference { field: field.to_owned(), baseline: before.to_owned(), new: after.to_owned() };
        for key in &verdict.keys {
            let is = key.judgement.name() == "incomparable";
            assert_eq!(is, concerns(&key.key), "{field}: {}", key.key);
            if is {
                assert_eq!(key.differences, std::slice::from_ref(&expected));
                let why = key.judgement.why().unwrap();
                assert!(why.contains(field) && why.contains(before) && why.contains(after), "{why}");
                assert!(key.evidence.is_none(), "what can't be compared has no ratio");
            }
        }
    }
}

/// The profile as if it came from a GPU: every throughput point a decode step that was run as `replay` says, and takes `micros`.
fn on_gpu(replay: Replay, micros: u64) -> Profile {
    let mut profile = profile();
    profile.target.device.kind = "cuda".to_owned();
    profile.throughput.iter_mut().for_each(|point| point.replay = Some(replay.clone()));
    for row in profile.measurements.iter_mut().filter(|row| row.key.phase == Phase::Throughput) {
        row.outcome = Outcome::measured(Samples::new(vec![Nanos::from_nanos(micros * 1000); 9]).unwrap());
    }
    profile
}

/// A change of the host, and the field that tells of it.
type Change = (fn(&mut Profile), &'static str);

#[test]
fn what_a_host_has_no_part_in_is_compared_between_hosts() {
    let eager = Replay::Eager { why: "the driver refused".to_owned() };
    let (replayed, eager, short) =
        (on_gpu(Replay::Replayed, 5000), on_gpu(eager, 5000), on_gpu(Replay::Replayed, 100));
    let changes: [Change; 2] = [
        (|new| new.target.host.cpu = "another".to_owned(), "target.host.cpu"),
        (|new| new.target.host.cores += 2, "target.host.cores"),
    ];
    for (change, field) in changes {
        for (base, new, stays) in [
            (&replayed, &replayed, true),
            // One side that its host launches is enough, and so is one too short to hide a launch.
            (&replayed, &eager, false),
            (&eager, &replayed, false),
            (&replayed, &short, false),
            (&short, &replayed, false),
        ] {
            assert_eq!(run(&[base], &[new], "").of("incomparable").count(), 0, "on one host all is compared");
            let mut new = new.clone();
            change(&mut new);
            let verdict = run(&[base], &[&new], "");
            assert_eq!(verdict.differences, []);
            for key in verdict.keys.iter().filter(|key| key.judgement.name() != "missing") {
                let compared = key.judgement.name() != "incomparable";
                assert_eq!(compared, stays && key.key.phase == Phase::Throughput, "{field}: {}", key.key);
                assert!(compared || key.differences[0].field == field, "{field}: {}", key.key);
            }
            let phases: Vec<Phase> = verdict.of("incomparable").map(|key| key.key.phase).collect();
            assert!(phases.contains(&Phase::FirstBatch) && phases.contains(&Phase::WarmUp), "{phases:?}");
        }
    }
    // Prefills are launched kernel by kernel, however long they take.
    let mut base = on_gpu(Replay::Replayed, 5000);
    base.throughput.iter_mut().for_each(|point| point.replay = None);
    let mut new = base.clone();
    new.target.host.cpu = "another".to_owned();
    let verdict = run(&[&base], &[&new], "");
    assert_eq!(verdict.standing.exit_code(), exit::INCOMPARABLE);
    assert!(
        verdict.reasons[0].contains("no key can be compared: `target.host.cpu`"),
        "{:?}",
        verdict.reasons
    );
}

#[test]
fn a_patch_release_of_the_engine_is_no_other_engine() {
    let base = with_engine();
    let mut new = base.clone();
    engine(&mut new).version = "20.10.27+dfsg1".to_owned();
    assert_eq!(run(&[&base], &[&new], "").of("incomparable").count(), 0);
}

#[test]
fn an_incomparable_key_decides_where_a_rule_requires_it_or_there_is_no_other() {
    let base = with_engine();
    let mut new = slowed(with_engine(), Phase::ImagePull, 3.0);
    engine(&mut new).storage = "vfs".to_owned();
    assert_eq!(
        run(&[&base], &[&new], "").standing,
        Standing::Passed,
        "a pull on another engine says nothing"
    );
    let required = "[[rule]]\nmatch = { phase = \"image_pull\" }\nrequired = true";
    let verdict = run(&[&base], &[&new], required);
    assert_eq!(verdict.standing.exit_code(), exit::INCOMPARABLE);
    assert!(
        verdict.reasons[0].contains("required, but `target.engine.storage` differs: overlay2"),
        "{:?}",
        verdict.reasons
    );
    let ceiling = "[[rule]]\nmatch = { phase = \"image_pull\" }\nceiling_ms = 1000";
    assert_eq!(run(&[&base], &[&new], ceiling).standing, Standing::Regression, "a ceiling needs no baseline");
    let held = "[[rule]]\nmatch = { phase = \"image_pull\" }\nrequired = true\nceiling_ms = 10000000";
    assert_eq!(
        run(&[&base], &[&new], held).standing,
        Standing::Passed,
        "it was measured, and below its ceiling"
    );
    let both = format!("{ceiling}\n[[rule]]\nmatch = {{ phase = \"container_start\" }}\nrequired = true");
    let verdict = run(&[&base], &[&new], &both);
    assert_eq!(verdict.standing.exit_code(), exit::INCOMPARABLE, "{:?}", verdict.reasons);
    assert!(verdict.reasons.iter().any(|why| why.contains("above its ceiling")), "both are told");
    let only_pulls = |mut profile: Profile| {
        profile.measurements.retain(|row| row.key.phase == Phase::ImagePull);
        (profile.totals, profile.warm_up) = (Vec::new(), Vec::new());
        profile
    };
    let verdict = run(&[&only_pulls(base)], &[&only_pulls(new)], "");
    assert_eq!(verdict.standing.exit_code(), exit::INCOMPARABLE);
    assert!(
        verdict.reasons[0].contains("no key can be compared: `target.engine.storage`"),
        "{:?}",
        verdict.reasons
    );
}

#[test]
fn a_whole_cold_start_that_one_side_lacks_says_what_it_needs() {
    let synthetic = with_engine();
    let mut own = with_engine();
    own.target.image.as_mut().unwrap().source = ImageSource::Reference;
    for row in own.measurements.iter_mut().filter(|row| row.key.phase == Phase::ImagePull) {
        row.key.params = row.key.params.clone().with("source", "registry");
    }
    let rules = "[[rule]]\nmatch = { params = { total = \"whole\" } }\nceiling_ms = 60000\nrequired = true";
    let verdict = run(&[&synthetic], &[&own], rules);
    let why = verdict.reasons.iter().find(|why| why.contains("is required, but the baseline lacks it"));
    assert!(why.is_some_and(|why| why.contains("`coldstart run --image REF`")), "{:?}", verdict.reasons);
}

/// The reasons of a gate between profiles with names.
fn reasons(baseline: &[(&str, &Profile)], new: &[(&str, &Profile)], rules: &str) -> (Verdict, Vec<String>) {
    let names = |side: &[(&str, &Profile)]| side.iter().map(|(name, _)| (*name).to_owned()).collect();
    let asked = Asked { baseline: names(baseline), new: names(new), ..Asked::default() };
    let [baseline, new] =
        [baseline, new].map(|side| side.iter().map(|(_, profile)| *profile).collect::<Vec<_>>());
    let rules = Rules::from_toml(rules).unwrap();
    let gate = Gate {
        baseline: &baseline,
        new: &new,
        rules: &rules,
        policy: None,
        allow_stand_in: false,
        asked: &asked,
    };
    let verdict = super::gate(&gate).unwrap();
    let reasons = verdict.reasons.clone();
    (verdict, reasons)
}

#[test]
fn of_several_profiles_the_one_that_can_not_be_compared_is_named() {
    let base = profile();
    let (mut partial, mut other) = (profile(), profile());
    partial.state = coldstart_profiles::RunState::Partial;
    other.target.device.name = "another".to_owned();
    let good = ("good.json", &base);
    for (baseline, new, part) in [
        (vec![good], vec![good, ("bad.json", &partial)], "the new side, bad.json: the run is partial"),
        (vec![good, ("bad.json", &partial)], vec![good], "the baseline, bad.json: the run is partial"),
        (vec![good], vec![("bad.json", &other)], "in the baseline, another here"),
        (vec![good], vec![good, ("bad.json", &other)], "in the baseline, another in bad.json"),
        (vec![good, ("bad.json", &other)], vec![good], "in good.json, another in bad.json"),
    ] {
        let (verdict, reasons) = reasons(&baseline, &new, "");
        assert_eq!(verdict.standing, Standing::Incomparable);
        assert!(reasons[0].contains(part), "{reasons:?}");
    }
}

#[test]
fn a_rule_that_decides_on_nothing_is_told() {
    let base = profile();
    let wide = "[[rule]]\nmatch = { phase = \"weights_load\" }\n";
    let narrow = "[[rule]]\nmatch = { params = { staging = \"direct\" }, phase = \"weights_load\" }\nthreshold = 0.3\n";
    let codes = |rules: &str| {
        let (verdict, _) = reasons(&[("a", &base)], &[("b", &base)], rules);
        let all = verdict.warnings.into_iter().filter(|warning| warning.code == "rule_shadowed");
        all.map(|warning| warning.text).collect::<Vec<_>>()
    };
    assert_eq!(codes(&format!("{narrow}{wide}")), [""; 0]);
    let told = codes(&format!("{wide}{narrow}"));
    assert!(
        matches!(told.as_slice(), [one] if one.starts_with("rule 2 (`phase=weights_load staging=direct`)")),
        "{told:?}"
    );
}

#[test]
fn a_verdict_says_who_judged_what_by_what() {
    let (base, new) = (profile(), slowed(profile(), Phase::Alloc, 1.01));
    let policy = calibrate(&[&base, &new]);
    let asked = Asked {
        tool: Some(base.tool.clone()),
        at: Some(NOW.to_owned()),
        baseline: vec!["main.json".to_owned()],
        rules: Some("gate.toml".to_owned()),
        policy: Some("policy.json".to_owned()),
        ..Asked::default()
    };
    let rules = Rules::default();
    let (baseline, judged) = ([&base], [&new]);
    let gate = Gate {
        baseline: &baseline,
        new: &judged,
        rules: &rules,
        policy: Some(&policy),
        allow_stand_in: false,
        asked: &asked,
    };
    let verdict = super::gate(&gate).unwrap();
    assert_eq!((verdict.version, verdict.judged_at.as_deref()), (VERDICT_VERSION, Some(NOW)));
    let Sources { baseline, new, rules, policy } = &verdict.sources;
    assert_eq!((baseline[0].name.as_str(), new[0].name.as_str()), ("main.json", "new 1"));
    assert_eq!((rules.as_deref(), policy.as_ref().map(|policy| policy.runs)), (Some("gate.toml"), Some(2)));
    // Verdicts of before all this are still read.
    let mut old = serde_json::to_value(&verdict).unwrap();
    for added in ["version", "tool", "judged_at", "sources", "warnings", "reason_keys"] {
        assert!(old.as_object_mut().unwrap().remove(added).is_some(), "{added}");
    }
    for key in old["keys"].as_array_mut().unwrap() {
        key.as_object_mut().unwrap().remove("differences");
    }
    assert_eq!(serde_json::from_value::<Verdict>(old).unwrap().keys, verdict.keys);
}

/// Codes of what a gate of `new` against `baseline` by `policy` warns of.
fn codes(policy: &Policy, baseline: &[&Profile], new: &[&Profile]) -> Vec<String> {
    let verdict = by_policy(policy, baseline, new, &Rules::default());
    verdict.warnings.into_iter().map(|warning| warning.code).collect()
}

#[test]
fn what_a_reader_must_know_is_told_and_nothing_else_is() {
    let runs = runs(12, 0.01, 0.01);
    let all: Vec<&Profile> = runs.iter().collect();
    let policy = calibrate(&all);
    let base = all[0];
    assert_eq!(codes(&policy, &all[..1], &all[1..2]), [""; 0]);
    let changed = |change: &dyn Fn(&mut Profile)| {
        let mut new = all[1].clone();
        change(&mut new);
        new
    };
    let cases: [(Profile, &str); 6] = [
        (base.clone(), "same_run"),
        (changed(&|new| new.target.host.cpu = "another".to_owned()), "policy_machine"),
        (changed(&|new| new.plan.trials = 9), "policy_conditions"),
        (changed(&|new| new.plan.quick = !new.plan.quick), "policy_conditions other_length"),
        (
            changed(&|new| new.target.model.as_mut().unwrap().header_sha256 = "f00".to_owned()),
            "policy_conditions",
        ),
        (changed(&|new| new.plan.seed += 1), ""),
    ];
    for (new, expected) in &cases {
        assert_eq!(codes(&policy, &[base], &[new]).join(" "), *expected);
    }
    assert_eq!(codes(&policy, &[base, base], &all[1..2]), ["repeated_run"]);
    let old = Policy { calibrated_at: "2026-10-01T00:00:00Z".to_owned(), ..policy.clone() };
    assert_eq!(codes(&old, &all[..1], &all[1..2]), ["policy_old"]);
    let few = Policy { runs: 3, ..policy.clone() };
    assert_eq!(codes(&few, &all[..1], &all[1..2]), ["policy_few_runs"]);
    let mut aged = base.clone();
    aged.started_at = "2026-10-01T00:00:00Z".to_owned();
    assert_eq!(codes(&policy, &[&aged], &all[1..2]), ["baseline_old"]);
    let lacking = Policy { keys: Vec::new(), ..policy };
    let verdict = by_policy(&lacking, &all[..1], &all[1..2], &Rules::default());
    let [warning] = verdict.warnings.as_slice() else { panic!("{:?}", verdict.warnings) };
    assert!(warning.code == "not_calibrated" && warning.text.contains("process_start time; "), "{warning:?}");
    let covered = Rules::from_toml("[[rule]]\nthreshold = 0.2").unwrap();
    assert_eq!(by_policy(&lacking, &all[..1], &all[1..2], &covered).warnings, []);
}

#[test]
fn a_policy_holds_what_it_was_calibrated_on_and_names_what_differs() {
    let mut runs = runs(3, 0.01, 0.01);
    runs[1].plan.seed += 1;
    let policy = calibrate(&runs.iter().collect::<Vec<_>>());
    assert_eq!(policy.conditions.get("plan.trials").map(String::as_str), Some("3"));
    assert!(policy.conditions.contains_key("target.model.header_sha256"));
    assert!(!policy.conditions.contains_key("plan.seed"), "not the same in all runs");
    let mut other = runs[0].clone();
    other.plan.strategy = "mmap".to_owned();
    let [warning] = policy.mismatches(&other).try_into().unwrap();
    assert!(
        warning.text.contains("`plan.strategy` is direct in the policy, and mmap here"),
        "{}",
        warning.text
    );
    // A policy of before conditions were noted.
    let mut old = serde_json::to_value(&policy).unwrap();
    old.as_object_mut().unwrap().remove("conditions");
    assert_eq!(serde_json::from_value::<Policy>(old).unwrap().mismatches(&other), []);
}

#[test]
fn a_history_leaves_out_keys_that_can_not_be_compared_and_says_why() {
    let mut runs: Vec<Profile> = (1..=3).map(|_| with_engine()).collect();
    for (night, run) in runs.iter_mut().enumerate() {
        run.started_at = format!("2026-11-0{}T03:00:00Z", night + 1);
    }
    engine(&mut runs[0]).storage = "vfs".to_owned();
    let history = history(&runs.iter().collect::<Vec<_>>(), HistoryOptions::default(), None);
    assert_eq!(history.runs, 3);
    let runs_of = |phase: Phase| history.keys.iter().find(|key| key.key.phase == phase).map(|key| key.runs);
    assert_eq!((runs_of(Phase::ContainerStart), runs_of(Phase::Alloc)), (Some(2), Some(3)));
    let [left_out] = history.left_out.as_slice() else { panic!("{:?}", history.left_out) };
    assert!(
        left_out.why.contains("`target.engine.storage` is vfs, and overlay2 in the newest"),
        "{left_out:?}"
    );
    let (one, other) = (&runs[0], &runs[1]);
    assert_eq!(condition_differences(one, other)[0].field, "target.engine.storage");
    assert_eq!(condition_differences(other, &runs[2]), []);
}

#[test]
fn on_recorded_runs_a_history_has_hardly_a_change_and_a_tenth_in_a_steady_key_is_found() {
    let text = include_str!("../../../tests/fixtures/aa/recordings.json");
    let recordings: Recordings = serde_json::from_str(text).unwrap();
    let idle = recordings.of_state("idle");
    let policy = calibrate_runs(&idle);
    let search = |runs: &[RecordedRun], policy| history_of_runs(runs, HistoryOptions::default(), policy);
    for state in recordings.states() {
        for policy in [Some(&policy), None] {
            let runs = recordings.of_state(state);
            let history = search(&runs, policy);
            assert_eq!(history.runs + history.unfit.len(), runs.len());
            let told: usize =
                history.keys.iter().filter(|key| !key.advisory).map(|key| key.changes.len()).sum();
            assert!(told <= 1, "{state}: {:#?}", history.changes());
        }
    }
    let steady =
        policy.keys.iter().filter(|key| key.decides && key.detectable.is_some() && key.threshold <= 0.08);
    let steady: Vec<&SeriesKey> = steady.map(|key| &key.key).collect();
    let finds = |factor: &dyn Fn(usize) -> f64| {
        let found = steady.iter().filter(|key| {
            let mut runs = idle.clone();
            for (at, run) in runs.iter_mut().enumerate() {
                if let Some(series) = run.series.get_mut(**key) {
                    series.values.iter_mut().for_each(|value| *value *= factor(at));
                }
            }
            search(&runs, Some(&policy)).slower_since("").any(|found| found.key == ***key)
        });
        found.count()
    };
    let step = finds(&|at| if at < idle.len() / 2 { 1.0 } else { 1.1 });
    let creep = finds(&|at| 1.1f64.powf(at as f64 / (idle.len() - 1) as f64));
    assert!(
        steady.len() >= 2 && 4 * step >= 3 * steady.len() && 2 * creep >= steady.len(),
        "{step}, {creep} of {}",
        steady.len()
    );
}
