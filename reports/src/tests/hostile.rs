//! Hostile text in every text field of a profile, in every format: shown, never obeyed.
//!
//! Which fields hold text is not listed but found out: `text` is put before every string of a profile's JSON, and where the file can
//! then still be read, a user could have been given it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use coldstart_decisions::gate::{Asked, Gate, HistoryOptions, Rules, Verdict, calibrate, gate, history};
use coldstart_profiles::Profile;
use serde_json::Value;

use super::scripted;
use crate::export::{EXPORT_TARGETS, ExportSettings, Exported};
use crate::style::obeyed;
use crate::{
    Style, calibration, comparison, gate_annotations, gate_junit, gate_markdown, gate_table,
    history_markdown, history_table, html, markdown, run_plan_table, terminal, trace_events,
};

/// Markup of all formats, quotes, escape sequences (of one byte and of two), marks of direction, and what XML can't hold.
pub(crate) const HOSTILE: &str = "<hostile a=\"1\" b='2'>&amp;]]>--|`*_[x](y)\\%0A::error::\n\r\t\0\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{2066}\u{2028}\u{ffff}${x}{{y}}\" } 1\n# EOF\n";

/// The places of all strings, with the numbers of list entries left out: entries of a list are alike.
pub(super) fn places(value: &Value, place: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::String(_) => drop(found.insert(place.to_owned())),
        Value::Array(list) => list.iter().for_each(|entry| places(entry, &format!("{place}/*"), found)),
        Value::Object(map) => {
            map.iter().for_each(|(key, entry)| places(entry, &format!("{place}/{key}"), found));
        }
        _ => {}
    }
}

/// The value with `text` before the strings at these places: what was unique stays so.
pub(super) fn replaced(value: &Value, at: &str, places: &BTreeSet<&str>, text: &str) -> Value {
    match value {
        Value::String(old) if places.contains(at) => Value::String(format!("{text}{old}")),
        Value::Array(list) => {
            list.iter().map(|entry| replaced(entry, &format!("{at}/*"), places, text)).collect()
        }
        Value::Object(map) => map
            .iter()
            .map(|(key, entry)| (key.clone(), replaced(entry, &format!("{at}/{key}"), places, text)))
            .collect(),
        other => other.clone(),
    }
}

fn read(value: &Value) -> Option<Profile> {
    Profile::from_json(&value.to_string(), Path::new("hostile.json")).ok()
}

/// The profile with `text` in every field that takes it; `known` holds what was found out about fields of other profiles.
pub(crate) fn with_text_everywhere(
    profile: &Profile,
    text: &str,
    known: &mut BTreeMap<String, bool>,
) -> Profile {
    let value = serde_json::to_value(profile).unwrap();
    let mut found = BTreeSet::new();
    places(&value, "", &mut found);
    for place in &found {
        known.entry(place.clone()).or_insert_with(|| {
            let hostile = replaced(&value, "", &BTreeSet::from([place.as_str()]), text);
            // The quick answer first: most places hold names of a closed list.
            serde_json::from_value::<Profile>(hostile.clone()).is_ok() && read(&hostile).is_some()
        });
    }
    let free: BTreeSet<&str> = found.iter().map(String::as_str).filter(|place| known[*place]).collect();
    for expected in [
        "/target/host/name",
        "/target/image/reference",
        "/caveats/*/text",
        "/traces/*/step",
        "/plan/steps/*/id",
    ] {
        assert!(free.contains(expected), "{expected} takes no text");
    }
    assert!(free.len() > 40 && free.len() < found.len(), "{} of {}", free.len(), found.len());
    read(&replaced(&value, "", &free, text)).unwrap()
}

/// A verdict on `new` by a policy of other runs, whose files have this name.
fn judged(baseline: &Profile, new: &Profile, name: &str) -> Verdict {
    let rules = Rules::default();
    let policy = calibrate(&[baseline, baseline]);
    let named = || Some(name.to_owned());
    let asked = Asked {
        tool: Some(baseline.tool.clone()),
        at: Some("2027-12-01T00:00:00Z".to_owned()),
        baseline: named().into_iter().collect(),
        new: Vec::new(),
        rules: named(),
        policy: named(),
    };
    let (baseline, new) = ([baseline], [new]);
    let asked = Gate {
        baseline: &baseline,
        new: &new,
        rules: &rules,
        policy: Some(&policy),
        allow_stand_in: false,
        asked: &asked,
    };
    gate(&asked).unwrap()
}

/// Every format, by name; those that are JSON apart.
fn texts(profile: &Profile, name: &str) -> Vec<(String, String)> {
    let style = |width, unicode| Style { width, color: false, unicode };
    let plain = scripted::complete();
    let named = [(name, profile), ("b.json", &plain)];
    let verdict = judged(profile, &plain, name);
    let history = history(&[profile, &plain], HistoryOptions::default(), None);
    let mut all = vec![
        ("terminal".to_owned(), terminal(profile, &style(80, true))),
        ("terminal, ASCII".to_owned(), terminal(profile, &style(40, false))),
        ("comparison".to_owned(), comparison(&named, &style(100, true))),
        ("plan".to_owned(), run_plan_table(&profile.plan, &style(60, true))),
        ("html".to_owned(), html(&named).unwrap()),
        ("markdown".to_owned(), markdown(&named)),
        ("trace".to_owned(), trace_events(profile).unwrap()),
        ("gate".to_owned(), gate_table(&verdict, true, &style(80, true))),
        ("junit".to_owned(), gate_junit(&verdict).unwrap()),
        ("gate, markdown".to_owned(), gate_markdown(&verdict)),
        ("annotations".to_owned(), gate_annotations(&verdict)),
        ("verdict".to_owned(), serde_json::to_string(&verdict).unwrap()),
        ("history".to_owned(), history_table(&history, &style(80, true))),
        ("history, markdown".to_owned(), history_markdown(&history)),
        ("calibration".to_owned(), calibration(&calibrate(&[profile, profile]), &style(80, true))),
    ];
    for target in EXPORT_TARGETS {
        let files = match target.of_profiles(&[(name, profile)], &ExportSettings::default()) {
            // What can't be written says so, and quotes the profile as well.
            Err(error) => vec![("refusal".to_owned(), error.to_string())],
            Ok(Exported::File(text)) => vec![(target.name.to_owned(), text)],
            Ok(Exported::Directory(files)) => files
                .into_iter()
                .map(|file| (format!("{} {}", target.name, file.name), file.contents))
                .collect(),
        };
        all.extend(files);
    }
    all
}

/// Formats that are read by programs, whose writers escape what they must: they are checked as JSON instead.
fn is_json(name: &str) -> bool {
    ["trace", "verdict", "bmf", "github-benchmark"].contains(&name) || name.ends_with(".json")
}

#[test]
fn no_format_obeys_it() {
    let mut known = BTreeMap::new();
    for profile in [scripted::complete(), scripted::on_a_gpu(), scripted::on_cuda()] {
        let hostile = with_text_everywhere(&profile, HOSTILE, &mut known);
        for (name, text) in texts(&hostile, HOSTILE) {
            if is_json(&name) {
                serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
                continue;
            }
            // Other targets write JSON, too; the program escapes what is left when it prints.
            if serde_json::from_str::<Value>(&text).is_ok() {
                continue;
            }
            // The sign of caveats is ours.
            let text = text.replace("⚠️", "");
            let obeyed: BTreeSet<char> = text.chars().filter(|c| obeyed(*c) && *c != '\n').collect();
            assert!(obeyed.is_empty(), "{name}: {obeyed:?}");
            if ["html", "markdown", "gate, markdown", "history, markdown", "junit"].contains(&name.as_str()) {
                assert!(!text.contains("<hostile"), "{name}");
            }
            match name.as_str() {
                "annotations" => {
                    let command =
                        |line: &str| ["::warning ", "::notice "].iter().any(|is| line.starts_with(is));
                    assert!(text.lines().all(command), "{text}");
                }
                "junit" => assert!(!text.contains('\u{ffff}') && !text.contains("]]>]")),
                "prometheus" => assert_eq!(text.matches("\n# EOF\n").count(), 1),
                _ => {}
            }
        }
    }
}

#[test]
fn ten_megabytes_bury_nothing() {
    let mut profile = scripted::complete();
    let long = "ab<c".repeat(2_500_000);
    let pulls = profile.traces.iter_mut().flat_map(|trace| &mut trace.readings);
    for reading in pulls {
        if let Some(coldstart_profiles::Detail::Pull(pull)) = &mut reading.detail {
            pull.reference = long.clone();
        }
    }
    profile.target.image.as_mut().unwrap().reference = long.clone();
    for (name, text) in texts(&profile, "a.json") {
        // The verdict quotes what differs as it is.
        let most = if name == "verdict" { 50_000_000 } else { 1_000_000 };
        assert!(text.len() < most, "{name} has {} bytes", text.len());
    }

    // And wherever a report shows text that a run did not choose itself.
    let target = &mut profile.target;
    (target.device.name, target.host.name) = (long.clone(), long.clone());
    target.model.as_mut().unwrap().source = long.clone();
    profile.caveat("long", long.clone());
    profile.warm_up[0].step = long.clone();
    let trace = &mut profile.traces[0];
    trace.step = long.clone();
    trace.end = coldstart_profiles::TraceEnd::Failed { why: long.clone(), stderr: long.clone() };
    let one = [("a.json", &profile)];
    let style = Style { width: 80, color: false, unicode: true };
    for (name, text) in [
        ("terminal", terminal(&profile, &style)),
        ("comparison", comparison(&[(&long, &profile), ("b.json", &profile)], &style)),
        ("html", html(&one).unwrap()),
        ("html of several", html(&[(&long, &profile), ("b.json", &profile)]).unwrap()),
        ("html of many", html(&[(long.as_str(), &profile); 5]).unwrap()),
        ("markdown", markdown(&one)),
        ("trace", trace_events(&profile).unwrap()),
    ] {
        assert!(text.len() < 1_000_000, "{name} has {} bytes", text.len());
    }
}
