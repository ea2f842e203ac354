//! What the hardware allows, and whether the machine was quiet.

use coldstart_profiles::{Fitness, LimitMeasurement, Outcome, Profile};

use super::section;
use crate::grid::{Cell, Column, Grid, notes, paragraph};
use crate::style::{Style, Tone};

/// Limits by kind, the best reading first, then what may have disturbed the run.
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
    let mut without: Vec<(&str, String)> = Vec::new();
    for limit in &profile.limits {
        match &limit.outcome {
            Outcome::Measured { summary, .. } => {
                let rate = |time| limit.work.rate(time).map(|rate| limit.work.display_rate(rate)).unwrap_or_default();
                grid.row([
                    limit.kind.name().into(),
                    rate(summary.min_ns).into(),
                    Cell::new(Tone::Faint, rate(summary.p50_ns)),
                    summary.n.to_string().into(),
                    Cell::new(Tone::Faint, conditions(limit)),
                ]);
            }
            Outcome::Skipped { why } => without.push((limit.kind.name(), format!("skipped: {why}"))),
            Outcome::Failed { why } => without.push((limit.kind.name(), format!("failed: {why}"))),
        }
    }
    let mut body = grid.render();
    body.push_str(&notes(style, Tone::Faint, without.iter().map(|(name, why)| (*name, why.as_str()))));
    let quiet = fitness(&profile.fitness);
    if !quiet.is_empty() {
        body.push_str(&paragraph(style, Tone::Faint, &quiet));
    }
    section(style, "Limits", "what the hardware allowed in the same run", &body)
}

fn conditions(limit: &LimitMeasurement) -> String {
    limit.params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

/// `load average 0.12 before, 1.90 after; canary before: copy 6.10 ms, product 2.10 ms; …`.
fn fitness(fitness: &Fitness) -> String {
    let mut parts = Vec::new();
    match (fitness.load_average_before, fitness.load_average_after) {
        (Some(before), Some(after)) => parts.push(format!("load average {before:.2} before, {after:.2} after")),
        (Some(before), None) => parts.push(format!("load average {before:.2} before")),
        _ => {}
    }
    for reading in &fitness.canary {
        parts.push(format!("canary {}: copy {}, product {}", reading.when, reading.copy_ns, reading.gemm_ns));
    }
    parts.join("; ")
}
