//! Several profiles side by side. No verdict: whether a difference means anything is the gate's question.

mod spread;

pub(crate) use spread::spread;

use std::collections::BTreeSet;

use coldstart_profiles::warm_up::Spread;
use coldstart_profiles::{
    Benchmark, ForwardMode, Key, Measurement, Nanos, Phase, Profile, RunState, TotalKind, Waterfall,
};

use crate::grid::{Cell, Column, Grid};
use crate::scale::Scale;
use crate::style::{Style, Tone};
use crate::terminal::section;
use crate::text::{notes, paragraph};

/// From so many profiles on their medians are shown as a distribution: a column for each would not fit.
pub(crate) const MANY: usize = 5;

/// A row of medians, one for each profile that has it.
pub(crate) struct Line {
    pub(crate) name: String,
    tone: Tone,
    pub(crate) medians: Vec<Option<Nanos>>,
}

impl Line {
    /// One without emphasis.
    pub(crate) fn plain(name: &str, medians: Vec<Option<Nanos>>) -> Self {
        Line { name: name.to_owned(), tone: Tone::Plain, medians }
    }
}

/// Medians of several profiles: phases and totals of the cold start, pulls, and the points of the sweep. Each comes
/// with the name to show it under, such as its file's. Of two, the ratio of the second to the first stands beside them; of five or
/// more the least, middle and largest, and which profile is the slowest.
pub fn comparison(profiles: &[(&str, &Profile)], style: &Style) -> String {
    let mut text = legend(profiles, style);
    text.push('\n');
    text.push_str(&paragraph(style, Tone::Strong, &spread(profiles)));
    let doubts = differences(profiles);
    if !doubts.is_empty() {
        text.push('\n');
        text.push_str(&paragraph(style, Tone::Warn, &format!("Not alike: {}.", doubts.join(", "))));
    }
    let of_mode = |title, mode| (title, points(profiles, mode));
    let tables = [
        ("Cold start", phases(profiles)),
        of_mode("Prefill", ForwardMode::Prefill),
        of_mode("Decode", ForwardMode::Decode),
        of_mode("Encode", ForwardMode::Encode),
        (BENCHMARKS, benchmarks(profiles)),
    ];
    for (title, lines) in tables.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        let scale = Scale::times(lines.iter().flat_map(|line| &line.medians).flatten().copied());
        text.push('\n');
        let unit = scale.title("medians in");
        let (conditions, body) = if profiles.len() < MANY {
            (unit, table(&lines, &scale, profiles.len(), style))
        } else {
            (format!("{} profiles, {unit}", profiles.len()), distributions(&lines, &scale, profiles, style))
        };
        text.push_str(&section(style, title, &conditions, &body));
    }
    text
}

/// Whether two cold starts chain the same phases.
pub(crate) fn alike(one: &Waterfall<'_>, other: &Waterfall<'_>) -> bool {
    (one.kind, one.ends_with) == (other.kind, other.ends_with)
}

/// `A`, `B` … beyond `Z` numbers.
pub(crate) fn letter(index: usize) -> String {
    match u8::try_from(index) {
        Ok(index @ 0..26) => char::from(b'A' + index).to_string(),
        _ => (index + 1).to_string(),
    }
}

fn legend(profiles: &[(&str, &Profile)], style: &Style) -> String {
    let described: Vec<(String, String)> = (profiles.iter().enumerate())
        .map(|(index, (name, profile))| {
            let model = profile.target.model.as_ref().map_or("no model", |model| model.source.as_str());
            let state = match profile.state {
                RunState::Complete => "",
                RunState::Partial => " · PARTIAL",
                RunState::Interrupted => " · INTERRUPTED",
            };
            let device = &profile.target.device.name;
            (letter(index), format!("{name} · {model} on {device} · {}{state}", profile.started_at))
        })
        .collect();
    notes(style, Tone::Strong, described.iter().map(|(letter, text)| (letter.as_str(), text.as_str())))
}

/// What makes two columns incomparable at a glance.
pub(crate) fn differences(profiles: &[(&str, &Profile)]) -> Vec<&'static str> {
    fn differ<T: PartialEq>(profiles: &[(&str, &Profile)], of: impl Fn(&Profile) -> T) -> bool {
        profiles.windows(2).any(|pair| of(pair[0].1) != of(pair[1].1))
    }
    let model = |profile: &Profile| profile.target.model.as_ref().map(|model| model.header_sha256.clone());
    let device = |profile: &Profile| (profile.target.device.name.clone(), profile.target.device.count);
    let checks = [
        ("models", differ(profiles, model)),
        ("devices", differ(profiles, device)),
        ("hosts", differ(profiles, |profile| profile.target.host.name.clone())),
        ("methods of measuring", differ(profiles, |profile| profile.tool.method)),
    ];
    checks.into_iter().filter(|(_, differ)| *differ).map(|(what, _)| what).collect()
}

/// Phases and totals of the cold start.
pub(crate) fn phases(profiles: &[(&str, &Profile)]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = |name: &str, tone: Tone, median: &dyn Fn(&Profile) -> Option<Nanos>| {
        let medians: Vec<Option<Nanos>> = profiles.iter().map(|(_, profile)| median(profile)).collect();
        if medians.iter().any(Option::is_some) {
            lines.push(Line { name: name.to_owned(), tone, medians });
        }
    };
    // What a process does is taken from its cold starts, the rest from wherever it was measured.
    let around = [Phase::Scheduling, Phase::ImagePull, Phase::ContainerStart, Phase::Readiness];
    for phase in Phase::ALL {
        line(phase.name(), Tone::Plain, &|profile| match around.contains(&phase) {
            true => profile.of_phase(phase).find_map(median_of),
            false => {
                let waterfall = profile.waterfall(TotalKind::Process)?;
                waterfall.parts.iter().find(|part| part.phase == phase).map(|part| part.time.p50_ns)
            }
        });
    }
    for (name, kind) in [
        ("total of a process", TotalKind::Process),
        ("total of a container", TotalKind::Container),
        ("total of a pod", TotalKind::Pod),
    ] {
        line(name, Tone::Strong, &|profile| Some(profile.waterfall(kind)?.total.p50_ns));
    }
    lines
}

/// The title of imported benchmarks: of so many iterations even the shortest has a time in whole nanoseconds that says something.
pub(crate) const BENCHMARKS: &str = "Benchmarks, 1000 iterations";

/// Imported benchmarks, by their names.
pub(crate) fn benchmarks(profiles: &[(&str, &Profile)]) -> Vec<Line> {
    let all: Vec<Vec<Benchmark<'_>>> = profiles.iter().map(|(_, profile)| profile.benchmarks()).collect();
    let names: BTreeSet<&str> = all.iter().flatten().map(|benchmark| benchmark.name).collect();
    let time = |benchmark: &Benchmark<'_>| {
        Nanos::from_nanos_f64(benchmark.per_iteration(benchmark.summary.p50_ns) * 1000.0)
    };
    let of = |name: &str| {
        all.iter().map(|own| own.iter().find(|benchmark| benchmark.name == name).map(time)).collect()
    };
    names.into_iter().map(|name| Line::plain(name, of(name))).collect()
}

fn median_of(row: &Measurement) -> Option<Nanos> {
    row.outcome.as_measured().map(|(_, summary)| summary.p50_ns)
}

/// The points of the sweep.
pub(crate) fn points(profiles: &[(&str, &Profile)], mode: ForwardMode) -> Vec<Line> {
    let mut keys: Vec<(u32, u32, &Key)> = (profiles.iter())
        .flat_map(|(_, profile)| &profile.throughput)
        .filter(|point| point.mode == mode)
        .map(|point| (point.tokens, point.batch, &point.key))
        .collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .map(|(tokens, batch, key)| Line {
            name: format!("{} {tokens}, batch {batch}", mode.tokens_name()),
            tone: Tone::Plain,
            medians: profiles
                .iter()
                .map(|(_, profile)| profile.measurement(key).and_then(median_of))
                .collect(),
        })
        .collect()
}

fn table(lines: &[Line], scale: &Scale, profiles: usize, style: &Style) -> String {
    let letters = (0..profiles).map(|index| Column::number(letter(index)));
    let ratio = (profiles == 2).then(|| Column::number("B ÷ A"));
    let mut grid = Grid::new(style, [Column::text("").wrap()].into_iter().chain(letters).chain(ratio));
    for line in lines {
        let cells = line.medians.iter().map(|median| {
            Cell::new(line.tone, median.map_or_else(|| "–".to_owned(), |median| scale.time(median)))
        });
        let ratio = match line.medians.as_slice() {
            [Some(first), Some(second)] if *first > Nanos::ZERO => {
                Cell::new(line.tone, format!("{:.2}", second.as_secs_f64() / first.as_secs_f64()))
            }
            _ => Cell::default(),
        };
        grid.row([Cell::new(line.tone, line.name.as_str())].into_iter().chain(cells).chain([ratio]));
    }
    grid.render()
}

/// Each row's medians over many profiles.
fn distributions(lines: &[Line], scale: &Scale, profiles: &[(&str, &Profile)], style: &Style) -> String {
    let columns = [
        Column::text("").wrap(),
        Column::number("n"),
        Column::number("min"),
        Column::number("median"),
        Column::number("max"),
        Column::text("slowest").wrap(),
    ];
    let mut grid = Grid::new(style, columns);
    for line in lines {
        let Some(spread) = Spread::of(line.medians.iter().flatten().copied()) else { continue };
        let slowest = line.medians.iter().position(|median| *median == Some(spread.max)).unwrap_or_default();
        let name = profiles.get(slowest).map_or("", |(name, _)| *name);
        let cell = |text: String| Cell::new(line.tone, text);
        grid.row([
            cell(line.name.clone()),
            cell(line.medians.iter().flatten().count().to_string()),
            cell(scale.time(spread.min)),
            cell(scale.time(spread.median)),
            cell(scale.time(spread.max)),
            cell(format!("{} {name}", letter(slowest))),
        ]);
    }
    grid.render()
}
