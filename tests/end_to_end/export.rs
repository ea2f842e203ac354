//! `coldstart export`: files or stdout, whole or not at all.

use std::path::Path;

use coldstart_profiles::{Profile, RunState, exit};

use crate::support::{Scratch, words};

/// A profile that a run wrote, changed.
fn write(scratch: &Scratch, name: &str, change: impl FnOnce(&mut Profile)) {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profiles/profile-1.0.json");
    let mut profile = Profile::read(Path::new(fixture)).unwrap();
    change(&mut profile);
    profile.write(&scratch.path(name)).unwrap();
}

#[test]
fn every_format_goes_to_stdout_or_to_a_file() {
    let scratch = Scratch::new();
    write(&scratch, "p.json", |_| {});
    for (format, holds) in
        [("prometheus", "# EOF\n"), ("bmf", "\"lower_value\""), ("github-benchmark", "\"unit\": \"ms\"")]
    {
        let printed = scratch.run(&["export", format, "p.json"]);
        assert!(printed.expect_code(exit::OK).stdout.contains(holds), "{format}: {}", printed.stdout);
        let ran = scratch.run(&["export", format, "p.json", "--out", "out"]);
        assert_eq!(ran.expect_code(exit::OK).stdout, "", "what was asked for is in its file");
        assert_eq!(std::fs::read_to_string(scratch.path("out")).unwrap(), printed.stdout);
        let ran = scratch.run(&["export", format, "p.json", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&ran.expect_code(exit::OK).stdout).unwrap();
        assert_eq!(json["files"][0]["contents"], printed.stdout.as_str());
    }
    let ran = scratch.run(&words("export prometheus p.json --out m.prom --json"));
    let json: serde_json::Value = serde_json::from_str(&ran.expect_code(exit::OK).stdout).unwrap();
    assert_eq!(json["written"][0], "m.prom");
}

#[test]
fn what_can_not_be_exported_is_named() {
    let scratch = Scratch::new();
    write(&scratch, "p.json", |_| {});
    write(&scratch, "stand-in.json", |profile| profile.target.device.stand_in = true);
    for (line, parts) in [
        ("export", vec!["FORMAT"]),
        ("export nonsense p.json", vec!["nonsense", "prometheus", "github-benchmark"]),
        ("export bmf", vec!["FILE"]),
        ("export bmf none.json", vec!["none.json"]),
        ("export bmf p.json p.json", vec!["2 profiles", "one at a time"]),
        ("export prometheus p.json p.json", vec!["twice", "give each profile once"]),
        ("export bmf stand-in.json", vec!["stand-in.json", "--allow-stand-in"]),
        ("export bmf p.json --out no/such/x", vec!["no/such"]),
        ("export bmf p.json --out .", vec!["--out .", "it is a directory"]),
    ] {
        scratch.run(&words(line)).expect_error(exit::USAGE, &parts);
    }
    scratch.run(&words("export bmf stand-in.json --allow-stand-in")).expect_code(exit::OK);
    let left: Vec<_> =
        std::fs::read_dir(scratch.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing half-written: {left:?}");
}

#[test]
fn a_run_that_is_not_complete_says_so() {
    let scratch = Scratch::new();
    write(&scratch, "p.json", |profile| profile.state = RunState::Interrupted);
    let ran = scratch.run(&words("export prometheus p.json"));
    assert!(ran.expect_code(exit::OK).stdout.contains("coldstart_run_complete 0"), "{}", ran.stdout);
    assert!(ran.stderr.contains("--resume"), "{}", ran.stderr);
}
