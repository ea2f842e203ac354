//! The same run on a GPU that a stand-in plays: the phases before the first allocation, limits of the device, replayed steps.

use coldstart_profiles::{
    Bytes, Detail, DeviceTarget, DriverConditions, DriverDetail, DriverState, JitCache, LimitKind,
    LimitMeasurement, ModuleDetail, ModuleLoading, Nanos, Outcome, Params, Phase, Product, Profile, Reading,
    Replay, Samples, Scope, TotalKind, Trace, Work,
};

use super::{Noise, complete, ms};

const MAIN: DriverConditions = DriverConditions {
    driver_state: Some(DriverState::Persistent),
    jit_cache: JitCache::Cold,
    loading: ModuleLoading::Lazy,
};

pub(crate) fn on_cuda() -> Profile {
    let mut profile = complete();
    let mut noise = Noise(11);
    profile.target.device = DeviceTarget {
        kind: "cuda".into(),
        name: "NVIDIA H100 80GB HBM3".into(),
        count: 1,
        memory_bytes: Bytes::from_mib(81_008),
        threads: None,
        multiprocessors: Some(132),
        clock_hz: Some(1_980_000_000),
        flop_per_cycle: [("f32", 256), ("f16", 4096), ("bf16", 4096)]
            .map(|(dtype, operations)| (dtype.to_owned(), operations))
            .into(),
        memory_bytes_per_s: Some(3_352_320_000_000),
        features: vec!["sm_90".into()],
        uuid: Some("GPU-8f6d".into()),
        pci_bus_id: None,
        driver: Some("12.4".into()),
        gemm: "cuBLASLt 12.4.5".into(),
        stand_in: true,
    };
    profile.plan.device = "cuda:0".into();
    profile.plan.skipped.clear();
    profile.telemetry.skipped = Some("failed to open NVML: libnvidia-ml.so.1 is not there".into());
    for trace in profile.traces.iter_mut().filter(|trace| is_process(trace)) {
        start(trace, MAIN, &mut noise);
    }
    for trial in 0..3 {
        for loading in [ModuleLoading::Lazy, ModuleLoading::Eager] {
            profile.traces.push(startup(trial, loading, &mut noise));
        }
    }
    for point in &mut profile.throughput {
        point.dtype = Some("bf16".into());
        point.replay = (point.mode == coldstart_profiles::ForwardMode::Decode).then_some(Replay::Replayed);
    }
    profile.limits.retain(|limit| {
        !matches!(limit.kind, LimitKind::MemoryRead | LimitKind::MemcpyFresh | LimitKind::Gemm)
    });
    profile.limits.extend(limits());
    profile.products = products();
    profile.derive();
    profile
}

fn is_process(trace: &Trace) -> bool {
    (trace.scope, trace.total_kind) == (Scope::ColdStart, TotalKind::Process) && trace.total().is_some()
}

/// Puts driver, context and kernels behind the start of the process.
fn start(trace: &mut Trace, conditions: DriverConditions, noise: &mut Noise) {
    let (total, _) = trace.total().unwrap_or_default();
    let added = before(conditions, trace.readings[0].duration_ns, noise);
    let shift: Nanos = added.iter().map(|reading| reading.duration_ns).sum();
    for reading in &mut trace.readings[1..] {
        reading.begin_ns = reading.begin_ns.saturating_add(shift);
    }
    trace.readings.splice(1..1, added);
    trace.params = conditions.params(trace.params.clone());
    trace.end = Trace::completed(&trace.readings, total.saturating_add(shift));
}

fn startup(trial: u32, loading: ModuleLoading, noise: &mut Noise) -> Trace {
    let conditions = DriverConditions { jit_cache: JitCache::Warm, loading, ..MAIN };
    let mut readings = vec![reading(Phase::ProcessStart, Params::new(), Nanos::ZERO, ms(4.0), None)];
    readings.extend(before(conditions, ms(4.0), noise));
    let total = readings.iter().map(|reading| reading.duration_ns).sum();
    Trace {
        step: format!("startup-warm-{loading}-{trial}"),
        trial,
        scope: Scope::Startup,
        total_kind: TotalKind::Process,
        params: conditions.params(Params::new()),
        end: Trace::completed(&readings, total),
        readings,
    }
}

fn before(conditions: DriverConditions, begin: Nanos, noise: &mut Noise) -> Vec<Reading> {
    let state = Params::new().with("driver_state", conditions.driver_state_name());
    let loading = |params: Params| params.with("loading", conditions.loading);
    let (open, init) = (ms(3.1 * noise.factor(0.05)), ms(21.0 * noise.factor(0.1)));
    let driver = DriverDetail { open_ns: open, init_ns: init };
    let compile = if conditions.jit_cache == JitCache::Cold { 1_240.0 } else { 38.0 };
    let module = ModuleDetail {
        load_ns: ms(compile * noise.factor(0.05)),
        resolve_ns: ms(if conditions.loading == ModuleLoading::Lazy { 9.0 } else { 0.4 }),
        kernels: 84,
        ptx_bytes: Bytes::new(1_310_720),
    };
    let spans = [
        (Phase::DriverInit, state.clone(), open.saturating_add(init), Some(Detail::Driver(driver))),
        (Phase::ContextCreate, loading(state), ms(187.0 * noise.factor(0.05)), None),
        (
            Phase::ModuleLoad,
            loading(Params::new().with("jit_cache", conditions.jit_cache)),
            module.load_ns.saturating_add(module.resolve_ns),
            Some(Detail::Module(module)),
        ),
    ];
    let mut at = begin;
    let place = |(phase, params, duration, detail): (Phase, Params, Nanos, Option<Detail>)| {
        let placed = reading(phase, params, at, duration, detail);
        at = at.saturating_add(duration);
        placed
    };
    spans.into_iter().map(place).collect()
}

fn reading(
    phase: Phase,
    params: Params,
    begin_ns: Nanos,
    duration_ns: Nanos,
    detail: Option<Detail>,
) -> Reading {
    Reading { phase, params, begin_ns, duration_ns, device_ns: None, work: None, mark: None, detail }
}

fn limits() -> Vec<LimitMeasurement> {
    let limit = |kind, work: Work, per_second: f64, params: Params| {
        let best = work.amount() as f64 / per_second * 1e3;
        let samples = [1.0, 1.01, 1.002].map(|slower| ms(best * slower)).into();
        LimitMeasurement { kind, params, work, outcome: Outcome::measured(Samples::new(samples).unwrap()) }
    };
    let bytes = |mib| Work::Bytes(Bytes::from_mib(mib));
    let product = |dtype: &str, implementation: &str| {
        let params = Params::new().with("clock", "device").with("dtype", dtype).with("edge", 8192);
        params.with("implementation", implementation)
    };
    vec![
        limit(
            LimitKind::HostToDevice,
            bytes(512),
            55.1e9,
            Params::new().with("chunk", "16MiB").with("streams", 2),
        ),
        limit(
            LimitKind::DeviceToHost,
            bytes(512),
            54.0e9,
            Params::new().with("chunk", "all").with("streams", 1),
        ),
        limit(LimitKind::DeviceCopy, bytes(1024), 2.61e12, Params::new()),
        limit(LimitKind::DeviceRead, bytes(2048), 3.01e12, Params::new().with("by", "checksum")),
        limit(LimitKind::Gemm, Work::Flops(1 << 40), 51.2e12, product("f32", "own kernel")),
        limit(LimitKind::Gemm, Work::Flops(1 << 40), 389e12, product("bf16", "own kernel")),
        limit(LimitKind::Gemm, Work::Flops(1 << 40), 702e12, product("bf16", "cuBLASLt 12.4.5")),
        LimitMeasurement {
            kind: LimitKind::Gemm,
            params: product("f32", "cuBLASLt 12.4.5"),
            work: Work::Flops(0),
            outcome: Outcome::skipped("failed to use cuBLASLt: it has no algorithm for f32"),
        },
    ]
}

fn products() -> Vec<Product> {
    let product = |step: &str, m, (implementation, kernel): (&str, &str), calls| Product {
        step: step.into(),
        dtype: "bf16".into(),
        m,
        n: 4096,
        k: 4096,
        implementation: implementation.into(),
        kernel: kernel.into(),
        calls,
    };
    vec![
        product("trial-cold-direct-0", 16, ("own kernel", "gemv_16_bf16"), 2_400),
        product("sweep", 1, ("own kernel", "gemv_8_bf16"), 96),
        product("sweep", 16, ("own kernel", "gemv_16_bf16"), 96),
        product("sweep", 512, ("cuBLASLt", "cuBLASLt 12.4.5"), 1_200),
        product("sweep", 4096, ("cuBLASLt", "cuBLASLt 12.4.5"), 1_200),
    ]
}
