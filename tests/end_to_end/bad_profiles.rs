//! Profiles as crashes, editors, other versions and attackers leave them: one clear error or an honest answer, a documented
//! exit code, and nothing half-written.

use std::path::Path;

use coldstart_decisions::gate::{Standing, Verdict};
use coldstart_profiles::{
    CanaryReading, ImageSource, ImageTarget, Nanos, Outcome, Profile, RunState, Samples, WarmUpClass, exit,
};

use crate::support::{Ran, Scratch, words};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profiles/profile-1.0.json");

/// A profile that a run on a quiet machine wrote.
fn quiet() -> Profile {
    let mut profile = Profile::read(Path::new(FIXTURE)).unwrap();
    let (copy_ns, gemm_ns) = (Nanos::from_millis(3), Nanos::from_millis(1));
    profile.fitness.canary =
        ["before", "after"].map(|when| CanaryReading { when: when.to_owned(), copy_ns, gemm_ns }).to_vec();
    profile
}

/// What every command says of a file that is no profile.
#[test]
fn files_that_are_no_profiles() {
    let scratch = Scratch::new();
    let whole = std::fs::read_to_string(FIXTURE).unwrap();
    let zero = whole.replacen("\"samples_ns\": [", "\"samples_ns\": [], \"was\": [", 1);
    for (name, text, part) in [
        ("empty", String::new(), "EOF"),
        ("object", "{}".to_owned(), "no `format` version"),
        ("array", "[]".to_owned(), "format"),
        ("cut", whole[..whole.len() / 2].to_owned(), "EOF"),
        ("major", whole.replacen("\"major\": 1", "\"major\": 2", 1), "format 2"),
        ("zero-samples", zero, "samples"),
        ("binary", "\u{0}\u{1}\u{2}".to_owned(), "expected value"),
        ("escape", "{\"format\": \"\u{9b}2J\"}".to_owned(), "format"),
    ] {
        std::fs::write(scratch.path("p.json"), &text).unwrap();
        for line in [
            "report p.json",
            "report p.json --html r.html",
            "report p.json --markdown",
            "report p.json --trace t.json",
            "gate p.json --baseline p.json --verdict v.json --junit j.xml",
            "calibrate p.json p.json --out policy.json",
            "export prometheus p.json --out m.prom",
        ] {
            let ran = scratch.run(&words(line));
            ran.expect_error(exit::USAGE, &["p.json", part]);
            assert!(!ran.stderr.contains('\u{9b}'), "{name}: {line}");
        }
        let left = std::fs::read_dir(scratch.path(".")).unwrap().count();
        assert_eq!(left, 1, "{name}: something else was written");
    }
    let mut latin = whole.into_bytes();
    latin[40] = 0xe9;
    std::fs::write(scratch.path("p.json"), latin).unwrap();
    scratch.run(&words("report p.json")).expect_error(exit::USAGE, &["p.json"]);
}

/// Links that lead in a circle, and text whose encoding nothing says: what it is, and what helps.
#[test]
fn files_that_can_not_be_read_as_they_are() {
    let scratch = Scratch::new();
    quiet().write(&scratch.path("good.json")).unwrap();
    std::os::unix::fs::symlink("loop.json", scratch.path("loop.json")).unwrap();
    let text = std::fs::read_to_string(FIXTURE).unwrap();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(scratch.path("wide.json"), wide).unwrap();
    for (name, parts) in [
        ("loop.json", ["lead in a circle", "give the file itself"]),
        ("wide.json", ["UTF-16 without a byte order mark", "iconv -f UTF-16LE -t UTF-8"]),
    ] {
        for line in [
            "report FILE",
            "gate FILE --baseline good.json",
            "gate good.json --baseline FILE",
            "gate good.json --baseline good.json --rules FILE",
            "gate good.json --baseline good.json --policy FILE",
            "plan FILE --slo-p99 1s --rate 1",
            "plan good.json --slo-p99 1s --trace FILE",
            "export prometheus FILE",
            "export hpa FILE",
            "import kubectl FILE",
        ] {
            let ran = scratch.run(&words(&line.replace("FILE", name)));
            ran.expect_error(exit::USAGE, &[name, parts[0], parts[1]]);
        }
    }
    scratch
        .run(&words("run --model loop.json"))
        .expect_error(exit::USAGE, &["loop.json", "lead in a circle"]);
}

/// A profile that can be read but not judged, or only with a grain of salt.
#[test]
fn profiles_that_say_little() {
    let scratch = Scratch::new();
    quiet().write(&scratch.path("base.json")).unwrap();
    let gate = |name: &str, change: &dyn Fn(&mut Profile), code: u8| -> Verdict {
        let mut profile = quiet();
        change(&mut profile);
        profile.write(&scratch.path("new.json")).unwrap();
        for line in [
            "report new.json",
            "report new.json --html r.html",
            "export prometheus new.json --allow-stand-in",
        ] {
            let ran = scratch.run(&words(line));
            assert_eq!(
                (ran.code, ran.stderr.contains("panicked")),
                (Some(0), false),
                "{name}: {}",
                ran.stderr
            );
        }
        let ran = scratch.run(&words("gate new.json --baseline base.json --json"));
        assert!(!ran.stderr.contains("panicked"), "{name}: {}", ran.stderr);
        serde_json::from_str(&ran.expect_code(code).stdout).unwrap()
    };
    for state in [RunState::Partial, RunState::Interrupted] {
        let verdict = gate("state", &|profile| profile.state = state, exit::INCOMPARABLE);
        assert!(verdict.reasons[0].contains("--resume"), "{:?}", verdict.reasons);
    }
    let verdict = gate("stand-in", &|profile| profile.target.device.stand_in = true, exit::INCOMPARABLE);
    assert!(verdict.reasons[0].contains("--allow-stand-in"), "{:?}", verdict.reasons);

    let one_trial = |profile: &mut Profile| {
        profile.traces.retain(|trace| trace.trial == 0);
        profile.warm_up.truncate(1);
        profile.derive();
    };
    let mut one = quiet();
    one_trial(&mut one);
    one.write(&scratch.path("one.json")).unwrap();
    Profile { started_at: "2026-12-01T00:00:00Z".to_owned(), ..one }
        .write(&scratch.path("another.json"))
        .unwrap();
    let ran = scratch.run(&words("calibrate one.json another.json --out policy.json"));
    assert!(ran.expect_code(exit::OK).stderr.contains("can decide nothing"), "{}", ran.stderr);
    let verdict = gate("one trial", &one_trial, exit::UNFIT);
    assert!(verdict.reasons[0].contains("nothing could be decided: 1 trial"), "{:?}", verdict.reasons);
    let few = verdict.keys.iter().filter_map(|key| Some((key, key.evidence.as_ref()?)));
    let few: Vec<bool> = few.filter(|(_, one)| one.new_trials == 1).map(|(key, _)| key.advisory).collect();
    assert!(!few.is_empty() && few.iter().all(|advisory| *advisory), "one trial decides nothing");

    let classes = |profile: &mut Profile| {
        for curve in profile.warm_up.iter_mut().skip(1) {
            curve.analysis.class = WarmUpClass::NoSteadyState;
        }
    };
    let verdict = gate("classes", &classes, exit::UNFIT);
    assert_eq!(verdict.standing, Standing::Inconclusive, "{:?}", verdict.reasons);
    assert!(verdict.reasons[0].contains("no_steady_state"), "{:?}", verdict.reasons);
}

/// Times of nothing and of five centuries.
#[test]
fn samples_beyond_reason() {
    let scratch = Scratch::new();
    quiet().write(&scratch.path("base.json")).unwrap();
    for (time, code) in [(0, exit::INCOMPARABLE), (1, exit::OK), (u64::MAX, exit::REGRESSION)] {
        let mut profile = quiet();
        let all = Nanos::from_nanos(time);
        for outcome in (profile.measurements.iter_mut().map(|row| &mut row.outcome))
            .chain(profile.totals.iter_mut().map(|total| &mut total.outcome))
        {
            if let Outcome::Measured { samples, .. } = outcome {
                *outcome = Outcome::measured(Samples::new(vec![all; samples.len()]).unwrap());
            }
        }
        profile.warm_up.clear();
        profile.write(&scratch.path("new.json")).unwrap();
        for line in [
            "report new.json",
            "report new.json base.json",
            "report new.json base.json --html r.html",
            "report new.json --trace t.json",
            "report new.json --markdown",
            "calibrate new.json base.json --out policy.json",
            "export prometheus new.json",
            "export bmf new.json",
            "export github-benchmark new.json",
        ] {
            let ran = scratch.run(&words(line));
            assert_eq!(ran.code, Some(0), "{time} ns: {line}: {}", ran.stderr);
            assert!(!ran.stdout.contains("NaN") && !ran.stdout.contains("inf "), "{line}: {}", ran.stdout);
        }
        // Three runs a side: what a gate decides on.
        let line =
            "gate new.json new.json new.json --baseline base.json --baseline base.json --baseline base.json";
        let ran = scratch.run(&words(line));
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        ran.expect_code(code);
    }
}

/// Rules that can't be meant, and places that can't be written to.
#[test]
fn rules_and_places_that_can_not_be_used() {
    let scratch = Scratch::new();
    quiet().write(&scratch.path("base.json")).unwrap();
    for (rules, part) in [
        ("[[rule]]\nthreshhold = 0.1\n", "threshhold"),
        ("nonsense = 1\n", "nonsense"),
        ("[[rule]]\nmatch = { phase = \"nothing\" }\n", "the phases are"),
        ("[[rule]]\nmatch = { params = { a = \"\\u001b[2J\" } }\n", "matches none"),
        ("[[rule]]\nthreshold = -0.5\n", "threshold = -0.5"),
        ("[[rule]]\nthreshold = nan\n", "threshold"),
        ("[[rule]]\nceiling_ms = 0\n", "ceiling_ms = 0"),
        ("[[rule]]\nceiling_ms = inf\n", "ceiling_ms"),
        ("[[rule]", "rules"),
        ("\u{1b}[2J", "rules"),
    ] {
        std::fs::write(scratch.path("gate.toml"), rules).unwrap();
        let ran =
            scratch.run(&words("gate base.json --baseline base.json --rules gate.toml --verdict v.json"));
        ran.expect_error(exit::USAGE, &["gate.toml", part]);
        assert!(
            !ran.stderr.contains('\u{1b}') && ran.stderr.lines().count() == 1,
            "{rules:?}: {}",
            ran.stderr
        );
        assert!(!scratch.path("v.json").exists());
    }
    std::fs::create_dir(scratch.path("taken")).unwrap();
    Profile { started_at: "2026-12-01T00:00:00Z".to_owned(), ..quiet() }
        .write(&scratch.path("other.json"))
        .unwrap();
    for line in [
        "report base.json --html taken",
        "report base.json --trace taken",
        "gate base.json --baseline base.json --verdict taken",
        "gate base.json --baseline base.json --markdown no/such/m.md",
        "gate base.json --baseline base.json --verdict v.json --junit j.xml --markdown no/such/m.md",
        "gate base.json --baseline base.json --verdict v.json --junit base.json/j.xml",
        "calibrate base.json other.json --out taken",
        "gate --baseline-cmd true{out} --new-cmd true{out} --junit taken",
        "export bmf base.json --out taken",
        "plan base.json --slo-p99 1s --rate 1 --out taken",
        "plan base.json --slo-p99 1s --rate 1 --html no/such/plan.html",
        "plan base.json --slo-p99 1s --rate 1 --html base.json",
        "plan base.json --slo-p99 1s --rate 1 --out other.json",
        "plan base.json --slo-p99 1s --rate 1 --out same --html ./same",
        "plan base.json --slo-p99 1s --trace gate.toml --out gate.toml",
        "import kubectl gate.toml --out gate.toml",
        "import kubectl gate.toml --out no/such/pods.json",
        "import criterion taken --out taken",
        "man --out base.json",
    ] {
        let ran = scratch.run(&words(line));
        ran.expect_error(exit::USAGE, &["failed to write", ": "]);
    }
    for line in ["report taken", "gate base.json --baseline taken", "export bmf taken"] {
        scratch.run(&words(line)).expect_error(exit::USAGE, &["read taken", "give the profiles in it"]);
    }
    scratch
        .run(&words("import criterion base.json"))
        .expect_error(exit::USAGE, &["base.json", "target/criterion"]);
    scratch
        .run(&words("export bmf base.json --out taken"))
        .expect_error(exit::USAGE, &["--out taken", "give a file"]);
    // A full disk behind stdout.
    for line in ["report base.json", "gate base.json --baseline base.json", "export bmf base.json"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = Ran::of(scratch.coldstart(&words(line)).stdout(full).output().unwrap());
        ran.expect_error(exit::USAGE, &["failed to print the result"]);
    }
    let mut left: Vec<_> =
        std::fs::read_dir(scratch.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["base.json", "gate.toml", "other.json", "taken"], "nothing half-written");
    assert_eq!(std::fs::read_dir(scratch.path("taken")).unwrap().count(), 0);
}

/// Text of ten megabytes, with markup, escape sequences and marks of direction, wherever a gate quotes a profile.
#[test]
fn a_gate_shows_hostile_text_and_obeys_none() {
    const HOSTILE: &str = "<img src=x>&]]>|`*_[x](y)\n::error::\u{1b}[2J\u{9b}31m\u{202e}\u{2066}";
    let scratch = Scratch::new();
    let mut base = quiet();
    base.target.model.as_mut().unwrap().file_system = Some("ext4".to_owned());
    base.write(&scratch.path("base.json")).unwrap();
    let long = HOSTILE.repeat(10_000_000 / HOSTILE.len());
    for text in [HOSTILE, &long] {
        let mut profile = quiet();
        let model = profile.target.model.as_mut().unwrap();
        model.source = text.to_owned();
        model.file_system = Some(text.to_owned());
        profile.target.image = Some(ImageTarget {
            source: ImageSource::Reference,
            reference: text.to_owned(),
            digest: None,
            compressed_bytes: None,
            unpacked_bytes: None,
            layers: None,
        });
        profile.target.host.cpu = text.to_owned();
        profile.plan.strategy = text.to_owned();
        profile.write(&scratch.path("new.json")).unwrap();
        Profile { started_at: "2026-12-01T00:00:00Z".to_owned(), ..base.clone() }
            .write(&scratch.path("again.json"))
            .unwrap();
        scratch.run(&words("calibrate base.json again.json --out policy.json")).expect_code(exit::OK);
        let line = "gate new.json --baseline base.json --policy policy.json --verdict v.json --junit j.xml --markdown m.md";
        let read = |name| std::fs::read_to_string(scratch.path(name)).unwrap();
        for more in ["", " --all", " --github", " --json"] {
            let ran = scratch.run(&words(&format!("{line}{more}")));
            assert!(ran.code.is_some_and(|code| code <= 4), "{:?}: {}", ran.code, ran.stderr);
            for (name, shown) in [
                ("stdout", ran.stdout.clone()),
                ("stderr", ran.stderr.clone()),
                ("markdown", read("m.md")),
                ("JUnit", read("j.xml")),
            ] {
                assert!(shown.len() < 1_000_000, "{name}{more} has {} bytes", shown.len());
                let obeyed =
                    ['\u{1b}', '\u{9b}', '\u{202e}', '\u{2066}'].iter().find(|c| shown.contains(**c));
                assert_eq!(obeyed, None, "{name}{more}");
                if name == "markdown" || name == "JUnit" {
                    assert!(!shown.contains("<img"), "{name}");
                }
                assert!(!shown.lines().any(|line| line.starts_with("::error::")), "{name}{more}: {shown}");
            }
        }
        let verdict: Verdict = serde_json::from_str(&read("v.json")).unwrap();
        let loads = verdict.keys.iter().filter(|key| key.key.phase == coldstart_profiles::Phase::WeightsLoad);
        assert!(
            loads.clone().count() > 0 && loads.into_iter().all(|key| key.judgement.name() == "incomparable")
        );
    }
}
