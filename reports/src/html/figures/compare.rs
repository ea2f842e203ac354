//! Several profiles side by side.

use coldstart_profiles::{Phase, Profile};

use super::{Figure, head, time};
use crate::html::page::clean;
use crate::html::plot::{Bar, Lane, bars, color_number};
use crate::terminal::widest;

/// The cold starts of all profiles, their phases one behind the other, each trial's total as a tick.
pub(in crate::html) fn comparison(profiles: &[(&str, &Profile)]) -> Result<Vec<Figure>, String> {
    let mut lanes = Vec::new();
    let mut rows = Vec::new();
    let mut reference: Option<f64> = None;
    let mut phases: Vec<Phase> = Vec::new();
    for (name, profile) in profiles {
        let Some(waterfall) = widest(profile) else { continue };
        let mut place = 0.0;
        let mut parts: Vec<Bar> = Vec::new();
        for part in &waterfall.parts {
            // A phase has its colour on every lane, whatever phases the other profiles have.
            let color = phases.iter().position(|phase| *phase == part.phase).unwrap_or(phases.len());
            if color == phases.len() {
                phases.push(part.phase);
            }
            let to = place + part.time.p50_ns.as_nanos() as f64;
            parts.push(Bar { from: place, to, color, ticks: Vec::new() });
            place = to;
        }
        let totals = profile.totals.iter().filter(|total| total.kind == waterfall.kind);
        let ticks = totals
            .filter_map(|total| Some(total.outcome.as_measured()?.0))
            .flat_map(|samples| samples.included());
        if let Some(last) = parts.last_mut() {
            last.ticks = ticks.map(|time| time.as_nanos() as f64).collect();
        }
        let median = waterfall.total.p50_ns.as_nanos() as f64;
        let first = *reference.get_or_insert(median);
        let change =
            if first > 0.0 { format!("{:+.1} %", (median / first - 1.0) * 100.0) } else { String::new() };
        let total = waterfall.total.p50_ns.to_string();
        lanes.push(Lane { name: clean(name), bars: parts, value: format!("{total} ({change})") });
        rows.push(vec![
            clean(name),
            total,
            waterfall.total.min_ns.to_string(),
            waterfall.total.max_ns.to_string(),
            change,
            clean(&profile.started_at),
        ]);
    }
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Figure {
        id: "by-profile".to_owned(),
        title: "Cold starts side by side".to_owned(),
        svg: bars("Cold starts of all profiles by phase", &lanes, None, time)?,
        legend: phases.iter().enumerate().map(|(color, phase)| (color_number(color), phase.to_string())).collect(),
        caption: "Medians of the phases one behind the other; ticks are the totals of single trials. Changes are against the first."
            .to_owned(),
        head: head(["profile", "median", "least", "largest", "change", "started"]),
        rows,
    }])
}
