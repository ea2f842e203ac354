//! A queue whose service rate depends on how many it serves: μ(k) = k ÷ T(k) up to a batch of N, μ(N) beyond.
//!
//! A birth–death process (Kleinrock, Queueing Systems, vol. 1, chapter 3); exact for exponential times, and a seed of searches for
//! everything else. Means only.

/// The queue of one replica.
#[derive(Debug, Clone, PartialEq)]
pub struct BirthDeath {
    /// μ(1) … μ(N) in requests a nanosecond.
    service: Vec<f64>,
    /// T(1) … T(N).
    times_ns: Vec<f64>,
    /// K: how many are served and wait at most.
    capacity: usize,
}

/// Means of the steady state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SteadyState {
    /// p_K: the chance that an arrival finds the queue full.
    pub blocked: f64,
    /// X = λ·(1 − p_K), in requests a second.
    pub throughput_per_s: f64,
    /// L: requests in the system.
    pub in_system: f64,
    /// n_s: requests in service.
    pub in_service: f64,
    /// R = L ÷ X.
    pub response_ns: f64,
    /// W = R − n_s ÷ X.
    pub wait_ns: f64,
}

/// No more than this share of the arrivals may find the queue full.
const MOST_BLOCKED: f64 = 1e-3;
/// The queue limit is so many times the batch.
const QUEUE_RATIO: usize = 10;

impl BirthDeath {
    /// From T(1) … T(N) in nanoseconds, with room for 10·N that wait. `None` without times, or with one that is not above zero.
    pub fn new(times_ns: Vec<f64>) -> Option<Self> {
        let fine = !times_ns.is_empty() && times_ns.iter().all(|time| time.is_finite() && *time > 0.0);
        let service = times_ns.iter().zip(1..).map(|(time, k)| f64::from(k) / time).collect();
        let capacity = times_ns.len() * (1 + QUEUE_RATIO);
        fine.then_some(BirthDeath { service, times_ns, capacity })
    }

    /// The same with room for `waiting` requests that wait.
    pub fn with_queue_limit(self, waiting: usize) -> Self {
        BirthDeath { capacity: self.times_ns.len() + waiting, ..self }
    }

    /// The steady state at a rate above zero.
    pub fn at(&self, rate_per_s: f64) -> Option<SteadyState> {
        if !(rate_per_s.is_finite() && rate_per_s > 0.0) {
            return None;
        }
        let rate = rate_per_s / 1e9;
        let n = self.service.len();
        let (mut weight, mut total, mut in_system, mut in_service) = (1.0, 1.0, 0.0, 0.0);
        for k in 1..=self.capacity {
            weight *= rate / self.service[k.min(n) - 1];
            total += weight;
            in_system += weight * k as f64;
            in_service += weight * k.min(n) as f64;
            if total > 1e200 {
                // All that is kept are ratios.
                for value in [&mut weight, &mut total, &mut in_system, &mut in_service] {
                    *value *= 1e-200;
                }
            }
        }
        let blocked = weight / total;
        let throughput = rate * (1.0 - blocked);
        let (in_system, in_service) = (in_system / total, in_service / total);
        let response_ns = in_system / throughput;
        Some(SteadyState {
            blocked,
            throughput_per_s: throughput * 1e9,
            in_system,
            in_service,
            response_ns,
            wait_ns: response_ns - in_service / throughput,
        })
    }

    /// The largest rate at which W + T(n_s) ≤ `mean_ns` and p_K ≤ 10⁻³, by bisection; `None` when already a single request takes
    /// longer.
    pub fn largest_rate_per_s(&self, mean_ns: f64) -> Option<f64> {
        let admissible = |rate: f64| {
            self.at(rate).is_some_and(|state| {
                state.blocked <= MOST_BLOCKED && state.wait_ns + self.time_of(state.in_service) <= mean_ns
            })
        };
        let most = self.service.iter().copied().fold(0.0, f64::max) * 1e9;
        let (mut low, mut high) = (most * 1e-9, most);
        if !admissible(low) {
            return None;
        }
        if admissible(high) {
            return Some(high);
        }
        while high - low > 1e-6 * high {
            let middle = f64::midpoint(low, high);
            if admissible(middle) { low = middle } else { high = middle }
        }
        Some(low)
    }

    /// T at a batch between two whole numbers, on the line between them; T(1) below 1.
    fn time_of(&self, n: f64) -> f64 {
        let n = n.clamp(1.0, self.times_ns.len() as f64);
        let below = n.floor() as usize;
        let (low, high) = (self.times_ns[below - 1], self.times_ns[below.min(self.times_ns.len() - 1)]);
        low + (high - low) * (n - n.floor())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::queue::erlang_c_mean_wait_ns;

    #[test]
    fn constant_times_are_erlangs_queue() {
        // μ(k) = k ÷ T: c servers with exponential service.
        for (servers, rate) in [(1, 0.5), (2, 1.5), (5, 4.0), (16, 13.0)] {
            let queue = BirthDeath::new(vec![1e9; servers]).unwrap().with_queue_limit(5_000);
            let state = queue.at(rate).unwrap();
            let exact = erlang_c_mean_wait_ns(servers as u32, rate, 1e9).unwrap();
            assert!((state.wait_ns / exact - 1.0).abs() < 1e-9, "{servers}: {} {exact}", state.wait_ns);
            assert!((state.in_service - rate).abs() < 1e-9 && state.blocked < 1e-12);
        }
    }

    #[test]
    fn a_full_queue_blocks() {
        // M/M/1/2 at ρ = 1: three equal states.
        let state = BirthDeath::new(vec![1e9]).unwrap().with_queue_limit(1).at(1.0).unwrap();
        assert!(
            (state.blocked - 1.0 / 3.0).abs() < 1e-12 && (state.in_system - 1.0).abs() < 1e-12,
            "{state:?}"
        );
        assert!(
            (state.response_ns - 1.5e9).abs() < 1e-3 && (state.wait_ns - 0.5e9).abs() < 1e-3,
            "{state:?}"
        );
        let swamped = BirthDeath::new(vec![1e9; 4]).unwrap().at(1e9).unwrap();
        assert!(
            (swamped.throughput_per_s - 4.0).abs() < 1e-6 && swamped.response_ns.is_finite(),
            "{swamped:?}"
        );
    }

    #[test]
    fn arguments_that_mean_nothing() {
        assert!(BirthDeath::new(vec![]).is_none() && BirthDeath::new(vec![1e9, 0.0]).is_none());
        let queue = BirthDeath::new(vec![1e9]).unwrap();
        assert!(queue.at(0.0).is_none() && queue.at(f64::NAN).is_none());
        assert_eq!(queue.largest_rate_per_s(0.9e9), None, "T(1) is already longer");
    }

    proptest! {
        #[test]
        fn the_largest_rate_is_the_largest(alpha in 1e6f64..1e9, beta in 0f64..1e8, n in 1usize..32, slack in 1.1f64..20.0) {
            let times: Vec<f64> = (1..=n).map(|k| alpha + beta * k as f64).collect();
            let target = times[0] * slack;
            let queue = BirthDeath::new(times.clone()).unwrap();
            let rate = queue.largest_rate_per_s(target).unwrap();
            let state = queue.at(rate).unwrap();
            prop_assert!(state.blocked <= 1e-3 && state.wait_ns <= target);
            prop_assert!(rate <= n as f64 / times[n - 1] * 1e9 * 1.000_001);
            // Little's law, and Σ p = 1 in disguise.
            prop_assert!((state.in_system - state.throughput_per_s / 1e9 * state.response_ns).abs() < 1e-9 * state.in_system.max(1.0));
        }
    }
}
