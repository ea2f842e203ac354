//! The plots of a plan.

use coldstart_decisions::plan::{PolicyComparison, ServingPlan};

use super::{Figure, head, legend, plot};
use crate::html::page::clean;
use crate::html::plot::{Axis, Curve, Look, Marks};
use crate::serving_plan::crossovers;

/// All plots that a plan has the numbers for.
pub(in crate::html) fn of_plan(plan: &ServingPlan) -> Result<Vec<Figure>, String> {
    let mut figures: Vec<Figure> = Vec::new();
    if let Some(comparison) = &plan.comparison {
        figures.extend([capacity(plan, comparison)?, standby(plan, comparison)?].into_iter().flatten());
    }
    figures.extend(crossover(plan)?);
    Ok(figures)
}

/// What arrives, what the ready replicas complete in full batches, and what misses the service level, over the traffic.
fn capacity(plan: &ServingPlan, comparison: &PolicyComparison) -> Result<Option<Figure>, String> {
    let Some(policy) = comparison.policies.last() else { return Ok(None) };
    let moments = plan.over_time(policy);
    let line = |of: fn(&coldstart_decisions::plan::Moment) -> f64| -> Vec<(f64, f64)> {
        moments.iter().map(|moment| (moment.from_ns.as_secs_f64() / 60.0, of(moment))).collect()
    };
    let lines = [
        Curve {
            name: "requests".into(),
            points: line(|moment| moment.arrivals_per_s),
            color: 0,
            ..Curve::default()
        },
        Curve {
            name: "capacity: ready replicas × μ_SLA".into(),
            points: line(|moment| moment.capacity_per_s),
            color: 1,
            ..Curve::default()
        },
        Curve {
            name: "misses".into(),
            points: line(|moment| moment.missed_per_s),
            color: 2,
            ..Curve::default()
        },
    ];
    let (x, y) = (Axis { title: "minutes", log: false }, Axis { title: "requests per second", log: false });
    let panels = plot("Capacity over the traffic", (&x, &y), &lines, &Marks::default())?;
    let rows = moments.iter().filter(|moment| moment.missed_per_s > 0.0).map(|moment| {
        vec![
            moment.from_ns.to_string(),
            format!("{:.2}", moment.arrivals_per_s),
            moment.ready.to_string(),
            format!("{:.2}", moment.missed_per_s),
        ]
    });
    Ok(Some(Figure {
        id: "plan-capacity".into(),
        title: "Capacity over the traffic".into(),
        panels,
        legend: legend(&lines),
        caption: format!(
            "Policy “{}”: {:.2} % of {} requests stay within the SLA. The table has the moments with misses.",
            clean(&policy.policy.name),
            policy.outcome.attainment * 100.0,
            policy.outcome.requests
        ),
        head: head(["from", "requests/s", "ready replicas", "misses/s"]),
        rows: rows.collect(),
        links: Vec::new(),
    }))
}

/// Standby against attainment and replica-hours.
fn standby(plan: &ServingPlan, comparison: &PolicyComparison) -> Result<Option<Figure>, String> {
    if comparison.pareto.is_empty() {
        return Ok(None);
    }
    let mut points: Vec<_> = comparison.pareto.iter().collect();
    points.sort_by(|a, b| a.replica_hours.total_cmp(&b.replica_hours));
    let curve = Curve {
        name: "standby".into(),
        look: Look::Points,
        points: points.iter().map(|point| (point.replica_hours, point.attainment * 100.0)).collect(),
        color: 0,
        labels: points.iter().map(|point| point.standby.to_string()).collect(),
    };
    let policies = Curve {
        name: "other policies".into(),
        look: Look::Points,
        points: comparison
            .policies
            .iter()
            .map(|policy| (policy.replica_hours, policy.outcome.attainment * 100.0))
            .collect(),
        color: 1,
        labels: comparison.policies.iter().map(|policy| clean(&policy.policy.name)).collect(),
    };
    let (x, y) =
        (Axis { title: "replica-hours", log: false }, Axis { title: "% within the SLA", log: false });
    let through = Curve { points: curve.points.clone(), ..Curve::default() };
    let drawn = [through, curve];
    let panels = plot("Standby against attainment", (&x, &y), &drawn, &Marks::default())?;
    let [_, curve] = drawn;
    let rows =
        curve.labels.iter().zip(&curve.points).map(|(name, point)| (format!("standby {name}"), *point));
    let others = policies.labels.iter().cloned().zip(policies.points.iter().copied());
    Ok(Some(Figure {
        id: "plan-standby".into(),
        title: "More or less standby".into(),
        panels,
        legend: Vec::new(),
        caption: format!(
            "Each point is the plan with so many replicas standing by; it has {}. Up and to the left is better. The table also has \
             the other policies.",
            plan.capacity.replayed_standby.as_ref().unwrap_or(&plan.capacity.warm.standby).value
        ),
        head: head(["", "replica-hours", "% within the SLA"]),
        rows: rows
            .chain(others)
            .map(|(name, (hours, within))| vec![name, format!("{hours:.2}"), format!("{within:.2}")])
            .collect(),
        links: Vec::new(),
    }))
}

/// Expected starts by strategy over the size of the model.
fn crossover(plan: &ServingPlan) -> Result<Option<Figure>, String> {
    let locality = &plan.locality;
    let lines: Vec<Curve> = (locality.expected_by_size().into_iter().enumerate())
        .map(|(color, line)| Curve {
            name: line.strategy.name().to_owned(),
            points: line.points.iter().map(|(bytes, time)| (*bytes / 1e9, *time / 1e9)).collect(),
            color,
            ..Curve::default()
        })
        .collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let (x, y) =
        (Axis { title: "size of the model, GB", log: true }, Axis { title: "expected start, s", log: true });
    let panels = plot("Expected start over the size of the model", (&x, &y), &lines, &Marks::default())?;
    let rows = locality.crossovers.iter().map(|segment| {
        let until = segment.below_bytes.map_or_else(|| "any size".to_owned(), |bytes| bytes.to_string());
        vec![segment.from_bytes.to_string(), until, segment.strategy.name().to_owned()]
    });
    Ok(Some(Figure {
        id: "plan-crossover".into(),
        title: "Where the model should live".into(),
        panels,
        legend: legend(&lines),
        caption: crossovers(locality),
        head: head(["from", "below", "best"]),
        rows: rows.collect(),
        links: Vec::new(),
    }))
}
