//! The answer of `coldstart plan` for a scripted run and a small trace: against golden files, and with hostile text in every field.
//!
//! `UPDATE_GOLDEN=1 cargo test` writes the files anew.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use coldstart_decisions::measured::{ByHand, PullByHand};
use coldstart_decisions::plan::{
    PlacesRequest, PlanRequest, ServingPlan, TrafficSource, explain, fields, make_plan,
};
use coldstart_decisions::service::Sla;
use coldstart_decisions::simulate::Dispatch;
use coldstart_decisions::traffic::{Arrival, Ramp, Steady, Trace, Traffic};
use coldstart_decisions::{ClusterFacts, Prices};
use coldstart_profiles::{Bytes, ImageSource, Nanos, Profile};
use serde_json::Value;

use super::golden::assert_golden;
use super::hostile::{HOSTILE, places, replaced};
use super::scripted;
use crate::export::{EXPORT_TARGETS, ExportSettings, Exported, Workload};
use crate::style::{Style, obeyed};
use crate::{explanation, serving_plan, serving_plan_html, serving_plan_markdown};

/// A request a second for ten minutes, five in each second of the fifth.
fn trace() -> Traffic {
    let arrivals = (0..600_u64).flat_map(|second| {
        let burst = if (240..300).contains(&second) { 5 } else { 1 };
        (0..burst).map(move |n| Arrival {
            time_ns: second * 1_000_000_000 + n * 190_000_000,
            tokens_in: 64 + (second % 7) as u32 * 20,
            tokens_out: 8 + (second % 5) as u32,
        })
    });
    Traffic::Trace(Trace::new(arrivals.collect(), true).unwrap())
}

fn request() -> PlanRequest {
    let pull = PullByHand { image_bytes: Bytes::new(4_000_000_000), registry_bytes_per_s: 250e6 };
    PlanRequest {
        sla: Sla::p99(Nanos::from_secs(30)),
        traffic_from: TrafficSource::Trace { name: "a/trace.csv".to_owned(), caveats: Vec::new() },
        window_ns: Nanos::from_secs(10),
        quantile: 0.99,
        dispatch: Dispatch::LeastLoaded,
        cluster: ClusterFacts {
            nodes: Some(12),
            disk_per_node_bytes: Some(Bytes::new(40_000_000_000)),
            ..ClusterFacts::default()
        },
        prices: Prices {
            replica_hour: Some(1.5),
            disk_gb_month: Some(0.08),
            registry_gb_month: Some(0.1),
            miss: Some(0.01),
        },
        by_hand: ByHand { pull: Some(pull), ..ByHand::default() },
        places: PlacesRequest { shared_bytes_per_s: Some(400e6), hit_ratio: Some(0.8) },
        max_batch: None,
        node_class: None,
        allow_stand_in: true,
        left_out: Vec::new(),
        simulate: true,
        seed: 1,
    }
}

/// Two classes of nodes: the scripted machine, and one with a GPU and everything of it.
fn fleet() -> (Profile, Profile) {
    let mut other = scripted::on_cuda();
    other.target.model.clone_from(&scripted::swept().target.model);
    other.derive();
    (scripted::swept(), other)
}

fn plan() -> &'static ServingPlan {
    static PLAN: OnceLock<ServingPlan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let (machine, other) = fleet();
        make_plan(&[("a/p.json", &machine), ("a/gpu.json", &other)], &trace(), request(), "0.1.0").unwrap()
    })
}

/// The same with no more than eight entries in any list: entries are alike.
fn shortened(value: &mut Value) {
    match value {
        Value::Array(list) => {
            list.truncate(8);
            list.iter_mut().for_each(shortened);
        }
        Value::Object(map) => map.values_mut().for_each(shortened),
        _ => {}
    }
}

fn style(width: usize) -> Style {
    Style { width, color: false, unicode: true }
}

/// Numbers to nine digits: the last ones are the business of a machine's libm. Of keys how many: the explained ones list them.
fn rounded(value: &mut Value) {
    match value {
        Value::Object(map) if map.get("keys").is_some_and(Value::is_array) => {
            let keys = map["keys"].as_array().unwrap().len();
            map.insert("keys".to_owned(), keys.into());
            map.values_mut().for_each(rounded);
        }
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|_| number.is_f64()) {
                *value = format!("{float:.8e}").parse::<f64>().unwrap().into();
            }
        }
        Value::Array(list) => list.iter_mut().for_each(rounded),
        Value::Object(map) => map.values_mut().for_each(rounded),
        _ => {}
    }
}

#[test]
fn golden_files() {
    let plan = plan();
    for width in [120, 80] {
        let table = serving_plan(plan, &style(width));
        let widest = table.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{widest} of {width}:\n{table}");
        assert_golden(&format!("serving-plan-{width}.txt"), &table);
    }
    assert_golden("serving-plan.md", &serving_plan_markdown(plan));
    // What was measured stands in the plan as well: it is the profiles' business.
    let mut json = serde_json::to_value(plan).unwrap();
    for large in ["fleet", "courses"] {
        json.as_object_mut().unwrap().remove(large).unwrap();
    }
    json["comparison"]["policies"].as_array_mut().unwrap().iter_mut().for_each(|policy| {
        let policy = policy.as_object_mut().unwrap();
        policy.remove("timeline");
        policy.remove("slices");
    });
    rounded(&mut json);
    assert_golden("serving-plan.json", &format!("{json:#}\n"));
    let explained: Vec<String> = [
        "lead_time.cold_start_ns",
        "capacity.warm.standby",
        "capacity.replayed_standby",
        "locality",
        "mitigations",
    ]
    .into_iter()
    .map(|field| explanation(&explain(plan, field).unwrap(), &style(100)))
    .collect();
    assert!(explained.iter().all(|text| !text.is_empty()));
    assert_golden("serving-plan-explained-100.txt", &explained.join("\n"));
}

/// A level on first tokens is not held against whole answers.
#[test]
fn policies_show_the_latencies_that_the_level_bounds() {
    let second = Some(Nanos::from_secs(1));
    let none = Sla { end_to_end_ns: None, ttft_ns: None, itl_ns: None, permille: 990 };
    let mut plan = plan().clone();
    for (sla, head) in [
        (Sla { end_to_end_ns: second, ..none }, "in SLA p50 p99 hours"),
        (Sla { ttft_ns: second, ..none }, "in SLA p50 TTFT p99 TTFT hours"),
        (Sla { ttft_ns: second, itl_ns: second, ..none }, "in SLA p99 TTFT p99 ITL hours"),
        (
            Sla { end_to_end_ns: second, ttft_ns: second, itl_ns: second, ..none },
            "in SLA p99 in all p99 TTFT p99 ITL hours",
        ),
    ] {
        plan.request.sla = sla;
        let table = serving_plan(&plan, &style(120));
        let lines: Vec<String> =
            table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let at = lines.iter().position(|line| line.contains(head));
        let at = at.unwrap_or_else(|| panic!("`{head}` is missing in:\n{table}"));
        let outcome = &plan.comparison.as_ref().unwrap().policies[0].outcome;
        let (whole, ttft, itl) = (outcome.latency, outcome.ttft.unwrap(), outcome.itl.unwrap());
        assert!(ttft.p99_ns < whole.p99_ns && itl.p99_ns < ttft.p99_ns, "{outcome:?}");
        let shown = match (sla.end_to_end_ns, sla.itl_ns) {
            (Some(_), None) => vec![whole.p50_ns, whole.p99_ns],
            (None, None) => vec![ttft.p50_ns, ttft.p99_ns],
            (None, Some(_)) => vec![ttft.p99_ns, itl.p99_ns],
            (Some(_), Some(_)) => vec![whole.p99_ns, ttft.p99_ns, itl.p99_ns],
        };
        let shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
        assert!(lines[at + 2].contains(&format!("% {} ", shown.join(" "))), "{}", lines[at + 2]);
    }
}

/// A ramp's growth is its own, and rests on no quantile.
#[test]
fn growth_says_what_it_is_of() {
    let size = coldstart_decisions::service::RequestSize { tokens_in: 128, tokens_out: 16 };
    let numbers = [
        (
            Traffic::Ramp(Ramp { base_per_s: 1.0, peak_per_s: 6.0, growth_per_s_per_s: 0.01, size }),
            "standby: what the ramp grows by within",
        ),
        (Traffic::Steady(Steady { rate_per_s: 1.0, size }), "standby: a steady rate does not grow"),
    ];
    let machine = scripted::swept();
    for (traffic, said) in numbers {
        let asked = PlanRequest { traffic_from: TrafficSource::Numbers, simulate: false, ..request() };
        let plan = make_plan(&[("a/p.json", &machine)], &traffic, asked, "0.1.0").unwrap();
        let table = serving_plan(&plan, &style(120));
        assert!(table.contains(said) && !table.contains("at quantile"), "{said}:\n{table}");
    }
    assert!(serving_plan(plan(), &style(120)).contains("at quantile 0.99"));
}

/// The plan in every form, by name.
fn texts(plan: &ServingPlan) -> Vec<(String, String)> {
    let all = fields(plan).unwrap();
    let mut texts = vec![
        ("terminal".to_owned(), serving_plan(plan, &style(80))),
        ("terminal, ASCII".to_owned(), serving_plan(plan, &Style { unicode: false, ..style(60) })),
        ("markdown".to_owned(), serving_plan_markdown(plan)),
        ("html".to_owned(), serving_plan_html(plan).unwrap()),
        ("explained".to_owned(), explanation(&all, &style(100))),
    ];
    let settings = ExportSettings {
        workload: Some(Workload::parse("deployment/llama").unwrap()),
        ..ExportSettings::default()
    };
    for target in EXPORT_TARGETS.iter().filter(|target| target.takes_plan()) {
        match target.of_plan(HOSTILE, plan, &settings) {
            Ok(Exported::File(text)) => texts.push((format!("{}.json", target.name), text)),
            Ok(Exported::Directory(files)) => panic!("{}: {files:?}", target.name),
            Err(why) => texts.push(("refusal".to_owned(), why.to_string())),
        }
    }
    texts
}

#[test]
fn no_form_obeys_hostile_text_in_any_field() {
    let mut value = serde_json::to_value(plan()).unwrap();
    shortened(&mut value);
    let mut found = BTreeSet::new();
    places(&value, "", &mut found);
    let read = |places: &BTreeSet<&str>| -> Option<ServingPlan> {
        serde_json::from_value(replaced(&value, "", places, HOSTILE)).ok()
    };
    let free: BTreeSet<&str> =
        found.iter().map(String::as_str).filter(|place| read(&BTreeSet::from([*place])).is_some()).collect();
    for expected in [
        "/fleet/model/source",
        "/node_class",
        "/classes/*/node_class",
        "/request/traffic_from/name",
        "/caveats/*",
        "/mitigations/*/effect/why",
        "/locality/missing/*/why",
        "/lead_time/cold_start_ns/basis/formula",
    ] {
        assert!(free.contains(expected), "{expected} takes no text: {free:?}");
    }
    let hostile = read(&free).unwrap();
    for (name, text) in texts(&hostile) {
        if name.ends_with(".json") {
            serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            continue;
        }
        // The sign of caveats is ours.
        let text = text.replace("⚠️", "");
        let obeyed: BTreeSet<char> = text.chars().filter(|c| obeyed(*c) && *c != '\n').collect();
        assert!(obeyed.is_empty(), "{name}: {obeyed:?}");
        if ["html", "markdown"].contains(&name.as_str()) {
            assert!(!text.contains("<hostile"), "{name}");
        }
    }
}

#[test]
fn names_of_ten_megabytes_bury_nothing() {
    let (mut machine, mut other) = fleet();
    let long = "ab<c".repeat(2_500_000);
    for profile in [&mut machine, &mut other] {
        profile.target.model.as_mut().unwrap().source.clone_from(&long);
    }
    machine.target.device.name.clone_from(&long);
    if let Some(image) = &mut machine.target.image {
        (image.source, image.reference) = (ImageSource::Reference, long.clone());
    }
    let profiles = [(long.as_str(), &machine), ("b.json", &other)];
    let plan = make_plan(&profiles, &trace(), PlanRequest { simulate: false, ..request() }, "0.1.0").unwrap();
    for (name, text) in texts(&plan) {
        assert!(text.len() < 1_000_000, "{name} has {} bytes", text.len());
    }
    let refused = make_plan(
        &profiles,
        &trace(),
        PlanRequest { node_class: Some("none".to_owned()), ..request() },
        "0.1.0",
    );
    assert!(refused.is_err());
    // Such a profile can be written and read again.
    let text = machine.to_json().unwrap();
    assert!(Profile::from_json(&text, Path::new("long.json")).is_ok());
}
