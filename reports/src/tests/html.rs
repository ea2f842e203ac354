//! The HTML report, markdown and trace events: self-contained, whole, and deaf to what hostile text asks for.

use coldstart_profiles::{ForwardMode, Nanos, Phase, ThroughputPoint, TraceEnd};
use serde_json::Value;

use super::scripted;
use crate::{html, markdown, trace_events};

const HOSTILE: &str = "<script>alert(1)</script>\"'&|`*\u{1b}[31m\n]]> --><img src=x onerror=y>";

fn hostile() -> coldstart_profiles::Profile {
    let mut profile = scripted::complete();
    profile.target.device.name = HOSTILE.to_owned();
    profile.target.host.name = HOSTILE.to_owned();
    profile.caveat("x", HOSTILE);
    if let Some(model) = &mut profile.target.model {
        model.source = HOSTILE.repeat(100_000);
    }
    for trace in &mut profile.traces {
        trace.step = HOSTILE.to_owned();
        for reading in &mut trace.readings {
            if let Some(coldstart_profiles::Detail::Pull(pull)) = &mut reading.detail {
                pull.reference = HOSTILE.repeat(10_000);
                pull.layers.iter_mut().for_each(|layer| layer.id = HOSTILE.to_owned());
            }
        }
    }
    profile
}

#[test]
fn a_report_is_whole_and_fetches_nothing() {
    let profile = scripted::complete();
    let page = html(&[("p.json", &profile)]).unwrap();
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    for title in [
        "Cold start of a process",
        "limit",
        "Warm-up",
        "Throughput against latency",
        "Device memory",
        "layer by layer",
    ] {
        assert!(page.contains(title), "no section on {title}");
    }
    // The name space of SVG is a name, not an address that is fetched.
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    for foreign in ["http://", "https://", "<script", "@import", "url(", "<link", "src="] {
        assert!(!addresses.contains(foreign), "{foreign} in the page");
    }
    assert_eq!(
        page.matches("<svg").count(),
        page.matches("role=\"img\"").count(),
        "a plot without a description"
    );
    assert!(!page.contains("#0B0B0B") && page.contains("var(--c1)"), "colours are the page's");
}

#[test]
fn hostile_text_is_shown_and_not_obeyed() {
    let profile = hostile();
    let page = html(&[(HOSTILE, &profile), ("b", &profile)]).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{1b}'));
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    let text = markdown(&[(HOSTILE, &profile)]);
    assert!(!text.contains("<script") && !text.contains("<img") && text.len() < 1_000_000, "{}", text.len());
}

#[test]
fn profiles_without_numbers_have_a_page() {
    let empty = scripted::empty();
    let page = html(&[("empty", &empty)]).unwrap();
    assert!(page.contains("Not measured"), "{page}");
    assert!(html(&[]).unwrap().contains("No profile"));
    let text = markdown(&[("empty", &empty)]);
    assert!(text.contains("#### Not measured"), "{text}");
    let whole = markdown(&[("whole", &scripted::complete())]);
    assert!(whole.contains("#### Cold start of a container"), "{whole}");
    let rest = whole.lines().find(|line| line.starts_with("| unattributed")).unwrap();
    assert!(rest.contains('%'), "{rest}");
}

#[test]
fn several_profiles_are_compared_first() {
    let (a, mut b) = (scripted::complete(), scripted::complete());
    b.target.device.stand_in = true;
    let page = html(&[("a.json", &a), ("b.json", &b)]).unwrap();
    assert!(page.contains("2 profiles side by side") && page.contains("STAND-IN"));
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(ids.len(), unique.len(), "an id stands twice: {ids:?}");
}

/// Seven nodes of two classes, the last one slow.
fn nodes() -> Vec<(String, coldstart_profiles::Profile)> {
    let node = |node: u32| {
        let mut profile = scripted::complete();
        profile.target.host.name = format!("node-{node}");
        profile.target.host.cores = if node.is_multiple_of(2) { 2 } else { 4 };
        if node == 6 {
            for trace in &mut profile.traces {
                let readings = &mut trace.readings;
                let load = readings.iter_mut().find(|reading| reading.phase == Phase::WeightsLoad);
                let Some(load) = load else { continue };
                load.duration_ns = load.duration_ns.saturating_add(Nanos::from_secs(2));
                if let TraceEnd::Completed { total_ns, .. } = &mut trace.end {
                    *total_ns = total_ns.saturating_add(Nanos::from_secs(2));
                }
            }
        }
        profile.derive();
        (format!("node-{node}.json"), profile)
    };
    (0..7).map(node).collect()
}

#[test]
fn many_nodes_are_distributions_by_class_with_the_slowest_named() {
    let nodes = nodes();
    let named: Vec<_> = nodes.iter().map(|(name, profile)| (name.as_str(), profile)).collect();
    let page = html(&named).unwrap();
    for part in [
        "<h1 id=\"comparison\">7 nodes</h1>",
        "Cold starts of all nodes",
        "Phase by phase over all nodes",
        "Steady state over all nodes",
        "The slowest nodes",
        "class 1: AMD EPYC 7763 64-Core Processor, 2 cores (4)",
        "class 2: AMD EPYC 7763 64-Core Processor, 4 cores (3)",
        "weights_load · class 2",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    let slowest = page.split_once("id=\"slowest\"").unwrap().1;
    let first = slowest.split_once("<tbody><tr>").unwrap().1.split_once("</tr>").unwrap().0;
    assert!(first.contains("href=\"#p6\"") && first.contains("weights_load, +2.0"), "{first}");
    for (at, _) in named.iter().enumerate() {
        assert!(page.contains(&format!("<h1 id=\"p{at}\">")), "the links lead somewhere");
    }
    assert!(!page.contains("The numbers behind it</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Numbers: Warm-up"));
    let text = markdown(&named);
    assert!(text.starts_with("### 7 nodes\n\n7 nodes start in ") && text.len() < 20_000, "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("- node")).count(), 7, "{text}");
    let many: Vec<_> = named.iter().cycle().take(300).copied().collect();
    let page = html(&many).unwrap();
    assert!(page.len() < 1_000_000, "{} bytes for 300 nodes", page.len());
}

#[test]
fn a_page_shows_what_the_profile_holds() {
    let mut profile = scripted::on_a_gpu();
    let in_the_middle = |point: &&mut ThroughputPoint| point.mode == ForwardMode::Decode && point.batch == 4;
    for point in profile.throughput.iter_mut().filter(in_the_middle) {
        point.tokens_per_s *= 3.0;
    }
    let page = html(&[("p.json", &profile)]).unwrap();
    for part in [
        "which stands for all",
        "the other 4 trials",
        "the darker band holds nine of ten of its steady iterations",
        "Power of the board",
        "Clock of the multiprocessors",
        "Temperature",
        "Memory in use",
        "held the clocks down in 2 of 5 processes",
        "Steady state, process by process",
        "decode over batch",
        "Kleinrock",
        ">\nknee\n<",
        "The machine before and after the run",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    let decode = profile.fits.decode.fitted().unwrap();
    assert!(page.contains(&format!("{:.3} ms + ", decode.alpha_ns / 1e6)));
}

/// Pages to look at: `COLDSTART_PAGES=DIR cargo test -p coldstart-reports pages` writes them.
#[test]
fn pages_of_scripted_runs() {
    let nodes = nodes();
    let named: Vec<_> = nodes.iter().map(|(name, profile)| (name.as_str(), profile)).collect();
    let (host, gpu, cuda) = (scripted::complete(), scripted::on_a_gpu(), scripted::on_cuda());
    let pages = [
        ("host", html(&[("host.json", &host)])),
        ("gpu", html(&[("gpu.json", &gpu)])),
        ("cuda", html(&[("cuda.json", &cuda)])),
        ("two", html(&[("a.json", &host), ("b.json", &nodes[6].1)])),
        ("fleet", html(&named)),
    ];
    for (name, page) in pages {
        let page = page.unwrap();
        assert!(page.len() < 1_000_000, "{name}: {} bytes", page.len());
        if let Some(directory) = std::env::var_os("COLDSTART_PAGES") {
            std::fs::write(std::path::Path::new(&directory).join(format!("{name}.html")), page).unwrap();
        }
    }
}

#[test]
fn traces_nest() {
    for profile in [scripted::complete(), hostile()] {
        let file: Value = serde_json::from_str(&trace_events(&profile).unwrap()).unwrap();
        let events = file["traceEvents"].as_array().unwrap();
        let slices: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
        assert!(slices.len() > 20);
        let counters = events.iter().filter(|event| event["ph"] == "C").count();
        let traced = |step: &str| profile.traces.iter().any(|trace| trace.step == step);
        let warmed = profile.warm_up.iter().any(|curve| traced(&curve.step));
        assert_eq!(counters > 0, warmed, "the warm-up is a counter");
        assert!(slices.iter().any(|slice| slice["name"] == "pull"), "a pull is no cold start");
        let span = |event: &Value| {
            let begin = event["ts"].as_f64().unwrap();
            (begin, begin + event["dur"].as_f64().unwrap())
        };
        for (at, one) in slices.iter().enumerate() {
            for other in slices[at + 1..].iter().filter(|other| other["tid"] == one["tid"]) {
                let ((a, b), (c, d)) = (span(one), span(other));
                let nested =
                    (a <= c && d <= b + 1e-6) || (c <= a && b <= d + 1e-6) || b <= c + 1e-6 || d <= a + 1e-6;
                assert!(nested, "slices overlap: {one} {other}");
            }
        }
    }
}
