//! What the GPU's management library said over time, quantity by quantity.

use coldstart_profiles::{
    Bytes, Profile, Spread, TelemetryOverview, TelemetrySample, TelemetryScope, TelemetryTimeline,
};

use super::{Figure, Panel, head};
use crate::html::plot::{Axis, Curve, Drawing, Look, Marks, color_number, curves};

/// More processes than this make a background that nobody can read.
const MOST_BEHIND: usize = 20;

/// What is read of a sample.
type Read = fn(&TelemetrySample) -> Option<f64>;

/// The quantities with their units.
const QUANTITIES: [(&str, &str, Read); 7] = [
    ("Power of the board", "W", |sample| Some(sample.power_mw? as f64 / 1e3)),
    ("Clock of the multiprocessors", "MHz", |sample| sample.sm_clock_mhz.map(f64::from)),
    ("Clock of the memory", "MHz", |sample| sample.memory_clock_mhz.map(f64::from)),
    ("Temperature", "°C", |sample| sample.temperature_c.map(f64::from)),
    ("Time in which a kernel ran", "%", |sample| sample.gpu_percent.map(f64::from)),
    ("Time in which memory was used", "%", |sample| sample.memory_percent.map(f64::from)),
    ("Memory in use", "GiB", |sample| Some(sample.memory_used_bytes?.get() as f64 / f64::from(1 << 30))),
];

/// A figure for the cold starts, and one for the sweep.
pub(super) fn telemetry(profile: &Profile) -> Result<Vec<Figure>, String> {
    let timelines = profile.telemetry.timelines();
    let overview = profile.telemetry.overview();
    let mut figures = Vec::new();
    for (scope, id, title) in [
        (TelemetryScope::Trial, "telemetry-trial", "The GPU during a cold start"),
        (TelemetryScope::Point, "telemetry-sweep", "The GPU during the sweep"),
    ] {
        let of_scope: Vec<&TelemetryTimeline<'_>> =
            timelines.iter().filter(|timeline| timeline.scope == scope).collect();
        // That of the trial that stands for all warm-ups, where it was sampled.
        let typical = profile.typical_warm_up().map(|curve| curve.step.as_str());
        let chosen =
            of_scope.iter().find(|timeline| Some(timeline.step) == typical).or_else(|| of_scope.first());
        let Some(chosen) = chosen else { continue };
        let panels = panels(&of_scope, chosen.step)?;
        if panels.is_empty() {
            continue;
        }
        let strong: Vec<&&TelemetryTimeline<'_>> =
            of_scope.iter().filter(|timeline| timeline.step == chosen.step).collect();
        let held_down = |timeline: &&&TelemetryTimeline<'_>| !timeline.throttled().is_empty();
        let throttled = strong.iter().any(held_down);
        let all_held_down = (of_scope.iter().filter(held_down).count(), of_scope.len());
        figures.push(Figure {
            id: id.to_owned(),
            title: title.to_owned(),
            panels,
            legend: legend(&strong, of_scope.len() - strong.len(), throttled),
            caption: caption(scope, profile, all_held_down, throttled),
            head: head([
                "window",
                "samples",
                "throttled",
                "power",
                "most power",
                "SM clock",
                "memory clock",
                "temperature",
                "kernel ran",
                "memory used",
                "most in use",
            ]),
            rows: overview.iter().filter(|line| line.scope == scope).map(row).collect(),
            links: Vec::new(),
        });
    }
    Ok(figures)
}

fn panels(timelines: &[&TelemetryTimeline<'_>], step: &str) -> Result<Vec<Panel>, String> {
    let (strong, others): (Vec<&TelemetryTimeline<'_>>, Vec<_>) =
        timelines.iter().partition(|timeline| timeline.step == step);
    let every = others.len().div_ceil(MOST_BEHIND).max(1);
    let seconds = |time: coldstart_profiles::Nanos| time.as_secs_f64();
    let mut panels = Vec::new();
    for (title, unit, read) in QUANTITIES {
        let curve = |timeline: &TelemetryTimeline<'_>, color: usize, look: Look| {
            let samples = timeline.samples.iter();
            let points = samples.filter_map(|sample| Some((seconds(sample.at_ns), read(sample)?))).collect();
            Curve { points, color, look, ..Curve::default() }
        };
        let behind = others.iter().step_by(every).map(|timeline| curve(timeline, 0, Look::Faint));
        let before = strong.iter().enumerate().map(|(color, timeline)| curve(timeline, color, Look::Line));
        let drawn: Vec<Curve> = behind.chain(before).filter(|curve| curve.points.len() > 1).collect();
        if drawn.is_empty() {
            continue;
        }
        let spans = strong.iter().flat_map(|timeline| timeline.throttled());
        let scope = strong.first().map(|timeline| timeline.scope);
        let windows = strong.first().map_or(&[][..], |timeline| &timeline.windows);
        let marks = Marks {
            spans: spans.map(|(from, to)| seconds(from)..seconds(to)).collect(),
            borders: match scope {
                Some(TelemetryScope::Trial) => {
                    windows.iter().map(|window| seconds(window.begin_ns)).collect()
                }
                _ => Vec::new(),
            },
            ..Marks::default()
        };
        let label = format!("{title} over time");
        let axes =
            (&Axis { title: "s since the process began", log: false }, &Axis { title: unit, log: false });
        let drawing = Drawing::small(|layout| curves(layout, &label, axes, &drawn, &marks))?;
        panels.push(Panel { title: title.to_owned(), drawing });
    }
    Ok(panels)
}

fn legend(strong: &[&&TelemetryTimeline<'_>], others: usize, throttled: bool) -> Vec<(usize, String)> {
    let gpus = strong.iter().enumerate();
    let mut legend: Vec<(usize, String)> = gpus
        .map(|(at, timeline)| {
            let gpu = if strong.len() > 1 { format!("GPU {at} of ") } else { String::new() };
            (color_number(at), crate::html::page::clean(&format!("{gpu}{}", timeline.step)))
        })
        .collect();
    if others > 0 {
        legend.push((0, "other processes".to_owned()));
    }
    if throttled {
        legend.push((WARN_NUMBER, "held down by heat, power supply or hardware".to_owned()));
    }
    legend
}

/// The number that stands for the colour of warnings in a legend.
const WARN_NUMBER: usize = 99;

fn caption(
    scope: TelemetryScope,
    profile: &Profile,
    (held_down, all): (usize, usize),
    throttled: bool,
) -> String {
    let interval = profile.telemetry.gpus.iter().map(|gpu| gpu.interval_ns).max().unwrap_or_default();
    let mut text = format!("By NVML, every {interval}.");
    if scope == TelemetryScope::Trial {
        text.push_str(
            " Upright lines are where loading the weights, the warm-up and the steady state begin.",
        );
    }
    if held_down > 0 {
        let shaded = if throttled { ": in shaded spans" } else { "" };
        text.push_str(&format!(
            " Heat, the power supply or the hardware held the clocks down in {held_down} of {all} processes{shaded}."
        ));
    }
    text
}

fn row(line: &TelemetryOverview) -> Vec<String> {
    let summary = &line.summary;
    let median = |spread: Option<Spread>, unit: &str| {
        spread.map_or("–".to_owned(), |spread| format!("{} {unit}", spread.median))
    };
    let watts = |milliwatts: Option<u64>| {
        milliwatts.map_or("–".to_owned(), |power| format!("{:.0} W", power as f64 / 1e3))
    };
    vec![
        line.window.name().to_owned(),
        summary.samples.to_string(),
        summary.throttled_samples.map_or("–".to_owned(), |some| some.to_string()),
        watts(summary.power_mw.map(|power| power.median)),
        watts(summary.power_mw.map(|power| power.max)),
        median(summary.sm_clock_mhz, "MHz"),
        median(summary.memory_clock_mhz, "MHz"),
        median(summary.temperature_c, "°C"),
        median(summary.gpu_percent, "%"),
        median(summary.memory_percent, "%"),
        summary.memory_used_bytes.map_or("–".to_owned(), |used| Bytes::new(used.max).to_string()),
    ]
}
