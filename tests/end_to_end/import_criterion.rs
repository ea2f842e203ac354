//! `coldstart import`: benchmarks through the same gate.

use std::path::Path;

use coldstart_decisions::gate::{Standing, Verdict};
use coldstart_profiles::exit;

use crate::support::{Scratch, words};

/// Two runs of `cargo bench` of this repository, as criterion left them.
fn fixture(run: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/criterion").join(run).display().to_string()
}

#[test]
fn real_runs_of_cargo_bench_are_gated() {
    let scratch = Scratch::new();
    for run in ["a", "b"] {
        let ran = scratch.run(&["import", "criterion", &fixture(run), "--out", &format!("{run}.json")]);
        let text = &ran.expect_code(exit::OK).stdout;
        assert!(text.contains("Benchmarks on") && text.contains("summarize/500"), "{text}");
        assert!(text.contains("one process is one trial"), "{text}");
    }
    let profile = scratch.profile("a.json");
    let estimates =
        std::fs::read_to_string(format!("{}/summarize/500/new/estimates.json", fixture("a"))).unwrap();
    let estimates: serde_json::Value = serde_json::from_str(&estimates).unwrap();
    let noted = estimates["median"]["point_estimate"].as_f64().unwrap();
    let found = profile.benchmarks().into_iter().find(|benchmark| benchmark.name == "summarize/500").unwrap();
    let ours = found.per_iteration(found.summary.p50_ns);
    assert!((ours / noted - 1.0).abs() < 0.01, "{ours} ns, and criterion says {noted} ns");

    let line = "gate b.json b.json b.json --baseline a.json --baseline a.json --baseline a.json --json";
    let ran = scratch.run(&words(line));
    let verdict: Verdict = serde_json::from_str(&ran.stdout).unwrap();
    assert_ne!(verdict.standing, Standing::Incomparable, "{:?}", verdict.reasons);
    let of = |name: &str| verdict.keys.iter().find(|key| key.key.params.get("benchmark") == Some(name));
    assert!(of("summarize/500").unwrap().evidence.is_some() && !of("summarize/500").unwrap().advisory);
    // A run by itself is one trial a side: shown, and not decided on, so nobody can tell.
    let ran = scratch.run(&words("gate b.json --baseline a.json --json"));
    let verdict: Verdict = serde_json::from_str(&ran.expect_code(exit::UNFIT).stdout).unwrap();
    assert!(verdict.keys.iter().all(|key| key.advisory), "{verdict:?}");
    assert_eq!(verdict.reasons, ["nothing could be decided: 1 trial(s) on one side, 3 are needed"]);
    let beside = scratch.run(&words("report a.json b.json")).expect_code(exit::OK).stdout.clone();
    assert!(beside.contains("summarize/500") && beside.contains("B ÷ A"), "{beside}");
    scratch.run(&words("report a.json --html a.html")).expect_code(exit::OK);
    let page = std::fs::read_to_string(scratch.path("a.html")).unwrap();
    let markdown = scratch.run(&words("report a.json --markdown")).expect_code(exit::OK).stdout.clone();
    assert!(page.contains(r#"<th scope="row">summarize/500</th>"#) && markdown.contains("| summarize/500 |"));
    assert!(markdown.contains("3 benchmarks were imported; the longest"), "{markdown}");
    scratch.run(&words("run --resume a.json")).expect_error(exit::USAGE, &["imported"]);
}

#[test]
fn what_is_not_criterions_is_named() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("empty")).unwrap();
    std::fs::write(scratch.path("mine.json"), "[]").unwrap();
    let a = fixture("a");
    for (args, parts) in [
        (vec!["import"], vec!["criterion"]),
        (vec!["import", "criterion", "none"], vec!["none"]),
        (vec!["import", "criterion", "empty"], vec!["empty", "cargo bench"]),
        (vec!["import", "criterion", &a, "--saved", "main"], vec!["`main`"]),
        (vec!["import", "criterion", &a, "--out", "no/such/p.json"], vec!["no/such"]),
        (vec!["import", "criterion", &a, "--out", "mine.json"], vec!["mine.json", "not a coldstart profile"]),
    ] {
        let ran = scratch.run(&args);
        ran.expect_code(exit::USAGE);
        for part in parts {
            assert!(ran.stderr.contains(part), "{args:?}: `{part}` is missing in:\n{}", ran.stderr);
        }
    }
    assert_eq!(std::fs::read_to_string(scratch.path("mine.json")).unwrap(), "[]");
}
