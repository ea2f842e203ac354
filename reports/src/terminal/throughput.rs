//! Steady state by batch size.

use coldstart_profiles::{
    ForwardMode, Knee, Measurement, Nanos, Profile, Replay, Summary, SweepSeries, ThroughputPoint,
};

use super::section;
use crate::grid::{Cell, Column, Grid};
use crate::scale::Scale;
use crate::style::{Style, Tone};
use crate::text::paragraph;

/// One point with its measurement.
struct Line<'a> {
    point: &'a ThroughputPoint,
    row: &'a Measurement,
    summary: &'a Summary,
}

/// One table for each kind of forward pass.
pub(crate) fn throughput(profile: &Profile, style: &Style) -> String {
    let modes = [ForwardMode::Prefill, ForwardMode::Decode, ForwardMode::Encode];
    let tables: Vec<String> = modes
        .into_iter()
        .map(|mode| of_mode(profile, mode, style))
        .filter(|table| !table.is_empty())
        .collect();
    tables.join("\n")
}

fn of_mode(profile: &Profile, mode: ForwardMode, style: &Style) -> String {
    let mut lines: Vec<Line<'_>> = (profile.throughput.iter())
        .filter(|point| point.mode == mode)
        .filter_map(|point| {
            let row = profile.measurement(&point.key)?;
            Some(Line { point, row, summary: row.outcome.as_measured()?.1 })
        })
        .collect();
    lines.sort_by_key(|line| (line.point.tokens, line.point.batch));
    let mut body = table(&lines, mode, style);
    body.push_str(&withheld(&lines, style));
    body.push_str(&knees(profile, mode, style));
    body.push_str(&replays(&lines, style));
    let (title, aside) = match mode {
        ForwardMode::Prefill => ("Prefill", "prompts read to their first token; steady state"),
        ForwardMode::Decode => ("Decode", "one more token for each sequence; steady state"),
        ForwardMode::Encode => ("Encode", "texts to vectors; steady state"),
    };
    section(style, title, aside, &body)
}

fn table(lines: &[Line<'_>], mode: ForwardMode, style: &Style) -> String {
    let shown = |line: &Line<'_>| line.summary.p99_ns.or(line.summary.p90_ns).unwrap_or(line.summary.p50_ns);
    let times = Scale::times(lines.iter().map(shown));
    let items = Scale::counts(lines.iter().map(|line| line.point.items_per_s));
    let tokens = Scale::counts(lines.iter().map(|line| line.point.tokens_per_s));
    let memory = Scale::bytes(lines.iter().map(|line| line.point.workspace_bytes));
    let energy = Scale::energies(lines.iter().filter_map(|line| line.point.energy_per_token_uj));
    // A decode step of one sequence is one token: the two rates would be the same column twice.
    let items_title = if mode == ForwardMode::Decode { "" } else { "items/s" };
    let mut grid = Grid::new(
        style,
        [
            Column::number(mode.tokens_name()),
            Column::number("batch"),
            Column::number(times.title("p50")),
            Column::number("p90").drop(5),
            Column::number("p99").drop(6),
            Column::number(items_title).drop(8),
            Column::number("tokens/s"),
            Column::number("of limit"),
            Column::text("").drop(3),
            Column::number(format!("{}/token", energy.unit)).drop(9),
            Column::number("W").drop(4),
            Column::number("GPU %").drop(1),
            Column::number(memory.title("memory")).drop(7),
            Column::number("n").drop(2),
            Column::text("stopped by").drop(0),
        ],
    );
    let mut length = None;
    for line in lines {
        let point = line.point;
        if length.is_some_and(|tokens| tokens != point.tokens) {
            grid.rule();
        }
        let first = length != Some(point.tokens);
        length = Some(point.tokens);
        let time = |time: Option<Nanos>| time.map_or_else(|| "–".to_owned(), |time| times.time(time));
        grid.row([
            Cell::new(Tone::Strong, if first { point.tokens.to_string() } else { String::new() }),
            point.batch.to_string().into(),
            times.time(line.summary.p50_ns).into(),
            time(line.summary.p90_ns).into(),
            time(line.summary.p99_ns).into(),
            if items_title.is_empty() { Cell::default() } else { items.text(point.items_per_s).into() },
            tokens.text(point.tokens_per_s).into(),
            line.row.achieved().map(|ratio| format!("{ratio:.2}")).unwrap_or_default().into(),
            Cell::new(Tone::Faint, line.row.limit.as_ref().map_or("", |limit| limit.kind.name())),
            point.energy_per_token_uj.map(|uj| energy.text(uj as f64)).unwrap_or_default().into(),
            point.power_mw.map(|mw| format!("{:.0}", mw as f64 / 1e3)).unwrap_or_default().into(),
            point.utilisation_percent.map(|percent| percent.to_string()).unwrap_or_default().into(),
            memory.size(point.workspace_bytes).into(),
            line.summary.n.to_string().into(),
            Cell::new(Tone::Faint, point.stop.name()),
        ]);
    }
    grid.render()
}

/// Where larger batches stop paying, length by length.
fn knees(profile: &Profile, mode: ForwardMode, style: &Style) -> String {
    let knees = knees_text(&profile.sweep(), mode);
    if knees.is_empty() {
        return String::new();
    }
    paragraph(style, Tone::Faint, &format!("knee (most tokens/s per time of an iteration): {knees}"))
}

/// `batch 4 (context 64, 256)`; of a knee at an end of the sweep that it may lie beyond.
pub(crate) fn knees_text(sweep: &[SweepSeries<'_>], mode: ForwardMode) -> String {
    let mut groups: Vec<(Knee, Vec<String>)> = Vec::new();
    for series in sweep.iter().filter(|series| series.mode == mode) {
        let Some(knee) = series.knee() else { continue };
        match groups.iter_mut().find(|(known, _)| *known == knee) {
            Some((_, lengths)) => lengths.push(series.tokens.to_string()),
            None => groups.push((knee, vec![series.tokens.to_string()])),
        }
    }
    let told = |(knee, lengths): &(Knee, Vec<String>)| {
        let at = match knee {
            Knee::At(batch) => format!("batch {batch}"),
            Knee::Smallest(batch) => format!("batch {batch}, the smallest"),
            Knee::Largest(batch) => format!("batch {batch}, the largest, or beyond"),
        };
        format!("{at} ({} {})", mode.tokens_name(), lengths.join(", "))
    };
    groups.iter().map(told).collect::<Vec<_>>().join("; ")
}

/// How decode steps ran on a device with graphs.
fn replays(lines: &[Line<'_>], style: &Style) -> String {
    let replayed = lines.iter().filter(|line| line.point.replay == Some(Replay::Replayed)).count();
    let mut eager = lines.iter().filter_map(|line| match &line.point.replay {
        Some(Replay::Eager { why }) => Some(why.as_str()),
        _ => None,
    });
    let mut text = match replayed {
        0 => String::new(),
        n if n == lines.len() => "steps replayed as a recorded graph".to_owned(),
        n => format!("steps of {n} of {} points replayed as a recorded graph", lines.len()),
    };
    if let Some(why) = eager.next() {
        text = [text, format!("kernel by kernel: {why}")].join("; ").trim_start_matches("; ").to_owned();
    }
    if text.is_empty() { text } else { paragraph(style, Tone::Faint, &text) }
}

/// What a dash in the table would have needed.
fn withheld(lines: &[Line<'_>], style: &Style) -> String {
    let mut reasons: Vec<String> = Vec::new();
    for (field, name) in [("p90_ns", "p90"), ("p99_ns", "p99")] {
        let given =
            lines.iter().flat_map(|line| &line.summary.withheld).find(|withheld| withheld.what == field);
        if let Some(withheld) = given {
            let needs = withheld.why.split_once(',').map_or(withheld.why.as_str(), |(needs, _)| needs);
            reasons.push(format!("{name} {needs}"));
        }
    }
    if reasons.is_empty() {
        return String::new();
    }
    paragraph(style, Tone::Faint, &format!("– {}", reasons.join("; ")))
}
