//! What the hardware allows, and whether the machine was quiet.

use coldstart_profiles::{
    Bytes, CanaryReading, Ceiling, CeilingHeight, Contention, LimitKind, LimitMeasurement, Nanos, Outcome,
    Params, Profile, Work,
};

use super::section;
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};
use crate::text::{notes, paragraph};

/// Limits by kind with the best reading of each, which is what others are measured against.
pub(crate) fn limits(profile: &Profile, style: &Style) -> String {
    let mut grid = Grid::new(
        style,
        [
            Column::text("limit"),
            Column::number("best"),
            Column::number("median").drop(1),
            Column::number("n").drop(0),
            Column::text("taken with").wrap(),
        ],
    );
    let mut without: Vec<(String, String)> = Vec::new();
    for limit in &profile.limits {
        match &limit.outcome {
            Outcome::Measured { summary, .. } => {
                let rate = |time| {
                    limit.work.rate(time).map(|rate| limit.work.display_rate(rate)).unwrap_or_default()
                };
                grid.row([
                    limit.kind.name().into(),
                    rate(summary.min_ns).into(),
                    Cell::new(Tone::Faint, rate(summary.p50_ns)),
                    summary.n.to_string().into(),
                    Cell::new(Tone::Faint, conditions(&limit.params)),
                ]);
            }
            Outcome::Skipped { why } => without.push((named(limit), format!("skipped: {why}"))),
            Outcome::Failed { why } => without.push((named(limit), format!("failed: {why}"))),
        }
    }
    for link in profile.telemetry.gpus.iter().filter_map(|gpu| gpu.pcie) {
        let Some(rate) = link.bytes_per_s else { continue };
        grid.row([
            "pcie_link".into(),
            Work::Bytes(Bytes::new(rate)).display_rate(rate as f64).into(),
            Cell::default(),
            Cell::default(),
            Cell::new(Tone::Faint, format!("theoretical: PCIe {link}, not measured")),
        ]);
    }
    let mut body = grid.render();
    body.push_str(&ceilings(&profile.ceilings, style));
    body.push_str(&notes(
        style,
        Tone::Faint,
        without.iter().map(|(name, why)| (name.as_str(), why.as_str())),
    ));
    section(style, "Limits", "what the hardware allowed in the same run", &body)
}

/// A limit that has no readings, with whom they would have been of: `gemm f32 by cuBLASLt 13.1`.
fn named(limit: &LimitMeasurement) -> String {
    let part = |name, before: &str| limit.params.get(name).map(|value| format!(" {before}{value}"));
    let parts = [part("dtype", ""), part("implementation", "by ")];
    parts.into_iter().flatten().fold(limit.kind.name().to_owned(), |name, part| name + &part)
}

/// What the device was sold as: the lines that no measurement is held against.
fn ceilings(ceilings: &[Ceiling], style: &Style) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    for ceiling in ceilings {
        let (name, height) = match &ceiling.height {
            CeilingHeight::Computed { per_second, from } => {
                let unit = match ceiling.of {
                    LimitKind::Gemm => Work::Flops(0),
                    _ => Work::Bytes(Bytes::ZERO),
                };
                ("by the data sheet", format!("{} ({from})", unit.display_rate(*per_second)))
            }
            CeilingHeight::Skipped { why } => ("no data sheet", why.clone()),
        };
        let format = ceiling.params.get("dtype").unwrap_or_default();
        let of = [ceiling.of.name(), format].join(" ");
        match lines.iter_mut().find(|(_, told)| *told == height) {
            Some((told, _)) => told.push_str(&format!(", {}", of.trim_end())),
            None => lines.push((format!("{name}: {}", of.trim_end()), height)),
        }
    }
    notes(style, Tone::Faint, lines.iter().map(|(name, height)| (name.as_str(), height.as_str())))
}

fn conditions(params: &Params) -> String {
    params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

/// What processes of others, and the machine's host, had of the processors that the run could use; `None` where too little was watched.
pub(crate) fn others(contention: Contention) -> Option<String> {
    let share = contention.others()? + contention.stolen()?;
    Some(format!("{:.1} %", share.min(1.0) * 100.0))
}

/// What may have disturbed the run: `load average 0.12 → 1.90 · others had 0.9 % of the processors · canary copy 6.10 ms → 6.13 ms · …`.
pub(crate) fn fitness(profile: &Profile, style: &Style) -> String {
    let fitness = &profile.fitness;
    let loads = [fitness.load_average_before, fitness.load_average_after];
    let loads = loads.into_iter().flatten().filter(|load| load.is_finite());
    let times = |of: fn(&CanaryReading) -> Nanos| {
        fitness.canary.iter().map(|reading| of(reading).to_string()).collect()
    };
    let looks = &profile.telemetry.looks;
    let facts: [(&str, Vec<String>); 5] = [
        ("load average", loads.map(|load| format!("{load:.2}")).collect()),
        ("canary copy", times(|reading| reading.copy_ns)),
        ("canary product", times(|reading| reading.gemm_ns)),
        ("driver", looks.iter().filter_map(|look| Some(look.driver_state?.name().to_owned())).collect()),
        ("GPU", looks.iter().filter_map(|look| Some(format!("{} °C", look.temperature_c?))).collect()),
    ];
    let told = facts.iter().filter(|(_, values)| !values.is_empty());
    let mut parts: Vec<String> =
        told.map(|(name, values)| format!("{name} {}", values.join(" → "))).collect();
    parts.extend(
        fitness
            .contention
            .and_then(others)
            .map(|share| format!("others had {share} of the processors meanwhile")),
    );
    if parts.is_empty() {
        return String::new();
    }
    let body = paragraph(style, Tone::Plain, &parts.join(" · "));
    section(style, "Machine", "before → after the run", &body)
}
