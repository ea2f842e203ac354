//! The steady state of single processes, beside that of the sweep.

use coldstart_profiles::{Profile, SteadyProcesses};

use super::section;
use crate::grid::{Cell, Column, Grid};
use crate::scale::{Scale, ranges};
use crate::style::{Style, Tone};

/// One line a point: the median iteration over processes, its range, and the sweep's own.
pub(crate) fn processes(profile: &Profile, style: &Style) -> String {
    let all = profile.steady_processes();
    let scale = Scale::times(all.iter().map(|processes| processes.spread.max));
    let ends: Vec<Option<(String, String)>> = (all.iter())
        .map(|processes| {
            let (least, largest) = (processes.spread.min, processes.spread.max);
            (processes.medians.len() > 1).then(|| (scale.time(least), scale.time(largest)))
        })
        .collect();
    let mut grid = Grid::new(
        style,
        [
            Column::text("point"),
            Column::number("batch"),
            Column::number(scale.title("median")),
            Column::number("min – max").drop(1),
            Column::number("sweep").drop(2),
            Column::number("processes").drop(0),
        ],
    );
    for (processes, range) in all.iter().zip(ranges(&ends)) {
        let (name, batch) = point(profile, processes);
        grid.row([
            Cell::new(Tone::Strong, name),
            batch.into(),
            scale.time(processes.spread.median).into(),
            Cell::new(Tone::Faint, range),
            Cell::new(Tone::Faint, processes.swept_ns.map(|swept| scale.time(swept)).unwrap_or_default()),
            processes.medians.len().to_string().into(),
        ]);
    }
    let body = if all.is_empty() { String::new() } else { grid.render() };
    section(style, "Steady state by process", "median iteration of fresh processes, one a trial", &body)
}

/// `decode, context 64`, and the batch.
fn point(profile: &Profile, processes: &SteadyProcesses<'_>) -> (String, String) {
    match profile.throughput.iter().find(|point| point.key == *processes.key) {
        Some(point) => (
            format!("{}, {} {}", point.mode.name(), point.mode.tokens_name(), point.tokens),
            point.batch.to_string(),
        ),
        None => (processes.key.to_string(), String::new()),
    }
}
