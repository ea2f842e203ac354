//! Profiles for tests: one that a run wrote, its times changed to known ones.

use std::path::Path;

use coldstart_profiles::{
    Bytes, ClusterTarget, ForwardMode, Key, Measurement, Nanos, Outcome, Params, Phase, Profile, Reading,
    Samples, Scope, StopReason, ThroughputPoint, TotalKind, Trace, TraceEnd, Work,
};

/// A profile that a run wrote: three cold starts of a process on two cores, a model of 1.2 MiB.
pub(crate) fn profile() -> Profile {
    let text = include_str!("../../tests/fixtures/profiles/profile-1.0.json");
    Profile::from_json(text, Path::new("profile-1.0.json")).unwrap()
}

/// The same with whole cold starts of these many milliseconds, by a longer load.
pub(crate) fn with_cold_starts(mut profile: Profile, millis: &[u64]) -> Profile {
    let template = profile.traces.iter().find(|trace| trace.scope == Scope::ColdStart).unwrap().clone();
    profile.traces.retain(|trace| trace.scope != Scope::ColdStart);
    for (trial, millis) in millis.iter().enumerate() {
        let mut trace = Trace { trial: trial as u32, step: format!("trial-{trial}"), ..template.clone() };
        let total = Nanos::from_millis(*millis);
        let others: Nanos = (trace.readings.iter())
            .filter(|reading| reading.phase != Phase::WeightsLoad)
            .map(|reading| reading.duration_ns)
            .sum();
        for reading in trace.readings.iter_mut().filter(|reading| reading.phase == Phase::WeightsLoad) {
            reading.duration_ns = total.saturating_sub(others);
        }
        trace.end =
            TraceEnd::Completed { total_ns: total, unattributed_ns: total.saturating_sub(trace.parts_ns()) };
        profile.traces.push(trace);
    }
    profile.derive();
    profile
}

/// The same with container starts of these many milliseconds that end with their first batch.
pub(crate) fn with_containers(mut profile: Profile, millis: &[u64]) -> Profile {
    for (trial, millis) in millis.iter().enumerate() {
        let half = Nanos::from_nanos(millis * 500_000);
        let readings = vec![
            reading(Phase::ContainerStart, Params::new(), Nanos::ZERO, half),
            reading(Phase::FirstBatch, Params::new().with("batch", 1), half, half),
        ];
        profile.traces.push(Trace {
            step: format!("container-{trial}"),
            trial: trial as u32,
            scope: Scope::ColdStart,
            total_kind: TotalKind::Container,
            params: Params::new().with("page_cache", "cold").with("staging", "direct"),
            end: Trace::completed(&readings, Nanos::from_millis(*millis)),
            readings,
        });
    }
    profile.derive();
    profile
}

/// The same with pulls of an image from `source`.
pub(crate) fn with_pulls(mut profile: Profile, source: &str, millis: &[u64]) -> Profile {
    let params = Params::new().with("source", source);
    for (trial, millis) in millis.iter().enumerate() {
        let time = Nanos::from_millis(*millis);
        let readings = vec![reading(Phase::ImagePull, params.clone(), Nanos::ZERO, time)];
        profile.traces.push(Trace {
            step: format!("pull-{trial}"),
            trial: trial as u32,
            scope: Scope::Pull,
            total_kind: TotalKind::Pull,
            params: params.clone(),
            end: Trace::completed(&readings, time),
            readings,
        });
    }
    profile.derive();
    profile
}

fn reading(phase: Phase, params: Params, begin_ns: Nanos, duration_ns: Nanos) -> Reading {
    Reading { phase, params, begin_ns, duration_ns, device_ns: None, work: None, mark: None, detail: None }
}

/// One point of a sweep: mode, batch, tokens, and the time of an iteration in nanoseconds.
pub(crate) type Point = (ForwardMode, u32, u32, f64);

/// The same with a sweep of these points only: ten iterations each, one of them 20 % slower.
pub(crate) fn with_sweep(mut profile: Profile, points: &[Point]) -> Profile {
    profile.measurements.retain(|row| row.key.phase != Phase::Throughput);
    profile.throughput.clear();
    for (mode, batch, tokens, nanos) in points {
        let params =
            Params::new().with("mode", mode.name()).with("batch", batch).with(mode.tokens_name(), tokens);
        let key = Key::host(Phase::Throughput, params);
        let mut times = vec![Nanos::from_nanos_f64(*nanos); 9];
        times.push(Nanos::from_nanos_f64(nanos * 1.2));
        profile.measurements.push(Measurement {
            key: key.clone(),
            work: Some(Work::Items(u64::from(*batch))),
            limit: None,
            outcome: Outcome::measured(Samples::new(times).unwrap()),
        });
        profile.throughput.push(ThroughputPoint {
            key,
            mode: *mode,
            batch: *batch,
            tokens: *tokens,
            items_per_s: f64::from(*batch) / nanos * 1e9,
            tokens_per_s: f64::from(*batch) / nanos * 1e9,
            window_ns: Nanos::from_nanos_f64(nanos * 10.0),
            flops: 1,
            read_bytes: Bytes::new(1),
            workspace_bytes: Bytes::new(1_000_000 + 2_048 * u64::from(*batch) * u64::from(*tokens)),
            stop: StopReason::Budget,
            power_mw: None,
            energy_per_token_uj: None,
            utilisation_percent: None,
            dtype: None,
            replay: None,
        });
    }
    profile.derive();
    profile
}

/// An encoder with T(n) = α + β·n over batches 1 to 16, in milliseconds.
pub(crate) fn encoder(alpha_ms: f64, beta_ms: f64) -> Profile {
    let points: Vec<Point> = [1, 2, 4, 8, 16]
        .map(|batch| (ForwardMode::Encode, batch, 64, (alpha_ms + beta_ms * f64::from(batch)) * 1e6))
        .to_vec();
    with_sweep(profile(), &points)
}

/// A language model with T_pre = 2 ms + 50 µs·tokens and T_dec = 8 ms + 200 µs·n + 10 ns·n·ctx.
pub(crate) fn language_model() -> Profile {
    let mut points: Vec<Point> = Vec::new();
    for batch in [1_u32, 2, 4, 8] {
        for tokens in [64_u32, 256, 1024] {
            let all = f64::from(batch) * f64::from(tokens);
            points.push((ForwardMode::Prefill, batch, tokens, 2e6 + 50e3 * all));
            points.push((ForwardMode::Decode, batch, tokens, 8e6 + 200e3 * f64::from(batch) + 10.0 * all));
        }
    }
    with_sweep(profile(), &points)
}

/// Pods of so many seconds of pull and of readiness; the first one found its image.
pub(crate) fn pods(seconds: &[(u64, u64)]) -> Profile {
    let mut pods = profile();
    pods.target.model = None;
    pods.target.cluster = Some(ClusterTarget {
        image: "serve:1".to_owned(),
        container: "server".to_owned(),
        nodes: vec!["a".to_owned()],
        pods: 3,
        gpu_resource: None,
        gpu_product: None,
        model: None,
        left_out: Vec::new(),
    });
    pods.plan.phases = vec![Phase::Scheduling, Phase::ImagePull, Phase::ContainerStart, Phase::Readiness];
    pods.traces.clear();
    pods.measurements.clear();
    pods.throughput.clear();
    for (trial, (pull, ready)) in (0..).zip(seconds) {
        let mut begin_ns = Nanos::ZERO;
        let mut readings = Vec::new();
        for (phase, seconds) in [(Phase::ImagePull, *pull), (Phase::Readiness, *ready)] {
            let duration_ns = Nanos::from_secs(seconds);
            if duration_ns > Nanos::ZERO {
                let params = Params::new();
                let (device_ns, work, mark, detail) = (None, None, None, None);
                readings.push(Reading {
                    phase,
                    params,
                    begin_ns,
                    duration_ns,
                    device_ns,
                    work,
                    mark,
                    detail,
                });
            }
            begin_ns = begin_ns.saturating_add(duration_ns);
        }
        pods.traces.push(Trace {
            step: format!("pod-{trial}"),
            trial,
            scope: Scope::ColdStart,
            total_kind: TotalKind::Pod,
            params: Params::new().with("image", if *pull > 0 { "pulled" } else { "present" }),
            end: Trace::completed(&readings, begin_ns),
            readings,
        });
    }
    pods.derive();
    pods
}
