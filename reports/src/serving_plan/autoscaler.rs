//! Targets and behaviour of the autoscaler.

use coldstart_decisions::autoscaler::{Advice, Signal, Target, Usability};
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
    let line = line(plan);
    for target in &plan.autoscaler.targets {
        if target.signal == Signal::Plan && plan.wanted.is_none() {
            continue;
        }
        let (tone, why) = match &target.usability {
            Usability::Usable if target.signal == Signal::Plan => (Tone::Good, line.as_str()),
            Usability::Usable => (Tone::Good, "usable"),
            Usability::Doubtful { why } => (Tone::Plain, why.as_str()),
            Usability::Unusable { why } => (Tone::Warn, why.as_str()),
        };
        // With some replicas at least a threshold may do after all: a replay says more than a formula.
        let saved = saved(plan, target);
        let (tone, why) = saved.as_deref().map_or((tone, why), |saved| (Tone::Good, saved));
        let untried = untried(plan, target).then(|| format!("by the formula {why}: `--simulate` replays it"));
        let why = untried.as_deref().unwrap_or(why);
        // A target that nothing can be scaled on is no number to copy; `--explain` has it.
        let unusable = matches!(target.usability, Usability::Unusable { .. }) && saved.is_none();
        let value = target.value.as_ref().filter(|_| !unusable);
        let value = value.map_or_else(|| "–".to_owned(), |value| quantity(&value.value));
        grid.row([
            target.signal.name().into(),
            value.into(),
            Cell::new(Tone::Faint, target.metric_type.name()),
            Cell::new(tone, why),
        ]);
    }
    let aside = format!(
        "watch one of them; all but plan leave headroom for growth, ρ = {:.2}",
        plan.autoscaler.headroom.value
    );
    section(style, "Autoscaler targets", &aside, &grid.render())
}

/// That a target which the formula calls unusable does with so many replicas at least, as its replay found.
fn saved(plan: &ServingPlan, target: &Target) -> Option<String> {
    let Usability::Unusable { .. } = target.usability else { return None };
    let course = plan.courses.as_ref()?.of_export(target.signal)?;
    let chosen = course.min_replicas.value;
    let least = course.fewest.as_ref().map_or(chosen, |fewest| fewest.replicas.value);
    let best = if least < chosen { format!(", the cheapest with {chosen}") } else { String::new() };
    (course.meets && !course.floor_carries).then(|| match least {
        0 | 1 => format!("usable, replayed{best}; by the formula it comes too late"),
        _ => format!("usable with {least} at least, replayed{best}; with fewer it comes too late"),
    })
}

/// Whether a formula speaks against a target that has a number, and no replay has tried it.
fn untried(plan: &ServingPlan, target: &Target) -> bool {
    let against = matches!(target.usability, Usability::Unusable { .. }) && target.value.is_some();
    let courses = plan.courses.as_ref();
    against && courses.is_some_and(|courses| courses.of_export(target.signal).is_none())
}

/// The number of replicas that the plan wants, as a query computes it.
fn line(plan: &ServingPlan) -> String {
    plan.wanted.as_ref().map_or_else(String::new, |wanted| {
        format!(
            "replicas wanted = {} standby + {} + {} · requests/s",
            wanted.standby.value, wanted.base.value, wanted.per_request_per_s.value
        )
    })
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
    match plan.wanted.as_ref().filter(|_| plan.courses.is_some()) {
        Some(wanted) => row(
            "replicas",
            format!("{} to {}", wanted.min_replicas.value, wanted.max_replicas.value),
            "with --signal plan; with others as many at least as stand above",
        ),
        None => row(
            "replicas",
            format!("{min} to {max}"),
            "for the lowest rate and its growth, and for the largest rate",
        ),
    }
    let up = &behaviour.scale_up;
    row(
        "scale up",
        format!(
            "{} in {} s, window {} s",
            counted(up.pods.value, "pod"),
            up.period_s.value,
            behaviour.scale_up_window_s.value
        ),
        "what still starts is not ordered again; with --signal plan at once",
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
    row("scale to zero", to_zero(plan), "");
    section(style, "Autoscaler behaviour", "", &grid.render())
}

/// Whether to go to zero, and what that does to those who come first.
fn to_zero(plan: &ServingPlan) -> String {
    let keep = &plan.keep_alive;
    match &keep.advice {
        Advice::ScaleToZero => format!(
            "after {} s without requests; the first then wait {} for a cold start, {} of them too long",
            keep.cooldown_s.value,
            keep.lead_time_ns.value,
            number(keep.misses.value)
        ),
        Advice::KeepOne { why } => format!("no: {why}"),
        Advice::Unknown { why } => format!("unknown: {why}"),
    }
}
