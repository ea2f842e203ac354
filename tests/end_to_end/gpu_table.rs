//! The table of ratios that `tests/gpu/measure.sh` ends with, from files as a GPU would leave them. What it says is what somebody
//! with a GPU for a few minutes goes home with.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::Scratch;

fn limit(kind: &str, params: Value, work: Value, times: &[u64]) -> Value {
    let outcome = json!({"status": "measured", "samples": {"samples_ns": times}});
    json!({"kind": kind, "params": params, "work": work, "outcome": outcome})
}

fn row(phase: &str, params: &Value, clock: &str, work: Value, p50: u64) -> Value {
    json!({
        "key": {"phase": phase, "params": params, "clock": clock}, "work": work,
        "outcome": {"status": "measured", "samples": {"samples_ns": [p50]}, "summary": {"p50_ns": p50}},
    })
}

/// A profile of a GPU with round numbers: disk 4 GB/s, pinned copy 25 GB/s, memory 1000 GB/s, products 100 TFLOP/s in bf16.
fn profile(stand_in: bool) -> Value {
    let decode = json!({"mode": "decode", "batch": "1", "context": "128"});
    let prefill = json!({"mode": "prefill", "batch": "8", "prompt": "512"});
    let point = |params: &Value, mode: &str, batch: u32, tokens: u32| {
        json!({
            "key": {"phase": "throughput", "params": params, "clock": "host"}, "mode": mode, "batch": batch,
            "tokens": tokens, "dtype": "bf16", "flops": 50_000_000_000_u64, "read_bytes": 800_000_000,
        })
    };
    let cold = |staging: &str| json!({"page_cache": "cold", "staging": staging});
    json!({
        "target": {"device": {"stand_in": stand_in}},
        "limits": [
            limit("host_to_device", json!({"chunk": "16MiB"}), json!({"bytes": 1_000_000_000}), &[50_000_000, 40_000_000]),
            limit("direct_read", json!({}), json!({"bytes": 1_000_000_000}), &[250_000_000]),
            limit("device_copy", json!({}), json!({"bytes": 1_000_000_000}), &[900_000]),
            limit("device_read", json!({}), json!({"bytes": 1_000_000_000}), &[1_000_000]),
            limit("gemm", json!({"dtype": "f32"}), json!({"flops": 1_000_000_000_000_u64}), &[1_000_000]),
            limit("gemm", json!({"dtype": "bf16"}), json!({"flops": 100_000_000_000_u64}), &[1_000_000]),
        ],
        "measurements": [
            row("weights_load", &cold("mmap"), "host", json!({"bytes": 1_000_000_000}), 500_000_000),
            row("weights_load", &cold("direct"), "host", json!({"bytes": 1_000_000_000}), 260_000_000),
            row("throughput", &decode, "host", json!({"tokens": 1}), 1_100_000),
            row("throughput", &decode, "device", json!({"tokens": 1}), 1_000_000),
            row("throughput", &prefill, "host", json!({"tokens": 4096}), 1_000_000),
        ],
        "throughput": [point(&decode, "decode", 1, 128), point(&prefill, "prefill", 8, 512)],
    })
}

/// What a ratio is of, and the ratio where there is one.
type Ratio = (String, Option<f64>);

/// The lines of the table, and the ratios of the summary.
fn table(stand_in: bool) -> Option<(String, Vec<Ratio>)> {
    let scratch = Scratch::new();
    let directory = scratch.path("gpu");
    fs::create_dir_all(&directory).unwrap();
    let write = |name: &str, value: Value| fs::write(directory.join(name), value.to_string()).unwrap();
    write("loads.json", profile(stand_in));
    write("run-1b.json", profile(stand_in));
    write("run-1b.prev.json", json!("an earlier one"));
    write("torch-upload.json", json!({"bytes": 1_000_000_000, "best_ns": 39_000_000}));
    let theirs = json!([
        {"mode": "decode", "batch": 1, "tokens": 128, "median_ns": 2_200_000},
        {"mode": "prefill", "batch": 8, "tokens": 512, "skipped": "out of memory: 80 GB"},
    ]);
    write("torch-forward-1b.json", json!({"points": theirs}));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gpu/measure.sh");
    let ran = Command::new("bash").args([script, "table"]).env("OUT", &directory).output().unwrap();
    let stdout = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&ran.stderr));
    if stdout.contains("skipped table") {
        eprintln!("SKIPPED: there is no Python");
        return None;
    }
    let summary = fs::read_to_string(directory.join("summary.json")).unwrap();
    let summary: Vec<Value> = serde_json::from_str(&summary).unwrap();
    let ratio = |line: &Value| (line["what"].as_str().unwrap().to_owned(), line["ratio"].as_f64());
    Some((stdout, summary.iter().map(ratio).collect()))
}

#[test]
fn ratios_stand_beside_their_goals() {
    let Some((text, ratios)) = table(false) else { return };
    let expected = [
        ("pinned copy to the GPU / PyTorch", Some(39.0 / 40.0)),
        ("cold load / slower of disk and pinned copy (loads)", Some(250.0 / 260.0)),
        ("cold load / slower of disk and pinned copy (run-1b)", Some(250.0 / 260.0)),
        ("decode at batch 1 / memory bandwidth (1b)", Some(0.8)),
        ("prefill / peak of products (1b)", Some(0.5)),
        ("decode, batch 1, 128 tokens / transformers (1b)", Some(2.0)),
        ("prefill, batch 8, 512 tokens / transformers (1b)", None),
    ];
    assert_eq!(ratios.len(), expected.len(), "{text}");
    for ((what, ratio), (expected_what, expected_ratio)) in ratios.iter().zip(expected) {
        assert_eq!(what, expected_what);
        let close = match (ratio, expected_ratio) {
            (Some(ratio), Some(expected)) => (ratio - expected).abs() < 1e-9,
            (None, None) => true,
            _ => false,
        };
        assert!(close, "{what}: {ratio:?} instead of {expected_ratio:?}");
    }
    for part in ["0.975", ">= 0.97", "BELOW", "by direct", "800 of 1000 GB/s", "out of memory: 80 GB"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
}

#[test]
fn a_stand_in_has_no_figures() {
    let Some((text, ratios)) = table(true) else { return };
    assert!(ratios.iter().all(|(_, ratio)| ratio.is_none()), "{text}");
    assert!(text.contains("a stand-in driver measures nothing"), "{text}");
}
