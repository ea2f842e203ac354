//! Every export of profiles and plans with hostile text in every field: what comes out keeps its consumer's rules, or nothing does.
//!
//! The rules are written out here once more, after the consumers' documents: what makes the exports does not judge them.

use std::collections::BTreeMap;

use coldstart_decisions::autoscaler::Signal;
use coldstart_decisions::plan::ServingPlan;
use coldstart_profiles::{ImageSource, Params, Phase, Profile};
use serde_json::Value;

use super::plan_tests::{ramp, request};
use super::{EXPORT_TARGETS, ExportError, ExportSettings, ExportTarget, Exported, Workload};
use crate::style::obeyed;
use crate::tests::hostile::{HOSTILE, with_text_everywhere};
use crate::tests::scripted;

/// Kubernetes keeps no object whose annotations have more bytes than this.
const MOST_ANNOTATIONS: usize = 256 * 1024;
const IMAGE: &str = "registry.example.com/serve:1.4";

fn settings() -> ExportSettings {
    ExportSettings {
        workload: Some(Workload::parse("deployment/llama").unwrap()),
        namespace: Some("serving".to_owned()),
        container: Some("server".to_owned()),
        expires_at: Some("2026-12-01T00:00:00Z".to_owned()),
        model_uri: Some("hf://meta-llama/Llama-3.1-8B".to_owned()),
        node_groups: vec!["a100".to_owned()],
        node_selector: vec![("nvidia.com/gpu.product".to_owned(), "NVIDIA-A100".to_owned())],
        ..ExportSettings::default()
    }
}

/// A run of a language model that everything can be made of: a sweep, and a pull of an image of one's own.
fn whole() -> Profile {
    let mut profile = scripted::swept();
    let complete = scripted::complete();
    profile.target.image = complete.target.image;
    profile.traces.extend(
        complete
            .traces
            .into_iter()
            .filter(|trace| trace.readings.iter().any(|reading| reading.phase == Phase::ImagePull)),
    );
    if let Some(image) = &mut profile.target.image {
        (image.source, image.reference) = (ImageSource::Reference, IMAGE.to_owned());
    }
    for reading in profile.traces.iter_mut().flat_map(|trace| &mut trace.readings) {
        if reading.phase == Phase::ImagePull {
            reading.params = Params::new().with("source", "registry").with("image", "serve");
        }
    }
    profile.derive();
    profile
}

fn plan_of(name: &str, profile: &Profile) -> ServingPlan {
    coldstart_decisions::plan::make_plan(&[(name, profile)], &ramp(), request(), "0.1.0").unwrap()
}

/// Up to 63 of `A-Z a-z 0-9 - _ .` between letters or digits; may be empty.
fn label_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    bytes.is_empty()
        || (bytes.len() <= 63 && bytes.iter().all(plain) && edge(bytes.first()) && edge(bytes.last()))
}

/// A subdomain of RFC 1123.
fn object_name(text: &str) -> bool {
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        bytes.first().is_some_and(plain)
            && bytes.last().is_some_and(plain)
            && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// A name, perhaps with a subdomain and a slash before it.
fn qualified(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(object_name) && !name.is_empty() && label_value(name)
}

/// Objects of a cluster: names, labels, annotations, and no text that would act where it is shown.
fn object_rules(target: &str, value: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(annotations)) = map.get("annotations") {
                let bytes = |(key, value): (&String, &Value)| key.len() + value.as_str().unwrap().len();
                let bytes: usize = annotations.iter().map(bytes).sum();
                assert!(bytes < MOST_ANNOTATIONS, "{target}: {bytes} bytes of annotations");
                annotations.keys().for_each(|key| assert!(qualified(key), "{target}: {key}"));
            }
            if let Some(name) = map.get("metadata").and_then(|metadata| metadata.get("name")) {
                assert!(object_name(name.as_str().unwrap()), "{target}: {name}");
            }
            for (key, label) in map.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
                assert!(qualified(key) && label_value(label.as_str().unwrap()), "{target}: {key}={label}");
            }
            for label in map.get("values").and_then(Value::as_array).into_iter().flatten() {
                assert!(label_value(label.as_str().unwrap()), "{target}: {label}");
            }
            map.values().for_each(|value| object_rules(target, value));
        }
        Value::Array(list) => list.iter().for_each(|value| object_rules(target, value)),
        Value::String(text) => {
            assert!(!text.contains(obeyed), "{target}: {text:?}");
            assert!(text.len() < 10_000, "{target}: {} bytes", text.len());
        }
        Value::Number(number) => assert!(number.as_f64().unwrap().is_finite(), "{target}: {number}"),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Node Feature Discovery: comments, and labels of which each stands once.
fn feature_rules(text: &str) {
    assert!(text.len() < 64_000 && text.ends_with('\n'));
    let mut names = std::collections::BTreeSet::new();
    for line in text.lines() {
        assert!(!line.contains(obeyed), "{line:?}");
        if let Some(comment) = line.strip_prefix('#') {
            let expiry = comment.trim_start().starts_with("+expiry-time=");
            assert!(!expiry || line == "# +expiry-time=2026-12-01T00:00:00Z", "{line}");
            continue;
        }
        let (key, value) = line.split_once('=').unwrap();
        assert!(qualified(key) && key.starts_with("coldstart-rs.github.io/"), "{line}");
        assert!(!value.is_empty() && label_value(value) && names.insert(key), "{line}");
    }
}

/// YAML 1.2, 5.1: what a stream may hold.
fn printable_in_yaml(c: char) -> bool {
    matches!(c, '\t' | '\n' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// A flat file of YAML: comments, and keys with a number or a quoted string; what the escapes of a string say.
fn yaml_rules(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        assert!(line.chars().all(|c| printable_in_yaml(c) && !obeyed(c)), "{line:?}");
        if line.starts_with("# ") {
            continue;
        }
        let (key, value) = line.split_once(": ").unwrap();
        assert!(key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{line}");
        let value = match value.strip_prefix('"') {
            Some(quoted) => unquoted(quoted.strip_suffix('"').unwrap()),
            None => value.parse::<f64>().map_or_else(|_| value.to_owned(), |number| number.to_string()),
        };
        assert!(found.insert(key.to_owned(), value).is_none(), "{key} twice");
    }
    found
}

fn unquoted(text: &str) -> String {
    let mut chars = text.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        assert_ne!(c, '"', "{text}");
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let escape = chars.next().unwrap();
        let digits = match escape {
            '"' | '\\' => {
                plain.push(escape);
                continue;
            }
            'n' | 't' | 'r' | '0' => {
                plain.push(match escape {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    _ => '\0',
                });
                continue;
            }
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other => panic!("\\{other} is no escape of YAML that is used here: {text}"),
        };
        let digits: String = chars.by_ref().take(digits).collect();
        // Halves of a surrogate pair are no characters in YAML.
        plain.push(char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap());
    }
    plain
}

/// Dynamo's tables: positive numbers, and a note of where they come from.
fn table_rules(name: &str, text: &str) {
    assert!(text.len() < 20_000, "{name} has {} bytes", text.len());
    let table: Value = serde_json::from_str(text).unwrap();
    for (key, column) in table.as_object().unwrap() {
        match column {
            Value::Array(numbers) => {
                assert!(numbers.iter().all(|number| number.as_f64().unwrap() > 0.0), "{key}: {column}");
            }
            Value::Number(number) => assert!(number.as_f64().unwrap() > 0.0, "{key}"),
            Value::String(text) => assert!(!text.contains(obeyed), "{key}: {text:?}"),
            other => panic!("{key}: {other}"),
        }
    }
}

/// The rules of whatever a target writes.
fn rules(target: &ExportTarget, exported: &Exported) {
    match (target.name, exported) {
        ("nfd", Exported::File(text)) => feature_rules(text),
        ("inference-sim", Exported::File(text)) => {
            let found = yaml_rules(text);
            assert!(!found["model"].trim().is_empty() && found["model"].len() < 10_000);
            for key in ["startup-duration", "prefill-overhead", "inter-token-latency"] {
                assert!(found[key].ends_with('s') && found[key].starts_with(|c: char| c.is_ascii_digit()));
            }
        }
        ("dynamo", Exported::Directory(files)) => {
            assert_eq!(files.len(), 4);
            files.iter().for_each(|file| table_rules(&file.name, &file.contents));
        }
        ("prometheus", Exported::File(text)) => {
            assert!(text.ends_with("\n# EOF\n") && text.matches("\n# EOF\n").count() == 1);
            let comment =
                |line: &str| ["# HELP ", "# TYPE ", "# UNIT "].iter().any(|is| line.starts_with(is));
            let sample = |line: &str| {
                line.starts_with("coldstart_")
                    && line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok())
            };
            assert!(text.lines().all(|line| line == "# EOF" || comment(line) || sample(line)), "{text}");
        }
        ("bmf" | "github-benchmark", Exported::File(text)) => {
            assert!(!text.contains("NaN") && serde_json::from_str::<Value>(text).is_ok());
        }
        (name, Exported::File(text)) => object_rules(name, &serde_json::from_str(text).unwrap()),
        (name, Exported::Directory(_)) => panic!("{name} is one file"),
    }
}

/// That a refusal is short, and acts on no terminal.
fn refusal_rules(target: &str, error: &ExportError) {
    let why = error.to_string();
    assert!(why.len() < 6_000 && why.contains(target), "{target}: {} bytes", why.len());
    assert!(!why.contains(obeyed), "{target}: {why:?}");
}

/// Text that breaks one format or another, all in one and each by itself.
fn texts() -> Vec<String> {
    let long = ["x".repeat(200), "模".repeat(200), "a/B_c.".repeat(40), "👍🏽".repeat(60)];
    let short = [
        HOSTILE,
        "\"'\\`",
        "\u{0}\u{8}\u{7f}\u{85}\u{9f}",
        "\u{fffe}\u{ffff}\u{fdd0}\u{10ffff}",
        "模型 ü 𝕏 👍🏽 لا",
        "-._/:@",
        "---\n- a: &b !!c {d: [*b, \"}",
        "{{ .Values.x }} ${HOME} $(id) `id` %s",
        "\n# +expiry-time=1970-01-01T00:00:00Z\nevil.io/y=z\n",
        "kubernetes.io/",
        "~",
    ];
    short.into_iter().map(str::to_owned).chain(long).collect()
}

#[test]
fn every_target_keeps_its_consumers_rules_or_refuses() {
    let mut known = BTreeMap::new();
    let mut written: BTreeMap<&str, u32> = BTreeMap::new();
    for text in texts() {
        let hostile = with_text_everywhere(&whole(), &text, &mut known);
        // With a name that a node can pull there is something to look at, too.
        let mut pulled = hostile.clone();
        pulled.target.image.as_mut().unwrap().reference = IMAGE.to_owned();
        let plan = plan_of(&text, &hostile);
        for target in EXPORT_TARGETS {
            let made = match target.takes_plan() {
                true => Signal::ALL
                    .into_iter()
                    .map(|signal| {
                        let settings = ExportSettings { signal: Some(signal), ..settings() };
                        target.of_plan(&text, &plan, &settings)
                    })
                    .collect(),
                false => vec![
                    target.of_profiles(&[(&text, &hostile)], &settings()),
                    target.of_profiles(&[(&text, &pulled)], &settings()),
                ],
            };
            for made in made {
                match made {
                    Ok(exported) => {
                        rules(target, &exported);
                        *written.entry(target.name).or_default() += 1;
                    }
                    Err(error) => refusal_rules(target.name, &error),
                }
            }
        }
    }
    for target in EXPORT_TARGETS {
        let n = written.get(target.name).copied().unwrap_or_default();
        // Hostile text in a profile is no reason to refuse what does not depend on it.
        assert!(n as usize >= texts().len(), "{}: written {n} times only", target.name);
    }
}

#[test]
fn text_of_ten_megabytes_fills_no_object() {
    let long = "ab<\"\n".repeat(2_000_000);
    let mut profile = whole();
    let target = &mut profile.target;
    (target.device.name, target.host.name) = (long.clone(), long.clone());
    target.model.as_mut().unwrap().source = long.clone();
    target.model.as_mut().unwrap().file_system = Some(long.clone());
    profile.started_at = long.clone();
    (profile.tool.name, profile.tool.version) = (long.clone(), long.clone());
    let plan = plan_of(&long, &profile);
    for target in EXPORT_TARGETS {
        let made = match target.takes_plan() {
            true => target.of_plan(&long, &plan, &settings()),
            false => target.of_profiles(&[(&long, &profile)], &settings()),
        };
        match made {
            Ok(exported) => rules(target, &exported),
            Err(error) => refusal_rules(target.name, &error),
        }
    }
    // What a cluster could not keep is refused, and says what helps.
    let many: Vec<(String, Profile)> = (0..1000)
        .map(|n| {
            let mut profile = whole();
            profile.target.device.name = format!("device {n}");
            (format!("{n}.json"), profile)
        })
        .collect();
    let named: Vec<(&str, &Profile)> = many.iter().map(|(name, profile)| (name.as_str(), profile)).collect();
    let target = super::export_target("node-affinity").unwrap();
    match target.of_profiles(&named, &settings()) {
        Ok(exported) => rules(target, &exported),
        Err(error) => refusal_rules("node-affinity", &error),
    }
}

/// Names of workloads as long as a cluster takes them.
#[test]
fn long_names_of_workloads_make_objects_that_a_cluster_takes() {
    let plan = plan_of("p.json", &whole());
    let profile = whole();
    let names = ["a".repeat(63), "a".repeat(64), "a.b".repeat(60), "b".repeat(253)];
    for name in names {
        let workload = Workload::parse(&name).unwrap();
        let settings = ExportSettings { workload: Some(workload), ..settings() };
        for target in ["hpa", "keda", "capacity-buffer"] {
            let target = super::export_target(target).unwrap();
            let exported = target.of_plan("plan.json", &plan, &settings).unwrap();
            rules(target, &exported);
            let Exported::File(text) = exported else { panic!("one file") };
            let object: Value = serde_json::from_str(&text).unwrap();
            let of = object.pointer("/spec/scaleTargetRef/name").or(object.pointer("/spec/scalableRef/name"));
            assert_eq!(of.unwrap(), name.as_str(), "the workload keeps its name");
            if target.name == "keda" {
                // KEDA labels what it makes with the name of its object.
                assert!(label_value(object["metadata"]["name"].as_str().unwrap()), "{object}");
            }
        }
        let probes = super::export_target("probes").unwrap();
        rules(probes, &probes.of_profiles(&[("p.json", &profile)], &settings).unwrap());
    }
    assert!(Workload::parse(&"b".repeat(254)).is_err());
}
