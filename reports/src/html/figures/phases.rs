//! The cold start phase by phase, and how close each part came to what the hardware allows.

use coldstart_profiles::{Nanos, Phase, Profile, Scope, TotalKind, Trace, Waterfall};

use super::{Figure, head, time};
use crate::html::page::clean;
use crate::html::plot::{Bar, Lane, bars};
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
    let mut end = Nanos::ZERO;
    let mut lanes: Vec<Lane> = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (index, part) in waterfall.parts.iter().enumerate() {
        let begin = part.begin_ns.as_nanos() as f64;
        let ticks = traces.iter().flat_map(|trace| {
            let of_phase = trace.readings.iter().filter(|reading| reading.phase == part.phase);
            of_phase.map(|reading| begin + reading.duration_ns.as_nanos() as f64)
        });
        let to = begin + part.time.p50_ns.as_nanos() as f64;
        let achieved =
            part.achieved().map(|achieved| format!(", {achieved:.2} of limit")).unwrap_or_default();
        let bar = Bar { from: begin, to, color: index, ticks: ticks.collect() };
        let value = format!("{} ({}{achieved})", part.time.p50_ns, percent(part.share));
        lanes.push(Lane { name: part.phase.to_string(), bars: vec![bar], value });
        rows.push(vec![
            part.phase.to_string(),
            part.time.p50_ns.to_string(),
            part.time.min_ns.to_string(),
            part.time.max_ns.to_string(),
            percent(part.share),
            part.achieved().map_or_else(String::new, |achieved| format!("{achieved:.2}")),
        ]);
        end = end.max(part.begin_ns.saturating_add(part.time.p50_ns));
    }
    let rest = &waterfall.unattributed;
    let total = waterfall.total.p50_ns.as_nanos() as f64;
    let from = (total - rest.p50_ns.as_nanos() as f64).max(0.0);
    let bar = Bar { from, to: total, color: 5, ticks: Vec::new() };
    let value = format!("{} ({})", rest.p50_ns, percent(waterfall.unattributed_share));
    lanes.push(Lane { name: "unattributed".to_owned(), bars: vec![bar], value });
    rows.push(row("unattributed", rest, percent(waterfall.unattributed_share)));
    rows.push(row("total", &waterfall.total, String::new()));
    let conditions: Vec<String> =
        waterfall.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let label = format!("Waterfall of the cold start of a {name}: {} in all", waterfall.total.p50_ns);
    Ok(Figure {
        id: format!("waterfall-{name}"),
        title: format!("Cold start of a {name}"),
        svg: bars(&label, &lanes, None, time)?,
        legend: Vec::new(),
        caption: clean(&format!(
            "Medians of {} trials where they lie in the whole; each tick is one trial's end of that phase. What no phase accounts for \
             is drawn last, though it lies between the phases. {}",
            waterfall.total.n,
            conditions.join(", ")
        )),
        head: head(["phase", "median", "least", "largest", "share", "of limit"]),
        rows,
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
    let lanes: Vec<Lane> = measured
        .iter()
        .map(|(row, achieved, limit, _, _)| Lane {
            name: clean(&short(&row.key.to_string())),
            bars: vec![Bar { from: 0.0, to: *achieved, color: color(row.key.phase), ticks: Vec::new() }],
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
        svg: bars("Achieved rate as a share of the limit, by measurement", &lanes, Some(1.0), |share| format!("{share:.1}"))?,
        legend: Vec::new(),
        caption: "Each rate over the best that the hardware reached for the same work in the same run; the line is the limit."
            .to_owned(),
        head: head(["what", "achieved", "limit", "limit by", "ratio"]),
        rows,
    }))
}

fn color(phase: Phase) -> usize {
    match phase {
        Phase::WeightsLoad => 0,
        Phase::Throughput => 2,
        _ => 1,
    }
}

/// `weights_load cold direct` for `weights_load{page_cache=cold,staging=direct}`: what fits beside a bar.
fn short(key: &str) -> String {
    let Some((phase, params)) = key.split_once('{') else { return key.to_owned() };
    let values = params.trim_end_matches('}').split(',').map(|pair| match pair.split_once('=') {
        Some(("batch", value)) => format!("b{value}"),
        Some((_, value)) => value.to_owned(),
        None => pair.to_owned(),
    });
    let phase = if phase == "throughput" { "" } else { phase };
    format!("{phase} {}", values.collect::<Vec<_>>().join(" ")).trim().to_owned()
}
