//! `coldstart plan` where nobody measured how long requests take: of a profile without a sweep, and of a cluster's pods alone.

use std::path::Path;

use coldstart_decisions::plan::ServingPlan;
use coldstart_decisions::service::ServiceModel;
use coldstart_profiles::{Phase, exit};

use crate::plan::profile;
use crate::support::{Scratch, words};

const PODS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cluster/pods-and-events.json");

/// `idle.json`, a profile that never served, and `pods.json`, cold starts of a cluster.
fn scratch() -> Scratch {
    let scratch = Scratch::new();
    let mut idle = profile();
    idle.throughput.clear();
    idle.measurements.retain(|row| row.key.phase != Phase::Throughput);
    idle.derive();
    idle.write(&scratch.path("idle.json")).unwrap();
    scratch.run(&["import", "kubectl", PODS, "--out", "pods.json"]).expect_code(exit::OK);
    scratch
}

fn read(path: &Path) -> ServingPlan {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn service_times_by_hand_are_planned_with_and_marked() {
    let scratch = scratch();
    let asked = "plan idle.json --slo-p99 200ms --rate 40 --assume-batches 1=25ms,8=90ms";
    let ran = scratch.run(&words(&format!("{asked} --out plan.json")));
    let ran = ran.expect_code(exit::OK);
    for part in [
        "T(n) = 15.7 ms + 9.29 ms · n, up to n = 8",
        "these times are given by hand",
        "assumed, not measured: --assume-batches",
        "give 99th percentiles",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    for field in ["capacity.warm.replicas_now", "capacity.bound.batch", "service"] {
        let ran = scratch.run(&words(&format!("{asked} --explain {field}")));
        assert!(ran.expect_code(exit::OK).stdout.contains("--assume-batches"), "{field}: {}", ran.stdout);
    }
    let ran = scratch.run(&words(&format!("{asked} --explain request.by_hand.service.batches.1.time_ns")));
    assert!(ran.expect_code(exit::OK).stdout.contains("--assume-batches"), "{}", ran.stdout);
    for target in ["hpa", "keda --prometheus http://prometheus:9090"] {
        let line = format!(
            "export {target} plan.json --workload deployment/encoder --request-metric requests_total"
        );
        let ran = scratch.run(&words(&line));
        let text = &ran.expect_code(exit::OK).stdout;
        assert!(text.contains("assumed: --assume-batches"), "{target}: {text}");
    }
}

/// The cold starts that a cluster has had, and what its operators know of their service.
#[test]
fn pods_alone_are_planned_with() {
    let scratch = scratch();
    let asked = "plan pods.json --slo-p99 200ms --rate 40 --assume-batches 1=25ms,8=90ms --weights 16GB";
    let ran = scratch.run(&words(&format!("{asked} --simulate --html plan.html --out plan.json")));
    let text = &ran.expect_code(exit::OK).stdout;
    for part in [
        "vllm-openai",
        "scheduling",
        "image_pull",
        "readiness",
        "assumed, not measured: --assume-batches, --weights",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let plan = read(&scratch.path("plan.json"));
    assert_eq!(plan.fleet.model.bytes.get(), 16_000_000_000);
    // Two nodes of three pods.
    assert_eq!(plan.classes[0].nodes.value, 2);
    assert!(
        plan.capacity.warm.replicas_now.value >= 1 && plan.lead_time.cold_start_ns.value.as_secs_f64() > 30.0
    );
    let line = "export hpa plan.json --workload deployment/llama --request-metric requests_total";
    scratch.run(&words(line)).expect_code(exit::OK);
    // Of profiles, not of plans.
    let line = "export probes plan.json --workload deployment/llama";
    scratch.run(&words(line)).expect_error(exit::USAGE, &["plan.json", "it is a plan", "keda"]);
    let tokens = "plan pods.json --slo-p99 60s --rate 1 --tokens-in 800 --tokens-out 200 --weights 16GB \
                  --assume-prefill 128=20ms,2048=150ms --assume-decode 1x512=12ms,32x512=16ms,32x4096=25ms";
    scratch.run(&words(&format!("{tokens} --out llama.json"))).expect_code(exit::OK);
    let ServiceModel::LanguageModel(model) = read(&scratch.path("llama.json")).service.model else {
        panic!("a language model")
    };
    assert_eq!((model.max_batch, model.kv_bytes_per_token.get()), (32, 0));
    scratch
        .run(&words(&format!("{tokens} --kv-per-token 128KiB")))
        .expect_error(exit::USAGE, &["size of the device's memory is not known", "--free-memory"]);
    let ran = scratch.run(&words(&format!("{tokens} --kv-per-token 128KiB --free-memory 2GiB")));
    // 2 GiB ÷ 128 KiB = 16384 tokens, of 1000 a request.
    assert!(ran.expect_code(exit::OK).stdout.contains("at most 16 at once"), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_is_named_with_the_remedy() {
    let scratch = scratch();
    let rest = "--slo-p99 1s --rate 1";
    for (line, parts) in [
        ("idle.json", vec!["throughput", "--assume-batches", "--assume-prefill"]),
        ("pods.json", vec!["pods only", "--weights", "--assume-batches", "coldstart run"]),
        ("pods.json --assume-batches 1=25ms", vec!["pods only", "--weights"]),
        ("pods.json --weights 2GB", vec!["pods only", "--assume-batches"]),
        ("idle.json --assume-batches 1=25ms --weights 2GB", vec!["--weights", "idle.json", "leave it out"]),
        ("idle.json --assume-batches 1=25ms,1=30ms", vec!["--assume-batches", "give one of them"]),
        ("idle.json --assume-batches 1=25ms,8=5ms", vec!["8=5.00 ms takes less time than 1=25.0 ms"]),
        (
            "idle.json --assume-prefill 64=9ms,8=20ms --assume-decode 1=5ms",
            vec!["--assume-prefill", "less work"],
        ),
        (
            "idle.json --assume-prefill 64=9ms,99=10ms --assume-decode 1=5ms,8x9=9ms",
            vec!["--assume-decode", "with none"],
        ),
    ] {
        scratch.run(&words(&format!("plan {line} {rest}"))).expect_error(exit::USAGE, &parts);
    }
    for (line, parts) in [
        ("--assume-batches 8", vec!["`8`", "8=90ms"]),
        ("--assume-batches 8=90", vec!["`8=90`", "no unit"]),
        ("--assume-batches 1=5ms,0=9ms", vec!["`0=9ms`", "1 to 65536"]),
        ("--assume-batches 1=5ms,", vec!["8=90ms"]),
        ("--assume-batches 1=5ms --assume-prefill 64=9ms --assume-decode 1=5ms", vec!["cannot be used with"]),
        ("--assume-prefill 64=9ms", vec!["--assume-decode"]),
        ("--assume-decode 64=9ms", vec!["--assume-prefill"]),
        ("--kv-per-token 0GB", vec!["above zero"]),
    ] {
        let ran = scratch.run(&words(&format!("plan idle.json {rest} {line}")));
        ran.expect_code(exit::USAGE);
        for part in parts {
            assert!(ran.stderr.contains(part), "{line}: `{part}` is missing in:\n{}", ran.stderr);
        }
    }
    // A batch of one that is slower than the level: no number of replicas helps.
    let ran = scratch.run(&words("plan idle.json --slo-p99 20ms --rate 1 --assume-batches 1=25ms,8=90ms"));
    ran.expect_error(exit::FAILED, &["20.0 ms", "25.0 ms", "no number of replicas"]);
}
