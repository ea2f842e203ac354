//! What is to be planned, as plain data, and the plan.

use std::path::PathBuf;

use coldstart_decisions::capacity::PlanError;
use coldstart_decisions::plan::{PlanRequest, ServingPlan, TrafficSource, make_plan};
use coldstart_decisions::service::RequestSize;
use coldstart_decisions::traffic::{Arrival, Ramp, Steady, Trace, TraceCaveat, Traffic};
use coldstart_profiles::Profile;

use super::files::{PlanFiles, Profiles, read_profiles, read_trace};
use crate::resolve;

/// What is to be planned.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Profiles, and directories of them.
    pub profiles: Vec<PathBuf>,
    /// What arrives.
    pub arrivals: Arrivals,
    /// The length of every request; `None` where it does not matter. A trace that says lengths of its own keeps them.
    pub size: Option<RequestSize>,
    /// Everything else. Where the traffic comes from, and what of a directory was left out, is filled in from the files.
    pub request: PlanRequest,
}

/// What arrives.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrivals {
    /// At one rate, in requests per second.
    Rate(f64),
    /// From a base to a peak.
    Ramp {
        /// Requests per second before.
        base_per_s: f64,
        /// Requests per second at the top.
        peak_per_s: f64,
        /// More requests per second each second.
        growth_per_s_per_s: f64,
    },
    /// As this file has them.
    Trace(PathBuf),
}

/// Why there is no plan. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The files.
    #[error(transparent)]
    Files(#[from] PlanFiles),
    /// The decision.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Requests of unknown length, of a trace that may have meant to say it.
    #[error("{} ({why})", PlanError::NoSizes)]
    NotRead {
        /// Which columns were not read, and which are.
        why: String,
    },
}

/// Reads the files and makes the plan.
///
/// # Errors
/// When a file can't be used, or there is no plan.
pub fn make(order: Order) -> Result<ServingPlan, OrderError> {
    let Profiles { named, left_out } = read_profiles(&order.profiles)?;
    let profiles: Vec<(&str, &Profile)> =
        named.iter().map(|(name, profile)| (name.as_str(), profile)).collect();
    let (traffic, traffic_from, not_read) = traffic(&order)?;
    let request = PlanRequest { traffic_from, left_out, ..order.request };
    let plan = make_plan(&profiles, &traffic, request, &resolve::tool().version);
    plan.map_err(|refused| match (refused, not_read) {
        (PlanError::NoSizes, Some(why)) => OrderError::NotRead { why },
        (refused, _) => OrderError::Plan(refused),
    })
}

/// What arrives, where that comes from, and of a trace which columns were not read.
fn traffic(order: &Order) -> Result<(Traffic, TrafficSource, Option<String>), OrderError> {
    let size = order.size.unwrap_or(RequestSize::ONE);
    let traffic = match &order.arrivals {
        Arrivals::Rate(rate_per_s) => Traffic::Steady(Steady { rate_per_s: *rate_per_s, size }),
        Arrivals::Ramp { base_per_s, peak_per_s, growth_per_s_per_s } => Traffic::Ramp(Ramp {
            base_per_s: *base_per_s,
            peak_per_s: *peak_per_s,
            growth_per_s_per_s: *growth_per_s_per_s,
            size,
        }),
        Arrivals::Trace(path) => {
            let file = read_trace(path)?;
            let mut caveats: Vec<String> = file.caveats.iter().map(ToString::to_string).collect();
            let name = path.display().to_string();
            let not_read = file.caveats.iter().find(|caveat| matches!(caveat, TraceCaveat::NotRead { .. }));
            let not_read = not_read.map(ToString::to_string);
            let trace = match order.size {
                Some(_) if file.trace.has_tokens() => {
                    caveats.push(
                        "the trace says how long its requests are: --tokens-in and --tokens-out are not used"
                            .to_owned(),
                    );
                    file.trace
                }
                Some(size) => sized(&file.trace, size)
                    .map_err(|source| PlanFiles::Trace { path: path.clone(), source })?,
                None => file.trace,
            };
            return Ok((Traffic::Trace(trace), TrafficSource::Trace { name, caveats }, not_read));
        }
    };
    Ok((traffic, TrafficSource::Numbers, None))
}

/// The same arrivals, every request of this length.
fn sized(trace: &Trace, size: RequestSize) -> Result<Trace, coldstart_decisions::traffic::TrafficError> {
    let RequestSize { tokens_in, tokens_out } = size;
    let arrivals = trace.arrivals().iter().map(|arrival| Arrival { tokens_in, tokens_out, ..*arrival });
    Trace::new(arrivals.collect(), true)
}
