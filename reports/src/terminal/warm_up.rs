//! The warm-up of every trial, with its curve.

use coldstart_profiles::Nanos;
use coldstart_profiles::Profile;
use coldstart_profiles::warm_up::{WarmUpClass, WarmUpCurve};

use super::section;
use crate::bar;
use crate::grid::{Cell, Column, Grid, notes, paragraph};
use crate::scale::Scale;
use crate::style::{Style, Tone};

const LEAST_CURVE: usize = 10;
const LARGEST_CURVE: usize = 40;

/// Class, iterations to the steady state, cost and curve by trial.
pub(crate) fn warm_up(profile: &Profile, style: &Style) -> String {
    let curves = &profile.warm_up;
    let to_steady = Scale::times(curves.iter().filter_map(|curve| curve.analysis.time_to_steady_ns));
    let costs = Scale::times(curves.iter().filter_map(cost).map(|cost| Nanos::from_nanos(cost.unsigned_abs())));
    let steady = Scale::times(curves.iter().filter_map(|curve| curve.analysis.steady_median_ns));
    let mut grid = Grid::new(
        style,
        [
            Column::text("trial"),
            Column::text("class"),
            Column::number("steady from"),
            Column::number(to_steady.title("after")),
            Column::number(costs.title("cost")),
            Column::number(steady.title("steady")),
            Column::number("iterations").drop(2),
            Column::text("stopped by").drop(1),
        ],
    );
    for curve in curves {
        let analysis = &curve.analysis;
        let tone = if analysis.class == WarmUpClass::NoSteadyState { Tone::Warn } else { Tone::Plain };
        grid.row([
            curve.step.as_str().into(),
            Cell::new(tone, analysis.class.name()),
            analysis.steady_start.map(|start| format!("# {start}")).unwrap_or_default().into(),
            analysis.time_to_steady_ns.map(|time| to_steady.time(time)).unwrap_or_default().into(),
            cost(curve).map(|cost| signed(&costs, cost)).unwrap_or_default().into(),
            analysis.steady_median_ns.map(|time| steady.time(time)).unwrap_or_default().into(),
            curve.samples.len().to_string().into(),
            curve.stop.name().into(),
        ]);
    }
    let spare = grid.spare().min(LARGEST_CURVE);
    if spare >= LEAST_CURVE {
        let drawn = curves.iter().map(|curve| {
            Cell::new(Tone::Accent, bar::curve(style.unicode, spare, &curve.samples.as_f64()))
        });
        grid.push_column(Column::text("curve").drop(0), drawn);
    }
    let mut body = grid.render();
    let whys = curves.iter().filter_map(|curve| Some((curve.step.as_str(), curve.analysis.why.as_deref()?)));
    body.push_str(&notes(style, Tone::Faint, whys));
    if !body.is_empty() {
        body.push_str(&paragraph(style, Tone::Faint, &agreement(profile)));
    }
    section(style, "Warm-up", "iterations of the first batch shape; the first batch is # 0", &body)
}

fn cost(curve: &WarmUpCurve) -> Option<i64> {
    curve.analysis.warmup_cost_ns
}

fn signed(scale: &Scale, nanos: i64) -> String {
    let text = scale.time(Nanos::from_nanos(nanos.unsigned_abs()));
    if nanos < 0 { format!("-{text}") } else { text }
}

/// Over all trials.
fn agreement(profile: &Profile) -> String {
    let Some(agreement) = &profile.warm_up_agreement else { return String::new() };
    let alike = if agreement.consistent { "trials agree" } else { "TRIALS DISAGREE on the class" };
    match &agreement.time_to_steady_ns {
        Some(time) => format!("{alike}; median time to the steady state {} ({} – {})", time.median, time.min, time.max),
        None => format!("{alike}; none reached a steady state"),
    }
}
