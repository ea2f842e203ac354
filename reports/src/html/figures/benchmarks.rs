//! Benchmarks of other tools, as numbers: their times lie too far apart for one plot.

use coldstart_profiles::Profile;

use super::{Figure, head};
use crate::html::page::clean;
use crate::terminal::benchmark_rows;

/// One row a benchmark; nothing where none was imported.
pub(super) fn benchmarks(profile: &Profile) -> Option<Figure> {
    let rows = benchmark_rows(profile);
    (!rows.is_empty()).then(|| Figure {
        id: "benchmarks".to_owned(),
        title: "Benchmarks".to_owned(),
        panels: Vec::new(),
        legend: Vec::new(),
        caption: "The time of one iteration over all samples of one process.".to_owned(),
        head: head(["benchmark", "median", "least", "largest", "rate", "samples"]),
        rows: rows.into_iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect(),
        links: Vec::new(),
    })
}
