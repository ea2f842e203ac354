//! Preferences for nodes, held against the labels that `nfd` gives them.

use coldstart_profiles::{Profile, TraceEnd};
use serde_json::Value;

use super::tests::assert_golden;
use super::{ExportSettings, Exported, export_target};
use crate::tests::scripted;

/// The same with every time so many times as long.
fn slower(mut profile: Profile, times: u64) -> Profile {
    let longer = |time: coldstart_profiles::Nanos| {
        coldstart_profiles::Nanos::from_nanos(time.as_nanos().saturating_mul(times))
    };
    for trace in &mut profile.traces {
        for reading in &mut trace.readings {
            reading.duration_ns = longer(reading.duration_ns);
            reading.begin_ns = longer(reading.begin_ns);
        }
        if let TraceEnd::Completed { total_ns, unattributed_ns } = &mut trace.end {
            (*total_ns, *unattributed_ns) = (longer(*total_ns), longer(*unattributed_ns));
        }
    }
    profile.derive();
    profile
}

/// A node of the same processor with so many cores.
fn with_cores(cores: u32, times: u64) -> Profile {
    let mut profile = slower(scripted::complete(), times);
    profile.target.host.cores = cores;
    profile
}

fn patch(profiles: &[&Profile]) -> Value {
    let named: Vec<(&str, &Profile)> = profiles.iter().map(|profile| ("a/b.json", *profile)).collect();
    let target = export_target("node-affinity").unwrap();
    match target.of_profiles(&named, &ExportSettings::default()).unwrap() {
        Exported::File(text) => serde_json::from_str(&text).unwrap(),
        Exported::Directory(files) => panic!("one file, not {files:?}"),
    }
}

fn terms(patch: &Value) -> &Vec<Value> {
    let affinity = &patch["spec"]["template"]["spec"]["affinity"]["nodeAffinity"];
    assert_eq!(affinity.as_object().unwrap().len(), 1, "a slow node is better than none: {affinity}");
    affinity["preferredDuringSchedulingIgnoredDuringExecution"].as_array().unwrap()
}

fn weights(patch: &Value) -> Vec<u64> {
    terms(patch).iter().map(|term| term["weight"].as_u64().unwrap()).collect()
}

/// The weights of the terms that select a node with a profile's labels, by the operators' documented meaning.
fn selected(patch: &Value, profile: &Profile) -> Vec<u64> {
    let labels = super::nfd::labels(profile);
    let holds = |expression: &Value| {
        let name = expression["key"].as_str().unwrap().rsplit('/').next().unwrap();
        let label = &labels.iter().find(|(label, _)| label == name).unwrap().1;
        let values: Vec<&str> =
            expression["values"].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
        let numbers = || (label.parse::<i64>().unwrap(), values[0].parse::<i64>().unwrap());
        match expression["operator"].as_str().unwrap() {
            "In" => values.contains(&label.as_str()),
            "Gt" => numbers().0 > numbers().1,
            "Lt" => numbers().0 < numbers().1,
            other => panic!("{other}"),
        }
    };
    let fitting = terms(patch)
        .iter()
        .filter(|term| term["preference"]["matchExpressions"].as_array().unwrap().iter().all(holds));
    fitting.map(|term| term["weight"].as_u64().unwrap()).collect()
}

fn annotation<'p>(patch: &'p Value, name: &str) -> Option<&'p str> {
    let annotations = &patch["spec"]["template"]["metadata"]["annotations"];
    annotations[format!("coldstart-rs.github.io/{name}")].as_str()
}

#[test]
fn weights_of_several_nodes() {
    let (fast, mut slow) = (scripted::on_a_gpu(), slower(scripted::on_a_gpu(), 2));
    slow.target.device.name = "NVIDIA L4".to_owned();
    let patch = patch(&[&slow, &fast]);
    assert_eq!(weights(&patch), [100, 1]);
    let value = &terms(&patch)[1]["preference"]["matchExpressions"][0]["values"][0];
    assert_eq!(value, "NVIDIA-L4");
    assert_eq!((selected(&patch, &fast), selected(&patch, &slow)), (vec![100], vec![1]));
    assert_eq!((annotation(&patch, "told-apart"), annotation(&patch, "not-told-apart")), (None, None));
}

/// The label of the device is the same: that of the start tells them apart, so that each node has the weight of its own class.
#[test]
fn classes_with_one_device_are_told_apart_by_their_starts() {
    let nodes = [with_cores(8, 1), with_cores(2, 2), with_cores(1, 3)];
    let [eight, two, one] = &nodes;
    for order in [[eight, two, one], [one, eight, two]] {
        let patch = patch(&order);
        assert_eq!(weights(&patch).len(), 3);
        for (node, weight) in [(eight, 100), (one, 1)] {
            assert_eq!(selected(&patch, node), [weight]);
        }
        let [between] = selected(&patch, two)[..] else { panic!("one term for each class") };
        assert!((2..100).contains(&between), "{between}");
        let told = annotation(&patch, "told-apart").unwrap();
        assert!(told.contains("-ms") && told.contains("8 cores") && told.contains("1 core"), "{told}");
        assert_eq!(annotation(&patch, "not-told-apart"), None);
    }
    let text = format!("{:#}\n", patch(&[eight, one]));
    assert_golden("export-node-affinity-classes.json", &text);
}

/// Where starts take as long, a preference for one class would be one for the other, too: the slowest speaks for both, and it is said.
#[test]
fn classes_that_no_label_tells_apart_are_one_and_said_to_be() {
    let nodes = [with_cores(8, 2), with_cores(2, 2), with_cores(1, 6)];
    let [eight, two, one] = &nodes;
    let patch = patch(&[eight, two, one]);
    assert_eq!(weights(&patch), [100, 1]);
    assert_eq!((selected(&patch, eight), selected(&patch, two)), (vec![100], vec![100]));
    assert_eq!(selected(&patch, one), [1]);
    let alike = annotation(&patch, "not-told-apart").unwrap();
    assert!(alike.contains("8 cores") && alike.contains("2 cores") && !alike.contains("1 core "), "{alike}");
    // A class that reaches below another's starts and above them leaves no bound between the two.
    let (low, high) = (with_cores(2, 1), with_cores(2, 6));
    let patch = self::patch(&[eight, &low, &high]);
    assert_eq!(weights(&patch), [100]);
    assert!(annotation(&patch, "not-told-apart").is_some());
}
