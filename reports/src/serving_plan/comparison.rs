//! Policies side by side, and what more or less standby brings.

use coldstart_decisions::plan::ServingPlan;

use super::quantity::number;
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};
use crate::terminal::section;

/// Every policy on the same trace; nothing where none was simulated.
pub(super) fn policies(plan: &ServingPlan, style: &Style) -> String {
    let Some(comparison) = &plan.comparison else { return String::new() };
    let mut grid = Grid::new(
        style,
        [
            Column::text("policy").wrap(),
            Column::number("within SLA"),
            Column::number("p50").drop(0),
            Column::number("p99"),
            Column::number("replica-h"),
            Column::number("peak").drop(1),
            Column::number("cold starts").drop(2),
            Column::number("cost"),
        ],
    );
    for policy in &comparison.policies {
        let outcome = &policy.outcome;
        let tone = if outcome.meets { Tone::Good } else { Tone::Warn };
        grid.row([
            policy.policy.name.as_str().into(),
            Cell::new(tone, share(outcome.attainment)),
            outcome.latency.p50_ns.to_string().into(),
            outcome.latency.p99_ns.to_string().into(),
            number(policy.replica_hours).into(),
            policy.peak_replicas.to_string().into(),
            policy.cold_starts.to_string().into(),
            policy.cost.map_or_else(String::new, number).into(),
        ]);
    }
    let drawn = if comparison.drawn { "Poisson arrivals, " } else { "the trace itself, " };
    let aside = format!("{drawn}{} requests over {}", comparison.requests, comparison.duration_ns);
    section(style, "Policies", &aside, &grid.render())
}

/// Standby against attainment and replica-hours.
pub(super) fn standby(plan: &ServingPlan, style: &Style) -> String {
    let Some(comparison) = &plan.comparison else { return String::new() };
    let mut grid = Grid::new(
        style,
        [
            Column::number("standby"),
            Column::number("within SLA"),
            Column::number("replica-h"),
            Column::number("cost"),
            Column::text(""),
        ],
    );
    let replayed = plan.capacity.replayed_standby.as_ref();
    let kept = replayed.map_or(plan.capacity.warm.standby.value, |standby| standby.value);
    for point in &comparison.pareto {
        let planned = point.standby == kept;
        if !point.efficient && !planned {
            continue;
        }
        let tone = if planned { Tone::Strong } else { Tone::Plain };
        let note = if planned { "the plan" } else { "" };
        grid.row([
            Cell::new(tone, point.standby.to_string()),
            Cell::new(if point.meets { Tone::Good } else { Tone::Warn }, share(point.attainment)),
            Cell::new(tone, number(point.replica_hours)),
            Cell::new(tone, point.cost.map_or_else(String::new, number)),
            Cell::new(Tone::Faint, note),
        ]);
    }
    section(style, "More or less standby", "those that attain most for their hours", &grid.render())
}

/// A share near one, with the digits that matter.
fn share(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
