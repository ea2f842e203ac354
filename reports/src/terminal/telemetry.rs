//! How the GPU fared: power, clocks, use, by part of the measurements.

use coldstart_profiles::{
    Bytes, Energy, GpuFacts, Nanos, Profile, Spread, TelemetryOverview, TelemetryScope, TelemetrySummary,
    WindowKind,
};

use super::section;
use crate::grid::{Cell, Column, Grid};
use crate::scale::{Scale, percent};
use crate::style::{Style, Tone};
use crate::text::{by_text, notes, paragraph};

/// The windows of a kind in one line each, what the GPU is, and what it did not tell. Nothing where nothing was sampled:
/// the reason then stands among what was not measured.
pub(crate) fn telemetry(profile: &Profile, style: &Style) -> String {
    let telemetry = &profile.telemetry;
    let overview = telemetry.overview();
    if overview.is_empty() {
        return String::new();
    }
    let mut body = table(&overview, style);
    for gpu in &telemetry.gpus {
        body.push_str(&paragraph(style, Tone::Faint, &facts(gpu)));
    }
    let (marked, all) = profile.throttled_iterations();
    if marked > 0 {
        let text = format!(
            "{marked} of {all} iterations are marked: they ran while heat, the power supply or the hardware held the clocks down; they count all the same"
        );
        body.push_str(&paragraph(style, Tone::Warn, &text));
    }
    let unread = telemetry.gpus.iter().flat_map(|gpu| &gpu.unread);
    let mut unread = by_text(unread.map(|unread| (unread.what.clone(), unread.why.as_str())));
    unread.extend(without_energy(profile));
    unread.extend(telemetry.skipped.as_deref().map(|why| ("incomplete".to_owned(), why)));
    body.push_str(&notes(style, Tone::Faint, unread.iter().map(|(what, why)| (what.as_str(), *why))));
    section(style, "Telemetry", &conditions(profile), &body)
}

/// `by NVML, every 100 ms; medians`.
fn conditions(profile: &Profile) -> String {
    let interval = profile.telemetry.gpus.iter().map(|gpu| gpu.interval_ns).max().unwrap_or(Nanos::ZERO);
    format!("by NVML, every {interval}; medians")
}

fn table(overview: &[TelemetryOverview], style: &Style) -> String {
    let used = |line: &TelemetryOverview| line.summary.memory_used_bytes.map(|used| Bytes::new(used.max));
    let memory = Scale::bytes(overview.iter().filter_map(used));
    let mut grid = Grid::new(
        style,
        [
            Column::text("of"),
            Column::text("window"),
            Column::number("GPU %"),
            Column::number("memory %").drop(3),
            Column::number("W"),
            Column::number("most W").drop(4),
            Column::number("SM MHz"),
            Column::number("memory MHz").drop(1),
            Column::number("°C").drop(5),
            Column::number(memory.title("used")).drop(2),
            Column::number("throttled"),
            Column::number("samples").drop(6),
            Column::text("clocks held by").drop(0),
        ],
    );
    let mut scope = None;
    for line in overview {
        let summary = &line.summary;
        let first = scope != Some(line.scope);
        if first && scope.is_some() {
            grid.rule();
        }
        scope = Some(line.scope);
        let (throttled, tone) = throttled(summary);
        grid.row([
            Cell::new(Tone::Strong, if first { of(line.scope) } else { "" }),
            line.window.name().into(),
            median(summary.gpu_percent).into(),
            median(summary.memory_percent).into(),
            summary.power_mw.map(|power| watts(power.median)).unwrap_or_default().into(),
            summary.power_mw.map(|power| watts(power.max)).unwrap_or_default().into(),
            median(summary.sm_clock_mhz).into(),
            median(summary.memory_clock_mhz).into(),
            median(summary.temperature_c).into(),
            used(line).map(|used| memory.size(used)).unwrap_or_default().into(),
            Cell::new(tone, throttled),
            summary.samples.to_string().into(),
            Cell::new(Tone::Faint, held_by(summary)),
        ]);
    }
    grid.render()
}

const fn of(scope: TelemetryScope) -> &'static str {
    match scope {
        TelemetryScope::Trial => "cold start",
        TelemetryScope::Point => "throughput",
    }
}

fn median(spread: Option<Spread>) -> String {
    spread.map(|spread| spread.median.to_string()).unwrap_or_default()
}

fn watts(milliwatts: u64) -> String {
    format!("{:.0}", milliwatts as f64 / 1e3)
}

/// The share of throttled samples.
fn throttled(summary: &TelemetrySummary) -> (String, Tone) {
    match summary.throttled_samples {
        None => (String::new(), Tone::Plain),
        Some(0) => ("0".to_owned(), Tone::Plain),
        Some(some) => (percent(some as f64 / summary.samples.max(1) as f64), Tone::Warn),
    }
}

/// The commonest event, with its share: `sw_power_cap 81 %`.
fn held_by(summary: &TelemetrySummary) -> String {
    let commonest = summary.clock_events.iter().max_by_key(|count| count.samples);
    commonest.map_or_else(String::new, |count| {
        format!("{} {}", count.event, percent(count.samples as f64 / summary.samples.max(1) as f64))
    })
}

/// `GPU-8f6d… · driver 580.65.06 · power limit 700 W · persistence on · ECC on`.
fn facts(gpu: &GpuFacts) -> String {
    let mode =
        |name: &str, on: Option<bool>| on.map(|on| format!("{name} {}", if on { "on" } else { "off" }));
    [
        gpu.uuid.clone(),
        gpu.pci_bus_id.clone(),
        gpu.driver.as_ref().map(|driver| format!("driver {driver}")),
        gpu.power_limit_mw.map(|power| format!("power limit {} W", watts(power))),
        gpu.sm_clock_max_mhz.map(|clock| format!("at most {clock} MHz")),
        mode("persistence", gpu.persistence_mode),
        mode("MIG", gpu.mig_mode),
        mode("ECC", gpu.ecc_enabled),
        gpu.ecc_corrected.filter(|errors| *errors > 0).map(|errors| format!("{errors} errors corrected")),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(" · ")
}

/// Why points have no energy, with how many they are.
fn without_energy(profile: &Profile) -> Vec<(String, &str)> {
    let steady = profile
        .telemetry
        .windows
        .iter()
        .filter(|window| (window.scope, window.window) == (TelemetryScope::Point, WindowKind::Steady));
    let whys = steady.filter_map(|window| match &window.energy {
        Energy::Skipped { why } => Some(why.as_str()),
        Energy::Measured { .. } => None,
    });
    let mut reasons: Vec<(usize, &str)> = Vec::new();
    for why in whys {
        match reasons.iter_mut().find(|(_, known)| *known == why) {
            Some((count, _)) => *count += 1,
            None => reasons.push((1, why)),
        }
    }
    let name =
        |count| if count == 1 { "energy of 1 point".to_owned() } else { format!("energy of {count} points") };
    reasons.into_iter().map(|(count, why)| (name(count), why)).collect()
}
