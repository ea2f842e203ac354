//! A few profiles side by side, with what differs.

use coldstart_profiles::{ForwardMode, Nanos, Phase, Profile, Waterfall};

use super::{Figure, Part, beside, head, lanes, throughput, time};
use crate::comparison::{BENCHMARKS, Line, alike, benchmarks, letter, phases, points};
use crate::html::page::{clean, id_of};
use crate::html::plot::{Axis, Bar, Curve, Lane, Look, Marks, color_number};
use crate::terminal::{whose, widest};

/// Whole cold starts, then phase by phase, then the steady state.
pub(in crate::html) fn comparison(profiles: &[(&str, &Profile)]) -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    figures.extend(totals(profiles)?);
    figures.extend(by_phase(profiles)?);
    figures.extend(steady(profiles)?);
    figures.extend(of_benchmarks(profiles));
    Ok(figures)
}

/// The cold starts of all profiles, their phases one behind the other, each trial's total as a dot.
fn totals(profiles: &[(&str, &Profile)]) -> Result<Option<Figure>, String> {
    let mut drawn = Vec::new();
    let (mut rows, mut links) = (Vec::new(), Vec::new());
    let mut reference: Option<Waterfall<'_>> = None;
    let mut phases: Vec<Phase> = Vec::new();
    for (index, (name, profile)) in profiles.iter().enumerate() {
        let Some(waterfall) = widest(profile) else { continue };
        let bars = bars_of(profile, &waterfall, &mut phases);
        let total = &waterfall.total;
        // Of another kind of cold start there is no change to be told.
        let change = match &reference {
            Some(first) if !alike(first, &waterfall) => format!("of {}", whose(waterfall.kind)),
            Some(first) => change(first.total.p50_ns, total.p50_ns),
            None => String::new(),
        };
        drawn.push(Lane {
            name: format!("{} {}", letter(index), clean(name)),
            bars,
            value: with_change(total.p50_ns, &change),
        });
        rows.push(vec![
            format!("{} {}", letter(index), clean(name)),
            total.n.to_string(),
            total.p50_ns.to_string(),
            total.min_ns.to_string(),
            total.max_ns.to_string(),
            change,
            clean(&profile.started_at),
        ]);
        links.push(id_of(index));
        reference.get_or_insert(waterfall);
    }
    if drawn.is_empty() {
        return Ok(None);
    }
    let legend = phases.iter().enumerate().map(|(at, phase)| (color_number(color(at)), phase.to_string()));
    let rest = (color_number(UNATTRIBUTED), "unattributed".to_owned());
    Ok(Some(Figure {
        id: "by-profile".to_owned(),
        title: "Cold starts side by side".to_owned(),
        panels: lanes("Cold starts of all profiles by phase", &drawn, None, time)?,
        legend: legend.chain([rest]).collect(),
        caption: "Medians of the phases one behind the other, then what no phase accounts for; dots are the totals of single trials. Changes are against the first. Whether \
                  a difference means anything is the question of `coldstart gate`."
            .to_owned(),
        head: head(["profile", "trials", "median", "least", "largest", "change", "started"]),
        rows,
        links,
    }))
}

/// The colour of what no phase accounts for, as in the waterfall of one profile.
const UNATTRIBUTED: usize = 8;

/// The colour of a phase by its place among all.
const fn color(at: usize) -> usize {
    if at < UNATTRIBUTED { at } else { at + 1 }
}

/// The phases of a cold start one behind the other, and each trial's total as a dot. A phase has its colour on every lane, whatever
/// phases the other profiles have.
fn bars_of(profile: &Profile, waterfall: &Waterfall<'_>, phases: &mut Vec<Phase>) -> Vec<Bar> {
    let mut place = 0.0;
    let mut bar = |time: Nanos, color: usize| {
        let from = place;
        place += time.as_nanos() as f64;
        Bar { from, to: place, color, dots: Vec::new() }
    };
    let mut bars: Vec<Bar> = Vec::new();
    for part in &waterfall.parts {
        let at = phases.iter().position(|phase| *phase == part.phase).unwrap_or(phases.len());
        if at == phases.len() {
            phases.push(part.phase);
        }
        bars.push(bar(part.time.p50_ns, color(at)));
    }
    let mut rest = bar(waterfall.unattributed.p50_ns, UNATTRIBUTED);
    let totals = profile.totals.iter().filter(|total| total.kind == waterfall.kind);
    let trials = totals.filter_map(|total| Some(total.outcome.as_measured()?.0));
    rest.dots = trials.flat_map(|samples| samples.included()).map(|time| time.as_nanos() as f64).collect();
    bars.push(rest);
    bars
}

/// `212 ms (+8.7 %)`; only the time where there is no change to be told.
fn with_change(time: Nanos, change: &str) -> String {
    if change.is_empty() { time.to_string() } else { format!("{time} ({change})") }
}

/// `+3.1 %`, against the first.
fn change(first: Nanos, other: Nanos) -> String {
    match first {
        Nanos::ZERO => String::new(),
        first => format!("{:+.1} %", (other.as_secs_f64() / first.as_secs_f64() - 1.0) * 100.0),
    }
}

/// The head of a table with a column for each profile and, from the second on, its change.
fn columns(profiles: usize) -> Vec<String> {
    let mut columns = vec![String::new()];
    for index in 0..profiles {
        columns.push(letter(index));
        if index > 0 {
            columns.push(format!("{} against {}", letter(index), letter(0)));
        }
    }
    columns
}

fn row(line: &Line) -> Vec<String> {
    let mut row = vec![clean(&line.name)];
    let first = line.medians.first().copied().flatten();
    for (index, median) in line.medians.iter().enumerate() {
        row.push(median.map_or_else(|| "–".to_owned(), |median| median.to_string()));
        if index > 0 {
            row.push(
                first.zip(*median).map_or_else(|| "–".to_owned(), |(first, other)| change(first, other)),
            );
        }
    }
    row
}

/// Every phase with a bar for each profile.
fn by_phase(profiles: &[(&str, &Profile)]) -> Result<Option<Figure>, String> {
    let lines: Vec<Line> = phases(profiles);
    if lines.is_empty() {
        return Ok(None);
    }
    let mut drawn = Vec::new();
    for line in &lines {
        let first = line.medians.first().copied().flatten();
        for (index, median) in line.medians.iter().enumerate() {
            let Some(median) = median else { continue };
            let change = first.filter(|_| index > 0).map(|first| change(first, *median));
            let value = with_change(*median, &change.unwrap_or_default());
            let to = median.as_nanos() as f64;
            drawn.push(Lane {
                name: format!("{} {}", line.name, letter(index)),
                bars: vec![Bar { from: 0.0, to, color: index, dots: Vec::new() }],
                value,
            });
        }
    }
    Ok(Some(Figure {
        id: "by-phase".to_owned(),
        title: "Phase by phase".to_owned(),
        panels: lanes("Median of every phase and profile", &drawn, None, time)?,
        legend: named(profiles),
        caption: "Medians; changes are against the first profile.".to_owned(),
        head: columns(profiles.len()),
        rows: lines.iter().map(row).collect(),
        links: Vec::new(),
    }))
}

/// Imported benchmarks with a column for each profile.
fn of_benchmarks(profiles: &[(&str, &Profile)]) -> Option<Figure> {
    let rows: Vec<Vec<String>> = benchmarks(profiles).iter().map(row).collect();
    (!rows.is_empty()).then(|| Figure {
        id: "by-benchmark".to_owned(),
        title: BENCHMARKS.to_owned(),
        panels: Vec::new(),
        legend: Vec::new(),
        caption: "Medians; changes are against the first profile.".to_owned(),
        head: columns(profiles.len()),
        rows,
        links: Vec::new(),
    })
}

fn named(profiles: &[(&str, &Profile)]) -> Vec<(usize, String)> {
    let name = |(index, (name, _)): (usize, &(&str, &Profile))| {
        (color_number(index), format!("{} {}", letter(index), clean(name)))
    };
    profiles.iter().enumerate().map(name).collect()
}

/// Throughput against latency, a colour for each profile; the table has the medians point by point.
fn steady(profiles: &[(&str, &Profile)]) -> Result<Option<Figure>, String> {
    let modes = [ForwardMode::Prefill, ForwardMode::Decode, ForwardMode::Encode];
    let (mut parts, mut rows) = (Vec::new(), Vec::new());
    for mode in modes {
        let mut curves = Vec::new();
        for (color, (_, profile)) in profiles.iter().enumerate() {
            for series in profile.sweep().iter().filter(|series| series.mode == mode) {
                let (points, labels) = throughput::measured(series);
                curves.push(Curve { points: points.clone(), color, ..Curve::default() });
                curves.push(Curve { points, color, look: Look::Points, labels, ..Curve::default() });
            }
        }
        if curves.is_empty() {
            continue;
        }
        parts.push(Part { title: mode.name().to_owned(), curves, marks: Marks::default() });
        for mut line in points(profiles, mode) {
            line.name = format!("{} {}", mode.name(), line.name);
            rows.push(row(&line));
        }
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let axes =
        (&Axis { title: "ms per iteration (median)", log: true }, &Axis { title: "tokens/s", log: true });
    Ok(Some(Figure {
        id: "by-point".to_owned(),
        title: "Steady state side by side".to_owned(),
        panels: beside("Tokens per second against the time of an iteration, by profile", axes, &parts)?,
        legend: named(profiles),
        caption: "A line for each length, a colour for each profile; the number at a point is its batch size. Up and to the left is better."
            .to_owned(),
        head: columns(profiles.len()),
        rows,
        links: Vec::new(),
    }))
}
