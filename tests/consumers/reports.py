"""What coldstart writes, read by others: parsers that share no code with it, and a browser.

    python3 tests/consumers/reports.py COLDSTART PROFILE [--junit-xsd FILE] [--screenshots DIR]

Needs PyPI's prometheus_client, jsonschema, lxml, junitparser, websocket-client and axe-core-python, and for the HTML report
chromium. Prints what was checked and ends with 1 at the first thing that is wrong. FILE is the schema that Jenkins' xUnit plugin
reads JUnit XML by (junit-10.xsd, MIT), which pytest's source archive on PyPI holds in testing/example_scripts. What it writes lies
in a temporary directory.
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
    args.add_argument("--junit-xsd", type=Path)
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
        junit(scratch / "j.xml", json.loads((scratch / "v.json").read_text()), args.junit_xsd)
        # A gate with failures: whole cold starts above a ceiling of a microsecond.
        (scratch / "gate.toml").write_text('[[rule]]\nmatch = { metric = "total" }\nceiling_ms = 0.001\n')
        gate = ("gate", profile, "--baseline", profile, "--rules", "gate.toml", "--verdict", "v2.json", "--junit", "j2.xml")
        coldstart(*gate, codes=(1, 3))
        junit(scratch / "j2.xml", json.loads((scratch / "v2.json").read_text()), args.junit_xsd)
        coldstart("report", profile, "--html", "r.html", "--trace", "t.json")
        trace(json.loads((scratch / "t.json").read_text()), json.loads(profile.read_text()))
        page(scratch / "r.html", args.screenshots)
        names = [f"n{number}.json" for number in range(6)]
        for name in names:
            shutil.copy(profile, scratch / name)
        coldstart("report", *names[:2], "--html", "two.html")
        coldstart("report", *names, "--html", "fleet.html")
        several({"two": scratch / "two.html", "fleet": scratch / "fleet.html"}, args.screenshots)


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


def junit(path, verdict, xsd):
    import junitparser
    from lxml import etree

    tree = etree.parse(str(path), etree.XMLParser(recover=False, resolve_entities=False))
    root = tree.getroot()
    if xsd:
        etree.XMLSchema(etree.parse(str(xsd))).assertValid(tree)
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
    print(f"JUnit: {len(cases)} cases, {len(failed)} failed" + (f", valid by {xsd.name}" if xsd else ""))


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
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press_tab(self):
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)

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
            fits(browser, name)
            ink, paper = browser.ask("(style => [style.color, style.backgroundColor])(getComputedStyle(document.body))")
            light = sum(map(int, paper[4:-1].split(","))) > sum(map(int, ink[4:-1].split(",")))
            assert light == (scheme == "light"), f"{name}: {ink} on {paper}"
            if screenshots:
                shot(browser, screenshots / f"{name}.png", width)
            accessible(browser, name)
        stops = keyboard(browser)
        browser.call("Emulation.clearDeviceMetricsOverride")
        pdf = base64.b64decode(browser.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
        assert pdf.startswith(b"%PDF") and len(pdf) > 10_000
        if screenshots:
            (screenshots / "print.pdf").write_bytes(pdf)
        print(f"HTML: {len(titles)} sections in chromium, light, dark, narrow and printed; it asks for nothing; axe finds nothing; "
              f"{stops} stops of the Tab key")
    finally:
        browser.close()


def several(pages, screenshots):
    browser = Browser()
    try:
        for title, path in pages.items():
            assert path.stat().st_size < 1_000_000, f"{title} is too large"
            for name, width, scheme in [("light", 1100, "light"), ("narrow", 390, "dark")]:
                browser.show(path, width, scheme)
                complaints = list(browser.complaints(path))
                assert not complaints, f"{title}, {name}: {complaints}"
                fits(browser, f"{title}, {name}")
                if screenshots:
                    shot(browser, screenshots / f"{title}-{name}.png", width)
                accessible(browser, f"{title}, {name}")
            lost = browser.ask("[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.hash)).length")
            assert lost == 0, f"{title}: {lost} links lead nowhere"
        print(f"HTML of several profiles: {', '.join(pages)}")
    finally:
        browser.close()


# What can be seen of the plots: [title, plots, smallest letters in px, texts that are cut off].
SEEN = """[...document.querySelectorAll('svg')].filter(plot => plot.getBoundingClientRect().width > 0).map(plot => {
    const box = plot.getBoundingClientRect(), scale = box.width / plot.viewBox.baseVal.width;
    const texts = [...plot.querySelectorAll('text')].filter(text => text.textContent.trim());
    const size = Math.min(...texts.map(text => parseFloat(text.getAttribute('font-size')) * scale));
    const cut = texts.filter(text => {
        const at = text.getBoundingClientRect();
        return at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1;
    }).map(text => text.textContent.trim());
    return [plot.getAttribute('aria-label'), plot.getBBox().width, size, cut];
})"""


def fits(browser, name):
    """Nothing is wider than the window, no plot is empty, and letters can be read."""
    wide, room = browser.ask("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= room, f"{name}: the page is {wide} px wide in a window of {room}"
    seen = browser.ask(SEEN)
    assert seen, f"{name}: there is no plot"
    for label, width, size, cut in seen:
        assert label and width >= 100, f"{name}: {label} is empty"
        assert size >= 10.5, f"{name}: letters of {size:.1f} px in {label}"
        assert not cut, f"{name}: {label}: cut off: {cut}"


def accessible(browser, name):
    """What axe-core finds on the page with everything unfolded."""
    import importlib.util

    source = Path(importlib.util.find_spec("axe_core_python").origin).with_name("axe.min.js").read_text()
    browser.ask("document.querySelectorAll('details').forEach(part => part.open = true)")
    browser.ask(f"{source}; null")
    found = browser.ask("axe.run().then(all => all.violations.map(one => [one.id, one.help, one.nodes.slice(0, 3).map(node => node.html)]))")
    assert not found, f"{name}: {json.dumps(found, indent=1)}"


def keyboard(browser):
    """The Tab key comes by everything that can be used, in the order of the page, and shows where it is."""
    all = browser.ask("window.stops = [...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')].filter(one => one.checkVisibility()); stops.length")
    browser.ask("document.activeElement.blur(); window.scrollTo(0, 0)")
    for number in range(all):
        browser.press_tab()
        at, outlined = browser.ask("[stops.indexOf(document.activeElement), getComputedStyle(document.activeElement).outlineStyle != 'none']")
        assert at == number and outlined, f"stop {number} of {all} is {at}, outlined: {outlined}"
    return all


def shot(browser, path, width):
    path.parent.mkdir(parents=True, exist_ok=True)
    height = browser.call("Page.getLayoutMetrics")["cssContentSize"]["height"]
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, 12_000), "scale": 1}
    data = browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
    path.write_bytes(base64.b64decode(data))


if __name__ == "__main__":
    main()
