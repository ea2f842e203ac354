//! Benchmarks of other tools.

use coldstart_profiles::{Benchmark, Nanos, Profile};

use super::section;
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};

/// Each benchmark: its name, the median of one iteration, the least, the largest, the rate, and how many samples.
pub(crate) fn rows(profile: &Profile) -> Vec<[String; 6]> {
    let row = |benchmark: &Benchmark<'_>| {
        let one = |time: Nanos| short(benchmark.per_iteration(time));
        let summary = benchmark.summary;
        let rate = benchmark.row.work.zip(benchmark.row.rate());
        [
            benchmark.name.to_owned(),
            one(summary.p50_ns),
            one(summary.min_ns),
            one(summary.max_ns),
            rate.map(|(work, rate)| work.display_rate(rate)).unwrap_or_default(),
            summary.n.to_string(),
        ]
    };
    profile.benchmarks().iter().map(row).collect()
}

/// One line a benchmark: the time of one iteration, and its rate.
pub(crate) fn benchmarks(profile: &Profile, style: &Style) -> String {
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
    let rows = rows(profile);
    for [name, median, least, most, rate, n] in &rows {
        grid.row([
            Cell::new(Tone::Strong, name.as_str()),
            median.as_str().into(),
            format!("{least} – {most}").into(),
            rate.as_str().into(),
            n.as_str().into(),
        ]);
    }
    let body = if rows.is_empty() { String::new() } else { grid.render() };
    section(style, "Benchmarks", "time of one iteration", &body)
}

/// A time that may be a fraction of nanoseconds.
pub(super) fn short(nanos: f64) -> String {
    if nanos < 999.5 { format!("{nanos:.2} ns") } else { Nanos::from_nanos_f64(nanos).to_string() }
}
