//! What the answer becomes when the cold start is another.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::planner::{AtColdStart, PlanError, Planner};
use crate::basis::{Basis, Figure, Quantity};

/// The answer for one cold start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sensitivity {
    /// `half`, `once` or `twice`.
    pub name: String,
    /// This cold start ÷ the measured one.
    pub factor: f64,
    /// C.
    pub cold_start_ns: Nanos,
    /// L.
    pub lead_time_ns: Nanos,
    /// g(L), in requests per second.
    pub growth_per_s: f64,
    /// Warm replicas to keep.
    pub warm: Figure<u32>,
    /// Those of them that stand by: of a trace those that its replay needs, of numbers those of the formula.
    pub standby: Figure<u32>,
    /// What cold start, lead time and growth rest on.
    pub basis: Basis,
}

/// The answer at half, once and twice the cold start. `replayed` gives the standby that a replay of the trace needs with cold
/// starts so many times as long; `None` where there is no trace, or no standby is enough.
///
/// # Errors
/// As [`Planner::warm`].
pub fn sensitivity(
    planner: &Planner<'_>,
    cold_start: &Figure<Nanos>,
    replayed: impl Fn(f64) -> Option<u32>,
) -> Result<Vec<Sensitivity>, PlanError> {
    let one = |(name, factor): (&str, f64)| {
        let cold_start_ns = Nanos::from_nanos_f64(cold_start.value.as_nanos() as f64 * factor);
        let at = planner.at_cold_start(cold_start_ns)?;
        let standby = standby_at(planner, cold_start_ns, replayed(factor).map(|standby| (factor, standby)))?;
        let count = |value: u32| Quantity::Count(u64::from(value));
        let warm = Basis::of("replicas(λ_now) + standby")
            .input("C", Quantity::Nanos(cold_start_ns))
            .input("replicas(λ_now)", count(at.replicas_now))
            .input("standby", count(standby.value))
            .resting_on(&standby.basis);
        let basis = Basis::of(
            "C = factor × C_hi, L = D + provisioning + C, g(L) by the rule of capacity.warm.growth_per_s",
        )
        .input("factor", Quantity::Number(factor))
        .figure(
            "C_hi",
            Quantity::Nanos(cold_start.value),
            "lead_time.cold_start_ns",
            &cold_start.basis,
        );
        Ok(Sensitivity {
            name: name.to_owned(),
            factor,
            cold_start_ns,
            lead_time_ns: at.lead_time_ns,
            growth_per_s: at.growth_per_s,
            warm: at_most(
                at.replicas_now.saturating_add(standby.value),
                planner.max_replicas(),
                warm.resting_on(&cold_start.basis),
            ),
            standby: Figure::new(standby.value, standby.basis.resting_on(&cold_start.basis)),
            basis,
        })
    };
    [("half", 0.5), ("once", 1.0), ("twice", 2.0)].into_iter().map(one).collect()
}

/// So many replicas, or as many as there may be: a standby that a replay found comes on top of a number that may be most of those.
pub(crate) fn at_most(replicas: u32, most: Option<u32>, basis: Basis) -> Figure<u32> {
    match most.filter(|most| *most < replicas) {
        None => Figure::new(replicas, basis),
        Some(most) => {
            let formula = format!("min({}, --max-replicas)", basis.formula);
            let basis = Basis { formula, ..basis };
            Figure::new(most, basis.input("--max-replicas", Quantity::Count(u64::from(most))))
        }
    }
}

/// The standby at another cold start: of a replay with cold starts so many times as long, where one has an answer; else by the formula.
///
/// # Errors
/// When no number of replicas carries the traffic.
pub(crate) fn standby_at(
    planner: &Planner<'_>,
    cold_start: Nanos,
    replayed: Option<(f64, u32)>,
) -> Result<Figure<u32>, PlanError> {
    let of = |formula: &str| {
        let basis = Basis::of(formula).input("C", Quantity::Nanos(cold_start));
        basis.resting_on(&planner.replicas_basis())
    };
    if let Some((factor, standby)) = replayed {
        let formula =
            "the fewest standing by with which replicas(rate) + standby meets the SLA on the trace, replayed";
        return Ok(Figure::new(standby, of(formula).input("cold starts, times", Quantity::Number(factor))));
    }
    let AtColdStart { lead_time_ns, growth_per_s, standby, .. } = planner.at_cold_start(cold_start)?;
    let basis = of("max(0, replicas(λ_now + g(L)) − replicas(λ_now))")
        .input("L", Quantity::Nanos(lead_time_ns))
        .input("g(L)", Quantity::PerSecond(growth_per_s));
    Ok(Figure::new(standby, basis))
}
