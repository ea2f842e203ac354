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
    /// Warm replicas at the peak.
    pub replicas_peak: u32,
    /// Those of them that stand by.
    pub standby: u32,
}

/// The answer at half, once and twice the cold start.
///
/// # Errors
/// As [`Planner::warm`].
pub fn sensitivity(planner: &Planner<'_>, cold_start: Nanos) -> Result<Vec<Sensitivity>, PlanError> {
    let one = |factor: f64| {
        let cold_start_ns = Nanos::from_nanos_f64(cold_start.as_nanos() as f64 * factor);
        let at = planner.at_cold_start(cold_start_ns)?;
        Ok(Sensitivity {
            factor,
            cold_start_ns,
            lead_time_ns: at.lead_time_ns,
            growth_per_s: at.growth_per_s,
            replicas_peak: at.replicas_peak,
            standby: at.standby,
        })
    };
    [0.5, 1.0, 2.0].into_iter().map(one).collect()
}
