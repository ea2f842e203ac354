//! Reports of scripted runs against golden files. `UPDATE_GOLDEN=1 cargo test` writes them anew.

use std::path::PathBuf;

use super::scripted;
use crate::{Style, comparison, doctor, run_plan_table, terminal};
use coldstart_profiles::{Check, CheckStatus, DoctorReport, RunState, TraceEnd};

fn style(width: usize) -> Style {
    Style { width, color: false, unicode: true }
}

pub(super) fn assert_golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{name} differs (UPDATE_GOLDEN=1 accepts):\n{text}");
}

#[test]
fn a_complete_run() {
    let profile = scripted::complete();
    for width in [120, 100, 80, 60] {
        assert_golden(&format!("terminal-{width}.txt"), &terminal(&profile, &style(width)));
    }
    assert_golden("terminal-ascii-80.txt", &terminal(&profile, &Style { unicode: false, ..style(80) }));
    assert_golden("terminal-color-100.txt", &terminal(&profile, &Style { color: true, ..style(100) }));
}

#[test]
fn a_run_on_a_gpu() {
    let profile = scripted::on_a_gpu();
    for width in [120, 100, 60] {
        assert_golden(&format!("terminal-gpu-{width}.txt"), &terminal(&profile, &style(width)));
    }
}

#[test]
fn a_run_with_a_driver() {
    let profile = scripted::on_cuda();
    let text = terminal(&profile, &style(100));
    assert!(text.contains("STAND-IN driver: no number means anything"), "{text}");
    assert_golden("terminal-cuda-100.txt", &text);
    assert_golden("terminal-cuda-60.txt", &terminal(&profile, &style(60)));
}

#[test]
fn a_run_without_results() {
    assert_golden("terminal-empty-80.txt", &terminal(&scripted::empty(), &style(80)));
}

#[test]
fn an_interrupted_run_of_failures() {
    let mut profile = scripted::complete();
    profile.state = RunState::Interrupted;
    profile.done.truncate(9);
    profile.warm_up.clear();
    profile.throughput.clear();
    profile.limits.clear();
    profile.measurements.clear();
    profile.traces.truncate(2);
    for trace in &mut profile.traces {
        trace.readings.truncate(2);
        trace.end = TraceEnd::Failed {
            why: "killed by signal 11 (SIGSEGV: a crash)".into(),
            stderr: "loading\n\u{1b}[31mpanicked\u{1b}[0m at 'index out of bounds'\n".into(),
        };
    }
    profile.derive();
    assert_golden("terminal-failures-80.txt", &terminal(&profile, &style(80)));
}

#[test]
fn a_plan() {
    assert_golden("plan-100.txt", &run_plan_table(&scripted::plan(), &style(100)));
    let mut tight = scripted::plan();
    tight.budget_ns = scripted::ms(20_000.0);
    assert_golden("plan-tight-60.txt", &run_plan_table(&tight, &style(60)));
}

#[test]
fn two_and_three_profiles() {
    let first = scripted::complete();
    let mut second = scripted::complete();
    second.target.host.name = "node-8".into();
    second.started_at = "2026-11-25T08:00:00Z".into();
    second.traces.retain(|trace| trace.trial < 2);
    second.derive();
    let empty = scripted::empty();
    assert_golden("comparison-100.txt", &comparison(&[("a.json", &first), ("b.json", &second)], &style(100)));
    let three = [("a.json", &first), ("b.json", &second), ("nothing.json", &empty)];
    assert_golden("comparison-three-60.txt", &comparison(&three, &style(60)));
}

#[test]
fn many_profiles_are_distributions() {
    let nodes: Vec<(String, coldstart_profiles::Profile)> = (0..7)
        .map(|node| {
            let mut profile = scripted::complete();
            profile.target.host.name = format!("node-{node}");
            profile.traces.retain(|trace| trace.trial != node % 3);
            profile.derive();
            (format!("node-{node}.json"), profile)
        })
        .collect();
    let named: Vec<_> = nodes.iter().map(|(name, profile)| (name.as_str(), profile)).collect();
    assert_golden("comparison-seven-80.txt", &comparison(&named, &style(80)));
}

#[test]
fn checks_of_a_machine() {
    let check = |area: &str, name: &str, status, found: &str, remedy: Option<&str>| Check {
        area: area.into(),
        name: name.into(),
        status,
        found: found.into(),
        remedy: remedy.map(str::to_owned),
    };
    let checks = vec![
        check("device", "host", CheckStatus::Ok, "AMD EPYC 7763, 2 cores, AVX2 and FMA", None),
        check(
            "device",
            "CUDA driver",
            CheckStatus::Missing,
            "no libcuda.so.1 in the loader's path",
            Some("install the NVIDIA driver, or pass the device into this container with --gpus all"),
        ),
        check("engine", "Docker", CheckStatus::Ok, "20.10.24, API 1.41, overlay2, local", None),
        check(
            "engine",
            "zstd layers",
            CheckStatus::Limited,
            "the engine takes gzip layers only",
            Some("update the engine to 23.0 or later"),
        ),
        check(
            "storage",
            "page-cache eviction",
            CheckStatus::Ok,
            "0.0 % resident after posix_fadvise(DONTNEED)",
            None,
        ),
        check("storage", "O_DIRECT", CheckStatus::Ok, "works on ext4 with blocks of 512 B", None),
    ];
    let report = DoctorReport { checks };
    assert_golden("doctor-100.txt", &doctor(&report, &style(100)));
    assert_golden("doctor-60.txt", &doctor(&report, &style(60)));
    assert_golden("doctor-empty.txt", &doctor(&DoctorReport::default(), &style(80)));
}
