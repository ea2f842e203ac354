//! A replica that batches continuously: whenever an iteration ends, waiting requests that fit are prefilled, one after the
//! other; otherwise all running requests get one more token.
//!
//! Keys and values are reserved for a request's prompt and whole answer when it is admitted, so that nothing is ever preempted.
//! The prefill gives the first token, the decode steps the others.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::recorder::{Answer, Recorder};
use super::server::{Draws, Server};
use crate::service::LanguageModel;
use crate::traffic::Arrival;

/// Steps are taken together as long as the growing context makes the last at most this much longer than the first.
const DRIFT: f64 = 0.01;

#[derive(Debug)]
pub(super) struct LanguageServer {
    doing: Doing,
    /// By the step after which they are done.
    running: BinaryHeap<Reverse<Running>>,
    /// Decode steps so far.
    steps: u64,
    /// Tokens that running and prefilling requests may come to hold.
    reserved: u64,
    /// Tokens that running requests hold.
    context: u64,
    /// When the last decode step ended.
    last_step_ns: u64,
    /// When requests got their first token since then.
    newcomers: Vec<u64>,
}

#[derive(Debug)]
enum Doing {
    Nothing,
    Prefill(Arrival),
    Steps { from_ns: u64, first_ns: f64, growth_ns: f64, count: u64, until_ns: u64 },
}

/// Ordered by its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Running {
    last_step: u64,
    first_ns: u64,
    arrival: Arrival,
}

/// Σ of `count` steps of which the first takes `first` and each other `growth` more than the one before it.
fn together(first: f64, growth: f64, count: u64) -> f64 {
    let n = count as f64;
    n * first + growth * n * (n - 1.0) / 2.0
}

/// To whole nanoseconds, of what is not negative: many times faster than `f64::round`, which has no instruction of its own.
fn whole(nanos: f64) -> u64 {
    (nanos + 0.5) as u64
}

fn round_up(nanos: f64) -> u64 {
    whole(nanos).max(1)
}

impl Server for LanguageServer {
    type Model = LanguageModel;
    const TOKENS: bool = true;

    fn idle() -> Self {
        LanguageServer {
            doing: Doing::Nothing,
            running: BinaryHeap::new(),
            steps: 0,
            reserved: 0,
            context: 0,
            last_step_ns: 0,
            newcomers: Vec::new(),
        }
    }

    fn admits(model: &LanguageModel, arrival: Arrival) -> bool {
        model.batch_limit(arrival.size()) > 0
    }

    fn running(&self) -> usize {
        self.running.len() + usize::from(matches!(self.doing, Doing::Prefill(_)))
    }

    fn fullness(&self, model: &LanguageModel) -> f64 {
        self.reserved as f64 / model.token_limit().max(1) as f64
    }

    fn advance(
        &mut self,
        model: &LanguageModel,
        now: u64,
        queue: &mut VecDeque<Arrival>,
        draws: &mut Draws,
        recorder: &mut Recorder,
    ) -> Option<u64> {
        match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Nothing => {}
            Doing::Prefill(arrival) => self.prefilled(arrival, now, recorder),
            Doing::Steps { from_ns, first_ns, growth_ns, count, .. } => {
                let first_end = from_ns.saturating_add(whole(together(first_ns, growth_ns, 1)));
                self.stepped(first_end.min(now), count, now, recorder);
            }
        }
        if let Some(arrival) = queue.front().copied().filter(|arrival| self.fits(model, *arrival)) {
            queue.pop_front();
            recorder.start(arrival.time_ns, now);
            self.reserved = self.reserved.saturating_add(arrival.size().tokens());
            self.doing = Doing::Prefill(arrival);
            let time = model.prefill.time(f64::from(arrival.size().tokens_in));
            let takes = round_up(time * model.variation.factor(|| draws.unit()));
            return Some(now.saturating_add(takes));
        }
        let next_end = self.running.peek()?.0.last_step;
        let n = self.running.len() as f64;
        let factor = model.variation.factor(|| draws.unit());
        let first_ns = model.decode.time(n, self.context as f64) * factor;
        let growth_ns = model.decode.gamma_ns * n * factor;
        let most = if growth_ns > 0.0 { 1.0 + DRIFT * first_ns / growth_ns } else { f64::MAX };
        let count = (next_end - self.steps).min(most as u64).max(1);
        let until_ns = now.saturating_add(round_up(together(first_ns, growth_ns, count)));
        self.doing = Doing::Steps { from_ns: now, first_ns, growth_ns, count, until_ns };
        Some(until_ns)
    }

    fn interrupt(&mut self, model: &LanguageModel, arrival: Arrival, now: u64) -> Option<u64> {
        if !self.fits(model, arrival) {
            return None;
        }
        let Doing::Steps { from_ns, first_ns, growth_ns, count, until_ns } = &mut self.doing else {
            return None;
        };
        // The least k with k steps ending at or after now: k·first + growth·k·(k − 1)/2 = elapsed, solved for k.
        let elapsed = now.saturating_sub(*from_ns) as f64;
        let k = if *growth_ns > 0.0 {
            let b = *first_ns - *growth_ns / 2.0;
            ((b * b + 2.0 * *growth_ns * elapsed).sqrt() - b) / *growth_ns
        } else {
            elapsed / first_ns.max(1.0)
        };
        let k = (k.ceil() as u64).max(1);
        if k >= *count {
            return None;
        }
        *count = k;
        *until_ns = from_ns.saturating_add(round_up(together(*first_ns, *growth_ns, k))).max(now);
        Some(*until_ns)
    }
}

impl LanguageServer {
    fn fits(&self, model: &LanguageModel, arrival: Arrival) -> bool {
        self.running() < model.max_batch as usize
            && self.reserved.saturating_add(arrival.size().tokens()) <= model.token_limit()
    }

    fn prefilled(&mut self, arrival: Arrival, now: u64, recorder: &mut Recorder) {
        recorder.first(arrival.time_ns, now);
        let size = arrival.size();
        if size.steps() == 0 {
            self.reserved = self.reserved.saturating_sub(size.tokens());
            recorder.answer(Answer { arrival_ns: arrival.time_ns, first_ns: now, end_ns: now, gaps: 0 });
            return;
        }
        self.context += u64::from(size.tokens_in) + 1;
        self.newcomers.push(now);
        let last_step = self.steps + u64::from(size.steps());
        self.running.push(Reverse(Running { last_step, first_ns: now, arrival }));
    }

    /// `count` steps of all running requests, of which the first ended at `first_end`.
    fn stepped(&mut self, first_end: u64, count: u64, now: u64, recorder: &mut Recorder) {
        let n = self.running.len() as u64;
        let newcomers = self.newcomers.len() as u64;
        recorder.batch(n, count);
        // A first step comes after the prefills since the last one, further steps right after each other.
        recorder.gaps(first_end.saturating_sub(self.last_step_ns), n - newcomers);
        for first_ns in self.newcomers.drain(..) {
            recorder.gaps(first_end.saturating_sub(first_ns), 1);
        }
        if let Some(mean) = now.saturating_sub(first_end).checked_div(count - 1) {
            recorder.gaps(mean, n * (count - 1));
        }
        self.last_step_ns = now;
        self.steps += count;
        self.context += n * count;
        while let Some(Reverse(done)) =
            self.running.peek().copied().filter(|done| done.0.last_step <= self.steps)
        {
            self.running.pop();
            let size = done.arrival.size();
            self.reserved = self.reserved.saturating_sub(size.tokens());
            self.context = self.context.saturating_sub(size.tokens());
            recorder.answer(Answer {
                arrival_ns: done.arrival.time_ns,
                first_ns: done.first_ns,
                end_ns: now,
                gaps: size.steps(),
            });
        }
    }
}
