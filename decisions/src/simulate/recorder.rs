//! What happens to requests, counted.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outcome::{Latencies, Latency, Outcome};
use crate::service::Sla;
use crate::traffic::Arrival;
use coldstart_profiles::Nanos;

/// Counts answers and their latencies.
#[derive(Debug)]
pub(super) struct Recorder {
    sla: Sla,
    /// Requests that arrived before are the warm-up.
    from_ns: u64,
    latency: Latencies,
    ttft: Option<Latencies>,
    itl: Option<Latencies>,
    waited: u128,
    started: u64,
    unanswered: u64,
    within: u64,
    late: u64,
    late_first: u64,
    late_gaps: u64,
    batches: u64,
    batched: u64,
    last_end_ns: u64,
    /// Requests that are over, the warm-up's included.
    answered: u64,
    /// For policies that watch the latency.
    pub(super) watch: Option<Watch>,
    /// For policies that watch the time to the first token.
    pub(super) watch_first: Option<Watch>,
    pub(super) slices: Option<Slices>,
}

/// When the parts of an answer came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) arrival_ns: u64,
    pub(super) first_ns: u64,
    pub(super) end_ns: u64,
    /// Gaps between tokens.
    pub(super) gaps: u32,
}

/// What is kept of latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// How many there were, and how many missed a bound: enough for a verdict.
    Counts,
    /// Their percentiles as well.
    Percentiles,
}

impl Recorder {
    pub(super) fn new(sla: Sla, from_ns: u64, tokens: bool, kept: Kept) -> Self {
        let latencies = || match kept {
            Kept::Counts => Latencies::counting(),
            Kept::Percentiles => Latencies::new(),
        };
        Recorder {
            sla,
            from_ns,
            latency: latencies(),
            ttft: tokens.then(latencies),
            itl: tokens.then(latencies),
            waited: 0,
            started: 0,
            unanswered: 0,
            within: 0,
            late: 0,
            late_first: 0,
            late_gaps: 0,
            batches: 0,
            batched: 0,
            last_end_ns: 0,
            answered: 0,
            watch: None,
            watch_first: None,
            slices: None,
        }
    }

    /// Requests that were answered so far.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// Requests of which a bound was missed, or that were not answered.
    pub(super) fn requests_missed(&self) -> u64 {
        self.latency.count() + self.unanswered - self.within
    }

    /// A replica takes a request at `now`.
    pub(super) fn start(&mut self, arrival_ns: u64, now: u64) {
        if arrival_ns >= self.from_ns {
            self.started += 1;
            self.waited += u128::from(now.saturating_sub(arrival_ns));
        }
    }

    /// A batch or decode steps of `n` requests begin.
    pub(super) fn batch(&mut self, n: u64, steps: u64) {
        self.batches += steps;
        self.batched += n * steps;
    }

    /// `count` tokens came `gap_ns` after the ones before them. Gaps of the warm-up are counted, too.
    pub(super) fn gaps(&mut self, gap_ns: u64, count: u64) {
        if count == 0 {
            return;
        }
        if let Some(itl) = &mut self.itl {
            itl.record(gap_ns, count);
        }
        if exceeds(gap_ns, self.sla.itl_ns) {
            self.late_gaps += count;
        }
    }

    /// The first token of a request came.
    pub(super) fn first(&mut self, arrival_ns: u64, now: u64) {
        if let Some(watch) = &mut self.watch_first {
            watch.answers.push_back((now, now.saturating_sub(arrival_ns)));
        }
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        let latency = answer.end_ns.saturating_sub(answer.arrival_ns);
        self.last_end_ns = self.last_end_ns.max(answer.end_ns);
        if let Some(watch) = &mut self.watch {
            watch.answers.push_back((answer.end_ns, latency));
        }
        self.answered += 1;
        if answer.arrival_ns < self.from_ns {
            return;
        }
        self.latency.record(latency, 1);
        let first = answer.first_ns.saturating_sub(answer.arrival_ns);
        if let Some(ttft) = &mut self.ttft {
            ttft.record(first, 1);
        }
        let late = exceeds(latency, self.sla.end_to_end_ns);
        let late_first = exceeds(first, self.sla.ttft_ns);
        let mean_gap =
            answer.end_ns.saturating_sub(answer.first_ns).checked_div(u64::from(answer.gaps)).unwrap_or(0);
        self.late += u64::from(late);
        self.late_first += u64::from(late_first);
        let within = !late && !late_first && !exceeds(mean_gap, self.sla.itl_ns);
        self.within += u64::from(within);
        if let Some(slices) = &mut self.slices {
            slices.count(answer.arrival_ns, within);
        }
    }

    /// A request that no replica answers.
    pub(super) fn unanswered(&mut self, arrival: Arrival) {
        if arrival.time_ns >= self.from_ns {
            self.unanswered += 1;
            if let Some(slices) = &mut self.slices {
                slices.count(arrival.time_ns, false);
            }
        }
    }

    /// The SLA's percentile of what a policy watches, of answers or first tokens that came after `from_ns` and not after `until_ns`.
    pub(super) fn tail(&mut self, first_token: bool, (from_ns, until_ns): (u64, u64)) -> Option<u64> {
        let fraction = self.sla.percentile().fraction();
        let watch = if first_token { &mut self.watch_first } else { &mut self.watch };
        watch.as_mut()?.percentile((from_ns, until_ns), fraction)
    }

    /// Requests that are sure to miss the bound that most miss.
    pub(super) fn misses(&self) -> u64 {
        self.unanswered + self.late.max(self.late_first)
    }

    fn meets(&self) -> bool {
        let gaps = self.itl.as_ref().map_or(0, Latencies::count);
        self.misses() <= self.sla.misses_allowed(self.latency.count() + self.unanswered)
            && self.late_gaps <= self.sla.misses_allowed(gaps)
    }

    pub(super) fn outcome(&self, utilization: f64, gave_up: bool) -> Outcome {
        let fraction = self.sla.percentile().fraction();
        let summary = |latencies: &Latencies| -> Latency { latencies.summary(fraction) };
        let requests = self.latency.count() + self.unanswered;
        let per = |sum: f64, n: u64| if n == 0 { 0.0 } else { sum / n as f64 };
        Outcome {
            requests,
            unanswered: self.unanswered,
            latency: summary(&self.latency),
            ttft: self.ttft.as_ref().map(summary),
            itl: self.itl.as_ref().map(summary),
            mean_wait_ns: per(self.waited as f64, self.started),
            mean_batch: per(self.batched as f64, self.batches),
            attainment: if requests == 0 { 1.0 } else { self.within as f64 / requests as f64 },
            meets: self.meets() && !gave_up,
            utilization,
            duration_ns: Nanos::from_nanos(self.last_end_ns),
            gave_up,
        }
    }
}

/// Latencies of recent answers.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// (when it ended, how long it took), in order of the end.
    answers: VecDeque<(u64, u64)>,
}

impl Watch {
    /// The nearest-rank percentile of the answers that ended after `from_ns` and not after `until_ns`; older ones are forgotten.
    fn percentile(&mut self, (from_ns, until_ns): (u64, u64), fraction: f64) -> Option<u64> {
        while self.answers.front().is_some_and(|(end, _)| *end <= from_ns) {
            self.answers.pop_front();
        }
        let seen = self.answers.partition_point(|(end, _)| *end <= until_ns);
        let mut latencies: Vec<u64> = self.answers.iter().take(seen).map(|(_, latency)| *latency).collect();
        let rank = ((latencies.len() as f64 * fraction).ceil() as usize).clamp(1, latencies.len().max(1));
        (!latencies.is_empty()).then(|| *latencies.select_nth_unstable(rank - 1).1)
    }
}

/// Requests and misses by the time of their arrival.
#[derive(Debug)]
pub(super) struct Slices {
    width_ns: u64,
    slices: Vec<Slice>,
}

/// Requests that arrived in one slice of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Slice {
    /// How many.
    pub requests: u64,
    /// How many of them missed a bound.
    pub missed: u64,
}

impl Slices {
    pub(super) fn new(duration_ns: u64, count: usize) -> Self {
        let width_ns = duration_ns.div_ceil(count.max(1) as u64).max(1);
        Slices { width_ns, slices: vec![Slice::default(); count.max(1)] }
    }

    pub(super) fn width_ns(&self) -> u64 {
        self.width_ns
    }

    pub(super) fn into_slices(self) -> Vec<Slice> {
        self.slices
    }

    fn count(&mut self, arrival_ns: u64, within: bool) {
        let at = ((arrival_ns / self.width_ns) as usize).min(self.slices.len() - 1);
        self.slices[at].requests += 1;
        self.slices[at].missed += u64::from(!within);
    }
}

fn exceeds(nanos: u64, bound: Option<Nanos>) -> bool {
    bound.is_some_and(|bound| nanos > bound.as_nanos())
}
