//! Mutilated profiles of all widths: no report panics, exceeds its width, or lets untrusted text act on the terminal.

use coldstart_profiles::{
    Bytes, Caveat, Check, CheckStatus, Contention, Detail, DoctorReport, Limit, LimitKind, ModelSpec, Nanos,
    Outcome, Params, Profile, RunState, Samples, SkippedPhase, Step, StepKind, TraceEnd, Work,
};
use proptest::prelude::*;
use tabled::grid::util::string::get_string_width;

use super::scripted;
use crate::style::obeyed;
use crate::{Style, comparison, doctor, html, markdown, run_plan_table, terminal, trace_events};

/// Text as an attacker, a crash or another language would have it.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m".to_owned()),
        Just("gpj.\u{202e}exe\u{2066}\r\n\t\u{0}\u{200b}".to_owned()),
        Just("模型名称很长".repeat(20)),
        Just("👩‍👩‍👧‍👦🇩🇪❤️👍🏽".repeat(9)),
        Just("e\u{301}\u{302}\u{303}".repeat(50)),
        Just("لا إله كتاب".repeat(9)),
        Just("x".repeat(5_000)),
        Just(" spaced   out ".repeat(40)),
        "\\PC{0,60}",
        any::<String>(),
    ]
}

/// Times from nothing to five centuries.
fn time() -> impl Strategy<Value = Nanos> {
    prop_oneof![Just(0), 0..10_000_u64, 0..10_000_000_000_u64, Just(u64::MAX), any::<u64>()]
        .prop_map(Nanos::from_nanos)
}

#[derive(Debug, Clone)]
enum Damage {
    Clear(u8),
    Truncate(u8, usize),
    Times(Vec<Nanos>),
    Names(String),
    Texts(String),
    Bytes(u64),
    OneSample,
    Fail(String),
    Nonsense(f64),
    State(bool),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (0_u8..9).prop_map(Damage::Clear),
        (0_u8..9, 0_usize..6).prop_map(|(what, to)| Damage::Truncate(what, to)),
        prop::collection::vec(time(), 1..8).prop_map(Damage::Times),
        hostile().prop_map(Damage::Names),
        hostile().prop_map(Damage::Texts),
        prop_oneof![Just(0), Just(u64::MAX), any::<u64>()].prop_map(Damage::Bytes),
        Just(Damage::OneSample),
        hostile().prop_map(Damage::Fail),
        prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1e300), Just(1e300), Just(0.0)]
            .prop_map(Damage::Nonsense),
        any::<bool>().prop_map(Damage::State),
    ]
}

fn apply(profile: &mut Profile, damage: Damage) {
    match damage {
        Damage::Clear(what) => truncate(profile, what, 0),
        Damage::Truncate(what, to) => truncate(profile, what, to),
        Damage::Times(times) => retime(profile, &times),
        Damage::Names(name) => rename(profile, &name),
        Damage::Texts(text) => retell(profile, &text),
        Damage::Bytes(bytes) => resize(profile, bytes),
        Damage::OneSample => {
            for outcome in outcomes(profile) {
                *outcome = Outcome::measured(Samples::new(vec![Nanos::from_nanos(1)]).unwrap());
            }
            profile.traces.truncate(1);
        }
        Damage::Fail(why) => {
            for trace in &mut profile.traces {
                trace.end = TraceEnd::Failed { why: why.clone(), stderr: why.clone() };
            }
            for outcome in outcomes(profile) {
                *outcome = Outcome::failed(&why);
            }
        }
        Damage::Nonsense(number) => nonsense(profile, number),
        Damage::State(partial) => {
            profile.state = if partial { RunState::Partial } else { RunState::Interrupted };
            profile.target.device.stand_in = partial;
        }
    }
}

fn outcomes(profile: &mut Profile) -> impl Iterator<Item = &mut Outcome> {
    let rows = profile.measurements.iter_mut().map(|row| &mut row.outcome);
    let totals = profile.totals.iter_mut().map(|row| &mut row.outcome);
    rows.chain(totals).chain(profile.limits.iter_mut().map(|row| &mut row.outcome))
}

fn truncate(profile: &mut Profile, what: u8, to: usize) {
    match what {
        0 => profile.traces.truncate(to),
        1 => profile.measurements.truncate(to),
        2 => profile.limits.truncate(to),
        3 => profile.warm_up.truncate(to),
        4 => profile.throughput.truncate(to),
        5 => profile.plan.steps.truncate(to),
        6 => profile.traces.iter_mut().for_each(|trace| trace.readings.truncate(to)),
        7 => (profile.target.model, profile.telemetry.windows) = (None, Vec::new()),
        _ => (profile.target.engine, profile.target.image) = (None, None),
    }
}

fn retime(profile: &mut Profile, times: &[Nanos]) {
    let mut times = times.iter().copied().cycle();
    let mut next = move || times.next().unwrap_or_default();
    for trace in &mut profile.traces {
        for reading in &mut trace.readings {
            (reading.begin_ns, reading.duration_ns) = (next(), next());
            if let Some(Detail::Pull(pull)) = &mut reading.detail {
                pull.total_ns = next();
                pull.critical_path.extract_ns = next();
                for interval in
                    pull.layers.iter_mut().flat_map(|layer| [&mut layer.download, &mut layer.extract])
                {
                    interval
                        .iter_mut()
                        .for_each(|interval| (interval.begin_ns, interval.end_ns) = (next(), next()));
                }
            }
        }
        trace.end = TraceEnd::Completed { total_ns: next(), unattributed_ns: next() };
    }
    for row in &mut profile.measurements {
        row.outcome = Outcome::measured(Samples::new(vec![next(), next(), next()]).unwrap());
        row.limit =
            Some(Limit { kind: LimitKind::Gemm, work: row.work.unwrap_or(Work::Flops(1)), best_ns: next() });
    }
    for curve in &mut profile.warm_up {
        curve.samples = Samples::new((0..70).map(|_| next()).collect()).unwrap();
        curve.analysis.time_to_steady_ns = Some(next());
        curve.analysis.warmup_cost_ns = Some(i64::MIN);
    }
    (profile.elapsed_ns, profile.plan.budget_ns) = (next(), next());
    profile.plan.steps.iter_mut().for_each(|step| step.estimate_ns = next());
}

fn rename(profile: &mut Profile, name: &str) {
    let name = || name.to_owned();
    let target = &mut profile.target;
    if let Some(model) = &mut target.model {
        (model.source, model.architecture, model.file_system) = (name(), Some(name()), Some(name()));
        model.dtypes.insert(name(), Bytes::ZERO);
    }
    if let Some(image) = &mut target.image {
        (image.reference, image.digest) = (name(), Some(name()));
    }
    (target.device.name, target.device.gemm, target.host.os, target.host.kernel) =
        (name(), name(), name(), name());
    (profile.tool.version, profile.started_at) = (name(), name());
    for trace in &mut profile.traces {
        (trace.step, trace.params) = (name(), Params::new().with(&name(), name()));
        for reading in &mut trace.readings {
            if let Some(Detail::Pull(pull)) = &mut reading.detail {
                pull.layers.iter_mut().for_each(|layer| layer.id = name());
            }
        }
    }
    for row in &mut profile.measurements {
        row.key.params = row.key.params.clone().with("staging", name()).with(&name(), name());
    }
    profile.warm_up.iter_mut().for_each(|curve| curve.step = name());
    for gpu in &mut profile.telemetry.gpus {
        (gpu.uuid, gpu.driver) = (Some(name()), Some(name()));
        gpu.unread.iter_mut().for_each(|unread| (unread.what, unread.why) = (name(), name()));
    }
    for product in &mut profile.products {
        (product.dtype, product.implementation, product.kernel) = (name(), name(), name());
    }
    profile.plan.strategy = name();
    profile.plan.model = ModelSpec::Directory { path: name(), follow_symlinks: false };
}

fn retell(profile: &mut Profile, text: &str) {
    profile.caveats.push(Caveat { code: text.to_owned(), text: text.to_owned() });
    profile.plan.skipped.push(SkippedPhase { phase: coldstart_profiles::Phase::Alloc, why: text.to_owned() });
    profile.plan.steps.push(Step {
        id: text.to_owned(),
        kind: StepKind::Load {
            trial: 0,
            strategy: text.to_owned(),
            page_cache: coldstart_profiles::PageCache::Memory,
            verify: false,
        },
        estimate_ns: Nanos::ZERO,
        allowance_ns: Nanos::ZERO,
    });
    profile.telemetry.skipped = Some(text.to_owned());
    for (index, outcome) in outcomes(profile).enumerate() {
        match index % 3 {
            0 => *outcome = Outcome::skipped(text),
            1 => *outcome = Outcome::failed(text),
            _ => {}
        }
    }
}

fn resize(profile: &mut Profile, bytes: u64) {
    for trace in &mut profile.traces {
        trace.readings.iter_mut().for_each(|reading| reading.work = Some(Work::Bytes(Bytes::new(bytes))));
    }
    profile.limits.iter_mut().for_each(|limit| limit.work = Work::Flops(bytes));
    for point in &mut profile.throughput {
        (point.workspace_bytes, point.flops) = (Bytes::new(bytes), bytes);
        (point.batch, point.tokens) = (bytes as u32, u32::MAX);
        (point.power_mw, point.energy_per_token_uj) = (Some(bytes), Some(bytes));
    }
    for window in &mut profile.telemetry.windows {
        for sample in &mut window.samples {
            (sample.power_mw, sample.memory_used_bytes) = (Some(bytes), Some(Bytes::new(bytes)));
        }
    }
}

fn nonsense(profile: &mut Profile, number: f64) {
    for point in &mut profile.throughput {
        (point.items_per_s, point.tokens_per_s) = (number, number);
    }
    profile.fitness.load_average_before = Some(number);
    let time = Nanos::from_nanos_f64(number);
    profile.fitness.contention = Some(Contention {
        processors: 2,
        watched_ns: Nanos::from_secs(20),
        busy_ns: time,
        own_ns: Nanos::ZERO,
        stolen_ns: time,
    });
    for reading in profile.traces.iter_mut().flat_map(|trace| &mut trace.readings) {
        if let Some(Detail::Pull(pull)) = &mut reading.detail {
            pull.cold_fraction = Some(number);
        }
    }
}

/// What every report keeps to.
fn assert_fit(text: &str, style: &Style) -> Result<(), TestCaseError> {
    for line in text.lines() {
        let width = get_string_width(line);
        prop_assert!(
            width <= style.width.clamp(40, 140),
            "{width} columns of {}: {line:?}\n{text}",
            style.width
        );
        prop_assert_eq!(line, line.trim_end(), "trailing space");
        prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
        prop_assert!(style.unicode || line.is_ascii(), "{:?}", line);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_profile_fits(
        damages in prop::collection::vec(damage(), 0..5),
        derive in any::<bool>(),
        width in prop_oneof![0_usize..160, Just(usize::MAX)],
        unicode in any::<bool>(),
        label in hostile(),
        device in 0..3,
    ) {
        let mut profile = match device {
            0 => scripted::complete(),
            1 => scripted::on_a_gpu(),
            _ => scripted::on_cuda(),
        };
        for damage in damages {
            apply(&mut profile, damage);
        }
        if derive {
            profile.derive();
        }
        let style = Style { width, color: false, unicode };
        assert_fit(&terminal(&profile, &style), &style)?;
        assert_fit(&run_plan_table(&profile.plan, &style), &style)?;
        let whole = scripted::complete();
        assert_fit(&comparison(&[(&label, &profile), ("b", &whole)], &style), &style)?;
        let label = label.as_str();
        let pages = [
            html(&[(label, &profile)]),
            html(&[("a", &whole), (label, &profile)]),
            html(&[(label, &profile); 5]),
        ];
        for page in pages {
            let page = page.map_err(TestCaseError::fail)?;
            let acts = page.contains(|c: char| obeyed(c) && c != '\n');
            prop_assert!(!page.contains("NaN") && !acts, "{label:?}");
            prop_assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        }
        let trace = trace_events(&profile).map_err(TestCaseError::fail)?;
        prop_assert!(serde_json::from_str::<serde_json::Value>(&trace).is_ok());
        // The sign of caveats is ours.
        let text = markdown(&[(label, &profile)]).replace("⚠️", "");
        let acts = text.contains(|c: char| obeyed(c) && c != '\n');
        prop_assert!(!acts, "{label:?}");
        let check = |status| Check {
            area: label.into(), name: label.into(), status, found: label.into(), remedy: Some(label.into()),
        };
        let checks = [CheckStatus::Ok, CheckStatus::Limited, CheckStatus::Missing].map(check).into();
        assert_fit(&doctor(&DoctorReport { checks }, &style), &style)?;
    }
}

#[test]
fn colours_add_only_colours() {
    let profile = scripted::complete();
    let plain = terminal(&profile, &Style { width: 100, color: false, unicode: true });
    let colored = terminal(&profile, &Style { width: 100, color: true, unicode: true });
    let mut stripped = String::new();
    let mut rest = colored.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        stripped.push_str(before);
        let (code, after) = after.split_once('m').unwrap();
        assert!(code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'), "{code:?}");
        rest = after;
    }
    stripped.push_str(rest);
    let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
    assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
}
