#!/usr/bin/env python3
"""PyTorch's copy from pinned memory to the GPU, of as many bytes as coldstart's limit `host_to_device` in a profile.

One tensor of bytes, pinned and written to before any clock starts; a reading runs on the host's clock from the copy's being
enqueued to the synchronisation after it, as coldstart's does. Prints, and with --out writes, one JSON object.
"""

import argparse
import json
import statistics
import time

import torch


def bytes_of(profile):
    """The bytes of a copy in the profile; the most where there are several."""
    with open(profile) as file:
        limits = json.load(file)["limits"]
    sizes = [limit["work"]["bytes"] for limit in limits if limit["kind"] == "host_to_device"]
    if not sizes:
        raise SystemExit(f"{profile} has no limit host_to_device")
    return max(sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--bytes", type=int)
    group.add_argument("--profile")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out")
    args = parser.parse_args()

    size = args.bytes or bytes_of(args.profile)
    device = torch.device(args.device)
    source = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    source.fill_(0x5A)
    target = torch.zeros(size, dtype=torch.uint8, device=device)
    times = []
    for _ in range(args.repeats + 3):
        torch.cuda.synchronize(device)
        begin = time.perf_counter_ns()
        target.copy_(source, non_blocking=True)
        torch.cuda.synchronize(device)
        times.append(time.perf_counter_ns() - begin)
    if not bool((target[:: max(1, size // 1000)] == 0x5A).all()):
        raise SystemExit("the bytes did not arrive")
    times = times[3:]
    result = {
        "bytes": size,
        "times_ns": times,
        "best_ns": min(times),
        "median_ns": int(statistics.median(times)),
        "device": torch.cuda.get_device_name(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        with open(args.out, "w") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
