//! Throughput against latency, and the steady state of single processes.

use coldstart_profiles::{ForwardMode, Key, Knee, Nanos, Profile, SweepSeries};

use super::{Figure, Part, beside, decimal, head, lanes, point_name, time};
use crate::html::page::clean;
use crate::html::plot::{Axis, Bar, Curve, Lane, Look, Marks, color_number};
use crate::terminal::knees_text;

const MS: f64 = 1e6;

/// Tokens per second against the time of an iteration, batch by batch, with the knee and the fit.
pub(super) fn throughput(profile: &Profile) -> Result<Option<Figure>, String> {
    let sweep = profile.sweep();
    let modes = parts_of(&sweep);
    if modes.is_empty() {
        return Ok(None);
    }
    let mut legend = Vec::new();
    let mut parts = Vec::new();
    for mode in modes {
        let (mut curves, mut marks) = (Vec::new(), Marks::default());
        for (color, series) in sweep.iter().enumerate().filter(|(_, series)| series.mode == mode) {
            curves.extend(drawn(profile, series, color));
            legend.push((
                color_number(color),
                format!("{}, {} {}", mode.name(), mode.tokens_name(), series.tokens),
            ));
            marks.rings.extend(knee_ring(series));
        }
        parts.push(Part { title: mode.name().to_owned(), curves, marks });
    }
    let axes =
        (&Axis { title: "ms per iteration (median)", log: true }, &Axis { title: "tokens/s", log: true });
    let knees: Vec<String> = parts_of(&sweep)
        .into_iter()
        .map(|mode| (mode, knees_text(&sweep, mode)))
        .filter(|(_, text)| !text.is_empty())
        .map(|(mode, text)| format!("{}: {text}", mode.name()))
        .collect();
    let knees = if knees.is_empty() { String::new() } else { format!(" Knees of {}.", knees.join("; of ")) };
    let rows = sweep.iter().flat_map(|series| {
        series.points.iter().map(|(point, summary)| {
            let or_dash = |time: Option<Nanos>| time.map_or("–".to_owned(), |time| time.to_string());
            vec![
                point_name(point.mode, point.tokens, point.batch),
                summary.p50_ns.to_string(),
                or_dash(summary.p90_ns),
                or_dash(summary.p99_ns),
                decimal(point.tokens_per_s, 1),
                decimal(point.items_per_s, 2),
                summary.n.to_string(),
            ]
        })
    });
    Ok(Some(Figure {
        id: "throughput".to_owned(),
        title: "Throughput against latency".to_owned(),
        panels: beside("Tokens per second against the time of an iteration", axes, &parts)?,
        legend,
        caption: format!(
            "Steady state; the number at a point is its batch size, lines are the fits T(n) where there are any. The knee is the batch \
             with the most tokens/s per time of an iteration (Kleinrock’s power).{knees}"
        ),
        head: head(["point", "median", "p90", "p99", "tokens/s", "items/s", "n"]),
        rows: rows.collect(),
        links: Vec::new(),
    }))
}

/// The kinds of passes of a sweep, in its order.
fn parts_of(sweep: &[SweepSeries<'_>]) -> Vec<ForwardMode> {
    let mut modes: Vec<ForwardMode> = sweep.iter().map(|series| series.mode).collect();
    modes.dedup();
    modes
}

/// Milliseconds of an iteration and tokens a second of each point, with its batch.
pub(super) fn measured(series: &SweepSeries<'_>) -> (Vec<(f64, f64)>, Vec<String>) {
    let points = series.points.iter();
    points
        .map(|(point, summary)| {
            ((summary.p50_ns.as_nanos() as f64 / MS, point.tokens_per_s), point.batch.to_string())
        })
        .unzip()
}

/// The points of a series, and the line of its fit; without a fit a line through the points.
fn drawn(profile: &Profile, series: &SweepSeries<'_>, color: usize) -> [Curve; 2] {
    let (points, labels) = measured(series);
    let fitted = series.fitted(&profile.fits);
    let line = match fitted.is_empty() {
        true => points.clone(),
        false => fitted.iter().map(|at| (at.time_ns / MS, at.tokens_per_s)).collect(),
    };
    [
        Curve { points: line, color, ..Curve::default() },
        Curve { points, color, look: Look::Points, labels, ..Curve::default() },
    ]
}

fn knee_ring(series: &SweepSeries<'_>) -> Option<((f64, f64), String)> {
    let Some(Knee::At(batch)) = series.knee() else { return None };
    let (point, summary) = series.points.iter().find(|(point, _)| point.batch == batch)?;
    let place = (summary.p50_ns.as_nanos() as f64 / MS, point.tokens_per_s);
    Some((place, "knee".to_owned()))
}

/// The steady state of processes of their own, each process as a dot.
pub(super) fn processes(profile: &Profile) -> Result<Option<Figure>, String> {
    let all = profile.steady_processes();
    if all.is_empty() {
        return Ok(None);
    }
    let named = |key: &Key| {
        let point = profile.throughput.iter().find(|point| point.key == *key);
        clean(
            &point.map_or_else(|| key.to_string(), |point| point_name(point.mode, point.tokens, point.batch)),
        )
    };
    let drawn: Vec<Lane> = all
        .iter()
        .map(|processes| Lane {
            name: named(processes.key),
            bars: vec![Bar {
                from: 0.0,
                to: processes.spread.median.as_nanos() as f64,
                color: 0,
                dots: processes.medians.iter().map(|(_, median)| median.as_nanos() as f64).collect(),
            }],
            value: format!("{} of {} processes", processes.spread.median, processes.medians.len()),
        })
        .collect();
    let rows = all.iter().map(|processes| {
        vec![
            named(processes.key),
            processes.medians.len().to_string(),
            processes.spread.median.to_string(),
            processes.spread.min.to_string(),
            processes.spread.max.to_string(),
            processes.swept_ns.map_or("–".to_owned(), |swept| swept.to_string()),
        ]
    });
    Ok(Some(Figure {
        id: "processes".to_owned(),
        title: "Steady state, process by process".to_owned(),
        panels: lanes("Median iteration of every process at the smallest batches", &drawn, None, time)?,
        legend: Vec::new(),
        caption: "The median iteration in fresh processes, one a trial: bars are the medians over processes, dots single ones. \
                  Comparisons of profiles rest on these; the sweep’s own process is never pooled with them."
            .to_owned(),
        head: head(["point", "processes", "median", "least", "largest", "in the sweep"]),
        rows: rows.collect(),
        links: Vec::new(),
    }))
}
