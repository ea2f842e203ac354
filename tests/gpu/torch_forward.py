#!/usr/bin/env python3
"""transformers on PyTorch at the points of a coldstart profile: the same weights, formats, batches and lengths.

A prefill reads a prompt, fills the cache and gives the first token; a decode step gives one more token for each sequence with
as many tokens in the cache as the point says, after which the cache is cut back; an encode turns texts into vectors. Every pass
is timed on the host's clock from its being enqueued until its token ids (encode: its output) are on the host, as coldstart
times it. Attention is PyTorch's scaled_dot_product_attention. Prints, and with --out writes, one JSON object.
"""

import argparse
import inspect
import json
import statistics
import time

import torch
import transformers

LEAST = 10
MOST = 200


def load(path, dtype, device):
    """The model on the device, as transformers loads it by default, for generating or for encoding."""
    config = transformers.AutoConfig.from_pretrained(path)
    decoder = any("CausalLM" in name for name in config.architectures or [])
    auto = transformers.AutoModelForCausalLM if decoder else transformers.AutoModel
    try:
        model = auto.from_pretrained(path, dtype=dtype, attn_implementation="sdpa")
    except TypeError:  # transformers before 4.56
        model = auto.from_pretrained(path, torch_dtype=dtype, attn_implementation="sdpa")
    return model.eval().to(device)


def last_logits_only(model):
    """The argument that keeps the product with the vocabulary to the last position, where the model has one."""
    parameters = inspect.signature(model.forward).parameters
    for name in ("logits_to_keep", "num_logits_to_keep"):
        if name in parameters:
            return {name: 1}
    return {}


class Passes:
    """The passes of one point."""

    def __init__(self, model, point, device):
        self.model = model
        self.tokens = point["tokens"]
        self.mode = point["mode"]
        self.only_last = last_logits_only(model)
        vocabulary = model.config.vocab_size
        shape = (point["batch"], self.tokens)
        generator = torch.Generator().manual_seed(42)
        self.ids = torch.randint(0, vocabulary, shape, generator=generator).to(device)
        self.cache = None
        if self.mode == "decode":
            self.cache = transformers.DynamicCache()
            output = self.model(self.ids, past_key_values=self.cache, use_cache=True, **self.only_last)
            self.cache = output.past_key_values
            self.next = output.logits[:, -1:].argmax(-1)

    def run(self):
        """One pass, until its result is on the host."""
        if self.mode == "decode":
            output = self.model(self.next, past_key_values=self.cache, use_cache=True, **self.only_last)
            return output.logits[:, -1].argmax(-1).cpu()
        if self.mode == "prefill":
            output = self.model(self.ids, use_cache=True, **self.only_last)
            return output.logits[:, -1].argmax(-1).cpu()
        return self.model(self.ids).last_hidden_state.mean(1).float().cpu()

    def reset(self):
        """Outside of the clock: the cache as it was before the step."""
        if self.mode == "decode":
            self.cache.crop(self.tokens)


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(model, point, device, seconds):
    """The times of the passes of a point, without those of the first few."""
    passes = Passes(model, point, device)
    times = []
    end = time.monotonic() + seconds
    while len(times) < LEAST + 3 or (len(times) < MOST and time.monotonic() < end):
        synchronize(device)
        begin = time.perf_counter_ns()
        passes.run()
        times.append(time.perf_counter_ns() - begin)
        passes.reset()
    return times[3:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=90.0, help="for all points together")
    parser.add_argument("--out")
    args = parser.parse_args()

    with open(args.profile) as file:
        profile = json.load(file)
    points = profile["throughput"]
    if not points:
        raise SystemExit(f"{args.profile} has no point of the throughput sweep")
    dtypes = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    dtype = dtypes.get(points[0].get("dtype") or "bf16", torch.bfloat16)
    device = torch.device(args.device)
    # What coldstart's own products in f32 do; 16-bit formats are not concerned.
    torch.backends.cuda.matmul.allow_tf32 = False
    results = []
    with torch.inference_mode():
        model = load(profile["plan"]["model"]["path"], dtype, device)
        for point in points:
            result = {name: point[name] for name in ("mode", "batch", "tokens")}
            try:
                times = measure(model, point, device, args.seconds / len(points))
                tokens = point["batch"] * (1 if point["mode"] == "decode" else point["tokens"])
                result["median_ns"] = int(statistics.median(times))
                result["iterations"] = len(times)
                result["tokens_per_s"] = tokens / (result["median_ns"] * 1e-9)
            except torch.cuda.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                result["skipped"] = f"out of memory: {error}".splitlines()[0]
            print(json.dumps(result), flush=True)
            results.append(result)
    summary = {
        "points": results,
        "dtype": str(dtype),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    if args.out:
        with open(args.out, "w") as file:
            json.dump(summary, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
