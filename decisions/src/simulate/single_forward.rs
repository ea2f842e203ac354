//! A replica that runs batches to their end.

use std::collections::VecDeque;

use super::recorder::{Answer, Recorder};
use super::server::{Draws, Server};
use crate::service::SingleForward;
use crate::traffic::Arrival;

/// Takes up to n waiting requests whenever it is free.
#[derive(Debug)]
pub(super) struct SingleServer {
    /// When the batch ends.
    until_ns: u64,
    /// The arrivals of the batch.
    batch: Vec<u64>,
}

impl Server for SingleServer {
    type Model = SingleForward;
    const TOKENS: bool = false;

    fn idle() -> Self {
        SingleServer { until_ns: 0, batch: Vec::new() }
    }

    fn admits(model: &SingleForward, _: Arrival) -> bool {
        model.max_batch > 0
    }

    fn running(&self) -> usize {
        self.batch.len()
    }

    fn fullness(&self, model: &SingleForward) -> f64 {
        self.batch.len() as f64 / f64::from(model.max_batch.max(1))
    }

    fn advance(
        &mut self,
        model: &SingleForward,
        now: u64,
        queue: &mut VecDeque<Arrival>,
        draws: &mut Draws,
        recorder: &mut Recorder,
    ) -> Option<u64> {
        let end_ns = self.until_ns;
        for arrival_ns in self.batch.drain(..) {
            recorder.first(arrival_ns, end_ns);
            recorder.answer(Answer { arrival_ns, first_ns: end_ns, end_ns, gaps: 0 });
        }
        let n = queue.len().min(model.max_batch as usize);
        if n == 0 {
            return None;
        }
        for arrival in queue.drain(..n) {
            recorder.start(arrival.time_ns, now);
            self.batch.push(arrival.time_ns);
        }
        recorder.batch(n as u64, 1);
        let time = model.time(n as u32) * model.variation.factor(|| draws.unit());
        self.until_ns = now.saturating_add((time.round() as u64).max(1));
        Some(self.until_ns)
    }

    fn interrupt(&mut self, _: &SingleForward, _: Arrival, _: u64) -> Option<u64> {
        None
    }
}
