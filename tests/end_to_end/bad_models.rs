//! Models that are not what they must be: one clear error each, before anything is allocated.

use std::path::{Path, PathBuf};

use coldstart_profiles::{Outcome, Phase, exit};

use crate::support::Scratch;

/// A safetensors file: the header's length, the header, the data.
fn write_safetensors(path: &Path, header: &str, data: usize) {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0_u8; data]);
    std::fs::write(path, bytes).unwrap();
}

const GOOD: &str = r#"{"a":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},"b":{"dtype":"BF16","shape":[8],"data_offsets":[32,48]}}"#;

fn model(scratch: &Scratch, name: &str) -> PathBuf {
    let path = scratch.path(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[track_caller]
fn expect(scratch: &Scratch, model: &str, parts: &[&str]) {
    scratch
        .run(&["run", "--model", model, "--phases", "alloc,weights_load"])
        .expect_error(exit::USAGE, parts);
}

#[test]
fn files() {
    let scratch = Scratch::new();
    expect(&scratch, "nowhere", &["nowhere"]);
    model(&scratch, "empty");
    expect(&scratch, "empty", &["empty", "safetensors"]);
    let table: &[(&str, &str, usize, &[&str])] = &[
        ("truncated", GOOD, 40, &["truncated", "`b`"]),
        ("overlap", &GOOD.replace("[32,48]", "[16,32]"), 32, &["overlap", "`b`"]),
        ("range", &GOOD.replace("[32,48]", "[32,4800]"), 48, &["range", "`b`"]),
        ("shape", &GOOD.replace("\"shape\":[8]", "\"shape\":[9]"), 48, &["shape", "`b`"]),
        (
            "overflow",
            &GOOD.replace("\"shape\":[8]", "\"shape\":[4611686018427387904,8]"),
            48,
            &["overflow", "`b`"],
        ),
        ("json", "{\"a\": 7", 48, &["json"]),
    ];
    for (name, header, data, parts) in table {
        write_safetensors(&model(&scratch, name).join("model.safetensors"), header, *data);
        expect(&scratch, name, parts);
    }
    let beyond = model(&scratch, "beyond").join("model.safetensors");
    std::fs::write(&beyond, [&u64::MAX.to_le_bytes()[..], b"{}"].concat()).unwrap();
    expect(&scratch, "beyond", &["beyond", "header"]);
    std::fs::write(model(&scratch, "short").join("model.safetensors"), b"abc").unwrap();
    expect(&scratch, "short", &["short"]);
}

#[test]
fn indexes() {
    let scratch = Scratch::new();
    let outside = scratch.path("outside.safetensors");
    write_safetensors(&outside, GOOD, 48);
    let table: &[(&str, &str)] = &[
        ("missing-shard", "gone.safetensors"),
        ("upward", "../outside.safetensors"),
        ("absolute", &outside.display().to_string()),
    ];
    for (name, file) in table {
        let index = format!(r#"{{"weight_map":{{"a":"{file}","b":"{file}"}}}}"#);
        std::fs::write(model(&scratch, name).join("model.safetensors.index.json"), index).unwrap();
        expect(&scratch, name, &[file]);
    }
    let linked = model(&scratch, "linked").join("model.safetensors");
    std::os::unix::fs::symlink(&outside, &linked).unwrap();
    expect(&scratch, "linked", &["model.safetensors", "--follow-symlinks"]);
    let followed =
        ["run", "--model", "linked", "--follow-symlinks", "--phases", "alloc,weights_load", "--trials", "3"];
    scratch.run(&followed).expect_code(exit::OK);
}

#[test]
fn a_hub_cache_loads_through_its_links() {
    let scratch = Scratch::new();
    let blobs = model(&scratch, "models--org--name/blobs");
    let snapshot = model(&scratch, "models--org--name/snapshots/abc123");
    write_safetensors(&blobs.join("f00d"), GOOD, 48);
    std::os::unix::fs::symlink("../../blobs/f00d", snapshot.join("model.safetensors")).unwrap();
    let args = [
        "run",
        "--model",
        "models--org--name/snapshots/abc123",
        "--phases",
        "alloc,weights_load",
        "--trials",
        "3",
    ];
    scratch.run(&args).expect_code(exit::OK);
    assert_eq!(scratch.profile("coldstart-profile.json").target.model.unwrap().tensors, 2);
}

#[test]
fn an_unknown_architecture_is_loaded_and_its_forward_phases_are_skipped() {
    for (name, config) in
        [("none", None), ("unknown", Some(r#"{"architectures":["MambaForCausalLM"],"model_type":"mamba"}"#))]
    {
        let scratch = Scratch::new();
        let path = model(&scratch, name);
        write_safetensors(&path.join("model.safetensors"), GOOD, 48);
        if let Some(config) = config {
            std::fs::write(path.join("config.json"), config).unwrap();
        }
        let phases = "alloc,weights_load,first_batch,warm_up,throughput";
        scratch.run(&["run", "--model", name, "--phases", phases, "--trials", "3"]).expect_code(exit::OK);
        let profile = scratch.profile("coldstart-profile.json");
        assert!(profile.of_phase(Phase::WeightsLoad).all(|row| row.outcome.as_measured().is_some()));
        for phase in [Phase::FirstBatch, Phase::WarmUp, Phase::Throughput] {
            let row = profile.of_phase(phase).next().unwrap();
            assert!(
                matches!(&row.outcome, Outcome::Skipped { why } if why.contains("coldstart server") || why.contains("config.json")),
                "{row:?}"
            );
        }
    }
}

/// A decoder `integers` of a number format that no kernel computes with.
pub(crate) fn integers(scratch: &Scratch) {
    let path = model(scratch, "integers");
    let header = r#"{"model.embed_tokens.weight":{"dtype":"I16","shape":[10,4],"data_offsets":[0,80]}}"#;
    write_safetensors(&path.join("model.safetensors"), header, 80);
    let config = r#"{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":4,"intermediate_size":8,
        "num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":2,"vocab_size":10,"rms_norm_eps":1e-5,"max_position_embeddings":64}"#;
    std::fs::write(path.join("config.json"), config).unwrap();
}

#[test]
fn a_number_format_that_no_kernel_computes_with() {
    let scratch = Scratch::new();
    integers(&scratch);
    let args = [
        "run",
        "--model",
        "integers",
        "--phases",
        "alloc,weights_load,first_batch",
        "--quick",
        "--out",
        "p.json",
    ];
    scratch.run(&args).expect_code(exit::OK);
    let profile = scratch.profile("p.json");
    let first = profile.of_phase(Phase::FirstBatch).next().unwrap();
    assert!(matches!(&first.outcome, Outcome::Skipped { why } if why.contains("I16")), "{first:?}");
    let load = profile.of_phase(Phase::WeightsLoad).next().unwrap();
    assert!(load.outcome.as_measured().is_some(), "its weights are loaded and timed: {load:?}");
}

#[test]
fn configs_and_tensors_that_disagree() {
    let scratch = Scratch::new();
    let config = |hidden: u32| {
        format!(
            r#"{{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":{hidden},"intermediate_size":8,
            "num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":2,"vocab_size":10,"rms_norm_eps":1e-5,"max_position_embeddings":64}}"#
        )
    };
    let header = r#"{"model.embed_tokens.weight":{"dtype":"F32","shape":[10,4],"data_offsets":[0,160]}}"#;
    for (name, hidden, parts) in
        [("missing-tensor", 4, ["model.layers.0"]), ("wrong-shape", 8, ["model.embed_tokens.weight"])]
    {
        let path = model(&scratch, name);
        write_safetensors(&path.join("model.safetensors"), header, 160);
        std::fs::write(path.join("config.json"), config(hidden)).unwrap();
        scratch.run(&["run", "--model", name]).expect_error(exit::USAGE, &parts);
    }
    let path = model(&scratch, "broken-config");
    write_safetensors(&path.join("model.safetensors"), header, 160);
    std::fs::write(path.join("config.json"), "{").unwrap();
    scratch.run(&["run", "--model", "broken-config"]).expect_error(exit::USAGE, &["config.json"]);
}

#[test]
fn a_model_larger_than_memory_is_refused_before_it_is_allocated() {
    let scratch = Scratch::new();
    let path = model(&scratch, "large").join("model.safetensors");
    // A sparse file of 8 TiB: as large as its header says, and empty on disk.
    let bytes = 8_u64 << 40;
    let header = format!(r#"{{"a":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    write_safetensors(&path, &header, 0);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(8 + header.len() as u64 + bytes).unwrap();
    expect(&scratch, "large", &["8.00 TiB", "GiB"]);
}
