//! Replicas behind a dispatcher, driven by events.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::dispatch::Dispatch;
use super::recorder::Recorder;
use super::server::{Draws, Server};
use crate::traffic::Arrival;

/// Replicas, the requests that wait for them, and what happens next.
pub(super) struct Cluster<'m, S: Server> {
    model: &'m S::Model,
    dispatch: Dispatch,
    /// Every replica that ever was, in the order of ordering; what is gone keeps nothing.
    replicas: Vec<Replica<S>>,
    /// Replicas that are not gone, in that order.
    alive: Vec<usize>,
    starting: usize,
    /// Of replicas that are gone.
    past: Totals,
    /// Replicas that take requests.
    ready: Vec<usize>,
    /// Of those, with one shared queue, the ones without work.
    idle: Vec<usize>,
    /// Requests that belong to no replica yet: the shared queue, or what waits at the gateway while none is ready.
    queue: VecDeque<Arrival>,
    events: BinaryHeap<Reverse<Event>>,
    draws: Draws,
    pub(super) recorder: Recorder,
    pub(super) counts: Counts,
}

/// Counters that only grow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) arrived: u64,
    pub(super) rejected: u64,
    pub(super) started: u64,
}

/// Ordered by time; of events at one time, by replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    time_ns: u64,
    replica: u32,
    /// Events of another generation than the replica's were overtaken.
    generation: u32,
}

struct Replica<S> {
    server: S,
    queue: VecDeque<Arrival>,
    state: State,
    generation: u32,
    created_ns: u64,
    ready_ns: u64,
    busy_since_ns: Option<u64>,
    busy_ns: u64,
}

/// The life of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Ordered, and ready at its time.
    Starting,
    /// Takes requests.
    Ready,
    /// Ends what it has.
    Draining,
    /// Ended.
    Gone,
}

/// Times of replicas, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    /// From being ordered on.
    pub(super) ordered_ns: u64,
    /// From being ready on.
    pub(super) ready_ns: u64,
    /// At work.
    pub(super) busy_ns: u64,
}

/// One replica as an autoscaler sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) id: usize,
    pub(super) state: State,
    pub(super) created_ns: u64,
    pub(super) ready_ns: u64,
    pub(super) busy_ns: u64,
    pub(super) fullness: f64,
}

impl<'m, S: Server> Cluster<'m, S> {
    pub(super) fn new(model: &'m S::Model, dispatch: Dispatch, seed: u64, recorder: Recorder) -> Self {
        Cluster {
            model,
            dispatch,
            replicas: Vec::new(),
            alive: Vec::new(),
            starting: 0,
            past: Totals::default(),
            ready: Vec::new(),
            idle: Vec::new(),
            queue: VecDeque::new(),
            events: BinaryHeap::new(),
            draws: Draws::new(seed),
            recorder,
            counts: Counts::default(),
        }
    }

    /// A new replica that is ready at `ready_ns`.
    pub(super) fn order(&mut self, now: u64, ready_ns: u64) {
        let id = self.replicas.len();
        self.replicas.push(Replica {
            server: S::idle(),
            queue: VecDeque::new(),
            state: State::Starting,
            generation: 0,
            created_ns: now,
            ready_ns,
            busy_since_ns: None,
            busy_ns: 0,
        });
        self.alive.push(id);
        self.starting += 1;
        if ready_ns <= now { self.becomes_ready(id, now) } else { self.schedule(id, ready_ns) }
    }

    /// Takes one replica away, as a ReplicaSet does: one that is still starting before one that works, the last ordered first. One
    /// that works ends what it has. False when there is none.
    pub(super) fn remove(&mut self, now: u64) -> bool {
        let starting = self.alive.iter().rev().find(|id| self.replicas[**id].state == State::Starting);
        if let Some(id) = starting.copied() {
            self.replicas[id].generation += 1;
            self.starting -= 1;
            self.end(id, now);
            return true;
        }
        let Some(id) = self.ready.iter().copied().max() else { return false };
        self.ready.retain(|other| *other != id);
        self.idle.retain(|other| *other != id);
        if self.load(id) > 0 {
            self.replicas[id].state = State::Draining;
        } else {
            self.end(id, now);
        }
        true
    }

    fn end(&mut self, id: usize, now: u64) {
        self.alive.retain(|other| *other != id);
        let times = self.times(id, now);
        self.past = self.past.and(times);
        let replica = &mut self.replicas[id];
        replica.state = State::Gone;
        (replica.server, replica.queue) = (S::idle(), VecDeque::new());
    }

    fn times(&self, id: usize, now: u64) -> Totals {
        let replica = &self.replicas[id];
        let was_ready = replica.state != State::Starting && replica.ready_ns <= now;
        Totals {
            ordered_ns: now.saturating_sub(replica.created_ns),
            ready_ns: if was_ready { now.saturating_sub(replica.ready_ns) } else { 0 },
            busy_ns: replica.busy_ns(now),
        }
    }

    /// A request comes.
    pub(super) fn arrive(&mut self, arrival: Arrival) {
        self.counts.arrived += 1;
        let now = arrival.time_ns;
        if !S::admits(self.model, arrival) {
            self.counts.rejected += 1;
            self.recorder.unanswered(arrival);
            return;
        }
        if self.dispatch == Dispatch::Shared {
            self.queue.push_back(arrival);
            match self.idle.pop() {
                Some(id) => self.advance(id, now),
                None => self.interrupt_all(arrival, now),
            }
            return;
        }
        match self.choose() {
            Some(id) => self.hand(id, arrival, now),
            None => self.queue.push_back(arrival),
        }
    }

    fn choose(&mut self) -> Option<usize> {
        match (self.dispatch, self.ready.as_slice()) {
            (_, []) => None,
            (_, [only]) => Some(*only),
            (Dispatch::Random, ready) => Some(ready[self.draws.below(ready.len())]),
            (_, ready) => ready.iter().copied().min_by_key(|id| self.load(*id)),
        }
    }

    fn hand(&mut self, id: usize, arrival: Arrival, now: u64) {
        self.replicas[id].queue.push_back(arrival);
        if self.replicas[id].busy_since_ns.is_none() {
            self.advance(id, now);
        } else if self.replicas[id].queue.len() == 1 {
            self.interrupt(id, arrival, now);
        }
    }

    fn interrupt(&mut self, id: usize, arrival: Arrival, now: u64) {
        if let Some(earlier) = self.replicas[id].server.interrupt(self.model, arrival, now) {
            self.replicas[id].generation += 1;
            self.schedule(id, earlier);
        }
    }

    fn interrupt_all(&mut self, arrival: Arrival, now: u64) {
        if S::TOKENS && self.queue.len() == 1 {
            for at in 0..self.ready.len() {
                self.interrupt(self.ready[at], arrival, now);
            }
        }
    }

    fn load(&self, id: usize) -> usize {
        self.replicas[id].server.running() + self.replicas[id].queue.len()
    }

    fn schedule(&mut self, id: usize, time_ns: u64) {
        let generation = self.replicas[id].generation;
        self.events.push(Reverse(Event { time_ns, replica: id as u32, generation }));
    }

    /// When something happens next; drops events that were overtaken.
    pub(super) fn next_event(&mut self) -> Option<u64> {
        while let Some(Reverse(event)) = self.events.peek() {
            if event.generation == self.replicas[event.replica as usize].generation {
                return Some(event.time_ns);
            }
            self.events.pop();
        }
        None
    }

    /// Lets the next event happen.
    pub(super) fn step(&mut self) {
        let Some(Reverse(event)) = self.events.pop() else { return };
        let id = event.replica as usize;
        if self.replicas[id].state == State::Starting {
            self.becomes_ready(id, event.time_ns);
        } else {
            self.advance(id, event.time_ns);
        }
    }

    fn becomes_ready(&mut self, id: usize, now: u64) {
        self.replicas[id].state = State::Ready;
        self.starting -= 1;
        self.ready.push(id);
        if self.dispatch == Dispatch::Shared {
            self.advance(id, now);
            return;
        }
        // What waited at the gateway goes to the first replica that is there; nothing waits while one is ready.
        while let Some(arrival) = self.queue.pop_front() {
            self.replicas[id].queue.push_back(arrival);
        }
        if !self.replicas[id].queue.is_empty() {
            self.advance(id, now);
        }
    }

    fn advance(&mut self, id: usize, now: u64) {
        let replica = &mut self.replicas[id];
        let shared = self.dispatch == Dispatch::Shared && replica.state == State::Ready;
        let queue = if shared { &mut self.queue } else { &mut replica.queue };
        let before = queue.len();
        let next = replica.server.advance(self.model, now, queue, &mut self.draws, &mut self.recorder);
        self.counts.started += (before - queue.len()) as u64;
        match next {
            Some(time_ns) => {
                replica.busy_since_ns.get_or_insert(now);
                self.schedule(id, time_ns);
            }
            None => self.becomes_idle(id, now),
        }
    }

    fn becomes_idle(&mut self, id: usize, now: u64) {
        let replica = &mut self.replicas[id];
        if let Some(since) = replica.busy_since_ns.take() {
            replica.busy_ns = replica.busy_ns.saturating_add(now.saturating_sub(since));
        }
        match replica.state {
            State::Draining => self.end(id, now),
            State::Ready if self.dispatch == Dispatch::Shared => self.idle.push(id),
            _ => {}
        }
    }

    /// Requests that no replica works on yet.
    pub(super) fn waiting(&self) -> u64 {
        self.counts.arrived - self.counts.rejected - self.counts.started
    }

    /// Requests that a replica works on.
    pub(super) fn running(&self) -> u64 {
        self.alive.iter().map(|id| self.replicas[*id].server.running() as u64).sum()
    }

    /// Every replica that is not gone, in the order of ordering.
    pub(super) fn seen(&self, now: u64) -> impl Iterator<Item = Seen> {
        self.alive.iter().map(move |id| {
            let replica = &self.replicas[*id];
            Seen {
                id: *id,
                state: replica.state,
                created_ns: replica.created_ns,
                ready_ns: replica.ready_ns,
                busy_ns: replica.busy_ns(now),
                fullness: replica.server.fullness(self.model),
            }
        })
    }

    /// Replicas that are ordered and not being removed.
    pub(super) fn wanted(&self) -> usize {
        self.starting + self.ready.len()
    }

    /// Replicas that take requests.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Requests that are not over.
    pub(super) fn outstanding(&self) -> u64 {
        self.counts.arrived - self.counts.rejected - self.recorder.answered()
    }

    /// Gives up the requests that still wait at `now`.
    pub(super) fn abandon(&mut self) {
        for arrival in self.queue.drain(..) {
            self.recorder.unanswered(arrival);
        }
    }

    /// The times of all replicas up to `now`.
    pub(super) fn totals(&self, now: u64) -> Totals {
        self.alive.iter().fold(self.past, |sum, id| sum.and(self.times(*id, now)))
    }

    /// Busy time ÷ ready time up to `now`.
    pub(super) fn utilization(&self, now: u64) -> f64 {
        let totals = self.totals(now);
        if totals.ready_ns == 0 { 0.0 } else { totals.busy_ns as f64 / totals.ready_ns as f64 }
    }
}

impl<S> Replica<S> {
    fn busy_ns(&self, now: u64) -> u64 {
        self.busy_ns.saturating_add(self.busy_since_ns.map_or(0, |since| now.saturating_sub(since)))
    }
}

impl Totals {
    fn and(self, other: Totals) -> Totals {
        Totals {
            ordered_ns: self.ordered_ns.saturating_add(other.ordered_ns),
            ready_ns: self.ready_ns.saturating_add(other.ready_ns),
            busy_ns: self.busy_ns.saturating_add(other.busy_ns),
        }
    }
}
