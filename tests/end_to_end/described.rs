//! The command line described for shells and manuals.

use coldstart_profiles::exit;
use serde_json::Value;

use crate::support::Scratch;

#[test]
fn completions_know_every_command() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = scratch.run(&["completions", shell]);
        let text = &ran.expect_code(exit::OK).stdout;
        for command in ["run", "report", "gate", "export", "github-benchmark"] {
            // Three of them complete no values of arguments by position.
            let plain = ["elvish", "fish", "powershell"].contains(&shell);
            assert!(text.contains(command) || plain, "{shell}: {command}");
        }
        let hidden = ["coldstart__subcmd__trial", "One measurement in a fresh process"];
        assert!(!hidden.iter().any(|hidden| text.contains(hidden)), "{shell}: what is started by `run` only");
    }
    scratch.run(&["completions", "tcsh"]).expect_error(exit::USAGE, &["tcsh", "bash"]);
}

#[test]
fn manual_pages_are_one_a_command() {
    let scratch = Scratch::new();
    let ran = scratch.run(&["man"]);
    assert!(ran.expect_code(exit::OK).stdout.contains(".TH coldstart 1"), "{}", ran.stdout);
    scratch.run(&["man", "--out", "man1"]).expect_code(exit::OK);
    let mut names: Vec<String> = std::fs::read_dir(scratch.path("man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in ["coldstart.1", "coldstart-run.1", "coldstart-export.1", "coldstart-import-criterion.1"] {
        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("trial") || name.contains("help")), "{names:?}");
    let page = std::fs::read_to_string(scratch.path("man1/coldstart-import-criterion.1")).unwrap();
    assert!(page.contains("coldstart import criterion") && page.contains("saved"), "{page}");
    scratch.run(&["man", "--out", "no/such/dir"]).expect_error(exit::USAGE, &["no/such"]);
}

#[test]
fn every_help_page_can_be_read_at_80_columns() {
    let scratch = Scratch::new();
    let commands = [
        "",
        "run",
        "report",
        "gate",
        "calibrate",
        "export",
        "import",
        "import criterion",
        "doctor",
        "schema",
        "completions",
        "man",
    ];
    for command in commands {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let output = scratch.coldstart(&args).env("COLUMNS", "80").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("Usage: coldstart"), "{command}: {text}");
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(110), "{command}: {longest:?} columns\n{text}");
        if ["gate", "calibrate"].contains(&command) {
            assert!(text.contains(&format!("Examples:\n  coldstart {command} ")), "{text}");
        }
    }
}

#[test]
fn the_rules_of_the_readme_are_what_their_schema_says() {
    let readme = include_str!("../../README.md");
    let rules = readme.split("```toml\n").nth(1).and_then(|text| text.split("```").next()).unwrap();
    let schema: Value = serde_json::from_str(&Scratch::new().run(&["schema", "rules"]).stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let valid = |text: &str| {
        let value: toml::Value = toml::from_str(text).unwrap();
        validator.is_valid(&serde_json::to_value(value).unwrap())
    };
    assert!(rules.contains("[[rule]]") && valid(rules), "{rules}");
    assert!(!valid(&rules.replace("threshold", "threshhold")), "{rules}");
}

#[test]
fn what_a_gate_writes_has_a_schema() {
    let scratch = Scratch::new();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profiles/profile-1.0.json");
    let gate = scratch.run(&["gate", fixture, "--baseline", fixture, "--json"]);
    let profile = std::fs::read_to_string(fixture).unwrap();
    let mut later: Value = serde_json::from_str(&profile).unwrap();
    later["started_at"] = "2026-12-01T00:00:00Z".into();
    std::fs::write(scratch.path("later.json"), later.to_string()).unwrap();
    let calibration = scratch.run(&["calibrate", fixture, "later.json", "--out", "policy.json", "--json"]);
    std::fs::create_dir(scratch.path("nightly")).unwrap();
    std::fs::copy(scratch.path("later.json"), scratch.path("nightly/1.json")).unwrap();
    let history = scratch.run(&["gate", "--history", "nightly", "--json"]);
    let written = [
        ("verdict", gate.stdout),
        ("policy", calibration.stdout),
        ("history", history.stdout),
        ("profile", profile),
    ];
    for (of, text) in written {
        let schema: Value = serde_json::from_str(&scratch.run(&["schema", of]).stdout).unwrap();
        let instance: Value = serde_json::from_str(&text).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{of}: {errors:?}");
        assert!(!validator.is_valid(&Value::Array(Vec::new())), "{of}: anything is valid");
    }
    assert_eq!(scratch.run(&["schema"]).stdout, scratch.run(&["schema", "profile"]).stdout);
}
