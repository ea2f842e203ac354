use coldstart_profiles::{
    Bytes, DeviceTarget, EngineTarget, ForwardMode, ForwardPlan, HostTarget, ImageSource, ImageSpec,
    ImageTarget, LimitKind, LimitMeasurement, ModelSpec, ModelTarget, Nanos, Outcome, PageCache, Params,
    Phase, Plan, Probe, Samples, SkippedPhase, Step, StepKind, SweepPoint, SyntheticImage, Target, Work,
};

use super::{Noise, ms};

/// Bytes of the scripted model's weights.
pub(crate) const WEIGHTS: Bytes = Bytes::from_mib(512);

pub(crate) fn target() -> Target {
    Target {
        image: Some(ImageTarget {
            source: ImageSource::Synthetic,
            reference: "127.0.0.1:40217/coldstart/synthetic".into(),
            digest: Some("sha256:4fd0c1c2b7e4c0a3b4de".into()),
            compressed_bytes: Some(Bytes::from_mib(68)),
            unpacked_bytes: Some(Bytes::from_mib(128)),
            layers: Some(4),
        }),
        model: Some(ModelTarget {
            source: "synthetic:small".into(),
            bytes: WEIGHTS,
            tensors: 110,
            dtypes: [("bf16".to_owned(), WEIGHTS)].into(),
            header_sha256: "9f".repeat(32),
            architecture: Some("LlamaForCausalLM".into()),
            forward_unsupported: None,
            file_system: Some("ext4".into()),
        }),
        device: DeviceTarget {
            kind: "host".into(),
            name: "AMD EPYC 7763 64-Core Processor".into(),
            count: 1,
            memory_bytes: Bytes::from_mib(7_900),
            threads: Some(2),
            multiprocessors: None,
            clock_hz: None,
            flop_per_cycle: std::collections::BTreeMap::new(),
            memory_bytes_per_s: None,
            features: vec!["avx2".into()],
            uuid: None,
            pci_bus_id: None,
            driver: None,
            gemm: "gemm 0.19".into(),
            stand_in: false,
        },
        host: HostTarget {
            name: "node-7".into(),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "6.1.0-28-amd64".into(),
            arch: "x86_64".into(),
            cpu: "AMD EPYC 7763 64-Core Processor".into(),
            cores: 2,
            cores_online: None,
            memory_bytes: Bytes::from_mib(7_900),
            memory_limit_bytes: None,
            cpu_limit_millicores: None,
            governor: None,
        },
        engine: Some(EngineTarget {
            version: "20.10.24".into(),
            api_version: "1.41".into(),
            storage: "overlay2".into(),
            local: true,
        }),
        cluster: None,
    }
}

const FORWARD: ForwardPlan = ForwardPlan {
    mode: ForwardMode::Decode,
    batch: 1,
    tokens: 128,
    max_iterations: 500,
    max_time_ns: Nanos::from_secs(3),
};

/// A plan of the default run.
pub(crate) fn plan() -> Plan {
    let mut steps = Vec::new();
    let mut push = |id: String, kind: StepKind, estimate: f64| {
        steps.push(Step { id, kind, estimate_ns: ms(estimate), allowance_ns: ms(estimate * 1.2) });
    };
    for trial in 0..5 {
        for limit in [LimitKind::DirectRead, LimitKind::CachedRead, LimitKind::MemoryRead] {
            push(format!("limit-{limit}-{trial}"), StepKind::Limit { limit }, 310.0);
        }
        let kind = StepKind::Trial {
            trial,
            strategy: "direct".into(),
            page_cache: PageCache::Cold,
            verify: trial == 0,
            forward: Some(FORWARD),
        };
        push(format!("trial-cold-direct-{trial}"), kind, 3_600.0);
        for (strategy, page_cache, estimate) in [
            ("mmap", PageCache::Cold, 900.0),
            ("buffered", PageCache::Cold, 700.0),
            ("direct", PageCache::Warm, 480.0),
            ("mmap", PageCache::Warm, 410.0),
            ("buffered-in-place", PageCache::Warm, 190.0),
        ] {
            let kind = StepKind::Load { trial, strategy: strategy.into(), page_cache, verify: trial == 0 };
            push(format!("load-{page_cache}-{strategy}-{trial}"), kind, estimate);
        }
    }
    for trial in 0..3 {
        let container = StepKind::Container {
            trial,
            strategy: "direct".into(),
            page_cache: PageCache::Cold,
            forward: Some(FORWARD),
        };
        push(format!("pull-{trial}"), StepKind::Pull { trial }, 3_100.0);
        push(format!("container-{trial}"), container, 2_300.0);
    }
    push("sweep".into(), StepKind::Sweep { strategy: "direct".into(), points: points() }, 21_000.0);
    Plan {
        seed: 42,
        quick: false,
        budget_ns: ms(90_000.0),
        device: "host".into(),
        model: ModelSpec::Synthetic { size: "small".into(), path: "/root/.cache/coldstart/small".into() },
        image: Some(ImageSpec {
            source: ImageSource::Synthetic,
            reference: "coldstart/synthetic".into(),
            synthetic: Some(SyntheticImage {
                size_bytes: Bytes::from_mib(128),
                layers: 4,
                compressibility: 0.5,
                codec: "gzip".into(),
            }),
        }),
        phases: Phase::MACHINE.to_vec(),
        trials: 5,
        trial_timeout_ns: ms(60_000.0),
        strategy: "direct".into(),
        probe: Probe {
            memcpy_bytes_per_s: 10.9e9,
            gemm_flops_per_s: 118e9,
            read_bytes_per_s: 1.6e9,
            device: None,
        },
        steps,
        skipped: [Phase::DriverInit, Phase::ContextCreate, Phase::ModuleLoad]
            .map(|phase| SkippedPhase { phase, why: "the host device has none".into() })
            .into(),
    }
}

/// The points of the scripted sweep.
pub(crate) fn points() -> Vec<SweepPoint> {
    let lengths = |mode| if mode == ForwardMode::Prefill { vec![32, 128, 512] } else { vec![128, 512] };
    let mut points = Vec::new();
    for mode in [ForwardMode::Prefill, ForwardMode::Decode] {
        for tokens in lengths(mode) {
            for batch in [1, 2, 4, 8] {
                points.push(SweepPoint {
                    mode,
                    batch,
                    tokens,
                    max_iterations: 662,
                    allowance_ns: ms(1_050.0),
                });
            }
        }
    }
    points
}

/// Readings of limits, by rate.
pub(crate) fn limits(noise: &mut Noise) -> Vec<LimitMeasurement> {
    let mib = |n| Work::Bytes(Bytes::from_mib(n));
    let mut limit = |kind, work: Work, per_second: f64, params: Params| {
        let best = work.amount() as f64 / per_second * 1e3;
        let samples = (0..5).map(|_| ms(best * (1.02 + noise.factor(0.02) - 1.0))).collect();
        LimitMeasurement { kind, params, work, outcome: Outcome::measured(Samples::new(samples).unwrap()) }
    };
    let reads = Params::new().with("block", "4MiB").with("depth", 8);
    let mut limits = vec![
        limit(LimitKind::DirectRead, mib(512), 1.36e9, reads),
        limit(LimitKind::CachedRead, mib(512), 3.11e9, Params::new().with("threads", 2)),
        limit(LimitKind::MemoryRead, mib(1024), 17.8e9, Params::new().with("threads", 2)),
        limit(LimitKind::Memcpy, mib(256), 9.42e9, Params::new().with("threads", 2)),
        limit(LimitKind::Gemm, Work::Flops(2 * 1024 * 1024 * 1024), 126e9, Params::new().with("threads", 2)),
        limit(LimitKind::InflateGzip, mib(128), 412e6, Params::new()),
        limit(LimitKind::Sha256, mib(128), 1.71e9, Params::new()),
    ];
    limits.push(LimitMeasurement {
        kind: LimitKind::InflateZstd,
        params: Params::new(),
        work: mib(128),
        outcome: Outcome::skipped("the engine is older than 23.0 and takes no zstd layers"),
    });
    limits
}
