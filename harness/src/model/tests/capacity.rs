//! What does not fit, or makes no sense, is one clear error.

use super::fixtures::{Model, Reference};
use crate::model::{Batch, Capacity, Forward, ModelError, Runner};

const CAPACITY: Capacity = Capacity { sequences: 2, tokens: 8, context: 6 };

fn batch(lengths: &[usize]) -> Batch {
    let sequences: Vec<Vec<u32>> = lengths.iter().map(|length| vec![5; *length]).collect();
    Batch::new(&sequences).unwrap()
}

#[test]
fn batches_beyond_the_capacity_are_refused() {
    let model = Model::fixture("llama-tied");
    let mut runner = model.runner(CAPACITY);
    for (lengths, expected) in [
        (vec![2, 2, 2], "sequences 3: 2 is the most"),
        (vec![5, 5], "tokens 10: 8 is the most"),
        (vec![7], "context 7: 6 is the most"),
    ] {
        let error = runner.forward(&batch(&lengths)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(runner.forward(&batch(&[4, 4])).is_ok(), "and what fits still runs");
}

#[test]
fn decode_steps_need_tokens_and_room() {
    let model = Model::fixture("llama-tied");
    let mut runner = model.runner(CAPACITY);
    let generator = runner.generator().unwrap();
    let step = |error: ModelError| error.to_string();
    assert!(step(generator.decode_step().map(drop).unwrap_err()).contains("feed them"));
    assert!(step(generator.feed(&[1]).unwrap_err()).contains("1 tokens were fed to a batch of 0"));
    generator.prefill(&batch(&[5, 1])).unwrap();
    assert!(
        step(generator.decode_step().map(drop).unwrap_err()).contains("feed them"),
        "a prefill feeds nothing"
    );
    assert!(step(generator.feed(&[1]).unwrap_err()).contains("1 tokens were fed to a batch of 2"));
    generator.feed_predicted().unwrap();
    generator.decode_step().unwrap();
    assert!(step(generator.feed_predicted().unwrap_err()).contains("context 7: 6 is the most"));
    assert!(step(generator.prepare_decode(2, 7).unwrap_err()).contains("context 7: 6 is the most"));
    assert!(step(generator.prepare_decode(3, 6).unwrap_err()).contains("sequences 3: 2 is the most"));
    assert!(step(generator.prepare_decode(2, 0).unwrap_err()).contains("at least 1"));
}

#[test]
fn tokens_outside_of_the_vocabulary_are_refused() {
    for name in ["llama-tied", "bert"] {
        let model = Model::fixture(name);
        let mut runner = model.runner(CAPACITY);
        let vocab = model.forward.vocab().unwrap() as u32;
        assert!(runner.forward(&Batch::new(&[[vocab - 1]]).unwrap()).is_ok());
        assert!(runner.forward(&Batch::new(&[[vocab]]).unwrap()).is_err());
    }
}

#[test]
fn capacities_beyond_the_model_or_without_room_are_refused() {
    let model = Model::fixture("llama-tied");
    let make = |capacity| {
        Runner::new(&model.device, &model.forward, &model.loaded.table, &model.loaded.buffer, capacity)
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    assert!(make(Capacity { context: 65, ..CAPACITY }).contains("context 65: 64 is the most"));
    assert!(make(Capacity { context: 0, ..CAPACITY }).contains("0 context"));
    assert!(make(Capacity { sequences: 0, ..CAPACITY }).contains("0 sequences"));
    assert!(make(Capacity { tokens: usize::MAX, ..CAPACITY }).contains("is the most"));
    let bert = Model::fixture("bert");
    let mut runner = bert.runner(Capacity { sequences: 1, tokens: 100, context: 0 });
    let error = runner.forward(&batch(&[25])).unwrap_err().to_string();
    assert!(error.contains("sequence length 25: 24 is the most"), "{error}");
}

#[test]
fn a_model_without_a_forward_pass_says_why() {
    let model = Model::fixture("llama-tied");
    let forward = Forward::Unsupported { why: "it is odd".to_owned() };
    let error = Runner::new(&model.device, &forward, &model.loaded.table, &model.loaded.buffer, CAPACITY)
        .unwrap_err();
    assert!(error.to_string().contains("it is odd"), "{error}");
}

#[test]
fn synthetic_batches_run_and_repeat() {
    for name in ["llama-tied", "qwen3-bf16", "bert"] {
        let model = Model::fixture(name);
        let mut runner = model.runner(CAPACITY);
        let batch = Batch::synthetic(7, model.forward.vocab().unwrap(), 2, 4).unwrap();
        let first = format!("{:?}", runner.forward(&batch).unwrap());
        assert_eq!(format!("{:?}", runner.forward(&batch).unwrap()), first, "{name}");
    }
    assert_eq!(Reference::of("bert").prompts().len(), 3);
}
