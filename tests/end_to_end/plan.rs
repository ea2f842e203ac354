//! `coldstart plan` on a profile that a run wrote, its service times changed to known ones.

use std::path::Path;

use coldstart_decisions::plan::ServingPlan;
use coldstart_profiles::{
    ForwardMode, Key, Measurement, Nanos, Outcome, Params, Phase, Profile, RunState, Samples, exit,
};

use crate::support::{Scratch, words};

const TRACE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/traces/AzureLLMInferenceTrace_conv.csv");
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profiles/profile-1.0.json");

/// A language model with T_pre = 2 ms + 50 µs·tokens and T_dec = 8 ms + 200 µs·n + 10 ns·n·ctx.
pub(crate) fn profile() -> Profile {
    let mut profile = Profile::read(Path::new(FIXTURE)).unwrap();
    let template = profile.throughput[0].clone();
    profile.measurements.retain(|row| row.key.phase != Phase::Throughput);
    profile.throughput.clear();
    for (batch, tokens) in [(1_u32, 64_u32), (2, 64), (4, 256), (8, 256), (16, 1024)] {
        let all = f64::from(batch) * f64::from(tokens);
        for (mode, nanos) in [
            (ForwardMode::Prefill, 2e6 + 50e3 * all),
            (ForwardMode::Decode, 8e6 + 200e3 * f64::from(batch) + 10.0 * all),
        ] {
            let params =
                Params::new().with("mode", mode.name()).with("batch", batch).with(mode.tokens_name(), tokens);
            let key = Key::host(Phase::Throughput, params);
            let samples = Samples::new(vec![Nanos::from_nanos_f64(nanos); 10]).unwrap();
            let outcome = Outcome::measured(samples);
            profile.measurements.push(Measurement {
                outcome,
                ..Measurement::without_samples(key.clone(), Outcome::skipped(""))
            });
            profile.throughput.push(coldstart_profiles::ThroughputPoint {
                key,
                mode,
                batch,
                tokens,
                ..template.clone()
            });
        }
    }
    profile.derive();
    profile
}

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    profile().write(&scratch.path("p.json")).unwrap();
    scratch
}

/// The arguments of a plan that works, and more.
fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = words("plan p.json --slo-p99 60s --assume-cold-p99 60s --trace");
    args.push(TRACE);
    args.extend(more);
    args
}

#[test]
fn a_plan_on_the_conv_trace_in_every_form() {
    let scratch = scratch();
    let ran = scratch.run(&with(&["--replica-hour", "2", "--miss-cost", "0.01", "--out", "plan.json"]));
    let table = &ran.expect_code(exit::OK).stdout;
    for part in [
        "p99 60.0 s, cold start 60.0 s: ",
        " replica-hours for this traffic",
        "Following the rate, keep ",
        "What it takes",
        "the cheapest",
        "plan, exactly",
        "replayed",
        "Lead time",
        "Warm replicas  dispatch least-loaded",
        "twice",
        "queue_depth",
        "AverageValue",
        "scale to zero",
        "Where the model should live",
        "What would help",
        "assumed, not measured: --assume-cold-p99",
    ] {
        assert!(table.contains(part), "{part} is missing in:\n{table}");
    }
    let sentence = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(sentence.contains("with which this trace, replayed, meets the level: "), "{table}");
    let text = std::fs::read_to_string(scratch.path("plan.json")).unwrap();
    let plan: ServingPlan = serde_json::from_str(&text).unwrap();
    assert!((plan.capacity.warm.now_per_s.value - 5.4).abs() < 0.2, "{:?}", plan.capacity.warm.now_per_s);
    assert!(plan.capacity.warm.standby.value >= 1);
    let schema: serde_json::Value =
        serde_json::from_str(&scratch.run(&words("schema plan")).expect_code(exit::OK).stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");

    scratch
        .run(&words("plan plan.json --slo-p99 60s --rate 1"))
        .expect_error(exit::USAGE, &["plan.json", "this is a plan, not a profile"]);

    let json = scratch.run(&with(&["--json", "--replica-hour", "2", "--miss-cost", "0.01"]));
    assert_eq!(json.expect_code(exit::OK).stdout, text, "the same in both places");
    let markdown = scratch.run(&with(&["--markdown"]));
    assert!(markdown.expect_code(exit::OK).stdout.starts_with("### Plan for synthetic:tiny"));
    for width in ["40", "80"] {
        let output = scratch.coldstart(&with(&[])).env("COLUMNS", width).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width.parse().unwrap(), "{widest} columns:\n{text}");
    }
}

#[test]
fn a_number_is_explained_and_an_unknown_field_is_told_the_others() {
    let scratch = scratch();
    let ran = scratch.run(&with(&["--explain", "capacity.warm.standby"]));
    let text = &ran.expect_code(exit::OK).stdout;
    for part in [
        "capacity.warm.standby = ",
        "replicas(λ_peak) − replicas(λ_now)",
        "(capacity.warm.replicas_peak)",
        "throughput{",
        "--assume-cold-p99",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let list = scratch.run(&with(&["--explain", "list"]));
    assert!(
        list.expect_code(exit::OK).stdout.lines().any(|line| line == "autoscaler.targets.queue_depth.value")
    );
    let json = scratch.run(&with(&["--explain", "list", "--json"]));
    let names: Vec<String> = serde_json::from_str(&json.expect_code(exit::OK).stdout).unwrap();
    assert_eq!(names, list.stdout.lines().collect::<Vec<_>>());
    for name in [
        "request.seed",
        "courses.cheapest.replica_hours",
        "capacity.sensitivity.half.standby",
        "wanted.standby",
    ] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    scratch.run(&with(&["--explain", "nothing"])).expect_error(exit::USAGE, &["nothing", "--explain list"]);
    scratch
        .run(&with(&["--explain", "warm.stanby"]))
        .expect_error(exit::USAGE, &["did you mean `capacity.warm.standby`?", "--explain list"]);
}

#[test]
fn policies_are_simulated_and_drawn() {
    let scratch = scratch();
    // A short trace: debug builds simulate slowly.
    let mut trace = String::from("time_s,tokens_in,tokens_out\n");
    for second in 0..300 {
        let burst = if (100..160).contains(&second) { 8 } else { 1 };
        for n in 0..burst {
            trace.push_str(&format!("{second}.{n},300,30\n"));
        }
    }
    std::fs::write(scratch.path("t.csv"), trace).unwrap();
    let line = "plan p.json --slo-p99 10s --assume-cold-p99 20s --trace t.csv --shared-bandwidth 1GB/s --simulate --html plan.html";
    let ran = scratch.run(&words(line));
    let table = &ran.expect_code(exit::OK).stdout;
    for part in
        ["Policies", "CPU 80 %", "--signal plan", "--signal queue", "plan, exactly", "More or less standby"]
    {
        assert!(table.contains(part), "{part} is missing in:\n{table}");
    }
    let page = std::fs::read_to_string(scratch.path("plan.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert_eq!(page.matches("class=\"for-wide\"").count(), 3, "capacity, standby, crossover");
    assert!(page.contains("Capacity over the traffic") && !page.contains("http://www.example"));
    assert_eq!(scratch.run(&words(line)).stdout, *table, "the same for the same seed");
}

/// Plan, export, and what of it is refused.
#[test]
fn a_plan_is_exported_on_any_of_its_signals() {
    let scratch = scratch();
    let mut trace = String::from("time_s,tokens_in,tokens_out\n");
    for second in 0..600 {
        let burst = if (200..300).contains(&second) { 8 } else { 1 };
        (0..burst).for_each(|n| trace.push_str(&format!("{second}.{n},300,30\n")));
    }
    std::fs::write(scratch.path("t.csv"), trace).unwrap();
    let line = "plan p.json --slo-p99 10s --assume-cold-p99 20s --trace t.csv --simulate --out plan.json";
    scratch.run(&words(line)).expect_code(exit::OK);
    let export = |rest: &str| scratch.run(&words(&format!("export {rest} --workload deployment/llama")));
    let annotation = |text: &str, name: &str| {
        let object: serde_json::Value = serde_json::from_str(text).unwrap();
        object["metadata"]["annotations"][format!("coldstart-rs.github.io/{name}")]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for signal in ["plan", "rate", "concurrency"] {
        for tool in ["hpa", "keda"] {
            let ran = export(&format!("{tool} plan.json --signal {signal}"));
            let text = &ran.expect_code(exit::OK).stdout;
            assert_eq!(annotation(text, "signal"), signal);
            let replayed = annotation(text, "replayed");
            assert!(replayed.contains("replica-hours; the plan carried out exactly: "), "{replayed}");
        }
    }
    let plan: ServingPlan =
        serde_json::from_str(&std::fs::read_to_string(scratch.path("plan.json")).unwrap()).unwrap();
    let courses = plan.courses.unwrap();
    let cheapest = courses.cheapest_export().unwrap().export.unwrap();
    let text = export("keda plan.json").expect_code(exit::OK).stdout.clone();
    assert_eq!(annotation(&text, "signal"), cheapest.flag(), "the cheapest that can be exported");
    export("hpa plan.json --signal load").expect_error(exit::USAGE, &["load", "concurrency"]);
    export("kwok p.json --signal plan").expect_error(exit::USAGE, &["--signal", "kwok"]);
    export("hpa plan.json --signal memory")
        .expect_error(exit::USAGE, &["--signal memory", "no device memory", "a node with a GPU"]);
}

/// Three hours of silence: a replica that idles costs more than a cold start, and whoever comes first still is in time.
#[test]
fn zero_is_advised_replayed_and_exported_where_pauses_pay() {
    let scratch = scratch();
    let seconds = (0..300).chain(11_100..11_400).map(|second| format!("{second},300,30\n"));
    let trace = format!("time_s,tokens_in,tokens_out\n{}", seconds.collect::<String>());
    std::fs::write(scratch.path("t.csv"), trace).unwrap();
    let line = "--assume-cold-p99 20s --trace t.csv --replica-hour 2 --miss-cost 0.01 --out plan.json";
    let plan = |slo: &str| {
        let ran = scratch.run(&words(&format!("plan p.json --slo-p99 {slo} {line}")));
        let table = ran.expect_code(exit::OK).stdout.clone();
        let text = std::fs::read_to_string(scratch.path("plan.json")).unwrap();
        (table, serde_json::from_str::<ServingPlan>(&text).unwrap())
    };
    let export = |rest: &str| {
        let ran = scratch.run(&words(&format!("export keda plan.json --workload deployment/llama {rest}")));
        serde_json::from_str::<serde_json::Value>(&ran.expect_code(exit::OK).stdout).unwrap()
    };
    // Polling and cold start take 35 s.
    let (table, found) = plan("60s");
    for part in ["none in pauses", "--signal plan, to zero", "after 300 s without requests"] {
        assert!(table.contains(part), "{part} is missing in:\n{table}");
    }
    let courses = found.courses.unwrap();
    let (fixed, cheapest) = (&courses.carried_out[0], courses.cheapest.as_ref().unwrap());
    assert!(cheapest.to_zero && cheapest.meets && cheapest.min_replicas.value == 0, "{cheapest:?}");
    assert!(cheapest.replica_hours.value < 0.3 * fixed.replica_hours.value, "{cheapest:?} {fixed:?}");
    let keda = export("--request-metric gateway_requests_total");
    assert_eq!(keda["spec"]["idleReplicaCount"], 0, "{keda}");
    assert!(keda["spec"]["minReplicaCount"].as_u64().unwrap() >= 1, "{keda}");
    assert!(keda["spec"]["triggers"][0]["metadata"]["activationThreshold"].is_string(), "{keda}");
    assert!(
        export("")["spec"].get("idleReplicaCount").is_none(),
        "vLLM's metrics are gone with the last replica"
    );
    // Where they would be late, 26 of 600 requests are more than one of a hundred.
    let (table, found) = plan("10s");
    assert!(table.contains("each pause would make"), "{table}");
    assert!(found.courses.unwrap().carried_out.iter().all(|course| !course.to_zero));
    assert!(export("--request-metric gateway_requests_total")["spec"].get("idleReplicaCount").is_none());
}

#[test]
fn what_is_typed_wrong_is_named_with_the_remedy() {
    let scratch = scratch();
    std::fs::write(scratch.path("empty.csv"), "").unwrap();
    std::fs::write(scratch.path("one.csv"), "timestamp\n1\n").unwrap();
    std::fs::create_dir(scratch.path("none")).unwrap();
    for (line, parts) in [
        ("plan p.json --slo-p99 0ms --rate 1", vec!["0ms", "above zero"]),
        ("plan p.json --slo-p99 -5ms --rate 1", vec!["-5ms", "above zero"]),
        ("plan p.json --slo-p99 100 --rate 1", vec!["`100` has no unit", "100ms"]),
        ("plan p.json --ttft soon --rate 1", vec!["not a time", "100ms"]),
        ("plan p.json --rate 1", vec!["--slo-p99"]),
        ("plan p.json --slo-p99 1s", vec!["--trace"]),
        ("plan p.json --slo-p99 1s --rate 0", vec!["above zero"]),
        ("plan p.json --slo-p99 1s --rate 1 --trace t.csv", vec!["--trace"]),
        ("plan p.json --slo-p99 1s --base 1 --peak 2", vec!["--ramp"]),
        ("plan p.json --slo-p99 1s --rate 1 --replica-hour -1", vec!["no price"]),
        ("plan p.json --slo-p99 1s --rate 1 --image-bytes 8GB", vec!["--registry-bandwidth"]),
        ("plan p.json --slo-p99 1s --rate 1 --quantile 2", vec!["0.99"]),
        ("plan p.json --slo-p99 NaN --rate 1", vec!["not a time"]),
        ("plan p.json --slo-p99 1s --rate 1 --nodes -1", vec!["-1", "1..=1000000"]),
        ("plan p.json --slo-p99 1s --rate 1 --provisioning -1s", vec!["`-1s` is not above zero"]),
        ("plan p.json --slo-p99 1s --rate 1 --scrape-interval 0s", vec!["above zero"]),
        ("plan p.json --slo-p99 1s --rate 1 --scrape-interval 100000h", vec!["between 1 ms and a day"]),
        ("plan p.json --slo-p99 1s --rate 1 --hit-ratio 2", vec!["a share", "90%"]),
    ] {
        let ran = scratch.run(&words(line));
        ran.expect_code(exit::USAGE);
        for part in parts {
            assert!(ran.stderr.contains(part), "{line}: `{part}` is missing in:\n{}", ran.stderr);
        }
        assert_eq!(ran.stdout, "", "{line}");
    }
    for (line, parts) in [
        ("plan p.json --slo-p99 1s --rate 1", vec!["--tokens-in"]),
        (
            "plan p.json --slo-p99 1s --rate 0.0000001 --tokens-in 9 --tokens-out 9",
            vec!["the rate is 0.0000001", "at least 0.000001"],
        ),
        (
            "plan p.json --slo-p99 1s --rate 1 --tokens-in 9 --tokens-out 9 --query-window 29s",
            vec!["29.0 s", "two scrapes of 15.0 s", "--query-window 60s"],
        ),
        ("plan none --slo-p99 1s --rate 1", vec!["none", "no profile"]),
        ("plan q.json --slo-p99 1s --rate 1", vec!["q.json"]),
        ("plan p.json --slo-p99 1s --trace empty.csv", vec!["empty.csv", "no requests"]),
        ("plan p.json --slo-p99 1s --trace one.csv", vec!["one.csv", "no rate"]),
        (
            "plan p.json --slo-p99 1s --rate 1 --tokens-in 9 --tokens-out 9 --node-class L4",
            vec!["L4", "AMD EPYC"],
        ),
        (
            "plan p.json --slo-p99 1s --base 5 --peak 2 --ramp 1 --tokens-in 9 --tokens-out 9",
            vec!["the peak rate is 2"],
        ),
        (
            "plan p.json --slo-p99 1s --rate 1 --tokens-in 9 --tokens-out 9 --out no/such/p.json",
            vec!["no/such"],
        ),
    ] {
        scratch.run(&words(line)).expect_error(exit::USAGE, &parts);
    }
}

#[test]
fn profiles_that_can_not_be_planned_with() {
    let scratch = scratch();
    let write = |name: &str, change: &dyn Fn(&mut Profile)| {
        let mut profile = profile();
        change(&mut profile);
        profile.derive();
        profile.write(&scratch.path(name)).unwrap();
    };
    write("other.json", &|profile| profile.target.model.as_mut().unwrap().header_sha256 = "ff".into());
    write("stand-in.json", &|profile| profile.target.device.stand_in = true);
    write("idle.json", &|profile| {
        profile.throughput.clear();
        profile.measurements.clear();
    });
    write("warm.json", &|profile| profile.traces.clear());
    write("partial.json", &|profile| profile.state = RunState::Partial);
    let rest = "--slo-p99 60s --rate 1 --tokens-in 100 --tokens-out 10";
    for (files, parts) in [
        ("p.json other.json", vec!["different models", "p.json", "other.json", "with headers ff"]),
        ("stand-in.json", vec!["stand-in driver", "--allow-stand-in"]),
        ("idle.json", vec!["throughput", "coldstart run"]),
        ("warm.json", vec!["first_batch", "--assume-cold-p99"]),
    ] {
        scratch.run(&words(&format!("plan {files} {rest}"))).expect_error(exit::USAGE, &parts);
    }
    let ran = scratch.run(&words(&format!("plan partial.json {rest}")));
    assert!(ran.expect_code(exit::OK).stdout.contains("partial.json is partial"), "{}", ran.stdout);
    let ran = scratch.run(&words(&format!("plan stand-in.json --allow-stand-in {rest}")));
    assert!(ran.expect_code(exit::OK).stdout.contains("STAND-IN"), "{}", ran.stdout);
    let ran = scratch.run(&words(&format!("plan p.json --replica-hour 0 --miss-cost 0 {rest}")));
    assert!(ran.expect_code(exit::OK).stdout.contains("idling costs nothing"), "{}", ran.stdout);
}

#[test]
fn what_no_plan_can_meet_ends_with_both_numbers() {
    let scratch = scratch();
    let size = "--tokens-in 100 --tokens-out 10";
    // T_pre(100) = 7 ms, and nine steps of 8.2 ms and more.
    let ran = scratch.run(&words(&format!("plan p.json --slo-p99 50ms --rate 1 {size}")));
    ran.expect_error(exit::FAILED, &["50.0 ms", "80.8 ms", "no number of replicas"]);
    let ran = scratch.run(&words(&format!("plan p.json --slo-p99 1s --rate 1000 --max-replicas 2 {size}")));
    ran.expect_error(exit::FAILED, &["with 2 replicas", "--max-replicas"]);
}

#[test]
fn a_directory_is_a_fleet() {
    let scratch = scratch();
    std::fs::create_dir_all(scratch.path("fleet/large")).unwrap();
    std::fs::write(scratch.path("fleet/plan.json"), "{\"other\": 1}").unwrap();
    std::fs::write(scratch.path("fleet/notes.txt"), "no profile").unwrap();
    for (name, cores) in [("a", 2), ("b", 2), ("large/c", 64)] {
        let mut profile = profile();
        profile.target.host.cores = cores;
        profile.target.host.name = name.into();
        profile.write(&scratch.path(&format!("fleet/{name}.json"))).unwrap();
    }
    let line = "plan fleet --slo-p99 60s --rate 2 --tokens-in 100 --tokens-out 10";
    let ran = scratch.run(&words(line));
    let table = &ran.expect_code(exit::OK).stdout;
    assert!(ran.stderr.contains("left out fleet/plan.json"), "{}", ran.stderr);
    for part in ["The fleet", "3 nodes", "AMD EPYC, 2 cores", "AMD EPYC, 64 cores", "the largest of 6 trials"]
    {
        assert!(table.contains(part), "{part} is missing in:\n{table}");
    }
}

/// A node whose run broke off, whose file was damaged, or that measured no model does not take the others with it.
#[test]
fn a_broken_profile_of_one_node_leaves_the_others_of_its_class() {
    let scratch = scratch();
    std::fs::create_dir(scratch.path("fleet")).unwrap();
    for name in ["a", "b"] {
        let mut profile = profile();
        profile.target.host.name = name.into();
        profile.write(&scratch.path(&format!("fleet/{name}.json"))).unwrap();
    }
    let text = std::fs::read_to_string(scratch.path("fleet/a.json")).unwrap();
    std::fs::write(scratch.path("fleet/cut.json"), &text[..text.len() / 2]).unwrap();
    std::fs::write(scratch.path("fleet/empty.json"), "").unwrap();
    let mut bare = profile();
    bare.target.model = None;
    bare.write(&scratch.path("fleet/bare.json")).unwrap();
    let rest = "--slo-p99 60s --rate 2 --tokens-in 100 --tokens-out 10";
    let ran = scratch.run(&words(&format!("plan fleet {rest} --out plan.json")));
    let table = ran.expect_code(exit::OK).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let plan: ServingPlan =
        serde_json::from_str(&std::fs::read_to_string(scratch.path("plan.json")).unwrap()).unwrap();
    assert_eq!(plan.classes[0].nodes.value, 2, "{:?}", plan.classes);
    for (name, why) in [("cut", "EOF"), ("empty", "EOF"), ("bare", "measured no model")] {
        let file = format!("fleet/{name}.json is left out of the fleet, and its node not counted: ");
        assert!(table.contains(&file) && table.contains(why), "{file} is missing in:\n{table}");
        assert!(ran.stderr.contains(&format!("left out fleet/{name}.json: ")), "{}", ran.stderr);
        let told =
            plan.request.left_out.iter().find(|left_out| left_out.name.ends_with(&format!("{name}.json")));
        assert!(told.unwrap().why.contains(why), "{told:?}");
    }
    // Named as a file it is no plan, and neither is a directory of nothing else.
    scratch
        .run(&words(&format!("plan fleet/a.json fleet/cut.json {rest}")))
        .expect_error(exit::USAGE, &["cut.json", "EOF"]);
    for name in ["a", "b"] {
        std::fs::remove_file(scratch.path(&format!("fleet/{name}.json"))).unwrap();
    }
    scratch
        .run(&words(&format!("plan fleet {rest}")))
        .expect_error(exit::USAGE, &["none of its profiles can be used"]);
}
