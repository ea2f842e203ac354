//! Weights that do not belong to their config.json.

use std::fs;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::fixtures::{Model, Reference, assert_close, directory};
use crate::model::{Batch, Capacity, Output, Runner, read_config};
use crate::weights::{ModelFiles, OpenOptions};

const CAPACITY: Capacity = Capacity { sequences: 1, tokens: 1, context: 1 };

/// A tensor as the test changes it: its type, shape and bytes.
type Tensor = (Dtype, Vec<usize>, Vec<u8>);

/// Copies a fixture with one tensor changed, or taken out where `change` gives `None`.
fn changed(fixture: &str, name: &str, to: &Path, change: impl Fn(Tensor) -> Option<Tensor>) {
    let mut found = false;
    rewritten(fixture, to, |key, tensor| {
        let is_it = key == name;
        found |= is_it;
        let tensor = if is_it { change(tensor) } else { Some(tensor) };
        tensor.map(|tensor| (key.to_owned(), tensor))
    });
    assert!(found, "{fixture} has no {name}");
}

/// Copies a fixture with every tensor renamed, changed or taken out.
fn rewritten(fixture: &str, to: &Path, mut rewrite: impl FnMut(&str, Tensor) -> Option<(String, Tensor)>) {
    let from = directory(fixture);
    fs::copy(from.join("config.json"), to.join("config.json")).unwrap();
    let bytes = fs::read(from.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let stored = file.tensors().into_iter();
    let tensors: Vec<_> = stored
        .filter_map(|(key, view)| rewrite(&key, (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect();
    let views = tensors.iter().map(|(key, (dtype, shape, data))| {
        (key.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let path = to.join("model.safetensors");
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The error of making a runner from a changed fixture.
fn error_of(fixture: &str, name: &str, change: impl Fn(Tensor) -> Option<Tensor>) -> String {
    let to = tempfile::tempdir().unwrap();
    changed(fixture, name, to.path(), change);
    let model = Model::load(to.path());
    Runner::new(&model.device, &model.forward, &model.loaded.table, &model.loaded.buffer, CAPACITY)
        .map(drop)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_missing_tensor_is_named_with_its_shape() {
    for (fixture, name, shape) in [
        ("llama-tied", "model.layers.1.mlp.up_proj.weight", "[48, 32]"),
        ("llama3-rope", "lm_head.weight", "[64, 32]"),
        ("qwen2-bias", "model.layers.0.self_attn.k_proj.bias", "[16]"),
        ("qwen3-qk-norm", "model.layers.1.self_attn.q_norm.weight", "[16]"),
        ("llama-linear-rope-bias", "model.layers.0.self_attn.o_proj.bias", "[32]"),
        ("bert", "encoder.layer.1.output.LayerNorm.bias", "[32]"),
        ("bert", "embeddings.word_embeddings.weight", "[64, 32]"),
        ("bert-masked-lm-gelu-new", "bert.embeddings.position_embeddings.weight", "[24, 32]"),
    ] {
        let error = error_of(fixture, name, |_| None);
        assert!(error.contains(&format!("`{name}` of shape {shape}")), "{error}");
    }
}

#[test]
fn a_wrong_shape_is_named_beside_the_expected_one() {
    let transposed = |(dtype, shape, data): Tensor| Some((dtype, vec![shape[1], shape[0]], data));
    let error = error_of("llama-tied", "model.layers.0.mlp.down_proj.weight", transposed);
    assert!(error.contains("`model.layers.0.mlp.down_proj.weight`"), "{error}");
    assert!(error.contains("[32, 48]") && error.contains("[48, 32]"), "{error}");
}

#[test]
fn a_type_that_is_not_computed_with_is_named() {
    let integers = |(_, shape, data): Tensor| Some((Dtype::I32, shape, data));
    let error = error_of("bert", "encoder.layer.0.intermediate.dense.weight", integers);
    assert!(error.contains("`encoder.layer.0.intermediate.dense.weight` of type I32"), "{error}");
}

#[test]
fn a_missing_pooler_is_no_error() {
    let to = tempfile::tempdir().unwrap();
    changed("bert", "pooler.dense.weight", to.path(), |_| None);
    let model = Model::load(to.path());
    let Runner::Encoder(embedder) = model.runner(CAPACITY) else { panic!("BERT is an encoder") };
    assert!(!embedder.has_pooler());
}

/// Checkpoints converted from TensorFlow name a norm's weight and bias otherwise.
#[test]
fn gamma_and_beta_are_a_norms_weight_and_bias() {
    let to = tempfile::tempdir().unwrap();
    rewritten("bert", to.path(), |key, tensor| {
        let key =
            key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        Some((key, tensor))
    });
    let (model, reference) = (Model::load(to.path()), Reference::of("bert"));
    let mut runner = model.runner(Capacity { sequences: 1, tokens: 12, context: 0 });
    match runner.forward(&Batch::new(&reference.prompts()[2..]).unwrap()).unwrap() {
        Output::Embeddings(got) => assert_close(got, &reference.rows("unit.2")[0], 1e-4, "gamma and beta"),
        Output::Tokens(_) => panic!("an encoder predicts no tokens"),
    }
}

#[test]
fn weights_without_a_config_have_no_forward_pass_but_advice() {
    let to = tempfile::tempdir().unwrap();
    fs::copy(directory("bert").join("model.safetensors"), to.path().join("model.safetensors")).unwrap();
    let open = || ModelFiles::open(to.path(), OpenOptions::default()).unwrap();
    let forward = read_config(&open()).unwrap();
    let why = forward.why_not().unwrap();
    assert!(why.contains("no config.json") && why.contains("`coldstart server`"), "{why}");
    fs::write(to.path().join("config.json"), vec![b' '; (16 << 20) + 1]).unwrap();
    assert!(read_config(&open()).is_err(), "larger than any config");
}
