//! The warm-up of every trial, with its curve.

use coldstart_profiles::{ForwardPlan, Nanos, Profile, StepKind, WarmUpClass, WarmUpCurve};

use super::section;
use crate::bar;
use crate::grid::{Cell, Column, Grid};
use crate::scale::Scale;
use crate::style::{Style, Tone};
use crate::text::{notes, paragraph};

const LEAST_CURVE: usize = 10;
const LARGEST_CURVE: usize = 40;

/// Class, iterations to the steady state, cost and curve by trial.
pub(crate) fn warm_up(profile: &Profile, style: &Style) -> String {
    let curves = &profile.warm_up;
    let to_steady = Scale::times(curves.iter().filter_map(|curve| curve.analysis.time_to_steady_ns));
    let costs =
        Scale::times(curves.iter().filter_map(cost).map(|cost| Nanos::from_nanos(cost.unsigned_abs())));
    let steady = Scale::times(curves.iter().filter_map(|curve| curve.analysis.steady_median_ns));
    let mut grid = Grid::new(
        style,
        [
            Column::text("trial"),
            Column::text("class"),
            Column::number("steady at"),
            Column::number(to_steady.title("after")),
            Column::number(costs.title("cost")),
            Column::number(steady.title("then")),
            Column::number("iterations").drop(3),
            Column::text("stopped by").drop(1),
        ],
    );
    let prefix = shared_prefix(curves);
    for curve in curves {
        let analysis = &curve.analysis;
        let tone = if analysis.class == WarmUpClass::NoSteadyState { Tone::Warn } else { Tone::Plain };
        grid.row([
            curve.step[prefix..].into(),
            Cell::new(tone, analysis.class.name()),
            analysis.steady_start.map(|start| format!("#{start}")).unwrap_or_default().into(),
            analysis.time_to_steady_ns.map(|time| to_steady.time(time)).unwrap_or_default().into(),
            cost(curve).map(|cost| signed(&costs, cost)).unwrap_or_default().into(),
            analysis.steady_median_ns.map(|time| steady.time(time)).unwrap_or_default().into(),
            curve.samples.len().to_string().into(),
            curve.stop.name().into(),
        ]);
    }
    let room = grid.room_for_bar(2, LEAST_CURVE, LARGEST_CURVE);
    if room > 0 {
        let drawn = curves
            .iter()
            .map(|curve| Cell::new(Tone::Accent, bar::curve(style.unicode, room, &curve.samples.as_f64())));
        grid.push_column(Column::text("curve").drop(2), drawn);
    }
    let mut body = grid.render();
    let whys = curves.iter().filter_map(|curve| Some((curve.step.as_str(), curve.analysis.why.as_deref()?)));
    body.push_str(&notes(style, Tone::Faint, whys));
    if !body.is_empty() {
        body.push_str(&paragraph(style, Tone::Faint, &agreement(profile)));
    }
    section(style, "Warm-up", &conditions(profile), &body)
}

/// `decode, batch 1, context 128; every iteration from the first batch (#0) on`.
fn conditions(profile: &Profile) -> String {
    let forward = profile.plan.steps.iter().find_map(|step| match &step.kind {
        StepKind::Trial { forward, .. } => *forward,
        _ => None,
    });
    let shape = forward.map_or_else(String::new, |ForwardPlan { mode, batch, tokens, .. }| {
        format!("{}, batch {batch}, {} {tokens}; ", mode.name(), mode.tokens_name())
    });
    format!("{shape}the first batch is #0; curves are logarithmic")
}

/// Bytes that all names of steps begin with, up to a dash: `trial-cold-direct-` says nothing that tells them apart.
fn shared_prefix(curves: &[WarmUpCurve]) -> usize {
    let Some(first) = curves.first().filter(|_| curves.len() > 1) else { return 0 };
    let dashes = first.step.match_indices('-').map(|(index, _)| index + 1);
    let shared = |end: &usize| curves.iter().all(|curve| curve.step.get(..*end) == first.step.get(..*end));
    dashes.filter(shared).max().unwrap_or(0)
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
        Some(time) => {
            format!("{alike}; median time to the steady state {} ({} – {})", time.median, time.min, time.max)
        }
        None => format!("{alike}; none reached a steady state"),
    }
}
