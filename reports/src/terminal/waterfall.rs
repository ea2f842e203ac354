//! The phases of the cold start in order, each where it lies in the whole.

use coldstart_profiles::{Outcome, Phase, Profile, Summary, TotalKind, Waterfall, WaterfallPart};

use super::section;
use crate::bar;
use crate::grid::{Cell, Column, Grid};
use crate::scale::{Scale, percent, ranges};
use crate::style::{Style, Tone};
use crate::text::{by_text, paragraph};

/// A bar narrower than this says nothing.
const LEAST_BAR: usize = 8;
/// A bar wider than this says no more.
const LARGEST_BAR: usize = 48;

/// The cold start of a process, of a container, or of a pod: whichever the profile holds.
pub(crate) fn waterfalls(profile: &Profile, style: &Style) -> String {
    let of_kind = |kind: TotalKind| {
        let waterfall = profile.waterfall(kind)?;
        let mut body = table(&waterfall, style);
        body.push_str(&skipped(profile, &waterfall, style));
        Some(section(style, heading(kind), &conditions(&waterfall), &body))
    };
    let filled: Vec<String> =
        [TotalKind::Pod, TotalKind::Process, TotalKind::Container].into_iter().filter_map(of_kind).collect();
    filled.join("\n")
}

/// The title of a table of phases.
pub(crate) fn heading(kind: TotalKind) -> &'static str {
    match kind {
        TotalKind::Process => "Cold start of a process",
        TotalKind::Container => "Cold start of a container",
        TotalKind::Pull => "Image pull",
        TotalKind::Pod => "Cold start of a pod",
    }
}

/// `page_cache=cold, staging=direct · 5 trials, 1 left out`.
fn conditions(waterfall: &Waterfall<'_>) -> String {
    let params: Vec<String> =
        waterfall.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut text = params.join(", ");
    if !text.is_empty() {
        text.push_str(" · ");
    }
    let n = waterfall.total.n;
    text.push_str(&format!("{n} {}", if n == 1 { "trial" } else { "trials" }));
    if waterfall.total.left_out > 0 {
        text.push_str(&format!(", {} left out", waterfall.total.left_out));
    }
    text
}

/// One line of the table.
struct Line<'a> {
    name: &'a str,
    tone: Tone,
    time: &'a Summary,
    share: f64,
    part: Option<&'a WaterfallPart<'a>>,
}

fn table(waterfall: &Waterfall<'_>, style: &Style) -> String {
    let lines = lines(waterfall);
    let scale = Scale::times(lines.iter().map(|line| line.time.max_ns));
    let several = waterfall.total.n > 1;
    let ends: Vec<Option<(String, String)>> = (lines.iter())
        .map(|line| several.then(|| (scale.time(line.time.min_ns), scale.time(line.time.max_ns))))
        .collect();
    let mut grid = Grid::new(
        style,
        [
            Column::text("phase"),
            Column::number(scale.title(if several { "median" } else { "time" })),
            Column::number("min – max").drop(3),
            Column::number("share"),
            Column::number("rate").drop(4),
            Column::number("of limit").drop(4),
            Column::text("").drop(1),
        ],
    );
    for (line, range) in lines.iter().zip(ranges(&ends)) {
        if line.name == "total" {
            grid.rule();
        }
        let achieved = line.part.and_then(WaterfallPart::achieved);
        grid.row([
            Cell::new(line.tone, line.name),
            Cell::new(line.tone, scale.time(line.time.p50_ns)),
            Cell::new(Tone::Faint, range),
            Cell::new(line.tone, percent(line.share)),
            rate(line.part).into(),
            achieved.map(|ratio| format!("{ratio:.2}")).unwrap_or_default().into(),
            limit_name(line.part, achieved),
        ]);
    }
    let room = grid.room_for_bar(2, LEAST_BAR, LARGEST_BAR);
    if room > 0 {
        let bars = lines.iter().map(|line| Cell::new(Tone::Accent, position(line, waterfall, style, room)));
        grid.push_column(Column::text("").drop(2), bars);
    }
    grid.render()
}

fn lines<'a>(waterfall: &'a Waterfall<'a>) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'_>> = (waterfall.parts.iter())
        .map(|part| Line {
            name: part.phase.name(),
            tone: Tone::Plain,
            time: &part.time,
            share: part.share,
            part: Some(part),
        })
        .collect();
    lines.push(Line {
        name: "unattributed",
        tone: Tone::Faint,
        time: &waterfall.unattributed,
        share: waterfall.unattributed_share,
        part: None,
    });
    lines.push(Line { name: "total", tone: Tone::Strong, time: &waterfall.total, share: 1.0, part: None });
    lines
}

fn rate(part: Option<&WaterfallPart<'_>>) -> String {
    let text = part.and_then(|part| Some(part.work?.display_rate(part.rate()?)));
    text.unwrap_or_default()
}

fn limit_name(part: Option<&WaterfallPart<'_>>, achieved: Option<f64>) -> Cell {
    let name = part.and_then(|part| part.limit).filter(|_| achieved.is_some()).map(|limit| limit.kind.name());
    Cell::new(Tone::Faint, name.unwrap_or_default())
}

/// The bar of a phase, from its median begin on.
fn position(line: &Line<'_>, waterfall: &Waterfall<'_>, style: &Style, width: usize) -> String {
    let Some(part) = line.part else { return String::new() };
    let whole = waterfall.total.p50_ns.as_secs_f64();
    let begin = part.begin_ns.as_secs_f64();
    bar::span(style.unicode, width, begin, begin + part.time.p50_ns.as_secs_f64(), whole)
}

/// Phases that belong to this cold start but were not measured, with the reason.
fn skipped(profile: &Profile, waterfall: &Waterfall<'_>, style: &Style) -> String {
    if waterfall.kind != TotalKind::Process {
        return String::new();
    }
    let reasons = reasons(profile, |phase| in_process(phase) && phase <= waterfall.ends_with);
    let sentence =
        |(phases, why): &(String, &str)| paragraph(style, Tone::Faint, &format!("skipped: {phases} ({why})"));
    reasons.iter().map(sentence).collect()
}

/// Whether the total of a process chains a phase.
pub(super) fn in_process(phase: Phase) -> bool {
    (Phase::ProcessStart..=Phase::WarmUp).contains(&phase)
}

/// Reasons of phases that were skipped altogether; phases with one reason stand together.
pub(crate) fn reasons(profile: &Profile, wanted: impl Fn(Phase) -> bool) -> Vec<(String, &str)> {
    let rows = profile.measurements.iter().filter(|row| wanted(row.key.phase));
    by_text(rows.filter_map(|row| match &row.outcome {
        Outcome::Skipped { why } => Some((row.key.to_string(), why.as_str())),
        Outcome::Measured { .. } | Outcome::Failed { .. } => None,
    }))
}
