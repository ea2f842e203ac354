//! A trace: requests in the order of their arrival.

use super::error::TrafficError;
use crate::service::{RequestSize, ServiceError, ServiceModel, Sla, SlaPart};

/// One request. 16 bytes, so that ten million take 160 MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrival {
    /// When, in nanoseconds from the start of the trace.
    pub time_ns: u64,
    /// Tokens of the prompt; 0 where the trace does not say.
    pub tokens_in: u32,
    /// Tokens of the answer; 0 where the trace does not say.
    pub tokens_out: u32,
}

/// Requests in the order of their arrival, the first at 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    arrivals: Vec<Arrival>,
    has_tokens: bool,
}

/// The sizes of requests that arrive at a given rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sizes<'a> {
    /// All the same.
    One(RequestSize),
    /// Drawn from the requests of a trace, each as likely.
    Of(&'a Trace),
}

impl Arrival {
    /// Its size; what the trace does not say counts as one token.
    pub fn size(self) -> RequestSize {
        RequestSize { tokens_in: self.tokens_in.max(1), tokens_out: self.tokens_out.max(1) }
    }
}

impl Trace {
    /// From arrivals in any order; times are shifted so that the first is 0.
    ///
    /// Fails without requests, and when all of them arrive at one instant: no rate follows from those.
    pub fn new(mut arrivals: Vec<Arrival>, has_tokens: bool) -> Result<Self, TrafficError> {
        arrivals.sort_unstable();
        let (Some(first), Some(last)) = (arrivals.first().copied(), arrivals.last().copied()) else {
            return Err(TrafficError::Empty);
        };
        if first.time_ns == last.time_ns {
            return Err(TrafficError::NoRate { requests: arrivals.len() as u64 });
        }
        for arrival in &mut arrivals {
            arrival.time_ns -= first.time_ns;
        }
        Ok(Trace { arrivals, has_tokens })
    }

    /// The requests, in order.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// How many requests; at least 2.
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// Never: a trace has at least two requests.
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// Whether it says how many tokens its requests have.
    pub fn has_tokens(&self) -> bool {
        self.has_tokens
    }

    /// From the first arrival to the last, in nanoseconds; above zero.
    pub fn duration_ns(&self) -> u64 {
        self.arrivals.last().map_or(0, |last| last.time_ns)
    }

    /// The mean rate: (n − 1) ÷ the duration, in requests a second.
    pub fn mean_per_s(&self) -> f64 {
        (self.len() - 1) as f64 / (self.duration_ns() as f64 / 1e9)
    }

    /// CV² of the times between arrivals: variance ÷ squared mean. 1 for Poisson arrivals; bursts have more.
    pub fn cv_squared(&self) -> f64 {
        let mean = self.duration_ns() as f64 / (self.len() - 1) as f64;
        let squares: f64 = self
            .arrivals
            .windows(2)
            .map(|pair| ((pair[1].time_ns - pair[0].time_ns) as f64 / mean - 1.0).powi(2))
            .sum();
        squares / (self.len() - 1) as f64
    }

    /// The mean size, rounded up.
    pub fn mean_size(&self) -> RequestSize {
        let mean = |tokens: fn(RequestSize) -> u32| {
            let sum: u64 = self.arrivals.iter().map(|arrival| u64::from(tokens(arrival.size()))).sum();
            u32::try_from(sum.div_ceil(self.len() as u64)).unwrap_or(u32::MAX)
        };
        RequestSize { tokens_in: mean(|size| size.tokens_in), tokens_out: mean(|size| size.tokens_out) }
    }
}

impl Sizes<'_> {
    /// The mean size.
    pub fn mean(&self) -> RequestSize {
        match self {
            Sizes::One(size) => *size,
            Sizes::Of(trace) => trace.mean_size(),
        }
    }

    /// Fails when so many requests would miss a bound on an idle replica that its percentile does.
    ///
    /// The error names the percentile of what the requests take alone: no number of replicas makes that less.
    pub fn can_meet(&self, service: &ServiceModel, sla: &Sla) -> Result<(), ServiceError> {
        sla.check()?;
        service.check()?;
        let trace = match self {
            Sizes::One(size) => return service.can_meet(sla, *size),
            Sizes::Of(_) if matches!(service, ServiceModel::SingleForward(_)) => {
                return service.can_meet(sla, RequestSize::ONE);
            }
            Sizes::Of(trace) => trace,
        };
        let largest = trace.arrivals.iter().map(|arrival| arrival.size()).max_by_key(|size| size.tokens());
        if let Some(size) = largest.filter(|size| service.batch_limit(*size) == 0) {
            return service.can_meet(sla, size);
        }
        for (part, asked) in sla.bounds() {
            let mut alone: Vec<u64> = trace
                .arrivals
                .iter()
                .map(|arrival| match part {
                    SlaPart::EndToEnd => service.time_hi(1, arrival.size()) as u64,
                    SlaPart::Ttft => service.ttft_hi(arrival.size()) as u64,
                    SlaPart::Itl => service.itl_hi(1, arrival.size()) as u64,
                })
                .collect();
            let rank = alone.len() - 1 - sla.misses_allowed(alone.len() as u64) as usize;
            let (_, at, _) = alone.select_nth_unstable(rank);
            let needed = coldstart_profiles::Nanos::from_nanos(*at);
            if needed > asked {
                let whose = " (at the service level's percentile over the requests of the trace)";
                return Err(ServiceError::BelowBatchOne { part, asked, needed, whose });
            }
        }
        Ok(())
    }
}
