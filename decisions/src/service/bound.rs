//! The sufficient bound: what one replica completes within the service level when its batches are full. Requests that come at random
//! fill them unevenly: how many replicas they take is simulated, and this is where that search begins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{RequestSize, ServiceModel};
use super::sla::Sla;

/// n* and μ_SLA: the largest batch that a request may wait for and then be part of, and the rate that this gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bound {
    /// n*; 1 where already 2·T_hi(1) > S, since every replica serves at least one.
    pub batch: u32,
    /// μ_SLA = n* ÷ T(n*), in requests a second.
    pub rate_per_s: f64,
    /// T(n*) in nanoseconds.
    pub time_ns: f64,
    /// T_hi(n*) in nanoseconds.
    pub time_hi_ns: f64,
    /// Whether n* meets the bound; false where the batch of 1 stands in.
    pub sufficient: bool,
}

impl ServiceModel {
    /// The bound for requests of this size.
    ///
    /// Single forwards: n* = the largest n with 2·T_hi(n) ≤ S, because a request at worst arrives when a batch has just
    /// started. Language models don't wait for a batch to end, but share its steps and wait for its prefills: n* = the
    /// largest n with T_hi(n) ≤ S, n·T_pre ≤ the bound on the first token and T_pre + T_dec(n) ≤ the bound between tokens.
    pub fn bound(&self, sla: &Sla, size: RequestSize) -> Bound {
        let limit = self.batch_limit(size).max(1);
        let meets = |n: u32| match self {
            ServiceModel::SingleForward(_) => [sla.end_to_end_ns, sla.ttft_ns]
                .into_iter()
                .flatten()
                .all(|bound| 2.0 * self.time_hi(n, size) <= bound.as_nanos() as f64),
            ServiceModel::LanguageModel(_) => {
                let prefill = self.ttft_hi(size);
                let within = |time: f64, bound: Option<coldstart_profiles::Nanos>| {
                    bound.is_none_or(|bound| time <= bound.as_nanos() as f64)
                };
                within(self.time_hi(n, size), sla.end_to_end_ns)
                    && within(f64::from(n) * prefill, sla.ttft_ns)
                    && within(prefill + self.itl_hi(n, size), sla.itl_ns)
            }
        };
        // The factor of the tail may fall as n grows, so that T_hi is not sure to be monotone: the largest n that meets the
        // bound together with all smaller ones is the one that can be relied on.
        let largest = (1..=limit).take_while(|n| meets(*n)).last();
        let batch = largest.unwrap_or(1);
        let time_ns = self.time(batch, size);
        Bound {
            batch,
            rate_per_s: f64::from(batch) / time_ns * 1e9,
            time_ns,
            time_hi_ns: self.time_hi(batch, size),
            sufficient: largest.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::Nanos;

    use super::*;
    use crate::service::{SingleForward, Tail, TailPoint};

    #[test]
    fn the_largest_batch_that_may_be_waited_for() {
        // T(n) = 10 + 5·n ms.
        let mut model = SingleForward::by_hand(10e6, 5e6, 16);
        let bound = |model: &SingleForward, ms| {
            ServiceModel::SingleForward(model.clone())
                .bound(&Sla::p99(Nanos::from_millis(ms)), RequestSize::ONE)
        };
        for (ms, batch, sufficient) in
            [(20, 1, false), (30, 1, true), (39, 1, true), (40, 2, true), (100, 8, true), (9999, 16, true)]
        {
            let found = bound(&model, ms);
            assert_eq!((found.batch, found.sufficient), (batch, sufficient), "{ms} ms: {found:?}");
        }
        assert!((bound(&model, 100).rate_per_s - 8.0 / 0.050).abs() < 1e-9);
        model.tail = Tail::new([TailPoint { n: 1.0, factor: 2.0 }]);
        assert_eq!(bound(&model, 100).batch, 3, "2 · 2 · (10 + 5·3) = 100");
    }
}
