//! What the answer becomes when the cold start is another.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::planner::{PlanError, Planner};
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
}

/// The answer at half, once and twice the cold start. `replayed` gives the standby that a replay of the trace needs with cold
/// starts so many times as long; `None` where there is no trace, or no standby is enough.
///
/// # Errors
/// As [`Planner::warm`].
pub fn sensitivity(
    planner: &Planner<'_>,
    cold_start: Nanos,
    replayed: impl Fn(f64) -> Option<u32>,
) -> Result<Vec<Sensitivity>, PlanError> {
    let one = |(name, factor): (&str, f64)| {
        let cold_start_ns = Nanos::from_nanos_f64(cold_start.as_nanos() as f64 * factor);
        let at = planner.at_cold_start(cold_start_ns)?;
        let of = |formula: &str| Basis::of(formula).input("C", Quantity::Nanos(cold_start_ns));
        let standby = match replayed(factor) {
            Some(standby) => {
                let formula = "the fewest standing by with which replicas(rate) + standby meets the SLA on the trace, replayed";
                Figure::new(standby, of(formula).input("cold starts, times", Quantity::Number(factor)))
            }
            None => {
                let basis = of("max(0, replicas(λ_now + g(L)) − replicas(λ_now))")
                    .input("L", Quantity::Nanos(at.lead_time_ns))
                    .input("g(L)", Quantity::PerSecond(at.growth_per_s));
                Figure::new(at.standby, basis)
            }
        };
        let count = |value: u32| Quantity::Count(u64::from(value));
        let basis = of("replicas(λ_now) + standby")
            .input("replicas(λ_now)", count(at.replicas_now))
            .input("standby", count(standby.value))
            .resting_on(&planner.replicas_basis());
        Ok(Sensitivity {
            name: name.to_owned(),
            factor,
            cold_start_ns,
            lead_time_ns: at.lead_time_ns,
            growth_per_s: at.growth_per_s,
            warm: Figure::new(at.replicas_now.saturating_add(standby.value), basis),
            standby,
        })
    };
    [("half", 0.5), ("once", 1.0), ("twice", 2.0)].into_iter().map(one).collect()
}
