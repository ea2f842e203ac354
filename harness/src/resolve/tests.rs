//! Plans for scripted machines.

use std::collections::BTreeMap;

use coldstart_profiles::{
    Bytes, DeviceProbe, EngineTarget, ForwardMode, JitCache, LimitKind, ModelSpec, ModuleLoading, Nanos,
    Phase, Plan, Probe, StepKind, SyntheticImage,
};

use super::plan::{EngineFacts, Gpus, Machine, ModelFacts, PageCacheFacts, plan};
use super::request::{ImageRequest, ModelRequest, Request, Synthetic};
use super::{ForwardFacts, ResolveError};
use crate::DeviceName;

const MODEL: Bytes = Bytes::from_mib(200);

fn request(device: DeviceName) -> Request {
    Request {
        device,
        model: ModelRequest::Synthetic("small".into()),
        image: ImageRequest::Synthetic(Synthetic {
            image: SyntheticImage {
                size_bytes: Bytes::ZERO,
                layers: 4,
                compressibility: 0.5,
                codec: "gzip".into(),
            },
            size_given: false,
        }),
        phases: Phase::MACHINE.to_vec(),
        strategies: Vec::new(),
        quick: false,
        budget: None,
        trials: None,
        pull_trials: None,
        batches: Vec::new(),
        prompts: Vec::new(),
        contexts: Vec::new(),
        trial_timeout: Nanos::from_secs(120),
        seed: 42,
    }
}

fn machine(probe: Probe, gpu: Option<Gpus>) -> Machine {
    let engine = EngineFacts {
        target: EngineTarget {
            version: "27.0.1".into(),
            api_version: "1.46".into(),
            storage: "overlay2".into(),
            local: true,
        },
        takes_zstd: true,
        gpus: false,
        no_containers: None,
    };
    Machine {
        engine: Ok(engine),
        model: ModelFacts {
            spec: ModelSpec::Synthetic { size: "small".into(), path: "/cache/small".into() },
            bytes: MODEL,
            forward: Ok(ForwardFacts {
                encoder: false,
                max_tokens: 4096,
                flops_per_token: 170_000_000,
                flops_per_sequence: 50_000_000,
                weight_bytes: MODEL.get(),
                kv_bytes_per_token: 12_288,
            }),
            page_cache: PageCacheFacts::Evictable,
        },
        strategies: ["direct", "mmap", "buffered"].map(str::to_owned).into(),
        probe,
        gpu,
    }
}

fn gpu(gemm_flops_per_s: f64) -> Machine {
    let device = DeviceProbe {
        upload_bytes_per_s: 25e9,
        memory_bytes_per_s: 2e12,
        open_ns: Nanos::from_millis(300),
        kernels_ns: Nanos::from_millis(900),
    };
    let probe =
        Probe { memcpy_bytes_per_s: 10e9, gemm_flops_per_s, read_bytes_per_s: 2e9, device: Some(device) };
    machine(probe, Some(Gpus { count: 1 }))
}

fn host() -> Machine {
    let probe =
        Probe { memcpy_bytes_per_s: 10e9, gemm_flops_per_s: 100e9, read_bytes_per_s: 2e9, device: None };
    machine(probe, None)
}

fn counts(plan: &Plan) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for step in &plan.steps {
        let name = match &step.kind {
            StepKind::Limit { limit } => limit.to_string(),
            StepKind::Startup { jit_cache, loading, .. } => format!("startup {jit_cache} {loading}"),
            StepKind::Trial { .. } => "trial".to_owned(),
            StepKind::Load { .. } => "load".to_owned(),
            StepKind::Uploads { .. } => "uploads".to_owned(),
            StepKind::Pull { .. } => "pull".to_owned(),
            StepKind::Container { .. } => "container".to_owned(),
            StepKind::Sweep { .. } => "sweep".to_owned(),
            StepKind::SteadyState { .. } => "steady state".to_owned(),
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn points(plan: &Plan) -> Vec<(u32, u32)> {
    let sweep = plan.steps.iter().find_map(|step| match &step.kind {
        StepKind::Sweep { points, .. } => {
            Some(points.iter().map(|point| (point.batch, point.tokens)).collect())
        }
        _ => None,
    });
    sweep.unwrap_or_default()
}

#[test]
fn a_gpu_has_its_own_phases_and_limits() {
    let plan = plan(&request(DeviceName::first_cuda()), &gpu(500e12)).unwrap();
    assert_eq!((plan.device.as_str(), plan.budget_ns), ("cuda:0", Nanos::from_secs(600)));
    let counts = counts(&plan);
    for (name, count) in [
        ("trial", 5),
        ("startup warm lazy", 5),
        ("startup warm eager", 5),
        ("startup cold eager", 5),
        ("load", 25),
        ("cached_read_staged", 5),
        ("host_to_device", 5),
        ("device_to_host", 5),
        ("device_copy", 5),
        ("device_read", 5),
        ("gemm", 5),
        ("sweep", 1),
        ("steady state", 5),
    ] {
        assert_eq!(counts.get(name), Some(&count), "{name}: {counts:?}");
    }
    for name in ["memory_read", "memcpy_fresh", "container"] {
        assert_eq!(counts.get(name), None, "{counts:?}");
    }
    let skipped: Vec<_> = plan.skipped.iter().map(|skipped| (skipped.phase, skipped.why.as_str())).collect();
    assert!(
        matches!(skipped.as_slice(), [(Phase::ContainerStart, why)] if why.contains("NVIDIA Container Toolkit")),
        "{skipped:?}"
    );
    assert!(points(&plan).contains(&(32, 2048)), "{:?}", points(&plan));
    assert!(plan.estimate_ns() < plan.budget_ns);
}

#[test]
fn the_host_has_none_of_them() {
    let plan = plan(&request(DeviceName::Host), &host()).unwrap();
    assert_eq!((plan.device.as_str(), plan.budget_ns), ("host", Nanos::from_secs(90)));
    let counts = counts(&plan);
    for name in ["host_to_device", "device_read", "startup warm lazy"] {
        assert_eq!(counts.get(name), None, "{counts:?}");
    }
    assert!(counts.contains_key("memory_read") && counts.contains_key("container"), "{counts:?}");
    assert!(plan.skipped.iter().any(|skipped| skipped.phase == Phase::DriverInit));
    assert!(points(&plan).iter().all(|(batch, tokens)| *batch <= 8 && *tokens <= 256));
}

#[test]
fn a_device_that_only_plays_a_gpu_gets_the_least() {
    let quick = Request { quick: true, ..request(DeviceName::first_cuda()) };
    let plan = plan(&quick, &gpu(1e8)).unwrap();
    assert_eq!(plan.budget_ns, Nanos::from_secs(60));
    assert!(points(&plan).iter().all(|(batch, tokens)| *batch <= 2 && *tokens <= 8), "{:?}", points(&plan));
    let counts = counts(&plan);
    assert_eq!((counts["trial"], counts.get("startup cold eager")), (3, None));
    // What repeats within its process is read in the first round only.
    assert_eq!((counts["gemm"], counts["host_to_device"], counts["direct_read"]), (1, 1, 3));
}

#[test]
fn short_trials_stand_between_the_whole_ones() {
    let plan = plan(&request(DeviceName::first_cuda()), &gpu(500e12)).unwrap();
    let at = |wanted: &dyn Fn(&StepKind) -> bool| {
        let places = plan.steps.iter().enumerate().filter(|(_, step)| wanted(&step.kind));
        places.map(|(at, _)| at).collect::<Vec<_>>()
    };
    let whole = at(&|kind| matches!(kind, StepKind::Trial { .. }));
    let warm = at(&|kind| {
        matches!(kind, StepKind::Startup { jit_cache: JitCache::Warm, loading: ModuleLoading::Lazy, .. })
    });
    for (round, (trial, startup)) in whole.iter().zip(&warm).enumerate() {
        let next = whole.get(round + 1).copied().unwrap_or(usize::MAX);
        assert!(*startup < next, "round {round} of {whole:?} and {warm:?}, {trial}");
    }
}

#[test]
fn every_round_has_a_process_for_the_steady_state_of_the_cheapest_points() {
    let quick = Request { quick: true, trials: Some(5), batches: vec![4, 2], ..request(DeviceName::Host) };
    let plan = plan(&quick, &host()).unwrap();
    let places = plan.steps.iter().enumerate().filter_map(|(at, step)| match &step.kind {
        StepKind::SteadyState { trial, points, .. } => Some((at, *trial, points)),
        _ => None,
    });
    let places: Vec<_> = places.collect();
    assert_eq!(places.iter().map(|(_, trial, _)| *trial).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let apart = places.windows(2).all(|pair| pair[1].0 - pair[0].0 > 1);
    assert!(apart, "they lie between the other steps: {places:?}");
    for (_, _, points) in places {
        let what = points.iter().map(|point| (point.mode, point.batch, point.tokens)).collect::<Vec<_>>();
        let (prefill, decode) = (ForwardMode::Prefill, ForwardMode::Decode);
        let mut expected = vec![(prefill, 2, 8), (prefill, 4, 8), (prefill, 2, 16), (prefill, 2, 32)];
        expected.extend([(decode, 2, 32), (decode, 4, 32), (decode, 2, 128)]);
        assert_eq!(what, expected);
        assert!(points.iter().all(|point| point.allowance_ns > Nanos::ZERO));
    }
}

#[test]
fn only_driver_phases_need_no_limits() {
    let phases = vec![Phase::DriverInit, Phase::ContextCreate, Phase::ModuleLoad];
    let only = Request { phases, ..request(DeviceName::first_cuda()) };
    let counts = counts(&plan(&only, &gpu(500e12)).unwrap());
    assert_eq!(
        counts.keys().collect::<Vec<_>>(),
        ["startup cold eager", "startup warm eager", "startup warm lazy", "trial"]
    );
    let error = plan(&Request { device: DeviceName::Host, ..only }, &host()).unwrap_err();
    assert!(matches!(&error, ResolveError::Nothing { why } if why.contains("the host device has none")));
}

#[test]
fn several_gpus_load_at_once() {
    let mut machine = gpu(500e12);
    machine.gpu = Some(Gpus { count: 2 });
    let plan = plan(&request(DeviceName::Cuda(vec![0, 1])), &machine).unwrap();
    assert_eq!((plan.device.as_str(), counts(&plan)["uploads"]), ("cuda:0,1", 10));
    assert_eq!(counts(&plan)["trial"], 5, "everything else runs on the first");
}

#[test]
fn a_large_model_gives_up_ways_of_loading_before_it_passes_the_budget() {
    let mut machine = gpu(500e12);
    machine.model.bytes = Bytes::from_mib(40_000);
    let names = ["direct", "buffered", "pinned-whole", "registered", "pageable", "mmap", "mmap-staged"];
    machine.strategies = names.map(str::to_owned).into();
    let plan = plan(&request(DeviceName::first_cuda()), &machine).unwrap();
    assert!(plan.estimate_ns() <= plan.budget_ns, "{} of {}", plan.estimate_ns(), plan.budget_ns);
    assert!(plan.trials == 3 && counts(&plan)["load"] < 3 * 13, "{:?}", counts(&plan));
    let named = Request { strategies: machine.strategies.clone(), ..request(DeviceName::first_cuda()) };
    assert_eq!(counts(&super::plan(&named, &machine).unwrap())["load"], 3 * 13, "what was named stays");
}

#[test]
fn an_engine_with_gpus_starts_containers() {
    let mut machine = gpu(500e12);
    if let Ok(engine) = &mut machine.engine {
        engine.gpus = true;
    }
    let plan = plan(&request(DeviceName::first_cuda()), &machine).unwrap();
    assert_eq!(counts(&plan)["container"], 3);
    assert!(plan.skipped.is_empty());
    assert!(
        plan.steps.iter().any(|step| matches!(step.kind, StepKind::Limit { limit: LimitKind::InflateGzip }))
    );
}
