//! The way to a GPU: driver, context, kernels, under every condition.

use coldstart_profiles::{Clock, Measurement, Nanos, Phase, Profile, Summary};

use super::section;
use crate::grid::{Cell, Column, Grid};
use crate::scale::{Scale, ranges};
use crate::style::{Style, Tone};

/// One phase under one set of conditions.
struct Line<'a> {
    row: &'a Measurement,
    summary: &'a Summary,
    parts: Vec<(&'static str, Nanos)>,
}

/// driver_init, context_create and module_load by their conditions; nothing on a device that has none of them.
pub(crate) fn startup(profile: &Profile, style: &Style) -> String {
    let lines: Vec<Line<'_>> = [Phase::DriverInit, Phase::ContextCreate, Phase::ModuleLoad]
        .into_iter()
        .flat_map(|phase| profile.of_phase(phase))
        .filter(|row| row.key.clock == Clock::Host)
        .filter_map(|row| {
            let (_, summary) = row.outcome.as_measured()?;
            Some(Line { row, summary, parts: profile.startup_parts(row) })
        })
        .collect();
    let scale = Scale::times(lines.iter().map(|line| line.summary.max_ns));
    let ends: Vec<Option<(String, String)>> = (lines.iter())
        .map(|line| {
            (line.summary.n > 1).then(|| (scale.time(line.summary.min_ns), scale.time(line.summary.max_ns)))
        })
        .collect();
    let mut grid = Grid::new(
        style,
        [
            Column::text("phase"),
            Column::text("").wrap(),
            Column::number("n").drop(1),
            Column::number(scale.title("median")),
            Column::number("min – max").drop(2),
            Column::text("of which").drop(0),
        ],
    );
    let mut phase = None;
    for (line, range) in lines.iter().zip(ranges(&ends)) {
        let first = phase != Some(line.row.key.phase);
        if first && phase.is_some() {
            grid.rule();
        }
        phase = Some(line.row.key.phase);
        let conditions: Vec<String> =
            line.row.key.params.iter().map(|(name, value)| condition(name, value)).collect();
        let parts: Vec<String> = line.parts.iter().map(|(name, time)| format!("{name} {time}")).collect();
        grid.row([
            Cell::new(Tone::Strong, if first { line.row.key.phase.name() } else { "" }),
            Cell::new(Tone::Faint, conditions.join(", ")),
            line.summary.n.to_string().into(),
            scale.time(line.summary.p50_ns).into(),
            Cell::new(Tone::Faint, range),
            Cell::new(Tone::Faint, parts.join(", ")),
        ]);
    }
    section(style, "Driver, context, kernels", "in fresh processes, by what they found", &grid.render())
}

fn condition(name: &str, value: &str) -> String {
    match name {
        "driver_state" => format!("driver {value}"),
        "jit_cache" => format!("{value} JIT cache"),
        "loading" => format!("{value} loading"),
        _ => format!("{name}={value}"),
    }
}
