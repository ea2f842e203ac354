//! The cold start phase by phase, and how close each part came to what the hardware allows.

use coldstart_profiles::{Key, Phase, Profile, Scope, TotalKind, Trace, Waterfall};

use super::{Figure, head, lanes, point_name, time};
use crate::html::page::clean;
use crate::html::plot::{Bar, Lane};
use crate::scale::percent;

/// The cold start of a process, and that of a container where one was measured.
pub(super) fn waterfalls(profile: &Profile) -> Result<Vec<Figure>, String> {
    let kinds =
        [(TotalKind::Pod, "pod"), (TotalKind::Process, "process"), (TotalKind::Container, "container")];
    kinds
        .into_iter()
        .filter_map(|(kind, name)| Some((profile.waterfall(kind)?, name)))
        .map(|(waterfall, name)| figure(profile, &waterfall, name))
        .collect()
}

fn figure(profile: &Profile, waterfall: &Waterfall<'_>, name: &str) -> Result<Figure, String> {
    let traces: Vec<&Trace> = profile
        .traces
        .iter()
        .filter(|trace| trace.scope == Scope::ColdStart && trace.total_kind == waterfall.kind)
        .filter(|trace| trace.params == *waterfall.params && trace.mark().is_none())
        .collect();
    let mut drawn: Vec<Lane> = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (index, part) in waterfall.parts.iter().enumerate() {
        let begin = part.begin_ns.as_nanos() as f64;
        let dots = traces.iter().flat_map(|trace| {
            let of_phase = trace.readings.iter().filter(|reading| reading.phase == part.phase);
            of_phase.map(|reading| begin + reading.duration_ns.as_nanos() as f64)
        });
        let to = begin + part.time.p50_ns.as_nanos() as f64;
        let achieved =
            part.achieved().map(|achieved| format!(", {achieved:.2} of limit")).unwrap_or_default();
        let bar = Bar { from: begin, to, color: index, dots: dots.collect() };
        let value = format!("{} ({}{achieved})", part.time.p50_ns, percent(part.share));
        drawn.push(Lane { name: part.phase.to_string(), bars: vec![bar], value });
        rows.push(vec![
            part.phase.to_string(),
            part.time.p50_ns.to_string(),
            part.time.min_ns.to_string(),
            part.time.max_ns.to_string(),
            percent(part.share),
            part.achieved().map_or_else(String::new, |achieved| format!("{achieved:.2}")),
        ]);
    }
    let rest = &waterfall.unattributed;
    let total = waterfall.total.p50_ns.as_nanos() as f64;
    let from = (total - rest.p50_ns.as_nanos() as f64).max(0.0);
    let bar = Bar { from, to: total, color: 8, dots: Vec::new() };
    let value = format!("{} ({})", rest.p50_ns, percent(waterfall.unattributed_share));
    drawn.push(Lane { name: "unattributed".to_owned(), bars: vec![bar], value });
    rows.push(row("unattributed", rest, percent(waterfall.unattributed_share)));
    rows.push(row("total", &waterfall.total, String::new()));
    let conditions: Vec<String> =
        waterfall.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let label = format!("Waterfall of the cold start of a {name}: {} in all", waterfall.total.p50_ns);
    Ok(Figure {
        id: format!("waterfall-{name}"),
        title: format!("Cold start of a {name}"),
        panels: lanes(&label, &drawn, None, time)?,
        legend: Vec::new(),
        caption: clean(&format!(
            "Medians of {} trials where they lie in the whole; each dot is one trial’s end of that phase, counted from the median begin. What no phase accounts for \
             is drawn last, though it lies between the phases. {}",
            waterfall.total.n,
            conditions.join(", ")
        )),
        head: head(["phase", "median", "least", "largest", "share", "of limit"]),
        rows,
        links: Vec::new(),
    })
}

fn row(name: &str, summary: &coldstart_profiles::Summary, share: String) -> Vec<String> {
    let times = [summary.p50_ns, summary.min_ns, summary.max_ns].map(|time| time.to_string());
    let [median, least, largest] = times;
    vec![name.to_owned(), median, least, largest, share, String::new()]
}

/// Achieved ÷ limit of everything that has a limit.
pub(super) fn limits(profile: &Profile) -> Result<Option<Figure>, String> {
    let measured: Vec<_> = profile
        .measurements
        .iter()
        .filter_map(|row| Some((row, row.achieved()?, row.limit.as_ref()?, row.work?, row.rate()?)))
        .collect();
    if measured.is_empty() {
        return Ok(None);
    }
    let drawn: Vec<Lane> = measured
        .iter()
        .map(|(row, achieved, limit, _, _)| Lane {
            name: clean(&named(profile, &row.key)),
            bars: vec![Bar { from: 0.0, to: *achieved, color: color(row.key.phase), dots: Vec::new() }],
            value: format!("{achieved:.2} of {}", limit.kind),
        })
        .collect();
    let rows = measured
        .iter()
        .map(|(row, achieved, limit, work, rate)| {
            vec![
                clean(&row.key.to_string()),
                work.display_rate(*rate),
                limit.rate().map_or_else(String::new, |rate| limit.work.display_rate(rate)),
                limit.kind.to_string(),
                format!("{achieved:.2}"),
            ]
        })
        .collect();
    Ok(Some(Figure {
        id: "limits".to_owned(),
        title: "Achieved against the hardware's limit".to_owned(),
        panels: lanes("Achieved rate as a share of the limit, by measurement", &drawn, Some(1.0), |share| {
            format!("{share:.1}")
        })?,
        legend: Vec::new(),
        caption: "Each rate over the best that the hardware reached for the same work in the same run; the line is the limit."
            .to_owned(),
        head: head(["what", "achieved", "limit", "limit by", "ratio"]),
        rows,
        links: Vec::new(),
    }))
}

fn color(phase: Phase) -> usize {
    match phase {
        Phase::WeightsLoad => 0,
        Phase::Throughput => 2,
        _ => 1,
    }
}

/// `weights_load cold direct` for `weights_load{page_cache=cold,staging=direct}`, and a point of the sweep by its name: what fits
/// beside a bar.
fn named(profile: &Profile, key: &Key) -> String {
    if let Some(point) = profile.throughput.iter().find(|point| point.key == *key) {
        return point_name(point.mode, point.tokens, point.batch);
    }
    let values: Vec<&str> = key.params.iter().map(|(_, value)| value).collect();
    format!("{} {}", key.phase, values.join(" ")).trim().to_owned()
}
