//! Embeddings of the BERT family.

use coldstart_kernels::HostDevice;

use super::fixtures::{Model, Reference, assert_close};
use crate::model::{Batch, Capacity, Embedder, Output, Pooling, Runner};

const TOLERANCE: f32 = 1e-4;
const CAPACITY: Capacity = Capacity { sequences: 3, tokens: 18, context: 0 };

fn embedder(model: &Model) -> Embedder<'_, HostDevice> {
    match model.runner(CAPACITY) {
        Runner::Encoder(embedder) => embedder,
        Runner::Decoder(_) => panic!("the fixture is a decoder"),
    }
}

#[test]
fn states_and_embeddings_of_a_ragged_batch_agree_with_transformers() {
    for (name, has_pooler) in [("bert", true), ("bert-masked-lm-gelu-new", false)] {
        let (model, reference) = (Model::fixture(name), Reference::of(name));
        let batch = Batch::new(&reference.prompts()).unwrap();
        let mut embedder = embedder(&model);
        let hidden = embedder.config().hidden;
        assert_eq!(embedder.has_pooler(), has_pooler);
        for (pooling, key) in
            [(Pooling::Mean, "mean"), (Pooling::UnitMean, "unit"), (Pooling::Pooler, "pooled")]
        {
            if pooling == Pooling::Pooler && !has_pooler {
                assert!(embedder.encode(&batch, pooling).unwrap_err().to_string().contains("no pooler"));
                continue;
            }
            let embeddings = embedder.encode(&batch, pooling).unwrap();
            for (i, got) in embeddings.chunks(hidden).enumerate() {
                let expected = &reference.rows(&format!("{key}.{i}"))[0];
                assert_close(got, expected, TOLERANCE, &format!("{name}, {key} of {i}"));
            }
        }
        let states = embedder.states().unwrap();
        let expected: Vec<_> = (0..3).flat_map(|i| reference.rows(&format!("hidden.{i}"))).collect();
        assert_eq!(states.len(), expected.len() * hidden);
        for (row, (got, expected)) in states.chunks(hidden).zip(&expected).enumerate() {
            assert_close(got, expected, TOLERANCE, &format!("{name}, state of row {row}"));
        }
    }
}

#[test]
fn a_batch_gives_what_each_sequence_gives_alone() {
    let (model, reference) = (Model::fixture("bert"), Reference::of("bert"));
    let mut embedder = embedder(&model);
    let hidden = embedder.config().hidden;
    let together =
        embedder.encode(&Batch::new(&reference.prompts()).unwrap(), Pooling::UnitMean).unwrap().to_vec();
    for (prompt, expected) in reference.prompts().into_iter().zip(together.chunks(hidden)) {
        let alone = embedder.encode(&Batch::new(&[prompt]).unwrap(), Pooling::UnitMean).unwrap();
        assert_close(alone, expected, 1e-5, "alone");
        let length: f32 = alone.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}

#[test]
fn a_runner_gives_unit_embeddings() {
    let (model, reference) = (Model::fixture("bert"), Reference::of("bert"));
    let mut runner = model.runner(CAPACITY);
    assert!(runner.generator().is_none());
    match runner.forward(&Batch::new(&reference.prompts()[..1]).unwrap()).unwrap() {
        Output::Embeddings(got) => assert_close(got, &reference.rows("unit.0")[0], TOLERANCE, "unit"),
        Output::Tokens(_) => panic!("an encoder predicts no tokens"),
    }
}
