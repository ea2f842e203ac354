"""Reads exports as their consumers do, independently of the program that wrote them.

    python check.py GOLDEN_DIR DEPLOY_DIR [COLDSTART]

Given the program, a run of the tiny model that it makes is exported and checked like the golden files.
Kubernetes objects go through the OpenAPI schemas that PyPI's kubernetes-validate carries; patches are merged into a minimal
workload first. Labels and feature files are held against the documented rules, Dynamo's tables are interpolated as its planner
does (components/planner, perf_interpolation.py), and the simulator's file is read as YAML with its documented checks.
Needs kubernetes-validate, scipy, numpy.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import kubernetes_validate
import numpy as np
import scipy.interpolate
import yaml

LABEL = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])$")
PREFIX = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$")
DURATION = re.compile(r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$")
RFC3339 = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
OURS = "coldstart-rs.github.io/"


def seconds(text):
    assert DURATION.match(text), text
    number, unit = re.match(r"^([0-9.]+)([a-zµ]+)$", text).groups()
    return float(number) * SECONDS[unit]


def valid(thing):
    kubernetes_validate.validate(thing, "1.31", strict=True)


def merged(base, patch):
    """A strategic merge as far as our patches need one: maps by key, containers by name."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {key: merged(base.get(key), patch[key]) if key in patch else base[key] for key in {**base, **patch}}
    if isinstance(base, list) and isinstance(patch, list) and all("name" in item for item in base + patch):
        names = {item["name"]: item for item in base}
        for item in patch:
            names[item["name"]] = merged(names.get(item["name"], {}), item)
        return list(names.values())
    return patch


def workload(patch):
    labels = {"app": "llama"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "server", "image": "serve:1"}]}}
    base = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "llama"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
    return merged(base, patch)


def annotated(thing):
    """Every object says which profile and which program its numbers come from."""
    text = json.dumps(thing)
    assert f'"{OURS}profile"' in text or f'"{OURS}plan"' in text, text[:200]
    assert f'"{OURS}tool"' in text, text[:200]


def names(metadata):
    for key, value in metadata.get("annotations", {}).items():
        prefix, _, name = key.rpartition("/")
        assert (not prefix or PREFIX.match(prefix)) and LABEL.match(name), key
        assert isinstance(value, str), key


def features(text):
    assert len(text.encode()) < 64_000
    lines = text.splitlines()
    assert any(RFC3339.match(line.removeprefix("# +expiry-time=")) for line in lines)
    found = {}
    for line in (line for line in lines if not line.startswith("#")):
        key, value = line.split("=", 1)
        prefix, name = key.split("/")
        assert PREFIX.match(prefix) and not prefix.endswith(("kubernetes.io", "k8s.io")), line
        assert LABEL.match(name) and LABEL.match(value), line
        assert name not in found, line
        found[name] = value
        if name.endswith(("-ms", "-per-s", "-mb")):
            int(value)
    return found


def selects(expression, found):
    """By the operator's documented meaning: Gt and Lt take one whole number, and read the label as one."""
    value, values = found[expression["key"].split("/")[1]], expression["values"]
    if expression["operator"] == "In":
        return value in values
    (bound,) = map(int, values)
    return {"Gt": int(value) > bound, "Lt": int(value) < bound}[expression["operator"]]


def affinity(patch, found):
    """Selects a node with these labels."""
    rules = patch["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    assert list(rules) == ["preferredDuringSchedulingIgnoredDuringExecution"], "a slow node is better than none"
    for term in rules["preferredDuringSchedulingIgnoredDuringExecution"]:
        assert 1 <= term["weight"] <= 100
        for expression in term["preference"]["matchExpressions"]:
            assert selects(expression, found), expression


def dynamo(prefill, decode, engine):
    lengths = np.array(prefill["prefill_isl"])
    assert len(lengths) >= 4 and (np.diff(lengths) > 0).all()
    for column in ("prefill_ttft", "prefill_thpt_per_gpu"):
        curve = scipy.interpolate.interp1d(lengths, np.array(prefill[column]), kind="cubic")
        middle = curve(np.linspace(lengths[0], lengths[-1], 64))
        assert np.isfinite(middle).all(), column
        assert np.allclose(curve(lengths), prefill[column]), column
    share, context = np.array(decode["x_kv_usage"]), np.array(decode["y_context_length"])
    assert ((share > 0) & (share <= 1)).all() and len(share) >= 4 and int(decode["max_kv_tokens"]) > 0
    across, along = np.meshgrid(np.linspace(0, 1, 100), np.linspace(0, max(context), 100))
    for column in ("z_itl", "z_thpt_per_gpu"):
        values = np.array(decode[column])
        assert (values > 0).all(), column
        grid = scipy.interpolate.griddata((share, context), values, (across, along), method="cubic")
        nearest = scipy.interpolate.griddata((share, context), values, (across, along), method="nearest")
        grid[np.isnan(grid)] = nearest[np.isnan(grid)]
        assert np.isfinite(grid).all(), column
    assert engine["startup_time"] > 0 and engine["planner_profile_data"]


def simulator(text):
    config = yaml.safe_load(text)
    assert config["model"] and 0 < config["port"] < 65536 and config["max-num-seqs"] > 0
    assert config["latency-calculator"] == "per-token" and config["time-factor-under-load"] >= 1
    for key in ("startup-duration", "prefill-overhead", "prefill-time-per-token", "inter-token-latency"):
        assert seconds(config[key]) >= 0, key
    spread = seconds(config["inter-token-latency-std-dev"])
    # Seconds as binary fractions: a bound that is met exactly may look missed in the last digit.
    most = 0.3 * (1 + 1e-9)
    assert spread <= most * seconds(config["inter-token-latency"])
    base = seconds(config["prefill-overhead"]) + seconds(config["prefill-time-per-token"])
    assert seconds(config["prefill-time-std-dev"]) <= most * base


def pretended(patch):
    notes = patch["spec"]["template"]["metadata"]["annotations"]
    for stage in ("pod-create", "pod-ready"):
        delay, most = (notes.get(f"{stage}.stage.kwok.x-k8s.io/{what}") for what in ("delay", "jitter-delay"))
        if delay is not None:
            assert seconds(delay) <= seconds(most), stage
    assert f"pod-ready.stage.kwok.x-k8s.io/delay" in notes


def exports(golden, others=()):
    """Every export in a directory, under the names of the golden files; `others` are not there."""
    text = lambda name: (golden / name).read_text()
    read = lambda name: json.loads(text(name))
    checked = []

    found = features(text("export-nfd.txt"))
    affinity(read("export-node-affinity.json"), found)
    patches = ["export-node-affinity.json", "export-probes.json", "export-kwok.json"]
    if "node-affinity-classes" not in others:
        patches.append("export-node-affinity-classes.json")
    for name in patches:
        patch = read(name)
        annotated(patch)
        valid(workload(patch))
        names(patch.get("metadata", {}))
        names(patch["spec"]["template"].get("metadata", {}))
        checked.append(name)
    pretended(read("export-kwok.json"))
    simulator(text("export-inference-sim.yaml"))
    dynamo(*(read(f"export-dynamo-{name}.json") for name in ("prefill_raw_data", "decode_raw_data", "engine_args")))

    custom = []
    if "image-pull-job" not in others:
        job = read("export-image-pull-job.json")
        assert job["apiVersion"].startswith("apps.kruise.io/") and job["spec"]["pullPolicy"]["timeoutSeconds"] >= 1
        assert job["spec"]["image"] and job["spec"]["parallelism"] >= 1
        custom.append(job)
    cache = read("export-local-model-cache.json")
    assert cache["apiVersion"].startswith("serving.kserve.io/") and cache["spec"]["nodeGroups"]
    assert re.match(r"^[1-9][0-9]*Mi$", cache["spec"]["modelSize"]) and "://" in cache["spec"]["sourceModelUri"]
    custom.append(cache)
    autoscalers = ("export-hpa.json", "export-hpa-rate.json", "export-keda.json", "export-keda-rate.json")
    for name in (*autoscalers, "export-capacity-buffer.json"):
        thing = read(name)
        checked.append(name)
        if thing["kind"] == "HorizontalPodAutoscaler":
            valid(thing)
            query = thing["metadata"]["annotations"][f"{OURS}query"]
            for metric in thing["spec"]["metrics"]:
                # A metric of pods takes one series for each pod, one of an object a label of that object.
                assert metric["type"] == "External" and "by (pod" not in query, f"{name}: one number for the whole workload"
            behavior = thing["spec"]["behavior"]
        elif thing["kind"] == "ScaledObject":
            spec = thing["spec"]
            behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
            assert spec["maxReplicaCount"] >= spec.get("minReplicaCount", 0) and spec["pollingInterval"] > 0
            assert spec["fallback"]["failureThreshold"] > 0 and spec["fallback"]["replicas"] > 0
            for trigger in spec["triggers"]:
                assert trigger["type"] == "prometheus" and float(trigger["metadata"]["threshold"]) > 0
                assert all(isinstance(value, str) for value in trigger["metadata"].values())
            custom.append(thing)
        else:
            spec = thing["spec"]
            assert ("scalableRef" in spec) != ("podTemplateRef" in spec) and spec["replicas"] >= 1
            custom.append(thing)
            continue
        for rules in behavior.values():
            assert 0 <= rules["stabilizationWindowSeconds"] <= 3600
            assert all(0 < policy["periodSeconds"] <= 1800 and policy["value"] > 0 for policy in rules["policies"])
    for thing in custom:
        annotated(thing)
        names(thing["metadata"])
        # Metadata is that of any object: a ConfigMap of the same carries it through the schema.
        valid({"apiVersion": "v1", "kind": "ConfigMap", "metadata": thing["metadata"]})

    return checked, found


def made(program, directory):
    """What the program makes of a run of its own, under the names of the golden files."""

    def coldstart(*words):
        done = subprocess.run([program, *words], cwd=directory, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"

    phases = "process_start,alloc,weights_load,first_batch,warm_up,throughput"
    coldstart(*f"run --device host --synthetic tiny --trials 3 --budget 90 --batches 1,2,4 --phases {phases} --out p.json".split())
    plan = "plan p.json --slo-p99 60s --assume-cold-p99 60s --base 100 --peak 50000 --ramp 500 --tokens-in 64 --tokens-out 16"
    coldstart(*f"{plan} --replica-hour 1 --miss-cost 0.01 --out plan.json".split())
    workload = "--workload deployment/llama --namespace serving"
    for name, source, flags in (
        ("nfd.txt", "p.json", "--expires-in 3600"),
        ("node-affinity.json", "p.json", ""),
        ("probes.json", "p.json", f"{workload} --container server"),
        ("kwok.json", "p.json", ""),
        ("local-model-cache.json", "p.json", "--model-uri hf://org/llama --node-groups a100"),
        ("inference-sim.yaml", "p.json", "--model-name org/llama"),
        ("hpa.json", "plan.json", workload),
        ("hpa-rate.json", "plan.json", f"{workload} --signal rate"),
        ("keda.json", "plan.json", workload),
        ("keda-rate.json", "plan.json", f"{workload} --signal rate"),
        ("capacity-buffer.json", "plan.json", workload),
    ):
        coldstart("export", name.split(".")[0].removesuffix("-rate"), source, *flags.split(), "--out", f"export-{name}")
    coldstart("export", "dynamo", "p.json", "--out", "tables")
    for path in (directory / "tables").iterdir():
        path.rename(directory / f"export-dynamo-{path.name}")


def main(golden, deploy, program=None):
    deploy = pathlib.Path(deploy)
    checked, found = exports(pathlib.Path(golden))
    if program:
        with tempfile.TemporaryDirectory() as directory:
            directory = pathlib.Path(directory)
            made(pathlib.Path(program).resolve(), directory)
            # A run that pulls needs an engine and an image of one's own, several classes several machines.
            more, labels = exports(directory, others=("image-pull-job", "node-affinity-classes"))
            checked += more
            found |= labels
    for path in sorted(deploy.glob("*.yaml")):
        for thing in yaml.safe_load_all(path.read_text()):
            valid(thing)
            checked.append(f"{path.name}: {thing['kind']}")
    print(f"consumers read {len(checked)} objects, {len(found)} labels, tables and a simulator's file: all as documented")


if __name__ == "__main__":
    main(*sys.argv[1:])
