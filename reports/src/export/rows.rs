//! What benchmark trackers take of a profile: everything that was timed, by name.

use coldstart_profiles::{Phase, Profile, Summary};

use super::error::cut;

/// One thing that was timed.
pub(super) struct Row<'a> {
    /// Its key, such as `weights_load{page_cache=cold,staging=direct}` or `total{kind=process}`; harmless on a terminal.
    pub(super) name: String,
    /// Its times.
    pub(super) summary: &'a Summary,
    /// Achieved ÷ limit at the median.
    pub(super) achieved: Option<f64>,
    /// Tokens per second of a point of the sweep.
    pub(super) tokens_per_s: Option<f64>,
}

/// Everything measured: phases by key, then totals.
pub(super) fn rows(profile: &Profile) -> Vec<Row<'_>> {
    let phases = profile.measurements.iter().filter_map(|row| {
        let (_, summary) = row.outcome.as_measured()?;
        let point = profile.throughput.iter().find(|point| point.key == row.key);
        Some(Row {
            name: cut(&row.key.to_string()),
            summary,
            achieved: row.achieved().filter(|share| share.is_finite()),
            tokens_per_s: point
                .map(|point| point.tokens_per_s)
                .filter(|_| row.key.phase == Phase::Throughput),
        })
    });
    let totals = profile.totals.iter().filter_map(|total| {
        let (_, summary) = total.outcome.as_measured()?;
        let params = total.params.clone().with("kind", total.kind.name()).with("ends_with", total.ends_with);
        Some(Row { name: cut(&format!("total{{{params}}}")), summary, achieved: None, tokens_per_s: None })
    });
    phases.chain(totals).collect()
}

/// What the median lies between: its 95 % interval, or the extremes where there are too few samples for one.
pub(super) fn bounds(summary: &Summary) -> (f64, f64) {
    let low = summary.p50_low_ns.unwrap_or(summary.min_ns);
    let high = summary.p50_high_ns.unwrap_or(summary.max_ns);
    (low.as_nanos() as f64, high.as_nanos() as f64)
}
