"""What coldstart writes, read by others: parsers that share no code with it, and a browser.

    python3 tests/consumers/reports.py COLDSTART PROFILE [--screenshots DIR]

Needs PyPI's prometheus_client, jsonschema, lxml, junitparser and websocket-client, and for the HTML report chromium. Prints
what was checked and ends with 1 at the first thing that is wrong. What it writes lies in a temporary directory.
"""

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path


def main():
    args = argparse.ArgumentParser()
    args.add_argument("coldstart")
    args.add_argument("profile", type=Path)
    args.add_argument("--screenshots", type=Path)
    args = args.parse_args()
    profile = args.profile.resolve()

    def coldstart(*words, codes=(0,)):
        done = subprocess.run([args.coldstart, *map(str, words)], capture_output=True, text=True, cwd=scratch)
        assert done.returncode in codes, f"{words} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout

    args.coldstart = str(Path(args.coldstart).resolve())
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        open_metrics(coldstart("export", "prometheus", profile))
        shutil.copy(profile, scratch / "other.json")
        open_metrics(coldstart("export", "prometheus", profile, "other.json"))
        benchmarks(coldstart("export", "bmf", profile), coldstart("export", "github-benchmark", profile))
        coldstart("gate", profile, "--baseline", profile, "--verdict", "v.json", "--junit", "j.xml", codes=(0, 1, 3, 4))
        schemas(coldstart, {"profile": profile, "verdict": scratch / "v.json"})
        junit(scratch / "j.xml", json.loads((scratch / "v.json").read_text()))
        coldstart("report", profile, "--html", "r.html", "--trace", "t.json")
        trace(json.loads((scratch / "t.json").read_text()), json.loads(profile.read_text()))
        page(scratch / "r.html", args.screenshots)


def open_metrics(text):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
    from prometheus_client.parser import text_string_to_metric_families as classic

    families = list(strict(text))
    assert families and all(family.documentation and family.type == "gauge" for family in families)
    assert all(family.name.endswith(family.unit) for family in families)
    # The textfile collector of node_exporter reads the older format, and refuses timestamps.
    assert all(sample.timestamp is None for family in classic(text) for sample in family.samples)
    samples = [(sample.name, tuple(sorted(sample.labels.items()))) for family in families for sample in family.samples]
    assert len(samples) == len(set(samples)), "a sample stands twice"
    assert len(samples) == sum(len(family.samples) for family in classic(text))
    print(f"OpenMetrics: {len(families)} families, {len(samples)} samples")


def benchmarks(bmf, github):
    number = (int, float)
    bmf, github = (json.loads(text, parse_constant=lambda name: sys.exit(f"{name} is no JSON")) for text in (bmf, github))
    for name, measures in bmf.items():
        assert name and all(isinstance(measure["value"], number) for measure in measures.values()), name
    for entry in github:
        assert isinstance(entry["value"], number) and entry["unit"] and entry["name"], entry
    assert len({entry["name"] for entry in github}) == len(github) == len(bmf)
    print(f"benchmark trackers: {len(bmf)} benchmarks")


def schemas(coldstart, files):
    import jsonschema

    for name, path in files.items():
        schema = json.loads(coldstart("schema", name))
        kind = jsonschema.validators.validator_for(schema)
        kind.check_schema(schema)
        errors = list(kind(schema).iter_errors(json.loads(path.read_text())))
        assert not errors, f"{name}: {errors[0]}"
    print(f"JSON Schema: {', '.join(files)}")


def junit(path, verdict):
    import junitparser
    from lxml import etree

    root = etree.parse(str(path), etree.XMLParser(recover=False, resolve_entities=False)).getroot()
    assert root.tag == "testsuites"
    cases = [case for suite in junitparser.JUnitXml.fromfile(str(path)) for case in suite]
    # One case a comparison, and one for the whole.
    assert len(cases) == len(verdict["keys"]) + 1, len(cases)
    failed = [case.name for case in cases for result in case.result if isinstance(result, junitparser.Failure)]
    assert bool(failed) == (verdict["standing"] == "regression"), failed
    for counted in ("tests", "failures", "errors"):
        said = int(root.get(counted))
        tags = {"tests": ".//testcase", "failures": ".//failure", "errors": ".//error"}
        assert said == len(root.findall(tags[counted])), counted
    print(f"JUnit: {len(cases)} cases")


def trace(file, profile):
    """Trace Event Format: complete slices that nest on every thread, and names for all processes and threads."""
    slices, named = {}, set()
    for event in file["traceEvents"]:
        assert event["ph"] in ("X", "M", "C"), event
        if event["ph"] == "M":
            named.add((event["pid"], event["tid"] if event["name"] == "thread_name" else None))
        elif event["ph"] == "X":
            assert event["dur"] >= 0 and event["ts"] >= 0, event
            slices.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    for (pid, tid), spans in slices.items():
        assert (pid, tid) in named and (pid, None) in named, (pid, tid)
        open_until = []
        for begin, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            while open_until and open_until[-1] <= begin + 1e-3:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-3, f"slices overlap on {pid}/{tid}"
            open_until.append(end)
    assert len(slices) >= len(profile["traces"])
    print(f"trace events: {sum(map(len, slices.values()))} slices on {len(slices)} tracks")


class Browser:
    """Headless chromium over its debugging protocol."""

    def __init__(self):
        from websocket import create_connection

        self.home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
                 "--remote-allow-origins=*", f"--user-data-dir={self.home.name}"]
        self.process = subprocess.Popen(["chromium", *flags, "about:blank"], stderr=subprocess.DEVNULL)
        port = Path(self.home.name) / "DevToolsActivePort"
        deadline = time.monotonic() + 30
        while True:
            try:
                number = port.read_text().split()[0]
                targets = json.load(urllib.request.urlopen(f"http://127.0.0.1:{number}/json"))
                target = next(target for target in targets if target["type"] == "page")
                break
            except (OSError, IndexError, StopIteration):
                assert time.monotonic() < deadline and self.process.poll() is None, "chromium does not start"
                time.sleep(0.1)
        self.socket = create_connection(target["webSocketDebuggerUrl"], timeout=30)
        self.number, self.events = 0, []
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def show(self, page, width, scheme):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        deadline = time.monotonic() + 20
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() < deadline, "the page does not load"
            self.ask("1")
            time.sleep(0.05)

    def ask(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def complaints(self, page):
        """Console messages, exceptions, and requests for anything but the page."""
        spoken = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        for event in self.events:
            if event["method"] in spoken:
                yield json.dumps(event["params"])
            if event["method"] == "Network.requestWillBeSent" and event["params"]["request"]["url"] != page.as_uri():
                yield event["params"]["request"]["url"]

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        self.home.cleanup()


SECTIONS = ["Cold start of a process", "Achieved against the hardware's limit", "Warm-up", "Throughput against latency",
            "Service time and its fit", "Device memory by batch"]


def page(path, screenshots):
    assert path.stat().st_size < 1_000_000, "the page is too large"
    browser = Browser()
    try:
        for name, width, scheme in [("light", 1100, "light"), ("dark", 1100, "dark"), ("narrow", 390, "light")]:
            browser.show(path, width, scheme)
            complaints = list(browser.complaints(path))
            assert not complaints, f"{name}: {complaints}"
            titles = browser.ask("[...document.querySelectorAll('h2')].map(title => title.textContent)")
            assert all(section in titles for section in SECTIONS), titles
            wide, room = browser.ask("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide <= room, f"{name}: the page is {wide} px wide in a window of {room}"
            empty = browser.ask("[...document.querySelectorAll('svg')].filter(plot => plot.getBBox().width < 100).length")
            assert empty == 0, f"{name}: {empty} plots are empty"
            ink, paper = browser.ask("(style => [style.color, style.backgroundColor])(getComputedStyle(document.body))")
            light = sum(map(int, paper[4:-1].split(","))) > sum(map(int, ink[4:-1].split(",")))
            assert light == (scheme == "light"), f"{name}: {ink} on {paper}"
            if screenshots:
                shot(browser, screenshots / f"{name}.png", width)
        browser.call("Emulation.clearDeviceMetricsOverride")
        pdf = base64.b64decode(browser.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
        assert pdf.startswith(b"%PDF") and len(pdf) > 10_000
        if screenshots:
            (screenshots / "print.pdf").write_bytes(pdf)
        print(f"HTML: {len(titles)} sections in chromium, light, dark, narrow and printed; it asks for nothing")
    finally:
        browser.close()


def shot(browser, path, width):
    path.parent.mkdir(parents=True, exist_ok=True)
    height = browser.call("Page.getLayoutMetrics")["cssContentSize"]["height"]
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, 12_000), "scale": 1}
    data = browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
    path.write_bytes(base64.b64decode(data))


if __name__ == "__main__":
    main()
