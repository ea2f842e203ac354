use coldstart_profiles::{
    Bytes, Detail, LoadDetail, Nanos, Params, Phase, Profile, Reading, Residency, ResidencyMethod, Samples,
    Scope, StopReason, TotalKind, Trace, TraceEnd, WarmUpCurve, Work,
};

use super::target::WEIGHTS;
use super::{Noise, ms};

/// Cold starts, loads without a forward pass, and one trial that was killed.
pub(crate) fn add(profile: &mut Profile, noise: &mut Noise) {
    for trial in 0..5 {
        let mark = (trial == 3).then(|| "partial: 3.1 % of the files was in the page cache".to_owned());
        let (trace, curve) = cold_start(trial, mark, noise);
        profile.traces.push(trace);
        profile.warm_up.push(curve);
    }
    let strategies = [
        ("direct", "cold", 402.0),
        ("mmap", "cold", 611.0),
        ("buffered", "cold", 455.0),
        ("direct", "warm", 396.0),
        ("mmap", "warm", 331.0),
        ("buffered-in-place", "warm", 183.0),
    ];
    for trial in 0..3 {
        for (strategy, page_cache, millis) in strategies {
            profile.traces.push(load(trial, strategy, page_cache, millis * noise.factor(0.04)));
        }
    }
    profile.traces.push(Trace {
        step: "load-cold-mmap-3".into(),
        trial: 3,
        scope: Scope::Load,
        total_kind: TotalKind::Process,
        params: conditions("mmap", "cold"),
        readings: Vec::new(),
        end: TraceEnd::Failed {
            why: "killed by signal 9 (SIGKILL: often the kernel, short of memory)".into(),
            stderr: "opening the model\nmapping 512 MiB\n".into(),
        },
    });
}

fn conditions(strategy: &str, page_cache: &str) -> Params {
    Params::new().with("page_cache", page_cache).with("staging", strategy)
}

/// A reading of a phase, without work or detail.
pub(crate) fn reading(phase: Phase, begin: Nanos, duration: Nanos) -> Reading {
    Reading {
        phase,
        params: Params::new(),
        begin_ns: begin,
        duration_ns: duration,
        device_ns: None,
        work: None,
        mark: None,
        detail: None,
    }
}

/// Readings one after the other, with a little time between them, and the time at which the last one ends.
pub(crate) fn chain(parts: &[(Phase, f64)], noise: &mut Noise) -> (Vec<Reading>, Nanos) {
    let mut at = Nanos::ZERO;
    let mut readings = Vec::new();
    for (phase, millis) in parts {
        let duration = ms(millis * noise.factor(0.05));
        readings.push(reading(*phase, at, duration));
        at = at.saturating_add(duration).saturating_add(ms(0.9 * noise.factor(0.2)));
    }
    (readings, at)
}

fn cold_start(trial: u32, mark: Option<String>, noise: &mut Noise) -> (Trace, WarmUpCurve) {
    let iterations: Vec<Nanos> = (0..160)
        .map(|index| {
            let early = match index {
                0 => 3.4,
                1..6 => 1.35,
                _ => 1.0,
            };
            ms(21.6 * early * noise.factor(0.02))
        })
        .collect();
    let samples = Samples::new(iterations).unwrap();
    let step = format!("trial-cold-direct-{trial}");
    let curve = WarmUpCurve::new(&step, samples, Nanos::from_nanos(30), StopReason::SteadyInterval);
    let parts = [
        (Phase::ProcessStart, 4.1),
        (Phase::Alloc, 71.0),
        (Phase::WeightsLoad, 398.0),
        (Phase::FirstBatch, 74.0),
        (Phase::WarmUp, 146.0),
    ];
    let (mut readings, total) = chain(&parts, noise);
    if let Some(load) = readings.iter_mut().find(|reading| reading.phase == Phase::WeightsLoad) {
        load.params = conditions("direct", "cold");
        load.work = Some(Work::Bytes(WEIGHTS));
        load.mark = mark;
        load.detail = Some(Detail::Load(detail("direct", load.duration_ns)));
    }
    let end = Trace::completed(&readings, total);
    let params = conditions("direct", "cold");
    let trace =
        Trace { step, trial, scope: Scope::ColdStart, total_kind: TotalKind::Process, params, readings, end };
    (trace, curve)
}

fn load(trial: u32, strategy: &str, page_cache: &str, millis: f64) -> Trace {
    let mut load = reading(Phase::WeightsLoad, ms(74.0), ms(millis));
    load.params = conditions(strategy, page_cache);
    load.work = Some(Work::Bytes(WEIGHTS));
    load.detail = Some(Detail::Load(detail(strategy, load.duration_ns)));
    let readings = vec![reading(Phase::ProcessStart, Nanos::ZERO, ms(4.0)), load];
    let end = Trace::completed(&readings, ms(75.0 + millis));
    Trace {
        step: format!("load-{page_cache}-{strategy}-{trial}"),
        trial,
        scope: Scope::Load,
        total_kind: TotalKind::Process,
        params: conditions(strategy, page_cache),
        readings,
        end,
    }
}

fn detail(strategy: &str, duration: Nanos) -> LoadDetail {
    let share = |part: f64| Some(Nanos::from_nanos_f64(duration.as_nanos() as f64 * part));
    let staged = !matches!(strategy, "mmap" | "buffered-in-place");
    LoadDetail {
        loaded_bytes: WEIGHTS,
        threads: 2,
        queue_depth: 8,
        chunk_bytes: Bytes::from_mib(4),
        reads_by: if strategy == "mmap" { "mmap".into() } else { "pread".into() },
        pin_ns: if staged { ms(31.0) } else { Nanos::ZERO },
        pinned_bytes: if staged { Bytes::from_mib(64) } else { Bytes::ZERO },
        read_ns: if strategy == "mmap" { None } else { share(0.86) },
        stage_ns: None,
        upload_ns: if strategy == "buffered-in-place" { None } else { share(0.41) },
        streams: 0,
        copies: 0,
        anonymous_growth_bytes: None,
        remarks: Vec::new(),
        overlap_ns: share(0.3).unwrap_or_default(),
        absent: Vec::new(),
        first_tensor_ns: Some(ms(35.0)),
        verified_bytes: Some(Bytes::new(1 << 20)),
        residency_before: Residency {
            resident_bytes: Some(Bytes::ZERO),
            total_bytes: WEIGHTS,
            method: ResidencyMethod::Mincore,
            why: None,
        },
    }
}
