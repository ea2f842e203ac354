//! The warm-up of every trial, and what was seen in the one that stands for all.

use coldstart_profiles::warm_up::ClassCounts;
use coldstart_profiles::{Nanos, Profile, WarmUpCurve};

use super::{Figure, head, plot};
use crate::html::page::clean;
use crate::html::plot::{Axis, Curve, Look, Marks, STEADY, color_number};
use crate::text::by_text;

const MS: f64 = 1e6;
/// More trials than this make a background that nobody can read.
const MOST_BEHIND: usize = 40;
/// More marks than this hide the curve.
const MOST_MARKS: usize = 200;

/// The curve that stands for all, with every other trial behind it.
pub(super) fn warm_up(profile: &Profile) -> Result<Option<Figure>, String> {
    let Some(typical) = profile.typical_warm_up() else { return Ok(None) };
    let others: Vec<&WarmUpCurve> =
        profile.warm_up.iter().filter(|curve| !std::ptr::eq(*curve, typical)).collect();
    let every = others.len().div_ceil(MOST_BEHIND).max(1);
    let mut drawn: Vec<Curve> = others.iter().step_by(every).map(|curve| line(curve, Look::Faint)).collect();
    let behind = drawn.len();
    drawn.push(line(typical, Look::Line));
    let number =
        profile.warm_up.iter().position(|curve| std::ptr::eq(curve, typical)).unwrap_or_default() + 1;
    let axes =
        (&Axis { title: "iteration (the first batch is 1)", log: true }, &Axis { title: "ms", log: true });
    let mut legend = vec![(color_number(0), format!("trial {number}, which stands for all"))];
    match (behind, others.len()) {
        (0, _) => {}
        (1, 1) => legend.push((0, "the other trial".to_owned())),
        (_, all) if behind == all => legend.push((0, format!("the other {all} trials"))),
        (_, all) => legend.push((0, format!("{behind} of the other {all} trials"))),
    }
    if typical.steady_band().is_some() {
        legend.push((color_number(STEADY), "its steady state".to_owned()));
    }
    Ok(Some(Figure {
        id: "warm-up".to_owned(),
        title: "Warm-up".to_owned(),
        panels: plot("Time of every forward pass from the first, by trial", axes, &drawn, &marks(typical))?,
        legend,
        caption: clean(&caption(profile, typical, number)),
        head: head([
            "trial",
            "class",
            "steady from",
            "time before",
            "cost",
            "steady median",
            "level changes at",
            "iterations",
            "marked",
            "stopped by",
        ]),
        rows: profile.warm_up.iter().enumerate().map(|(index, curve)| row(index, curve)).collect(),
        links: Vec::new(),
    }))
}

fn line(curve: &WarmUpCurve, look: Look) -> Curve {
    let times = curve.samples.as_slice().iter().enumerate();
    let points = times.map(|(at, time)| ((at + 1) as f64, time.as_nanos() as f64 / MS)).collect();
    Curve { points, look, ..Curve::default() }
}

fn marks(curve: &WarmUpCurve) -> Marks {
    let analysis = &curve.analysis;
    let all = curve.samples.as_slice();
    let ms = |nanos: Nanos| nanos.as_nanos() as f64 / MS;
    let steady = analysis.steady_start.zip(curve.steady_band());
    let marked = curve.samples.marks();
    let every = marked.len().div_ceil(MOST_MARKS).max(1);
    Marks {
        // Between the last iteration of one level and the first of the next.
        at_x: analysis.changepoints.iter().map(|at| *at as f64 + 0.5).collect(),
        band: steady.map(|(start, (low, high))| ((start + 1) as f64..all.len() as f64, ms(low)..ms(high))),
        crosses: marked
            .iter()
            .step_by(every)
            .filter_map(|mark| Some(((mark.index + 1) as f64, ms(*all.get(mark.index)?))))
            .collect(),
        ..Marks::default()
    }
}

fn caption(profile: &Profile, typical: &WarmUpCurve, number: usize) -> String {
    let mut text = format!(
        "Every iteration from the first. Trial {number} is the one with the median time to the steady state in the commonest class"
    );
    let analysis = &typical.analysis;
    if typical.steady_band().is_some() {
        text.push_str("; the darker band holds nine of ten of its steady iterations");
    }
    if !analysis.changepoints.is_empty() {
        text.push_str("; upright lines are where its level changes");
    }
    let marked = typical.samples.marks();
    if let Some(first) = marked.first() {
        text.push_str(&format!(
            "; crosses are {} iterations that stand apart ({})",
            marked.len(),
            first.reason
        ));
    }
    text.push('.');
    if let Some(agreement) = &profile.warm_up_agreement {
        let classes = classes(&agreement.classes);
        text.push_str(&match (agreement.consistent, agreement.trials) {
            (true, 0 | 1) => String::new(),
            (true, _) => format!(" All trials agree on the class: {classes}."),
            (false, _) => format!(" THE TRIALS DISAGREE on the class: {classes}."),
        });
    }
    let whys = profile.warm_up.iter().enumerate();
    let whys = whys.filter_map(|(at, curve)| Some(((at + 1).to_string(), curve.analysis.why.as_deref()?)));
    for (trials, why) in by_text(whys) {
        text.push_str(&format!(" No steady state in trial {trials}: {why}."));
    }
    text
}

/// `4 warmup, 1 flat`.
fn classes(counts: &ClassCounts) -> String {
    let all = [
        (counts.flat, "flat"),
        (counts.warmup, "warmup"),
        (counts.slowdown, "slowdown"),
        (counts.no_steady_state, "no_steady_state"),
    ];
    let told = all.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
    told.collect::<Vec<_>>().join(", ")
}

fn row(index: usize, curve: &WarmUpCurve) -> Vec<String> {
    let analysis = &curve.analysis;
    let text = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let cost = |cost: i64| {
        let sign = if cost < 0 { "−" } else { "" };
        format!("{sign}{}", Nanos::from_nanos(cost.unsigned_abs()))
    };
    let changes: Vec<String> = analysis.changepoints.iter().take(8).map(|at| (at + 1).to_string()).collect();
    let more = if analysis.changepoints.len() > 8 { " …" } else { "" };
    vec![
        format!("trial {}", index + 1),
        analysis.class.name().to_owned(),
        text(analysis.steady_start.map(|at| (at + 1).to_string())),
        text(analysis.time_to_steady_ns.map(|time| time.to_string())),
        text(analysis.warmup_cost_ns.map(cost)),
        text(analysis.steady_median_ns.map(|time| time.to_string())),
        format!("{}{more}", changes.join(" ")),
        analysis.iterations.to_string(),
        curve.samples.marks().len().to_string(),
        curve.stop.name().to_owned(),
    ]
}
