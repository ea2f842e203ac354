#!/usr/bin/env python3
"""The ratios of a measurement beside their goals, from the files that measure.sh wrote into a directory.

A ratio that was not measured, or measured on the stand-in driver, is blank and has its reason. Writes summary.json beside them.
"""

import json
import pathlib
import sys

PINNED = 0.97
COLD = 0.9
DECODE = 0.7
PREFILL = 0.6
TORCH = 1.0


def read(path):
    """The JSON in a file; None where there is none."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def best_rate(profile, kind, **params):
    """The highest rate of a limit in its unit per second, and its parameters; None where it was not measured."""
    best = None
    for limit in profile["limits"]:
        outcome = limit["outcome"]
        if limit["kind"] != kind or outcome["status"] != "measured":
            continue
        if any(limit["params"].get(name) != value for name, value in params.items()):
            continue
        amount = next(iter(limit["work"].values()))
        rate = amount / (min(outcome["samples"]["samples_ns"]) * 1e-9)
        if best is None or rate > best[0]:
            best = (rate, limit["params"])
    return best


def median_ns(measurement):
    outcome = measurement["outcome"]
    return outcome["summary"]["p50_ns"] if outcome["status"] == "measured" else None


def point_ns(profile, point):
    """The median of a point of the sweep: by the device's clock where there is one, else by the host's."""
    rows = {
        row["key"]["clock"]: median_ns(row)
        for row in profile["measurements"]
        if row["key"]["phase"] == "throughput" and row["key"]["params"] == point["key"]["params"]
    }
    return rows.get("device") or rows.get("host")


def named(params):
    return " ".join(f"{name}={value}" for name, value in params.items())


class Table:
    """Lines of what, measured, goal."""

    def __init__(self):
        self.lines = []

    def add(self, what, ratio, goal, detail):
        self.lines.append({"what": what, "ratio": ratio, "goal": goal, "detail": detail})

    def blank(self, what, goal, why):
        self.add(what, None, goal, why)

    def text(self):
        rows = [("what", "measured", "goal", "", "")]
        for line in self.lines:
            ratio, goal = line["ratio"], line["goal"]
            verdict = "" if ratio is None else ("ok" if ratio >= goal else "BELOW")
            shown = "" if ratio is None else f"{ratio:.3f}"
            rows.append((line["what"], shown, f">= {goal:g}", verdict, line["detail"]))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = []
        for row in rows:
            cells = [row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].rjust(widths[2]), row[3].ljust(widths[3])]
            lines.append("  ".join([*cells, row[4]]).rstrip())
        return "\n".join(lines)


def why_not(profile, name):
    """Why a profile gives no figures; None where it does."""
    if profile is None:
        return f"there is no {name}"
    device = profile["target"]["device"]
    if device and device.get("stand_in"):
        return "a stand-in driver measures nothing"
    return None


def uploads(table, directory):
    what = "pinned copy to the GPU / PyTorch"
    profile, torch = read(directory / "loads.json"), read(directory / "torch-upload.json")
    why = why_not(profile, "loads.json") or (None if torch else "there is no torch-upload.json")
    ours = None if why else best_rate(profile, "host_to_device")
    if why or not ours:
        table.blank(what, PINNED, why or "the limit host_to_device was not measured")
        return
    theirs = torch["bytes"] / (torch["best_ns"] * 1e-9)
    detail = f"{ours[0] / 1e9:.2f} GB/s ({named(ours[1])}) and {theirs / 1e9:.2f} GB/s"
    table.add(what, ours[0] / theirs, PINNED, detail)


def cold_loads(table, directory, name):
    what = f"cold load / slower of disk and pinned copy ({name})"
    profile = read(directory / f"{name}.json")
    why = why_not(profile, f"{name}.json")
    if why:
        table.blank(what, COLD, why)
        return
    disk, link = best_rate(profile, "direct_read"), best_rate(profile, "host_to_device")
    if not disk or not link:
        table.blank(what, COLD, "direct_read or host_to_device was not measured")
        return
    bound = min(disk[0], link[0])
    loads = [
        (row["work"]["bytes"] / (median_ns(row) * 1e-9), row["key"]["params"]["staging"])
        for row in profile["measurements"]
        if row["key"]["phase"] == "weights_load"
        and row["key"]["params"].get("page_cache") == "cold"
        and median_ns(row)
    ]
    if not loads:
        table.blank(what, COLD, "no cold load was measured")
        return
    rate, strategy = max(loads)
    detail = f"{rate / 1e9:.2f} GB/s by {strategy}; disk {disk[0] / 1e9:.2f}, pinned copy {link[0] / 1e9:.2f} GB/s"
    table.add(what, rate / bound, COLD, detail)


def sweeps(table, directory, size):
    profile = read(directory / f"run-{size}.json")
    why = why_not(profile, f"run-{size}.json")
    decode, prefill = f"decode at batch 1 / memory bandwidth ({size})", f"prefill / peak of products ({size})"
    if why:
        table.blank(decode, DECODE, why)
        table.blank(prefill, PREFILL, why)
        return
    memory = best_rate(profile, "device_read") or best_rate(profile, "device_copy")
    decodes, prefills = [], []
    for point in profile["throughput"]:
        time = point_ns(profile, point)
        if not time:
            continue
        at = f"batch {point['batch']}, {point['tokens']} tokens"
        if point["mode"] == "decode" and point["batch"] == 1 and memory:
            rate = point["read_bytes"] / (time * 1e-9)
            decodes.append((rate / memory[0], f"{at}: {rate / 1e9:.0f} of {memory[0] / 1e9:.0f} GB/s"))
        dtype = point.get("dtype")
        peak = best_rate(profile, "gemm", dtype=dtype) if dtype else None
        if point["mode"] in ("prefill", "encode") and peak:
            rate = point["flops"] / (time * 1e-9)
            prefills.append((rate / peak[0], f"{at}: {rate / 1e12:.1f} of {peak[0] / 1e12:.1f} TFLOP/s ({named(peak[1])})"))
    # The worst context of decoding; for prefill the largest batches are what can reach the peak.
    for what, goal, found, pick in ((decode, DECODE, decodes, min), (prefill, PREFILL, prefills, max)):
        if found:
            ratio, detail = pick(found)
            table.add(what, ratio, goal, detail)
        else:
            table.blank(what, goal, "no such point, or no limit for it, was measured")


def against_torch(table, directory, size):
    profile, torch = read(directory / f"run-{size}.json"), read(directory / f"torch-forward-{size}.json")
    why = why_not(profile, f"run-{size}.json") or (None if torch else f"there is no torch-forward-{size}.json")
    if why:
        table.blank(f"tokens/s / transformers ({size})", TORCH, why)
        return
    theirs = {(point["mode"], point["batch"], point["tokens"]): point for point in torch["points"]}
    for point in profile["throughput"]:
        key = (point["mode"], point["batch"], point["tokens"])
        what = f"{key[0]}, batch {key[1]}, {key[2]} tokens / transformers ({size})"
        other = theirs.get(key)
        if other is None or "median_ns" not in other:
            table.blank(what, TORCH, (other or {}).get("skipped", "transformers was not measured there"))
            continue
        rows = [
            row
            for row in profile["measurements"]
            if row["key"]["phase"] == "throughput"
            and row["key"]["clock"] == "host"
            and row["key"]["params"] == point["key"]["params"]
        ]
        ours = median_ns(rows[0]) if rows else None
        if not ours:
            table.blank(what, TORCH, "no median on the host's clock")
            continue
        detail = f"{ours / 1e6:.3f} ms and {other['median_ns'] / 1e6:.3f} ms"
        table.add(what, other["median_ns"] / ours, TORCH, detail)


def main():
    directory = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "gpu-results")
    # `run-1b.prev.json` is an earlier profile that was kept.
    sizes = sorted(path.stem.removeprefix("run-") for path in directory.glob("run-*.json") if "." not in path.stem)
    sizes = sizes or ["1b", "8b"]
    table = Table()
    uploads(table, directory)
    for name in ["loads", *(f"run-{size}" for size in sizes)]:
        cold_loads(table, directory, name)
    for size in sizes:
        sweeps(table, directory, size)
    for size in sizes:
        against_torch(table, directory, size)
    print(table.text())
    (directory / "summary.json").write_text(json.dumps(table.lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
