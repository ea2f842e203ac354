//! Prefill and decode of each decoder family.

use coldstart_kernels::HostDevice;

use super::fixtures::{Model, Reference, argmax, assert_close};
use crate::model::{Batch, Capacity, Generator, Runner};

/// What f32 leaves after two layers, with a margin; the fixtures that are stored in 16 bits are computed in f32 too.
const TOLERANCE: f32 = 1e-4;
const CAPACITY: Capacity = Capacity { sequences: 3, tokens: 18, context: 16 };

const FIXTURES: [&str; 9] = [
    "llama-tied",
    "llama3-rope",
    "llama-linear-rope-bias",
    "mistral-window",
    "qwen2-bias",
    "qwen2-mixed-window",
    "qwen3-qk-norm",
    "qwen3-bf16",
    "llama-f16",
];

fn generator(model: &Model, capacity: Capacity) -> Generator<'_, HostDevice> {
    match model.runner(capacity) {
        Runner::Decoder(generator) => generator,
        Runner::Encoder(_) => panic!("the fixture is an encoder"),
    }
}

/// The logits of each sequence after the last forward pass.
fn logits(generator: &Generator<'_, HostDevice>) -> Vec<Vec<f32>> {
    let vocab = generator.config().vocab;
    generator.logits().unwrap().chunks(vocab).map(<[f32]>::to_vec).collect()
}

/// Prefill of prompts of different lengths at once, then decode steps at different positions at once.
#[test]
fn ragged_prefill_and_batched_decode_agree_with_transformers() {
    for name in FIXTURES {
        let (model, reference) = (Model::fixture(name), Reference::of(name));
        let sequences = reference.sequences();
        let expected: Vec<_> = (0..sequences.len()).map(|i| reference.rows(&format!("logits.{i}"))).collect();
        let mut generator = generator(&model, CAPACITY);
        let mut next = generator.prefill(&Batch::new(&reference.prompts()).unwrap()).unwrap().to_vec();
        let steps = sequences[0].1.len();
        assert!(steps > 0);
        for step in 0..=steps {
            let got = logits(&generator);
            for (i, (prompt, _)) in sequences.iter().enumerate() {
                let row = &expected[i][prompt.len() - 1 + step];
                assert_close(&got[i], row, TOLERANCE, &format!("{name}, sequence {i}, step {step}"));
                assert_eq!(next[i], argmax(row), "{name}, sequence {i}, step {step}");
            }
            if step < steps {
                generator.feed(&sequences.iter().map(|(_, fed)| fed[step]).collect::<Vec<_>>()).unwrap();
                next = generator.decode_step().unwrap().to_vec();
            }
        }
    }
}

/// The same sequences one at a time.
#[test]
fn a_batch_gives_what_each_sequence_gives_alone() {
    for name in FIXTURES {
        let (model, reference) = (Model::fixture(name), Reference::of(name));
        let mut together = generator(&model, CAPACITY);
        let mut alone = generator(&model, Capacity { sequences: 1, tokens: 12, context: 16 });
        let next = together.prefill(&Batch::new(&reference.prompts()).unwrap()).unwrap().to_vec();
        let prefilled = logits(&together);
        together.feed(&next).unwrap();
        together.decode_step().unwrap();
        let decoded = logits(&together);
        for (i, prompt) in reference.prompts().into_iter().enumerate() {
            assert_eq!(alone.prefill(&Batch::new(&[prompt]).unwrap()).unwrap(), [next[i]], "{name}");
            assert_close(&logits(&alone)[0], &prefilled[i], 1e-5, name);
            alone.feed_predicted().unwrap();
            alone.decode_step().unwrap();
            assert_close(&logits(&alone)[0], &decoded[i], 1e-5, name);
        }
    }
}

/// Every prefix of the longest sequence as a prompt of its own: each position, and each side of a window's edge.
#[test]
fn every_prefix_agrees_with_transformers() {
    for name in FIXTURES {
        let (model, reference) = (Model::fixture(name), Reference::of(name));
        let (mut ids, steps) = reference.sequences().pop().unwrap();
        ids.extend(steps);
        let expected = reference.rows("logits.2");
        assert_eq!(ids.len(), expected.len());
        let mut generator = generator(&model, Capacity { sequences: 1, tokens: 16, context: 16 });
        for length in 1..=ids.len() {
            generator.prefill(&Batch::new(&[&ids[..length]]).unwrap()).unwrap();
            let what = format!("{name}, the first {length} tokens");
            assert_close(&logits(&generator)[0], &expected[length - 1], TOLERANCE, &what);
        }
    }
}

/// What a benchmark relies on: the same step again and again, and no trace of it afterwards.
#[test]
fn a_decode_step_repeats_at_the_same_positions() {
    let (model, reference) = (Model::fixture("mistral-window"), Reference::of("mistral-window"));
    let mut generator = generator(&model, CAPACITY);
    generator.prefill(&Batch::new(&reference.prompts()).unwrap()).unwrap();
    let sequences = reference.sequences();
    let fed = |step: usize| sequences.iter().map(|(_, fed)| fed[step]).collect::<Vec<_>>();
    generator.feed(&fed(0)).unwrap();
    let first = generator.decode_step().unwrap().to_vec();
    let once = logits(&generator);
    for _ in 0..3 {
        assert_eq!(generator.decode_step().unwrap(), first);
        assert_eq!(logits(&generator), once);
    }
    generator.feed(&fed(1)).unwrap();
    generator.decode_step().unwrap();
    let (prompt, _) = &sequences[2];
    assert_close(
        &logits(&generator)[2],
        &reference.rows("logits.2")[prompt.len() + 1],
        TOLERANCE,
        "after it",
    );
}

/// A context of noise, written in several pieces, is deterministic, finite, and as long as was asked for.
#[test]
fn a_prepared_context_is_what_a_step_attends_to() {
    let model = Model::fixture("llama-tied");
    let run = |tokens, context| {
        let mut generator = generator(&model, Capacity { sequences: 2, tokens, context: 40 });
        generator.prepare_decode(2, context).unwrap();
        generator.decode_step().unwrap();
        let got = logits(&generator);
        generator.decode_step().unwrap();
        assert_eq!(logits(&generator), got, "repeated");
        got
    };
    let long = run(7, 40);
    assert!(long.iter().flatten().all(|x| x.is_finite()));
    assert_eq!(run(7, 40), long, "the same again");
    assert_ne!(run(7, 39), long, "one position less");
    assert_ne!(long[0], long[1], "two different contexts");
    assert_eq!(run(7, 1).len(), 2, "no context but the token itself");
}

/// After a longer batch a shorter one sees nothing of it.
#[test]
fn the_cache_forgets_the_batch_before() {
    let (model, reference) = (Model::fixture("llama-tied"), Reference::of("llama-tied"));
    let prompts = reference.prompts();
    let mut generator = generator(&model, CAPACITY);
    generator.prefill(&Batch::new(&prompts).unwrap()).unwrap();
    generator.prefill(&Batch::new(&prompts[1..2]).unwrap()).unwrap();
    assert_eq!(logits(&generator).len(), 1);
    assert_close(&logits(&generator)[0], &reference.rows("logits.1")[0], TOLERANCE, "alone after a batch");
}
