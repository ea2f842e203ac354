//! Targets and behaviour of the autoscaler.

use coldstart_decisions::autoscaler::{Advice, Usability};
use coldstart_decisions::plan::ServingPlan;

use super::quantity::{counted, number, quantity};
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};
use crate::terminal::section;

/// Every signal with its target and what speaks against it.
pub(super) fn targets(plan: &ServingPlan, style: &Style) -> String {
    let mut grid = Grid::new(
        style,
        [
            Column::text("signal"),
            Column::number("target"),
            Column::text("metric type"),
            Column::text("").wrap(),
        ],
    );
    for target in &plan.autoscaler.targets {
        let (tone, why) = match &target.usability {
            Usability::Usable => (Tone::Good, "usable"),
            Usability::Doubtful { why } => (Tone::Plain, why.as_str()),
            Usability::Unusable { why } => (Tone::Warn, why.as_str()),
        };
        let value = target.value.as_ref().map_or_else(|| "–".to_owned(), |value| quantity(&value.value));
        grid.row([
            target.signal.name().into(),
            value.into(),
            Cell::new(Tone::Faint, target.metric_type.name()),
            Cell::new(tone, why),
        ]);
    }
    let aside = format!(
        "headroom ρ = {:.2}; it covers the same growth as the standby: take one of the two",
        plan.autoscaler.headroom.value
    );
    section(style, "Autoscaler targets", &aside, &grid.render())
}

/// How fast replicas come and go, their limits, and scaling to zero.
pub(super) fn behaviour(plan: &ServingPlan, style: &Style) -> String {
    let settings = &plan.autoscaler;
    let behaviour = &settings.behaviour;
    let mut grid = Grid::new(style, [Column::text("").wrap(), Column::text("").wrap()]);
    let mut row = |name: &str, value: String, why: &str| {
        let text = if why.is_empty() { value } else { format!("{value} · {why}") };
        grid.row([Cell::from(name), Cell::from(text)]);
    };
    let (min, max) = (settings.min_replicas.value, settings.max_replicas.value);
    row(
        "replicas",
        format!("{min} to {max}"),
        "for the lowest rate and its growth, and for the largest rate",
    );
    let up = &behaviour.scale_up;
    row(
        "scale up",
        format!(
            "{} in {} s, window {} s",
            counted(up.pods.value, "pod"),
            up.period_s.value,
            behaviour.scale_up_window_s.value
        ),
        "what still starts is not ordered again",
    );
    let down = &behaviour.scale_down;
    row(
        "scale down",
        format!(
            "{} in {} s, window {} s",
            counted(down.pods.value, "pod"),
            down.period_s.value,
            behaviour.scale_down_window_s.value
        ),
        "",
    );
    row("polling", format!("every {} s", settings.polling_interval_s.value), "");
    let keep = &plan.keep_alive;
    let advice = match (&keep.advice, &keep.break_even_ns) {
        (Advice::ScaleToZero, Some(time)) => {
            format!("after {} idle, cool-down {} s", time.value, settings.cooldown_s.value)
        }
        (Advice::ScaleToZero, None) => format!("cool-down {} s", settings.cooldown_s.value),
        (Advice::KeepOne { why }, _) => format!("keep one: {why}"),
        (Advice::Unknown { why }, _) => format!("unknown: {why}"),
    };
    let misses = format!("one cold start from zero makes {} requests miss", number(keep.misses.value));
    row("scale to zero", advice, &misses);
    section(style, "Autoscaler behaviour", "", &grid.render())
}
