//! What becomes of real and of bad config.json files.

use std::path::Path;

use serde_json::{Value, json};

use super::parse_config;
use crate::model::config::{Activation, DecoderConfig, DecoderFamily, EncoderConfig, Forward};
use crate::model::error::ModelError;
use crate::model::rope::RopeScaling;

fn parse(config: &Value) -> Result<Forward, ModelError> {
    parse_config(config.to_string().as_bytes(), Path::new("model/config.json"))
}

fn decoder(config: &Value) -> DecoderConfig {
    match parse(config).unwrap() {
        Forward::Decoder(config) => config,
        other => panic!("{other:?}"),
    }
}

fn encoder(config: &Value) -> EncoderConfig {
    match parse(config).unwrap() {
        Forward::Encoder(config) => config,
        other => panic!("{other:?}"),
    }
}

/// Llama 3.1 8B as published (transformers 4), shortened to what is read.
fn llama() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": false, "mlp_bias": false,
        "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 131072,
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
        "rope_theta": 500000.0, "tie_word_embeddings": false, "vocab_size": 128256,
        "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 8192, "rope_type": "llama3"},
    })
}

fn qwen2() -> Value {
    json!({
        "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864,
        "max_position_embeddings": 32768, "max_window_layers": 21, "num_attention_heads": 14,
        "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
        "sliding_window": 32768, "tie_word_embeddings": true, "use_sliding_window": false, "vocab_size": 151936,
    })
}

fn bert() -> Value {
    json!({
        "architectures": ["BertModel"], "hidden_act": "gelu", "hidden_size": 384, "intermediate_size": 1536,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert", "num_attention_heads": 12,
        "num_hidden_layers": 6, "position_embedding_type": "absolute", "type_vocab_size": 2, "vocab_size": 30522,
    })
}

/// The config with fields set, or taken out where the value is `null`.
fn with(mut config: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

#[test]
fn llama_3_1() {
    let config = decoder(&llama());
    assert_eq!(config.family, DecoderFamily::Llama);
    assert_eq!((config.heads, config.kv_heads, config.head_dim), (32, 8, 128));
    assert_eq!((config.q_width(), config.kv_width()), (4096, 1024));
    let scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_positions: 8192.0 };
    assert_eq!((config.rope.theta, config.rope.scaling), (500_000.0, scaling));
    assert!(!config.tied && !config.qkv_bias && !config.output_bias && !config.mlp_bias && !config.qk_norm);
    assert_eq!(config.windows, vec![None; 32]);
}

#[test]
fn both_spellings_of_rotary_parameters_mean_the_same() {
    let new = with(
        llama(),
        json!({"rope_theta": null, "rope_scaling": null, "rope_parameters": {
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192, "rope_theta": 500000.0, "rope_type": "llama3"}}),
    );
    assert_eq!(decoder(&new), decoder(&llama()));
    let linear = with(llama(), json!({"rope_scaling": {"type": "linear", "factor": 2}}));
    assert_eq!(decoder(&linear).rope.scaling, RopeScaling::Linear { factor: 2.0 });
    let plain = with(llama(), json!({"rope_scaling": null, "rope_theta": null}));
    assert_eq!((decoder(&plain).rope.scaling, decoder(&plain).rope.theta), (RopeScaling::Default, 10_000.0));
}

#[test]
fn biases_norms_and_head_widths_of_the_families() {
    let qwen2_config = decoder(&qwen2());
    assert!(qwen2_config.qkv_bias && !qwen2_config.output_bias && qwen2_config.tied);
    let biased = decoder(&with(llama(), json!({"attention_bias": true, "mlp_bias": true})));
    assert!(biased.qkv_bias && biased.output_bias && biased.mlp_bias);
    let qwen3 = decoder(&with(qwen2(), json!({"architectures": ["Qwen3ForCausalLM"], "head_dim": 128})));
    assert!(qwen3.qk_norm && !qwen3.qkv_bias);
    assert_eq!((qwen3.head_dim, qwen3.q_width()), (128, 14 * 128));
    let defaulted = decoder(&with(qwen2(), json!({"architectures": ["Qwen3ForCausalLM"]})));
    assert_eq!(defaulted.head_dim, 128);
    let all_heads = decoder(&with(llama(), json!({"num_key_value_heads": null})));
    assert_eq!(all_heads.kv_heads, 32);
}

#[test]
fn sliding_windows() {
    let window = |config| decoder(&config).windows;
    let mistral = with(llama(), json!({"architectures": ["MistralForCausalLM"], "num_hidden_layers": 2}));
    assert_eq!(window(with(mistral.clone(), json!({"sliding_window": 4096}))), [Some(4096), Some(4096)]);
    assert_eq!(window(mistral), [None, None]);
    assert_eq!(window(qwen2()), vec![None; 24], "switched off");
    let on =
        with(qwen2(), json!({"use_sliding_window": true, "num_hidden_layers": 3, "max_window_layers": 2}));
    assert_eq!(window(on.clone()), [None, None, Some(32768)]);
    let types = json!(["sliding_attention", "full_attention", "full_attention"]);
    assert_eq!(window(with(on, json!({"layer_types": types}))), [Some(32768), None, None]);
    let llama_window = with(llama(), json!({"sliding_window": 4096, "use_sliding_window": true}));
    assert_eq!(window(llama_window), vec![None; 32], "Llama has none, whatever the file says");
}

#[test]
fn bert_and_its_heads() {
    let config = encoder(&bert());
    assert_eq!((config.hidden, config.heads, config.head_dim(), config.max_positions), (384, 12, 32, 512));
    assert_eq!(config.activation, Activation::Gelu);
    let tanh = encoder(&with(bert(), json!({"hidden_act": "gelu_new"})));
    assert_eq!(tanh.activation, Activation::GeluTanh);
    for class in ["BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification"] {
        assert_eq!(encoder(&with(bert(), json!({"architectures": [class]}))), config);
    }
    assert_eq!(encoder(&with(bert(), json!({"architectures": null}))), config, "by its model_type");
}

#[test]
fn what_is_not_computed_here_is_an_answer_with_advice() {
    let cases = [
        (json!({"architectures": ["GPT2LMHeadModel"], "n_embd": 768}), "architecture GPT2LMHeadModel"),
        (json!({"model_type": "t5"}), "architecture t5"),
        (json!({"architectures": [], "hidden_size": "wide"}), "architecture that config.json does not name"),
        (json!([1, 2]), "architecture that config.json does not name"),
        (with(llama(), json!({"quantization_config": {"quant_method": "gptq"}})), "quantised"),
        (with(llama(), json!({"hidden_act": "gelu"})), "activation gelu"),
        (
            with(llama(), json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}})),
            "rotary scaling of type yarn",
        ),
        (with(llama(), json!({"partial_rotary_factor": 0.5})), "part of each head"),
        (
            with(qwen2(), json!({"layer_types": vec!["linear_attention"; 24]})),
            "layer of type linear_attention",
        ),
        (with(bert(), json!({"position_embedding_type": "relative_key"})), "relative_key"),
        (with(bert(), json!({"hidden_act": "relu"})), "activation relu"),
        (with(bert(), json!({"is_decoder": true})), "decoder"),
    ];
    for (config, expected) in cases {
        let forward = parse(&config).unwrap();
        let why = forward.why_not().unwrap_or_else(|| panic!("{config} has a forward pass"));
        assert!(why.contains(expected) && why.contains("`coldstart server`"), "{why}");
    }
}

#[test]
fn impossible_values_are_errors_that_name_the_field() {
    let cases = [
        (llama(), json!({"hidden_size": null}), "`hidden_size` is missing"),
        (llama(), json!({"hidden_size": 0}), "`hidden_size` is 0"),
        (llama(), json!({"hidden_size": 1u64 << 40}), "`hidden_size` is 1099511627776, over"),
        (
            llama(),
            json!({"num_hidden_layers": u64::MAX}),
            "`num_hidden_layers` is 18446744073709551615, over",
        ),
        (llama(), json!({"vocab_size": 0}), "`vocab_size` is 0"),
        (llama(), json!({"num_attention_heads": 31}), "`num_key_value_heads` is 8, which does not divide"),
        (
            llama(),
            json!({"num_attention_heads": 24}),
            "`num_attention_heads` is 24, which does not divide hidden_size",
        ),
        (llama(), json!({"num_key_value_heads": 5}), "`num_key_value_heads` is 5, which does not divide"),
        (llama(), json!({"head_dim": 7}), "`head_dim` is 7"),
        (llama(), json!({"head_dim": 0}), "`head_dim` is 0"),
        (llama(), json!({"rms_norm_eps": 0.0}), "`rms_norm_eps` is 0"),
        (llama(), json!({"rms_norm_eps": -1.0}), "`rms_norm_eps` is -1"),
        (llama(), json!({"rope_theta": 0}), "`rope_theta` is 0"),
        (llama(), json!({"rope_scaling": {"type": "linear"}}), "`rope_scaling.factor` is missing"),
        (
            llama(),
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0,
                   "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}),
            "`rope_scaling.high_freq_factor` is 4",
        ),
        (qwen2(), json!({"layer_types": ["full_attention"]}), "`layer_types` has 1 entries for 24 layers"),
        (qwen2(), json!({"use_sliding_window": true, "sliding_window": 0}), "`sliding_window` is 0"),
        (bert(), json!({"num_attention_heads": 7}), "`num_attention_heads` is 7, which does not divide"),
        (bert(), json!({"max_position_embeddings": 0}), "`max_position_embeddings` is 0"),
        (bert(), json!({"layer_norm_eps": 2.0}), "`layer_norm_eps` is 2"),
    ];
    for (base, fields, expected) in cases {
        let error = parse(&with(base, fields)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} does not contain {expected}");
    }
}

#[test]
fn what_is_not_json_or_of_the_wrong_type_is_an_error_that_names_the_file() {
    for text in [
        "",
        "{",
        "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": \"wide\"}",
        "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": -1}",
        "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 1.5}",
    ] {
        let error = parse_config(text.as_bytes(), Path::new("model/config.json")).unwrap_err();
        assert!(error.to_string().starts_with("parse model/config.json: "), "{error}");
    }
}

#[test]
fn names_from_the_file_stay_on_one_line() {
    let forward = parse(&json!({"architectures": [format!("A\u{1b}[31m\n{}", "x".repeat(500))]})).unwrap();
    let why = forward.why_not().unwrap();
    assert!(why.len() < 250 && !why.contains('\u{1b}') && !why.contains('\n'), "{why:?}");
}
