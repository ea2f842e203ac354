//! Exports of scripted runs against golden files and the rules of their consumers.

use std::path::PathBuf;

use coldstart_profiles::{Phase, Profile};
use serde_json::Value;

use super::{EXPORT_TARGETS, ExportError, ExportSettings, Exported, export_target};
use crate::tests::scripted;

fn text(target: &str, profiles: &[(&str, &Profile)]) -> String {
    match export_target(target).unwrap().of_profiles(profiles, &ExportSettings::default()).unwrap() {
        Exported::File(text) => text,
        Exported::Directory(files) => panic!("{target} is one file, not {files:?}"),
    }
}

pub(super) fn assert_golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{name} differs (UPDATE_GOLDEN=1 accepts):\n{text}");
}

#[test]
fn golden_files() {
    let profile = scripted::complete();
    assert_golden("export-prometheus.txt", &text("prometheus", &[("a.json", &profile)]));
    assert_golden("export-bmf.json", &text("bmf", &[("a.json", &profile)]));
    assert_golden("export-github-benchmark.json", &text("github-benchmark", &[("a.json", &profile)]));
}

#[test]
fn metrics_have_help_type_unit_and_an_end() {
    let profile = scripted::on_a_gpu();
    let text = text("prometheus", &[("a.json", &profile), ("b.json", &profile)]);
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    let mut family = String::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["#", "HELP", name, ..] => family = (*name).to_owned(),
            ["#", "TYPE", name, kind] => assert_eq!((*name, *kind), (family.as_str(), "gauge")),
            ["#", "UNIT", name, unit] => assert!(*name == family && name.ends_with(unit), "{line}"),
            _ => {
                let (name, _) = line.split_once(['{', ' ']).unwrap();
                let value: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
                assert!(name == family && value.is_finite() && name.starts_with("coldstart_"), "{line}");
                assert!(line.contains("profile=\"a.json\"") || line.contains("profile=\"b.json\""), "{line}");
            }
        }
    }
}

#[test]
fn benchmark_trackers_get_finite_numbers() {
    let profile = scripted::complete();
    let bmf: Value = serde_json::from_str(&text("bmf", &[("a.json", &profile)])).unwrap();
    for (name, measures) in bmf.as_object().unwrap() {
        let latency = &measures["latency"];
        let [low, value, high] =
            ["lower_value", "value", "upper_value"].map(|key| latency[key].as_f64().unwrap());
        assert!(!name.is_empty() && low <= value && value <= high, "{name}: {measures}");
    }
    let list: Value = serde_json::from_str(&text("github-benchmark", &[("a.json", &profile)])).unwrap();
    for entry in list.as_array().unwrap() {
        assert!(entry["value"].as_f64().unwrap() >= 0.0 && entry["unit"] == "ms", "{entry}");
        assert!(entry["name"].is_string() && entry["range"].is_string() && entry["extra"].is_string());
    }
}

#[test]
fn what_can_not_be_written_is_named() {
    let (profile, empty) = (scripted::complete(), scripted::empty());
    let refused = |target: &str, profiles: &[(&str, &Profile)]| {
        export_target(target)
            .unwrap()
            .of_profiles(profiles, &ExportSettings::default())
            .unwrap_err()
            .to_string()
    };
    for target in ["bmf", "github-benchmark"] {
        assert_eq!(
            refused(target, &[("a", &profile), ("b", &profile)]),
            format!("export 2 profiles as {target}: it holds one: give one at a time")
        );
        assert!(refused(target, &[("a", &empty)]).contains("nothing was measured in it"));
    }
    let twice = refused("prometheus", &[("a", &profile), ("a", &profile)]);
    assert!(twice.contains("twice") && twice.contains("give each profile once"), "{twice}");
    let missing = ExportError::missing("keda", ("a.json", &empty), Phase::DriverInit).to_string();
    assert!(missing.starts_with("export a.json as keda: it has no `driver_init` ("), "{missing}");
    assert!(missing.ends_with("measure it with `coldstart run --phases driver_init`"), "{missing}");
}

#[test]
fn names_are_unique() {
    for (at, target) in EXPORT_TARGETS.iter().enumerate() {
        assert!(EXPORT_TARGETS.iter().skip(at + 1).all(|other| other.name != target.name), "{}", target.name);
    }
}
