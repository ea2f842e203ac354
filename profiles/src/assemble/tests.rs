//! The pipeline on scripted readings, exact to the digit.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::ProfileError;
use crate::load::PageCache;
use crate::plan::{ForwardMode, ModelSpec, Plan, Probe, SkippedPhase};
use crate::profile::Tool;
use crate::target::{DeviceTarget, HostTarget, ModelTarget, Target};
use crate::units::Bytes;
use crate::warm_up::StopReason;

/// A profile in which nothing was measured yet.
pub(crate) fn empty() -> Profile {
    let model = ModelTarget {
        source: "synthetic:tiny".into(),
        bytes: Bytes::new(1_000_000),
        tensors: 3,
        dtypes: BTreeMap::from([("BF16".into(), Bytes::new(1_000_000))]),
        header_sha256: "00".repeat(32),
        architecture: Some("LlamaForCausalLM".into()),
        forward_unsupported: None,
        file_system: Some("ext4".into()),
    };
    let host = HostTarget {
        name: "node".into(),
        os: "Linux".into(),
        kernel: "6.1".into(),
        arch: "x86_64".into(),
        cpu: "CPU".into(),
        cores: 2,
        cores_online: None,
        memory_bytes: Bytes::from_mib(1024),
        memory_limit_bytes: None,
        cpu_limit_millicores: None,
        governor: None,
    };
    let device = DeviceTarget {
        kind: "host".into(),
        name: "CPU".into(),
        count: 1,
        memory_bytes: Bytes::from_mib(1024),
        threads: Some(2),
        multiprocessors: None,
        clock_hz: None,
        flop_per_cycle: std::collections::BTreeMap::new(),
        memory_bytes_per_s: None,
        features: Vec::new(),
        uuid: None,
        pci_bus_id: None,
        driver: None,
        gemm: "scripted".into(),
        stand_in: false,
    };
    Profile::begin(
        Tool { name: "coldstart".into(), version: "0.0.0".into(), method: 1 },
        "2026-01-01T00:00:00Z".into(),
        Target { image: None, model: Some(model), device, host, engine: None, cluster: None },
        Plan {
            seed: 1,
            quick: false,
            budget_ns: Nanos::from_secs(1),
            device: "host".into(),
            model: ModelSpec::Synthetic { size: "tiny".into(), path: "/cache/tiny".into() },
            image: None,
            phases: Phase::MACHINE.to_vec(),
            trials: 3,
            trial_timeout_ns: Nanos::from_secs(1),
            strategy: "direct".into(),
            probe: Probe {
                memcpy_bytes_per_s: 1.0,
                gemm_flops_per_s: 1.0,
                read_bytes_per_s: 1.0,
                device: None,
            },
            steps: Vec::new(),
            skipped: vec![SkippedPhase { phase: Phase::DriverInit, why: "the host device has none".into() }],
        },
    )
}

fn reading(phase: Phase, params: Params, begin: u64, duration: u64) -> Reading {
    Reading {
        phase,
        params,
        begin_ns: Nanos::from_nanos(begin),
        duration_ns: Nanos::from_nanos(duration),
        device_ns: None,
        work: (phase == Phase::WeightsLoad).then_some(Work::Bytes(Bytes::new(1_000_000))),
        mark: None,
        detail: None,
    }
}

fn load_params(state: PageCache) -> Params {
    Params::new().with("page_cache", state).with("staging", "direct")
}

/// 100 ns to start, 1 ms × `slowness` to load, 50 µs for the first batch, 7 ns between the parts.
fn cold_start(trial: u32, slowness: u64) -> Trace {
    let load = 1_000_000 * slowness;
    let readings = vec![
        reading(Phase::ProcessStart, Params::new(), 0, 100),
        reading(Phase::WeightsLoad, load_params(PageCache::Cold), 107, load),
        reading(Phase::FirstBatch, Params::new().with("batch", 1), 114 + load, 50_000),
    ];
    let end = Trace::completed(&readings, Nanos::from_nanos(50_114 + load));
    Trace {
        step: format!("trial-{trial}"),
        trial,
        scope: Scope::ColdStart,
        total_kind: TotalKind::Process,
        params: load_params(PageCache::Cold),
        readings,
        end,
    }
}

fn limit(kind: LimitKind, work: Work, nanos: &[u64]) -> LimitMeasurement {
    let samples = Samples::new(nanos.iter().copied().map(Nanos::from_nanos).collect()).unwrap();
    LimitMeasurement { kind, params: Params::new(), work, outcome: Outcome::measured(samples) }
}

fn row(profile: &Profile, phase: Phase) -> &Measurement {
    profile.of_phase(phase).next().unwrap()
}

#[test]
fn readings_become_samples_in_the_order_taken() {
    let mut profile = empty();
    profile.traces =
        [3, 1, 2].iter().zip(0..).map(|(slowness, trial)| cold_start(trial, *slowness)).collect();
    profile.limits =
        vec![limit(LimitKind::DirectRead, Work::Bytes(Bytes::new(500_000)), &[600_000, 500_000])];
    profile.derive();
    let load = row(&profile, Phase::WeightsLoad);
    let (samples, summary) = load.outcome.as_measured().unwrap();
    assert_eq!(samples.as_slice(), [3_000_000, 1_000_000, 2_000_000].map(Nanos::from_nanos));
    assert_eq!(summary.p50_ns, Nanos::from_nanos(2_000_000));
    assert_eq!(
        load.limit.as_ref().unwrap().best_ns,
        Nanos::from_nanos(500_000),
        "the best reading of the limit"
    );
    assert_eq!(load.achieved(), Some(0.5));
    let total = &profile.totals[0];
    assert_eq!((total.kind, total.ends_with), (TotalKind::Process, Phase::FirstBatch));
    let (totals, _) = total.outcome.as_measured().unwrap();
    assert_eq!(totals.as_slice(), [3_050_114, 1_050_114, 2_050_114].map(Nanos::from_nanos));
    assert!(profile.traces.iter().all(|trace| trace.total().unwrap().1 == Nanos::from_nanos(14)));
}

#[test]
fn every_phase_stands_in_the_table() {
    let mut profile = empty();
    profile.traces.push(cold_start(0, 1));
    profile.derive();
    for phase in Phase::MACHINE {
        assert!(profile.of_phase(phase).count() > 0, "{phase}");
    }
    let why = |phase| match &row(&profile, phase).outcome {
        Outcome::Skipped { why } => why.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(why(Phase::DriverInit), "the host device has none");
    assert!(why(Phase::ImagePull).contains("--resume"));
}

#[test]
fn a_partial_trial_is_kept_and_left_out_of_the_summary() {
    let mut profile = empty();
    let mut warm = cold_start(1, 100);
    warm.readings[1].mark = Some("partial: 3.1 % of the files was in the page cache".into());
    profile.traces = vec![cold_start(0, 2), warm, cold_start(2, 2)];
    profile.derive();
    let (samples, summary) = row(&profile, Phase::WeightsLoad).outcome.as_measured().unwrap();
    assert_eq!((samples.len(), summary.n, summary.left_out), (3, 2, 1));
    assert_eq!(summary.max_ns, Nanos::from_nanos(2_000_000));
    assert_eq!(profile.totals[0].outcome.as_measured().unwrap().1.n, 2, "its total is left out, too");
    assert!(profile.caveats.iter().any(|caveat| caveat.code == "partial" && caveat.text.contains("trial-1")));
}

#[test]
fn a_failed_trial_is_a_failed_sample_and_nothing_more() {
    let mut profile = empty();
    let mut failed = cold_start(0, 9);
    failed.end = TraceEnd::Failed { why: "killed by signal 9".into(), stderr: "…".into() };
    profile.traces.push(failed);
    profile.derive();
    for phase in [Phase::ProcessStart, Phase::WeightsLoad, Phase::FirstBatch, Phase::WarmUp] {
        assert!(
            matches!(&row(&profile, phase).outcome, Outcome::Failed { why } if why == "killed by signal 9"),
            "{phase}"
        );
    }
    profile.traces.push(cold_start(1, 1));
    profile.derive();
    let (samples, _) = row(&profile, Phase::WeightsLoad).outcome.as_measured().unwrap();
    assert_eq!(samples.len(), 1, "only the trial that reached its end");
    assert!(matches!(row(&profile, Phase::WarmUp).outcome, Outcome::Failed { .. }));
}

#[test]
fn a_sweep_point_is_bounded_by_the_roofline() {
    let mut profile = empty();
    let key = Key::host(Phase::Throughput, Params::new().with("mode", "decode").with("batch", 2));
    let samples = Samples::one(Nanos::from_nanos(4_000));
    profile.measurements.push(Measurement {
        key: key.clone(),
        work: Some(Work::Tokens(2)),
        limit: None,
        outcome: Outcome::measured(samples),
    });
    profile.throughput.push(ThroughputPoint {
        key: key.clone(),
        mode: ForwardMode::Decode,
        batch: 2,
        tokens: 8,
        items_per_s: 1.0,
        tokens_per_s: 1.0,
        window_ns: Nanos::from_secs(1),
        flops: 1_000,
        read_bytes: Bytes::new(3_000),
        workspace_bytes: Bytes::ZERO,
        stop: StopReason::MaxIterations,
        power_mw: None,
        energy_per_token_uj: None,
        utilisation_percent: None,
        dtype: None,
        replay: None,
    });
    // 1 FLOP and 1.5 bytes a nanosecond: the bytes take 2000 ns, the operations 1000.
    profile.limits = vec![
        limit(LimitKind::Gemm, Work::Flops(100), &[100]),
        limit(LimitKind::MemoryRead, Work::Bytes(Bytes::new(150)), &[100]),
    ];
    profile.derive();
    let point = profile.measurement(&key).unwrap();
    let bound = point.limit.as_ref().unwrap();
    assert_eq!((bound.kind, bound.best_ns), (LimitKind::MemoryRead, Nanos::from_nanos(2_000)));
    assert_eq!(point.achieved(), Some(0.5));
    profile.derive();
    assert!(profile.measurement(&key).is_some(), "deriving again keeps the sweep");
}

#[test]
fn what_beats_its_limit_is_said() {
    let mut profile = empty();
    profile.traces.push(cold_start(0, 1));
    profile.limits = vec![limit(LimitKind::DirectRead, Work::Bytes(Bytes::new(1_000_000)), &[1_100_000])];
    profile.derive();
    assert!(
        profile.caveats.iter().any(|caveat| caveat.code == "limit_not_tight" && caveat.text.contains("10 %"))
    );
    profile.limits.push(limit(LimitKind::DirectRead, Work::Bytes(Bytes::new(1_000_000)), &[900_000]));
    profile.derive();
    assert!(
        profile.caveats.iter().all(|caveat| caveat.code != "limit_not_tight"),
        "measured again, it is tight"
    );
}

#[test]
fn what_is_written_is_read_again_and_edits_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("profile.json");
    let mut profile = empty();
    profile.traces = vec![cold_start(0, 1), cold_start(1, 2)];
    profile.derive();
    profile.write(&path).unwrap();
    assert_eq!(Profile::read(&path).unwrap(), profile);

    let edit = |from: &str, to: &str| {
        let text = profile.to_json().unwrap();
        assert!(text.contains(from), "{from}");
        Profile::from_json(&text.replacen(from, to, 1), Path::new("p.json")).unwrap_err()
    };
    let error = edit("\"major\": 1", "\"major\": 9");
    assert!(matches!(error, ProfileError::OtherMajor { found: 9, .. }), "{error}");
    assert!(error.to_string().contains("reads format 9"), "{error}");
    let error = edit("\"p50_ns\": 1000000", "\"p50_ns\": 1000001");
    assert!(
        matches!(error, ProfileError::Edited { .. }) && error.to_string().contains("weights_load"),
        "{error}"
    );
    let error = edit("\"unattributed_ns\": 14", "\"unattributed_ns\": 15");
    assert!(error.to_string().contains("trial-0"), "{error}");

    let read = |text: &str| Profile::from_json(text, Path::new("p.json")).unwrap_err().to_string();
    assert!(read("{}").contains("no `format` version"));
    assert!(read("PK\u{3}\u{4}").contains("as a profile"));
    assert!(read("{\"format\":{\"major\":1,\"minor\":0}}").contains("missing field"));
}

#[test]
fn unknown_minor_fields_are_tolerated() {
    let profile = empty();
    let text = profile.to_json().unwrap().replacen('{', "{\"invented_later\": [1, {}],", 1);
    assert_eq!(Profile::from_json(&text, Path::new("p.json")).unwrap(), profile);
}

#[test]
fn a_write_that_fails_leaves_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no/such/directory/profile.json");
    let error = empty().write(&missing).unwrap_err().to_string();
    assert!(error.starts_with("write ") && error.contains("no/such/directory"), "{error}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing half-written");
}

#[test]
fn a_profile_follows_its_schema() {
    let schema: serde_json::Value = serde_json::from_str(&crate::profile_schema()).unwrap();
    let mut profile = empty();
    profile.traces = vec![cold_start(0, 1), cold_start(1, 2)];
    profile.derive();
    let instance = serde_json::to_value(&profile).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(!validator.is_valid(&serde_json::json!({"format": {"major": "one"}})));
}

#[test]
fn a_warm_load_to_a_gpu_is_bound_by_what_its_memory_allows() {
    let rates = |kind, nanos| limit(kind, Work::Bytes(Bytes::new(1_000)), &[nanos]);
    let bound = |staging: &str, limits: &[LimitMeasurement]| {
        let params = Params::new().with("page_cache", "warm").with("staging", staging);
        let row = Measurement::without_samples(Key::host(Phase::WeightsLoad, params), Outcome::skipped(""));
        limit_of(&row, limits, &[]).map(|limit| (limit.kind, limit.best_ns.as_nanos()))
    };
    let host = [rates(LimitKind::CachedRead, 300)];
    assert_eq!(bound("buffered", &host), Some((LimitKind::CachedRead, 300)));
    let gpu = [rates(LimitKind::CachedRead, 300), rates(LimitKind::CachedReadStaged, 50)];
    assert_eq!(bound("buffered", &gpu), Some((LimitKind::CachedReadStaged, 50)));
    let linked = [gpu[1].clone(), rates(LimitKind::HostToDevice, 40)];
    assert_eq!(bound("mmap-staged", &linked), Some((LimitKind::CachedReadStaged, 50)));
    assert_eq!(bound("registered", &linked), Some((LimitKind::HostToDevice, 40)), "nothing is staged");
}
