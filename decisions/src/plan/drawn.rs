//! How long arrivals are drawn for that stand in for numbers.

use crate::traffic::Traffic;

/// Numbers are replayed over an hour, but not over more requests than this …
const MOST_REQUESTS: f64 = 500_000.0;
/// … and not over fewer, since a percentile needs some that miss it: slow traffic is drawn for longer …
const LEAST_REQUESTS: f64 = 1000.0;
/// … but not for longer than this.
const HOUR_S: f64 = 3600.0;
const DAY_S: f64 = 24.0 * HOUR_S;

/// What is drawn of numbers: the base for a quarter of the time, a climb, and the peak for what is left.
#[derive(Debug, Clone, Copy)]
struct Course {
    base_per_s: f64,
    peak_per_s: f64,
    /// From base to peak; zero where nothing climbs.
    climb_s: f64,
}

impl Course {
    /// `None` of a trace, which is replayed as it is.
    fn of(traffic: &Traffic) -> Option<Self> {
        match traffic {
            Traffic::Steady(steady) => {
                Some(Course { base_per_s: steady.rate_per_s, peak_per_s: steady.rate_per_s, climb_s: 0.0 })
            }
            Traffic::Ramp(ramp) => {
                let climb_s = (ramp.peak_per_s - ramp.base_per_s) / ramp.growth_per_s_per_s;
                Some(Course {
                    base_per_s: ramp.base_per_s,
                    peak_per_s: ramp.peak_per_s,
                    // Nothing to climb at no pace.
                    climb_s: if climb_s.is_nan() { 0.0 } else { climb_s },
                })
            }
            Traffic::Trace(_) => None,
        }
    }

    /// T within which so many requests are expected: base · T/4 + (base + peak)/2 · climb + peak · (¾T − climb) of them, which holds of
    /// every T that the climb is over in.
    fn seconds_of(&self, requests: f64) -> f64 {
        let less_in_the_climb = (self.peak_per_s - self.base_per_s) / 2.0 * self.climb_s;
        (requests + less_in_the_climb) / (self.base_per_s / 4.0 + self.peak_per_s * 0.75)
    }

    /// A replica that is ordered has to become ready within the replay: a lead time, after the peak of a ramp is reached.
    fn least_s(&self, lead_s: f64) -> f64 {
        match self.climb_s > 0.0 {
            true => (self.climb_s + lead_s) * 4.0 / 3.0,
            false => lead_s,
        }
    }

    fn length_s(&self, lead_s: f64) -> Result<f64, String> {
        let climbs = self.climb_s > 0.0;
        let least_s = self.least_s(lead_s);
        let wanted_s = HOUR_S.max(least_s).max(self.seconds_of(LEAST_REQUESTS));
        if wanted_s > DAY_S {
            return Err(match (least_s > DAY_S, climbs) {
                (true, true) => {
                    "the ramp takes longer than a day to reach its peak and stay there for a lead time"
                        .to_owned()
                }
                (true, false) => "the lead time is longer than a day".to_owned(),
                (false, _) => format!(
                    "fewer than {LEAST_REQUESTS} requests come in a day, of which no percentile is certain"
                ),
            });
        }
        let seconds = wanted_s.min(self.seconds_of(MOST_REQUESTS));
        match (seconds < least_s, climbs) {
            (false, _) => Ok(seconds),
            (true, true) => Err(format!(
                "it takes more than {MOST_REQUESTS} requests until the ramp has reached its peak and stayed there for a lead time"
            )),
            (true, false) => Err(format!("more than {MOST_REQUESTS} requests come within a lead time")),
        }
    }
}

/// For how many seconds arrivals are drawn of numbers: an hour, longer where that holds too few requests or a ramp takes longer, shorter
/// where it holds too many, and a lead time at least; or why none are drawn. `None` of a trace.
pub(super) fn length_s(traffic: &Traffic, lead_s: f64) -> Option<Result<f64, String>> {
    Course::of(traffic).map(|course| course.length_s(lead_s))
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::Nanos;

    use super::*;
    use crate::service::RequestSize;
    use crate::traffic::{Ramp, Steady};

    fn ramp(base_per_s: f64, peak_per_s: f64, growth_per_s_per_s: f64) -> Traffic {
        Traffic::Ramp(Ramp { base_per_s, peak_per_s, growth_per_s_per_s, size: RequestSize::ONE })
    }

    fn steady(rate_per_s: f64) -> Traffic {
        Traffic::Steady(Steady { rate_per_s, size: RequestSize::ONE })
    }

    fn length(traffic: &Traffic, lead_s: f64) -> Result<f64, String> {
        length_s(traffic, lead_s).unwrap()
    }

    fn requests(traffic: &Traffic, seconds: f64) -> f64 {
        traffic.to_trace(Nanos::from_nanos_f64(seconds * 1e9), 1).unwrap().len() as f64
    }

    /// What is counted is what is drawn, of a ramp that starts slowly or fast.
    #[test]
    fn the_expected_requests_are_those_that_are_drawn() {
        for (traffic, lead_s, between) in [
            (ramp(0.01, 100.0, 1.0), 60.0, 3600.0..=3600.0),
            (ramp(1.0, 700.0, 700.0), 600.0, 952.0..=953.0),
            (ramp(0.001, 0.02, 0.0001), 60.0, 60_000.0..=75_000.0),
            (steady(5.0), 60.0, 3600.0..=3600.0),
            (steady(0.1), 60.0, 9_999.0..=10_001.0),
            (steady(1000.0), 60.0, 499.0..=501.0),
        ] {
            let seconds = length(&traffic, lead_s).unwrap();
            assert!(between.contains(&seconds), "{traffic:?}: {seconds}");
            let drawn = requests(&traffic, seconds);
            // Four standard deviations of a Poisson count.
            let few = LEAST_REQUESTS - 4.0 * LEAST_REQUESTS.sqrt();
            let many = MOST_REQUESTS + 4.0 * MOST_REQUESTS.sqrt();
            assert!((few..=many).contains(&drawn), "{traffic:?}: {drawn} in {seconds} s");
        }
        for (wanted, traffic) in [(1000.0, ramp(0.001, 0.02, 0.0001)), (500_000.0, ramp(1.0, 700.0, 7.0))] {
            let seconds = Course::of(&traffic).unwrap().seconds_of(wanted);
            let drawn = requests(&traffic, seconds);
            assert!((drawn - wanted).abs() < 4.0 * wanted.sqrt(), "{wanted}: {drawn} in {seconds} s");
        }
    }

    #[test]
    fn a_replay_lasts_a_lead_time_or_says_why_there_is_none() {
        assert_eq!(length(&steady(10_000.0), 50.0), Ok(50.0));
        for (traffic, lead_s, why) in [
            (steady(10_000.0), 50.1, "more than 500000 requests come within a lead time"),
            (ramp(10_000.0, 10_000.0, 1.0), 50.1, "more than 500000 requests come within a lead time"),
            (steady(1.0), 90_000.0, "the lead time is longer than a day"),
            (steady(0.01), 60.0, "fewer than 1000 requests come in a day"),
            (ramp(0.001, 0.002, 1.0), 60.0, "fewer than 1000 requests come in a day"),
            (ramp(1.0, 4.0, 0.0), 60.0, "the ramp takes longer than a day"),
            (ramp(1.0, 700.0, 700.0), 720.0, "more than 500000 requests until the ramp"),
        ] {
            let said = length(&traffic, lead_s).unwrap_err();
            assert!(said.contains(why), "{traffic:?}: {said}");
        }
    }
}
