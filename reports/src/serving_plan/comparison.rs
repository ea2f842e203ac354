//! Policies side by side, and what more or less standby brings.

use coldstart_decisions::autoscaler::Signal;
use coldstart_decisions::plan::{Course, ServingPlan, TrafficSource};
use coldstart_decisions::service::{Sla, SlaPart};
use coldstart_decisions::simulate::Outcome;

use super::quantity::number;
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};
use crate::terminal::section;
use crate::text::paragraph;

/// What can be carried out, the cheapest marked; nothing where nothing was replayed.
pub(super) fn courses(plan: &ServingPlan, style: &Style) -> String {
    let Some(courses) = &plan.courses else { return String::new() };
    let mut grid = Grid::new(
        style,
        [
            Column::text("way"),
            Column::number("at least"),
            Column::number("within SLA"),
            Column::number("replica-h"),
            Column::number("cost"),
            Column::text("").wrap(),
        ],
    );
    let cheapest = courses.cheapest.as_ref().map(|course| course.name.as_str());
    for course in courses.carried_out.iter().chain(&courses.exactly) {
        let best = cheapest == Some(course.name.as_str());
        let tone = if best { Tone::Strong } else { Tone::Plain };
        let exactly = courses.exactly.as_ref() == Some(course);
        let fewest = cheaper_than(course);
        let note = match course {
            Course { to_zero: true, .. } if best => "the cheapest; KEDA, with --request-metric of a gateway",
            _ if best => "the cheapest",
            Course { to_zero: true, .. } => "KEDA, with --request-metric of a gateway",
            _ if exactly => "the yardstick: no autoscaler does this",
            Course { meets: false, .. } => "misses it",
            Course { floor_carries: true, .. } => "no threshold saves this SLA: the least number carries it",
            _ => "",
        };
        let note = [note, fewest.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        grid.row([
            Cell::new(tone, course.name.as_str()),
            Cell::new(tone, course.min_replicas.value.to_string()),
            Cell::new(if course.meets { Tone::Good } else { Tone::Warn }, share(course.attainment.value)),
            Cell::new(tone, number(course.replica_hours.value)),
            Cell::new(tone, course.cost.as_ref().map_or_else(String::new, |cost| number(cost.value))),
            Cell::new(if best { Tone::Good } else { Tone::Faint }, note),
        ]);
    }
    let mut text = grid.render();
    let more = match &plan.comparison {
        Some(_) => "",
        None => " `--simulate` replays the other signals and what is usually set up, too.",
    };
    let how = format!(
        "A number is set with `kubectl scale --replicas N`, a signal with `coldstart export hpa|keda PLAN --signal NAME`. A number that never changes fits this traffic only.{more}"
    );
    text.push_str(&paragraph(style, Tone::Faint, &how));
    let aside = match plan.request.traffic_from {
        TrafficSource::Numbers => {
            "each way at its cheapest that meets the SLA, replayed on arrivals drawn of the numbers"
        }
        TrafficSource::Trace { .. } => "each way at its cheapest that meets the SLA, replayed",
    };
    section(style, "What it takes", aside, &text)
}

/// What fewer replicas would take, where more are cheaper.
fn cheaper_than(course: &Course) -> String {
    let Some(fewest) = &course.fewest else { return String::new() };
    let price = match &fewest.cost {
        Some(cost) => format!("would cost {}", number(cost.value)),
        None => format!("would take {}", number(fewest.replica_hours.value)),
    };
    match course.export {
        Some(Signal::Plan) => format!("with {} standing by it {price}", fewest.replicas.value),
        _ => format!("with {} it {price}", fewest.replicas.value),
    }
}

/// What a table shows of latencies: those that the service level bounds, by their names.
struct Shown {
    title: String,
    part: SlaPart,
    median: bool,
}

/// Of one bound its median and its p99, of several the p99 of each.
fn shown(sla: &Sla) -> Vec<Shown> {
    let parts: Vec<SlaPart> = sla.bounds().map(|(part, _)| part).collect();
    let of = |part: SlaPart, percentile: &str, median: bool| {
        let name = match part {
            SlaPart::EndToEnd if parts.len() > 1 => " in all",
            SlaPart::EndToEnd => "",
            SlaPart::Ttft => " TTFT",
            SlaPart::Itl => " ITL",
        };
        Shown { title: format!("{percentile}{name}"), part, median }
    };
    match parts.as_slice() {
        [part] => vec![of(*part, "p50", true), of(*part, "p99", false)],
        parts => parts.iter().map(|part| of(*part, "p99", false)).collect(),
    }
}

impl Shown {
    /// Of one forward pass the first token is the answer, and there is no gap between tokens.
    fn text(&self, outcome: &Outcome) -> String {
        let of = match self.part {
            SlaPart::EndToEnd => Some(&outcome.latency),
            SlaPart::Ttft => Some(outcome.ttft.as_ref().unwrap_or(&outcome.latency)),
            SlaPart::Itl => outcome.itl.as_ref(),
        };
        of.map_or_else(|| "–".to_owned(), |of| if self.median { of.p50_ns } else { of.p99_ns }.to_string())
    }
}

/// Every policy on the same trace; nothing where none was simulated.
pub(super) fn policies(plan: &ServingPlan, style: &Style) -> String {
    let Some(comparison) = &plan.comparison else { return String::new() };
    let latencies = shown(&plan.request.sla);
    let before = [Column::text("policy").wrap(), Column::number("in SLA")];
    let after = [
        Column::number("hours"),
        Column::number("peak").drop(1),
        Column::number("starts").drop(0),
        Column::number("cost"),
    ];
    let titles = latencies.iter().map(|of| Column::number(of.title.as_str()));
    let mut grid = Grid::new(style, before.into_iter().chain(titles).chain(after));
    for policy in &comparison.policies {
        let outcome = &policy.outcome;
        let tone = if outcome.meets { Tone::Good } else { Tone::Warn };
        let before = [policy.policy.name.as_str().into(), Cell::new(tone, share(outcome.attainment))];
        let after = [
            number(policy.replica_hours),
            policy.peak_replicas.to_string(),
            policy.cold_starts.to_string(),
            policy.cost.map_or_else(String::new, number),
        ];
        let times = latencies.iter().map(|of| of.text(outcome));
        grid.row(before.into_iter().chain(times.chain(after).map(Cell::from)));
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
    section(
        style,
        "More or less standby",
        "carried out exactly; those that attain most for their price",
        &grid.render(),
    )
}

/// A share near one, with the digits that matter.
fn share(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
