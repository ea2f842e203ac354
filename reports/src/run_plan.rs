//! What a run is going to do, before it starts.

use std::collections::BTreeSet;

use coldstart_profiles::{ForwardMode, Plan, Step, StepKind, SweepPoint};

use crate::grid::{Cell, Column, Grid};
use crate::scale::Scale;
use crate::style::{Style, Tone};
use crate::terminal::section;
use crate::text::{by_text, notes, paragraph};

/// Steps that differ in nothing but their repetition.
struct Group<'a> {
    what: &'static str,
    how: String,
    steps: Vec<&'a Step>,
}

/// The steps of a plan in groups with what they are expected to take, the budget, and what is left out and why.
pub fn run_plan_table(plan: &Plan, style: &Style) -> String {
    let groups = groups(plan);
    let estimate = |group: &Group<'_>| group.steps.iter().map(|step| step.estimate_ns).sum();
    let scale = Scale::estimates();
    let mut grid = Grid::new(
        style,
        [
            Column::number(""),
            Column::text("step"),
            Column::text("").wrap(),
            Column::number(scale.title("about")),
        ],
    );
    for group in &groups {
        grid.row([
            format!("{} ×", group.steps.len()).into(),
            group.what.into(),
            Cell::new(Tone::Faint, group.how.as_str()),
            scale.time(estimate(group)).into(),
        ]);
    }
    grid.rule();
    let over = plan.estimate_ns() > plan.budget_ns;
    let tone = if over { Tone::Warn } else { Tone::Strong };
    grid.row([
        "".into(),
        Cell::new(Tone::Strong, "all"),
        Cell::new(Tone::Faint, format!("of a budget of {}", plan.budget_ns)),
        Cell::new(tone, scale.time(plan.estimate_ns())),
    ]);
    let mut body = if groups.is_empty() {
        paragraph(style, Tone::Warn, "Nothing can be measured.")
    } else {
        grid.render()
    };
    if over {
        let text = "That is over the budget, and nothing more can be left out: the least counts, and those that were named, \
                    are measured whatever they take. Name fewer `--trials` or `--phases`, or give a larger `--budget`.";
        body.push_str(&paragraph(style, Tone::Warn, text));
    }
    let title = format!("Plan: {} on {}", plan.model, plan.device);
    let quick = if plan.quick { "quick, " } else { "" };
    let aside = format!("{quick}interleaved, seed {}", plan.seed);
    let mut text = section(style, &title, &aside, &body);
    let skipped =
        by_text(plan.skipped.iter().map(|skipped| (skipped.phase.to_string(), skipped.why.as_str())));
    let skipped = skipped.iter().map(|(phases, why)| (phases.as_str(), *why));
    let left_out = section(style, "Not measured", "", &notes(style, Tone::Plain, skipped));
    if !left_out.is_empty() {
        text.push('\n');
        text.push_str(&left_out);
    }
    text
}

/// Steps in the order in which their groups first come up. All limits are one group.
fn groups(plan: &Plan) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for step in &plan.steps {
        let (what, how) = describe(&step.kind);
        let limit = matches!(step.kind, StepKind::Limit { .. });
        match groups.iter_mut().find(|group| group.what == what && (limit || group.how == how)) {
            Some(group) => {
                if limit && !group.how.split(", ").any(|told| told == how) {
                    group.how.push_str(&format!(", {how}"));
                }
                group.steps.push(step);
            }
            None => groups.push(Group { what, how, steps: vec![step] }),
        }
    }
    groups
}

fn describe(kind: &StepKind) -> (&'static str, String) {
    match kind {
        StepKind::Limit { limit } => ("limit", limit.name().to_owned()),
        StepKind::Trial { strategy, page_cache, .. } => {
            ("cold start", format!("{page_cache} page cache, {strategy}"))
        }
        StepKind::Startup { jit_cache, loading, .. } => {
            ("driver, context, kernels", format!("{jit_cache} JIT cache, {loading} loading"))
        }
        StepKind::Load { strategy, page_cache, .. } => {
            ("weights load", format!("{page_cache} page cache, {strategy}"))
        }
        StepKind::Uploads { strategy, page_cache, .. } => {
            ("load to all devices", format!("{page_cache} page cache, {strategy}"))
        }
        StepKind::Pull { .. } => ("image pull", String::new()),
        StepKind::Container { strategy, page_cache, .. } => {
            ("container start", format!("{page_cache} page cache, {strategy}"))
        }
        StepKind::Sweep { points, .. } => ("throughput sweep", sweep(points)),
        StepKind::SteadyState { points, .. } => ("steady state", sweep(points)),
    }
}

/// `prefill: batch 1, 2, 4 × prompt 16, 64; decode: batch 1, 2, 4 × context 64, 256`.
fn sweep(points: &[SweepPoint]) -> String {
    let modes: BTreeSet<_> = points.iter().map(|point| point.mode).collect();
    let of_mode = |mode: ForwardMode| {
        let list = |value: fn(&SweepPoint) -> u32| {
            let values: BTreeSet<u32> = points.iter().filter(|point| point.mode == mode).map(value).collect();
            values.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
        };
        format!(
            "{}: batch {} × {} {}",
            mode.name(),
            list(|p| p.batch),
            mode.tokens_name(),
            list(|p| p.tokens)
        )
    };
    modes.into_iter().map(of_mode).collect::<Vec<_>>().join("; ")
}
