//! Benchmarks of other tools.

use coldstart_profiles::{Nanos, Profile};

use super::section;
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};

/// One line a benchmark: the time of one iteration, and its rate.
pub(crate) fn benchmarks(profile: &Profile, style: &Style) -> String {
    let benchmarks = profile.benchmarks();
    let mut grid = Grid::new(
        style,
        [
            Column::text("benchmark"),
            Column::number("median"),
            Column::number("min – max").drop(1),
            Column::number("rate").drop(2),
            Column::number("n").drop(0),
        ],
    );
    for benchmark in &benchmarks {
        let one = |time: Nanos| short(benchmark.per_iteration(time));
        let summary = benchmark.summary;
        let rate = benchmark.row.work.zip(benchmark.row.rate());
        grid.row([
            Cell::new(Tone::Strong, benchmark.name),
            one(summary.p50_ns).into(),
            format!("{} – {}", one(summary.min_ns), one(summary.max_ns)).into(),
            rate.map(|(work, rate)| work.display_rate(rate)).unwrap_or_default().into(),
            summary.n.to_string().into(),
        ]);
    }
    let body = if benchmarks.is_empty() { String::new() } else { grid.render() };
    section(style, "Benchmarks", "time of one iteration", &body)
}

/// A time that may be a fraction of nanoseconds.
fn short(nanos: f64) -> String {
    if nanos < 999.5 { format!("{nanos:.2} ns") } else { Nanos::from_nanos_f64(nanos).to_string() }
}
