//! The largest rate that each number of replicas carries: `replicas_for` the other way round, for all rates at once.

use super::replicas::{CapacityError, Load, Search, meets};
use crate::service::{ServiceModel, Sla};
use crate::traffic::Sizes;

/// Rates are found to this share of themselves.
const PRECISION: f64 = 0.01;
/// The next number of replicas that is simulated is larger by this part of the last; between them rates lie on a line. What pooling
/// gains grows as the root of the number, so the line is off by about a five-hundredth of that root: of one replica's rate a hundredth at
/// 64 replicas and a twentieth at 1024, which is of the rate itself far less than `PRECISION`.
const STRIDE: u32 = 4;

/// The largest rates of Poisson arrivals that 1, 2, 3 … replicas carry within the SLA, up to the first that is at least
/// `up_to_per_s`. Never falling; 0 where so few carry nothing.
///
/// Fails when a request alone misses the SLA, and when `search.most` replicas don't carry `up_to_per_s`.
pub fn largest_rates(
    service: &ServiceModel,
    sla: &Sla,
    sizes: Sizes<'_>,
    search: Search,
    up_to_per_s: f64,
) -> Result<Vec<f64>, CapacityError> {
    if !(up_to_per_s.is_finite() && up_to_per_s >= 0.0) {
        return Err(CapacityError::Rate(up_to_per_s));
    }
    sizes.can_meet(service, sla)?;
    let each = service.most_per_s(sizes.mean());
    let mut rates: Vec<f64> = Vec::new();
    let (mut replicas, mut step) = (0, each);
    while rates.last().is_none_or(|last| *last < up_to_per_s) {
        if replicas >= search.most.max(1) {
            let rate_per_s = up_to_per_s;
            return Err(CapacityError::TooFew { rate_per_s, most: replicas, missed_percent: 100.0 });
        }
        let from = rates.last().copied().unwrap_or(0.0);
        let more = (replicas / STRIDE).max(1).min(search.most.max(1) - replicas);
        replicas += more;
        let carries =
            |rate_per_s: f64| meets(service, sla, Load::Poisson { rate_per_s, sizes }, search, replicas);
        // What the last replica added, or somewhat more; never more than it could serve.
        let ceiling = from + each * f64::from(more);
        let rate = largest(from, (from + step * f64::from(more) * 1.25).min(ceiling), ceiling, carries);
        step = ((rate - from) / f64::from(more)).max(each / 64.0);
        for part in 1..=more {
            rates.push(from + (rate - from) * f64::from(part) / f64::from(more));
        }
    }
    // A part of the last stride may already be enough.
    let enough = rates.partition_point(|rate| *rate < up_to_per_s) + 1;
    rates.truncate(enough.max(1));
    Ok(rates)
}

/// The largest rate in `low..=ceiling` that is carried; tried first up to `guess`.
fn largest(low: f64, guess: f64, ceiling: f64, carries: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (low, guess);
    if carries(high) {
        if high >= ceiling {
            return high;
        }
        (low, high) = (high, ceiling);
        if carries(high) {
            return high;
        }
    }
    // Rates near zero are found to a share of the ceiling.
    while high - low > PRECISION * high.max(ceiling * PRECISION) {
        let middle = f64::midpoint(low, high);
        if carries(middle) { low = middle } else { high = middle }
    }
    low
}
