//! replicas(λ) + standby as a line that a query can compute: its coefficients and bounds, with what they rest on.

use super::alternatives::Alternatives;
use crate::autoscaler::{Line, Wanted};
use crate::basis::{Basis, Figure, Quantity};
use crate::traffic::Traffic;

/// The line for numbers that nothing was replayed for: the formula's standby, and as many as the tolerance may leave out.
pub(super) fn wanted_of_numbers(alternatives: &Alternatives<'_>, traffic: &Traffic) -> Option<Wanted> {
    let line = line(alternatives, &alternatives.table(traffic).ok()?);
    let (warm, tolerance) = (alternatives.warm, alternatives.request.cluster.tolerance);
    let left_out = (tolerance * f64::from(warm.replicas_peak.value)).floor() as u32;
    let basis = Basis::of(
        "standby + floor(tolerance × replicas(λ_peak)): so many may be missing before the autoscaler acts",
    )
    .figure(
        "standby",
        Quantity::Count(u64::from(warm.standby.value)),
        "capacity.warm.standby",
        &warm.standby.basis,
    )
    .input("tolerance", Quantity::Share(tolerance))
    .figure(
        "replicas(λ_peak)",
        Quantity::Count(u64::from(warm.replicas_peak.value)),
        "capacity.warm.replicas_peak",
        &warm.replicas_peak.basis,
    );
    let standby = Figure::new(warm.standby.value.saturating_add(left_out), basis);
    Some(wanted(alternatives, line, standby))
}

pub(super) fn line(alternatives: &Alternatives<'_>, table: &[f64]) -> Line {
    Line::above(table, alternatives.warm.now_per_s.value)
}

pub(super) fn wanted(alternatives: &Alternatives<'_>, line: Line, standby: Figure<u32>) -> Wanted {
    let largest = alternatives.autoscaler.largest_per_s.value.max(alternatives.warm.peak_per_s.value);
    let now = &alternatives.warm.now_per_s;
    let basis = Basis::of(
        "the straight line that, rounded up, is nowhere below replicas(λ), and least of all such lines at the mean rate",
    )
    .figure("mean rate", Quantity::PerSecond(now.value), "capacity.warm.now_per_s", &now.basis)
    .resting_on(&alternatives.planner.replicas_basis());
    let standing = Quantity::Count(u64::from(standby.value));
    let ends = |formula: &str| {
        Basis::of(formula).figure("standby", standing.clone(), "wanted.standby", &standby.basis).figure(
            "base",
            Quantity::Number(line.base),
            "wanted.base",
            &basis,
        )
    };
    let whole = |height: f64| (height - 1e-9).ceil().clamp(1.0, f64::from(u32::MAX)) as u32;
    let min = whole(line.base).saturating_add(standby.value);
    let max = whole(line.at(largest)).saturating_add(standby.value).max(min);
    let max_basis = ends("ceil(base + replicas for each request per second · λ_max) + standby")
        .input("λ_max", Quantity::PerSecond(largest));
    let (min, max, max_basis) = match alternatives.request.cluster.max_replicas {
        Some(most) => {
            let given = Basis::of("given with --max-replicas");
            (min.min(most), most, given.input("--max-replicas", Quantity::Count(u64::from(most))))
        }
        None => (min, max, max_basis),
    };
    let min_replicas = Figure::new(min, ends("max(1, ceil(base)) + standby: as many as without any traffic"));
    Wanted {
        base: Figure::new(line.base, basis.clone()),
        per_request_per_s: Figure::new(line.slope, basis.clone()),
        max_replicas: Figure::new(max, max_basis),
        min_replicas,
        standby,
    }
}
