//! What the answer becomes when the cold start is another.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::planner::{PlanError, Planner};

/// The answer for one cold start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sensitivity {
    /// This cold start ÷ the measured one.
    pub factor: f64,
    /// C.
    pub cold_start_ns: Nanos,
    /// L.
    pub lead_time_ns: Nanos,
    /// g(L), in requests per second.
    pub growth_per_s: f64,
    /// Warm replicas to keep.
    pub warm: u32,
    /// Those of them that stand by: of a trace those that its replay needs, of numbers those of the formula.
    pub standby: u32,
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
    let one = |factor: f64| {
        let cold_start_ns = Nanos::from_nanos_f64(cold_start.as_nanos() as f64 * factor);
        let at = planner.at_cold_start(cold_start_ns)?;
        let standby = replayed(factor).unwrap_or(at.standby);
        Ok(Sensitivity {
            factor,
            cold_start_ns,
            lead_time_ns: at.lead_time_ns,
            growth_per_s: at.growth_per_s,
            warm: at.replicas_now.saturating_add(standby),
            standby,
        })
    };
    [0.5, 1.0, 2.0].into_iter().map(one).collect()
}
