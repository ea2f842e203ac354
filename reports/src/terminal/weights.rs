//! Ways of loading the weights, cold and warm, side by side.

use coldstart_profiles::{Clock, LoadParts, Measurement, Nanos, Phase, Profile, Summary, Work};

use super::section;
use crate::bar;
use crate::grid::{Cell, Column, Grid};
use crate::scale::{Scale, ranges};
use crate::style::{Style, Tone};
use crate::text::paragraph;

const LEAST_BAR: usize = 8;
const LARGEST_BAR: usize = 24;

/// One strategy under one state of the page cache.
struct Line<'a> {
    cache: &'a str,
    strategy: String,
    row: &'a Measurement,
    summary: &'a Summary,
    parts: LoadParts,
}

/// The strategies by state of the page cache, the fastest first.
pub(crate) fn weights(profile: &Profile, style: &Style) -> String {
    let lines = lines(profile);
    let scale = Scale::times(lines.iter().map(|line| line.summary.max_ns));
    let rates = Scale::rates("B/s", lines.iter().filter_map(|line| line.row.rate()));
    let ends: Vec<Option<(String, String)>> = (lines.iter())
        .map(|line| {
            (line.summary.n > 1).then(|| (scale.time(line.summary.min_ns), scale.time(line.summary.max_ns)))
        })
        .collect();
    let mut grid = Grid::new(style, columns(&scale, &rates));
    let mut cache = None;
    for (line, range) in lines.iter().zip(ranges(&ends)) {
        let first = cache != Some(line.cache);
        if first && cache.is_some() {
            grid.rule();
        }
        cache = Some(line.cache);
        let part = |time: Option<Nanos>| {
            Cell::new(Tone::Plain, time.map(|time| scale.time(time)).unwrap_or_default())
        };
        grid.row([
            Cell::new(Tone::Strong, if first { line.cache } else { "" }),
            line.strategy.as_str().into(),
            line.summary.n.to_string().into(),
            scale.time(line.summary.p50_ns).into(),
            Cell::new(Tone::Faint, range),
            line.row.rate().map(|rate| rates.text(rate)).unwrap_or_default().into(),
            line.row.achieved().map(|ratio| format!("{ratio:.2}")).unwrap_or_default().into(),
            Cell::new(Tone::Faint, line.row.limit.as_ref().map_or("", |limit| limit.kind.name())),
            part(line.parts.read_ns),
            part(line.parts.stage_ns),
            part(line.parts.upload_ns),
            part(line.parts.pin_ns),
        ]);
    }
    let room = grid.room_for_bar(1, LEAST_BAR, LARGEST_BAR);
    if room > 0 {
        let slowest = lines.iter().map(|line| line.summary.p50_ns).max().unwrap_or_default().as_secs_f64();
        let bars = lines.iter().map(|line| {
            let length = line.summary.p50_ns.as_secs_f64();
            Cell::new(Tone::Accent, bar::span(style.unicode, room, 0.0, length, slowest))
        });
        grid.push_column(Column::text("").drop(1), bars);
    }
    let mut body = grid.render();
    body.push_str(&paragraph(style, Tone::Faint, &checked(profile, &lines)));
    section(style, "Loading the weights", "by state of the page cache; parts overlap", &body)
}

/// Of which strategies the bytes on the device were compared with the files.
fn checked(profile: &Profile, lines: &[Line<'_>]) -> String {
    let mut strategies: Vec<&str> = Vec::new();
    for line in lines {
        if profile.load_verified(line.row) && !strategies.contains(&line.strategy.as_str()) {
            strategies.push(&line.strategy);
        }
    }
    match (lines.is_empty(), strategies.as_slice()) {
        (true, _) => String::new(),
        (false, []) => "no load was checked against the files".to_owned(),
        (false, checked) => format!("bytes on the device compared with the files: {}", checked.join(", ")),
    }
}

fn columns(scale: &Scale, rates: &Scale) -> [Column; 12] {
    [
        Column::text("cache"),
        Column::text("strategy"),
        Column::number("n").drop(2),
        Column::number(scale.title("median")),
        Column::number("min – max").drop(3),
        Column::number(rates.title("rate")),
        Column::number("of limit"),
        Column::text("").drop(0),
        Column::number("read").drop(5),
        Column::number("stage").drop(5),
        Column::number("upload").drop(5),
        Column::number("pin").drop(4),
    ]
}

fn lines(profile: &Profile) -> Vec<Line<'_>> {
    let on_host = |row: &&Measurement| row.key.clock == Clock::Host;
    let mut lines: Vec<Line<'_>> = (profile.of_phase(Phase::WeightsLoad).filter(on_host))
        .filter_map(|row| {
            let (_, summary) = row.outcome.as_measured()?;
            let others = row.key.params.iter().filter(|(name, _)| !matches!(*name, "page_cache" | "staging"));
            let mut strategy = row.key.params.get("staging").unwrap_or("default").to_owned();
            for (name, value) in others {
                strategy.push_str(&format!(" {name}={value}"));
            }
            let cache = row.key.params.get("page_cache").unwrap_or("");
            Some(Line { cache, strategy, row, summary, parts: profile.load_parts(row) })
        })
        .filter(|line| line.row.work.is_none_or(|work| matches!(work, Work::Bytes(_))))
        .collect();
    let rank = |cache: &str| ["cold", "warm", "memory"].iter().position(|name| *name == cache).unwrap_or(3);
    lines.sort_by(|a, b| {
        (rank(a.cache), a.cache, a.summary.p50_ns).cmp(&(rank(b.cache), b.cache, b.summary.p50_ns))
    });
    lines
}
