//! `coldstart export` for clusters and simulators, through the binary, of profiles that it has just written.

use coldstart_profiles::exit;
use serde_json::Value;

use crate::support::{NO_ENGINE, Scratch, words};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cluster/pods-and-events.json");

/// A format with the flags that it needs, and what its output holds.
const OF_PROFILES: [(&str, &str, &str); 7] = [
    ("nfd", "--expires-in 3600", "coldstart-rs.github.io/cold-start-process-ms="),
    ("node-affinity", "", "preferredDuringSchedulingIgnoredDuringExecution"),
    ("probes", "--workload deployment/llama --container server", "\"failureThreshold\""),
    ("kwok", "", "pod-ready.stage.kwok.x-k8s.io/delay"),
    ("local-model-cache", "--model-uri hf://org/llama --node-groups a100", "\"kind\": \"LocalModelCache\""),
    ("inference-sim", "--model-name org/llama", "prefill-time-per-token: "),
    ("dynamo", "", "prefill_isl"),
];

fn scratch_with(run: &str) -> Scratch {
    let scratch = Scratch::new();
    let line = format!("run --synthetic tiny --trials 3 --budget 20 --out p.json {run}");
    scratch.run(&words(&line)).expect_code(exit::OK);
    scratch
}

#[test]
fn a_run_of_its_own_goes_into_every_format() {
    let scratch = scratch_with(&format!("--batches 1,2 --phases {NO_ENGINE}"));
    for (format, flags, holds) in OF_PROFILES {
        let line = format!("export {format} p.json {flags}");
        let ran = scratch.run(&words(&format!("{line} --json")));
        let json: Value = serde_json::from_str(&ran.expect_code(exit::OK).stdout).unwrap();
        let files = json["files"].as_array().unwrap();
        assert!(
            files.iter().any(|file| file["contents"].as_str().unwrap().contains(holds)),
            "{format}: {files:?}"
        );
        let out = format!("out-{format}");
        let ran = scratch.run(&words(&format!("{line} --out {out}")));
        assert_eq!(ran.expect_code(exit::OK).stdout, "");
        for file in files {
            let path = match file["name"].as_str() {
                Some(name) => scratch.path(&out).join(name),
                None => scratch.path(&out),
            };
            let written = std::fs::read_to_string(path).unwrap();
            // Labels expire at another second by now.
            let still = |text: &str| text.lines().filter(|line| !line.contains("+expiry-time")).count();
            assert_eq!(still(&written), still(file["contents"].as_str().unwrap()), "{format}");
        }
    }
    // Pulls were not asked for.
    scratch
        .run(&words("export image-pull-job p.json"))
        .expect_error(exit::USAGE, &["image-pull-job", "`image_pull`", "coldstart run --phases image_pull"]);
    scratch.run(&words("export dynamo p.json")).expect_error(exit::USAGE, &["several files", "--out DIR"]);
    // Of several nodes.
    let ran = scratch.run(&words("export node-affinity p.json p.json"));
    assert!(ran.expect_code(exit::OK).stdout.contains("\"weight\": 100"));
    for (line, parts) in [
        ("export probes p.json --container server", vec!["--workload deployment/NAME"]),
        ("export probes p.json --workload llama", vec!["--container NAME"]),
        (
            "export probes p.json --workload llama --container server --namespace A",
            vec!["`A`", "--namespace takes"],
        ),
        ("export local-model-cache p.json --model-uri hf://x", vec!["--node-groups"]),
        ("export nfd p.json --label-prefix kubernetes.io", vec!["--label-prefix"]),
        ("export nfd p.json p.json", vec!["2 profiles", "one at a time"]),
    ] {
        scratch.run(&words(line)).expect_error(exit::USAGE, &parts);
    }
}

#[test]
fn what_a_run_did_not_measure_is_named_by_its_phase() {
    let scratch = scratch_with("--phases weights_load");
    for (format, flags, _) in OF_PROFILES {
        let line = format!("export {format} p.json {flags} --out out");
        let missing = match format {
            "probes" | "kwok" | "node-affinity" => "first_batch",
            "dynamo" | "inference-sim" => "throughput",
            _ => {
                scratch.run(&words(&line)).expect_code(exit::OK);
                std::fs::remove_file(scratch.path("out")).unwrap();
                continue;
            }
        };
        scratch.run(&words(&line)).expect_error(exit::USAGE, &[format, &format!("`{missing}`"), "measure"]);
        assert!(!scratch.path("out").exists(), "nothing half-written");
    }
}

#[test]
fn a_quick_run_is_told_the_lengths_that_dynamo_lacks_and_they_are_enough() {
    let quick = format!("--quick --phases {NO_ENGINE}");
    let scratch = scratch_with(&quick);
    let refused = scratch.run(&words("export dynamo p.json --out tables"));
    refused.expect_error(
        exit::USAGE,
        &["`throughput`", "3 prompt lengths", "coldstart run --prompts 8,16,24,32"],
    );
    let told = refused.stderr.split("--prompts ").nth(1).unwrap();
    let told = told.split('`').next().unwrap();
    let scratch = scratch_with(&format!("{quick} --prompts {told}"));
    scratch.run(&words("export dynamo p.json --out tables")).expect_code(exit::OK);
    let text = std::fs::read_to_string(scratch.path("tables/prefill_raw_data.json")).unwrap();
    let prefill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(prefill["prefill_isl"], serde_json::json!([8, 16, 24, 32]));
}

#[test]
fn a_plan_goes_into_the_formats_of_autoscalers() {
    let scratch = scratch_with(&format!("--batches 1,2 --phases {NO_ENGINE}"));
    let plan = "plan p.json --slo-p99 60s --assume-cold-p99 60s --base 100 --peak 50000 --ramp 500 --tokens-in 64 --tokens-out 16 \
                --replica-hour 1 --miss-cost 0.01 --out plan.json";
    scratch.run(&words(plan)).expect_code(exit::OK);
    for (format, kind) in
        [("hpa", "HorizontalPodAutoscaler"), ("keda", "ScaledObject"), ("capacity-buffer", "CapacityBuffer")]
    {
        let line = format!("export {format} plan.json --workload deployment/llama");
        let ran = scratch.run(&words(&line));
        let object: Value = serde_json::from_str(&ran.expect_code(exit::OK).stdout).unwrap();
        assert_eq!(object["kind"], kind);
        assert!(ran.stdout.contains("coldstart-rs.github.io/plan"), "{}", ran.stdout);
        let of_profile = scratch.run(&words(&format!("export {format} p.json --workload llama")));
        of_profile.expect_error(exit::USAGE, &["p.json", "coldstart plan --json"]);
    }
    scratch.run(&words("export nfd plan.json")).expect_error(exit::USAGE, &["plan.json"]);
}

#[test]
fn pods_are_planned_with_on_the_gpu_that_they_ran_on_only() {
    let scratch = scratch_with(&format!("--batches 1,2 --phases {NO_ENGINE}"));
    let mut objects: Value = serde_json::from_str(&std::fs::read_to_string(FIXTURE).unwrap()).unwrap();
    scratch.run(&["import", "kubectl", FIXTURE, "--out", "untold.json"]).expect_code(exit::OK);
    for node in ["gpu-a", "gpu-b", "gpu-c"] {
        let labels = serde_json::json!({"nvidia.com/gpu.product": "NVIDIA-L4"});
        let node = serde_json::json!({"kind": "Node", "metadata": {"name": node, "labels": labels}});
        objects["items"].as_array_mut().unwrap().push(node);
    }
    std::fs::write(scratch.path("objects.json"), objects.to_string()).unwrap();
    let ran = scratch.run(&words("import kubectl objects.json --out pods.json"));
    assert!(ran.expect_code(exit::OK).stdout.contains("NVIDIA-L4"), "{}", ran.stdout);
    let labels = scratch.run(&words("export nfd pods.json"));
    assert!(labels.expect_code(exit::OK).stdout.contains("/device=NVIDIA-L4\n"));
    assert!(!scratch.run(&words("export nfd untold.json")).stdout.contains("/device="));
    scratch
        .run(&words("export node-affinity untold.json"))
        .expect_error(exit::USAGE, &["which GPU", "pod,event,node"]);

    let rest = "--slo-p99 60s --rate 1 --tokens-in 64 --tokens-out 8";
    for pods in ["pods.json", "untold.json"] {
        let ran = scratch.run(&words(&format!("plan p.json {pods} {rest}")));
        ran.expect_error(exit::USAGE, &[pods, "its pods ran on", "cores", "coldstart run"]);
    }
    // The same measurements, of a machine with that GPU.
    let mut profile = scratch.profile("p.json");
    let device = &mut profile.target.device;
    (device.kind, device.name, device.count) = ("cuda".to_owned(), "NVIDIA L4".to_owned(), 1);
    profile.write(&scratch.path("l4.json")).unwrap();
    let ran = scratch.run(&words(&format!("plan l4.json pods.json {rest} --shared-bandwidth 1GB/s")));
    let table = ran.expect_code(exit::OK).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "the largest of 2 trials: pods of registry.example.com/serving/vllm-openai:v0.9.1 on NVIDIA-L4",
        "pods.json: its pods don't tell which model they load; it is taken to be synthetic:tiny",
        "· readiness",
    ] {
        assert!(table.contains(part), "{part} is missing in:\n{table}");
    }
    let ran = scratch.run(&words(&format!("plan l4.json untold.json {rest}")));
    assert!(ran.expect_code(exit::OK).stdout.contains("which GPU"), "{}", ran.stdout);
}
