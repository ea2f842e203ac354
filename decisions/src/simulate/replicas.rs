//! How many replicas a load needs: the smallest number whose simulated percentile is within the SLA.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dispatch::Dispatch;
use super::fixed::{Fixed, fixed, fixed_meets};
use super::outcome::Outcome;
use super::search::fewest;
use crate::service::{Bound, ServiceError, ServiceModel, Sla};
use crate::traffic::{Arrival, Poisson, SLOWEST_PER_S, Sizes, Trace};

/// A percentile needs so many requests beyond it.
const MISSES: u64 = 100;
/// Fewer say nothing.
const LEAST_REQUESTS: u64 = 100;

/// What the replicas are to carry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load<'a> {
    /// Poisson arrivals at a rate.
    Poisson {
        /// Requests a second.
        rate_per_s: f64,
        /// Their sizes.
        sizes: Sizes<'a>,
    },
    /// A trace as it is.
    Trace(&'a Trace),
}

/// How the number is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Search {
    /// Which replica gets a request.
    pub dispatch: Dispatch,
    /// Of all chances.
    pub seed: u64,
    /// No more than this many replicas.
    pub most: u32,
    /// How many Poisson arrivals are simulated for each number, after a warm-up of a tenth of that.
    pub requests: u64,
}

/// The smallest number of replicas that meets the SLA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replicas {
    /// How many; at least 1.
    pub replicas: u32,
    /// The sufficient bound that the search began with.
    pub bound: Bound,
    /// How many numbers of replicas were simulated.
    pub simulations: u32,
}

/// Why no number of replicas was found. Messages complete "failed to …".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CapacityError {
    /// The service model or the SLA.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The load is above what the most replicas carry.
    #[error(
        "carry {rate_per_s:.1} requests a second within the SLA on {most} replicas: {missed_percent:.2} % of those simulated miss it; {}",
        remedy(*most)
    )]
    TooFew {
        /// The load.
        rate_per_s: f64,
        /// The most replicas.
        most: u32,
        /// Of the requests simulated with that many, how many missed a bound, in percent.
        missed_percent: f64,
    },
    /// The load is above what the most replicas complete, however long requests may wait.
    #[error(
        "carry {rate_per_s:.1} requests a second on {most} replicas: busy all the time they complete {completed_per_s:.1}; {}",
        remedy(*most)
    )]
    TooMuch {
        /// The load.
        rate_per_s: f64,
        /// The most replicas.
        most: u32,
        /// What they complete when they never wait for work.
        completed_per_s: f64,
    },
    /// A rate that is none.
    #[error("carry {0} requests a second: give a rate that is not below zero")]
    Rate(f64),
}

/// The search for a number of replicas ends here: no cluster of one model is larger.
pub(crate) const MOST_REPLICAS: u32 = 10_000;

/// What helps where so many replicas are not enough.
const fn remedy(most: u32) -> &'static str {
    match most {
        MOST_REPLICAS.. => {
            "a plan looks at no more of them: divide the traffic, allow more time, or make the model faster"
        }
        _ => "allow more replicas, more time, or make the model faster",
    }
}

impl Search {
    /// With the usual effort: so many arrivals that a hundred lie beyond the percentile.
    pub fn new(dispatch: Dispatch, sla: &Sla, seed: u64, most: u32) -> Self {
        let beyond = u64::from(1000_u32.saturating_sub(sla.permille).max(1));
        Search { dispatch, seed, most, requests: MISSES * 1000 / beyond }
    }
}

/// The smallest number of replicas with which the load meets the SLA, by simulation.
///
/// The search begins at λ ÷ μ_SLA and doubles or halves from there, then bisects; it relies on more replicas never being worse.
/// A number is given up as soon as more requests missed than may. A rate of 0 needs one replica. Poisson arrivals get at least so
/// many that they could serve them at full batches, however loose the SLA: their rate lasts longer than any simulation.
///
/// Fails when a request alone misses the SLA, and when the load is too much for `search.most` replicas.
pub fn replicas_for(
    service: &ServiceModel,
    sla: &Sla,
    load: Load<'_>,
    search: Search,
) -> Result<Replicas, CapacityError> {
    let (rate_per_s, sizes) = match load {
        Load::Poisson { rate_per_s, sizes } => (rate_per_s, sizes),
        Load::Trace(trace) => (trace.mean_per_s(), Sizes::Of(trace)),
    };
    if !(rate_per_s.is_finite() && rate_per_s >= 0.0) {
        return Err(CapacityError::Rate(rate_per_s));
    }
    sizes.can_meet(service, sla)?;
    let bound = service.bound(sla, sizes.mean());
    let most = search.most.max(1);
    let seed = if bound.rate_per_s > 0.0 { (rate_per_s / bound.rate_per_s).ceil() } else { 1.0 };
    let seed = (seed.min(f64::from(most)) as u32).max(1);

    // A queue that grows for ever is not seen in a short run when the bound is loose.
    let carried = service.most_per_s(sizes.mean());
    let least = match load {
        Load::Poisson { .. } if carried > 0.0 => (rate_per_s / carried).ceil().max(1.0),
        _ => 1.0,
    };
    if least > f64::from(most) {
        return Err(CapacityError::TooMuch { rate_per_s, most, completed_per_s: carried * f64::from(most) });
    }
    let mut simulations = 0;
    let found = fewest(least as u32, seed, most, |replicas| {
        simulations += 1;
        meets(service, sla, load, search, replicas)
    });
    let Some(replicas) = found else {
        let outcome = outcome_with(service, sla, load, search, most);
        let missed_percent = (1.0 - outcome.attainment) * 100.0;
        return Err(CapacityError::TooFew { rate_per_s, most, missed_percent });
    };
    Ok(Replicas { replicas, bound, simulations })
}

/// Whether so many replicas meet the SLA; gives up once it is missed.
pub(crate) fn meets(
    service: &ServiceModel,
    sla: &Sla,
    load: Load<'_>,
    search: Search,
    replicas: u32,
) -> bool {
    let setup = Fixed::new(replicas, search.dispatch, search.seed);
    match load {
        Load::Trace(trace) => {
            let give_up_after = Some(sla.misses_allowed(trace.len() as u64));
            fixed_meets(service, sla, Fixed { give_up_after, ..setup }, trace.arrivals().iter().copied())
        }
        Load::Poisson { rate_per_s, sizes } => match drawn(rate_per_s, sizes, search) {
            None => true,
            Some(Drawn { arrivals, requests, warm_up_ns }) => {
                // From counted requests alone, since the number of those in the warm-up is a matter of chance.
                let give_up_after = Some(sla.misses_allowed(requests));
                fixed_meets(service, sla, Fixed { warm_up_ns, give_up_after, ..setup }, arrivals)
            }
        },
    }
}

/// What so many replicas do with the load: all requests answered.
pub fn outcome_with(
    service: &ServiceModel,
    sla: &Sla,
    load: Load<'_>,
    search: Search,
    replicas: u32,
) -> Outcome {
    let setup = Fixed::new(replicas, search.dispatch, search.seed);
    match load {
        Load::Trace(trace) => fixed(service, sla, setup, trace.arrivals().iter().copied()),
        Load::Poisson { rate_per_s, sizes } => match drawn(rate_per_s, sizes, search) {
            None => fixed(service, sla, setup, std::iter::empty::<Arrival>()),
            Some(Drawn { arrivals, warm_up_ns, .. }) => {
                fixed(service, sla, Fixed { warm_up_ns, ..setup }, arrivals)
            }
        },
    }
}

/// Poisson arrivals of a search.
struct Drawn<I> {
    arrivals: I,
    /// How many they are, with the warm-up.
    requests: u64,
    warm_up_ns: u64,
}

/// The arrivals of a rate; `None` of none.
fn drawn(rate_per_s: f64, sizes: Sizes<'_>, search: Search) -> Option<Drawn<impl Iterator<Item = Arrival>>> {
    if rate_per_s <= 0.0 {
        return None;
    }
    // A slower rate takes no more replicas, and its requests last for longer than nanoseconds are counted.
    let rate_per_s = rate_per_s.max(SLOWEST_PER_S);
    let counted = search.requests.max(LEAST_REQUESTS);
    let warm_up = counted / 10;
    let requests = counted + warm_up;
    Some(Drawn {
        arrivals: Poisson::new(rate_per_s, sizes, search.seed).take(requests as usize),
        requests,
        warm_up_ns: (warm_up as f64 / rate_per_s * 1e9) as u64,
    })
}
