//! Replicas that come and go: a policy watches, orders and removes; what is ordered takes a cold start to be ready.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::controller::Controller;
use super::dispatch::Dispatch;
use super::language_model::LanguageServer;
use super::outcome::Outcome;
use super::policy::{Monitoring, Policy, Signal};
use super::recorder::{Kept, Recorder, Slice, Slices, Watch};
use super::server::{Draws, Server};
use super::single_forward::SingleServer;
use crate::service::{ServiceModel, Sla};
use crate::traffic::Trace;

/// Requests that are still open so long after the last arrival are unanswered.
const PATIENCE_NS: u64 = 6 * 3600 * 1_000_000_000;
/// The timeline of replicas has at most this many points.
const MOST_POINTS: usize = 10_000;
/// Misses are counted in so many slices of the trace.
const SLICES: usize = 200;

/// Everything that policies are compared on.
#[derive(Debug, Clone, Copy)]
pub struct Scenario<'a> {
    /// What a replica does.
    pub service: &'a ServiceModel,
    /// What is asked for.
    pub sla: &'a Sla,
    /// What arrives.
    pub trace: &'a Trace,
    /// Which replica gets a request.
    pub dispatch: Dispatch,
    /// How long replicas take from being ordered to being ready: each draws one of these, as the trials measured them. Without
    /// any they are ready at once.
    pub cold_starts: &'a [Nanos],
    /// Replicas that are ready at the start, within the policy's bounds.
    pub initial_replicas: u32,
    /// How signals are collected.
    pub monitoring: Monitoring,
    /// What things cost, if known.
    pub prices: Option<Prices>,
    /// Of all chances.
    pub seed: u64,
}

/// What things cost, in any currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prices {
    /// A replica for an hour, from being ordered on.
    pub replica_hour: f64,
    /// A request that misses a bound.
    pub missed_request: f64,
}

/// What a policy did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyOutcome {
    /// The policy.
    pub policy: Policy,
    /// What happened to the requests.
    pub outcome: Outcome,
    /// Requests that missed a bound.
    pub missed: u64,
    /// Σ of the times from ordering a replica to its end, or the end of the simulation.
    pub replica_time_ns: Nanos,
    /// The same in hours.
    pub replica_hours: f64,
    /// Replicas on average; 0 where the simulation took no time.
    pub mean_replicas: f64,
    /// The most replicas at once.
    pub peak_replicas: u32,
    /// Replicas that were ordered after the start.
    pub cold_starts: u32,
    /// Hours and misses at their prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// How many there were, whenever that changed; at most 10 000 changes.
    pub timeline: Vec<ReplicasAt>,
    /// Requests and misses in equal slices of the trace, by arrival.
    pub slices: Vec<Slice>,
    /// How long a slice is.
    pub slice_ns: Nanos,
}

/// Replicas from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicasAt {
    /// From the start of the trace.
    pub time_ns: Nanos,
    /// Ordered and not removed.
    pub ordered: u32,
    /// Of those, ready.
    pub ready: u32,
}

/// Simulates a policy on a trace. The same arguments give the same outcome.
pub fn autoscaled(scenario: &Scenario<'_>, policy: &Policy) -> PolicyOutcome {
    match scenario.service {
        ServiceModel::SingleForward(model) => run::<SingleServer>(model, scenario, policy, EVERYTHING),
        ServiceModel::LanguageModel(model) => run::<LanguageServer>(model, scenario, policy, EVERYTHING),
    }
}

/// Whether a policy meets the SLA; stops once it is missed.
pub(crate) fn meets_sla(scenario: &Scenario<'_>, policy: &Policy) -> bool {
    let allowed = (scenario.sla.misses_allowed(scenario.trace.len() as u64), Kept::Counts);
    let found = match scenario.service {
        ServiceModel::SingleForward(model) => run::<SingleServer>(model, scenario, policy, allowed),
        ServiceModel::LanguageModel(model) => run::<LanguageServer>(model, scenario, policy, allowed),
    };
    found.outcome.meets
}

fn run<S: Server>(
    model: &S::Model,
    scenario: &Scenario<'_>,
    policy: &Policy,
    until: (u64, Kept),
) -> PolicyOutcome {
    let mut run = Run::<S>::new(model, scenario, policy, until);
    run.start();
    let end = run.arrivals();
    run.finish(policy, end)
}

/// The same with every tick of every pause.
#[cfg(test)]
pub(super) fn tick_by_tick(scenario: &Scenario<'_>, policy: &Policy) -> PolicyOutcome {
    let ServiceModel::SingleForward(model) = scenario.service else { panic!("for tests of single forwards") };
    let mut run = Run::<SingleServer>::new(model, scenario, policy, EVERYTHING);
    run.memory_ns = u64::MAX;
    run.start();
    let end = run.arrivals();
    run.finish(policy, end)
}

/// Every request, and the percentiles of all.
const EVERYTHING: (u64, Kept) = (u64::MAX, Kept::Percentiles);

struct Run<'a, S: Server> {
    scenario: &'a Scenario<'a>,
    /// After so long without a change a pause holds nothing new.
    memory_ns: u64,
    /// When something last happened but a tick that changed nothing.
    changed_ns: u64,
    cluster: Cluster<'a, S>,
    controller: Controller<'a>,
    draws: Draws,
    give_up_after: u64,
    cold_starts: u32,
    timeline: Vec<ReplicasAt>,
}

impl<'a, S: Server> Run<'a, S> {
    fn new(
        model: &'a S::Model,
        scenario: &'a Scenario<'a>,
        policy: &'a Policy,
        (give_up_after, kept): (u64, Kept),
    ) -> Self {
        let mut recorder = Recorder::new(*scenario.sla, 0, S::TOKENS, kept);
        let slices = || Slices::new(scenario.trace.duration_ns().saturating_add(1), SLICES);
        recorder.slices = (kept == Kept::Percentiles).then(slices);
        let cluster = Cluster::<S>::new(model, scenario.dispatch, scenario.seed, recorder);
        let mut draws = Draws::of_starts(scenario.seed);
        let controller = Controller::new(&policy.rule, scenario.monitoring, &mut draws);
        Run {
            scenario,
            memory_ns: controller.memory_ns(),
            changed_ns: 0,
            cluster,
            controller,
            draws,
            give_up_after,
            cold_starts: 0,
            timeline: Vec::new(),
        }
    }

    fn start(&mut self) {
        let watch = |signal| self.controller.watches(signal).then(Watch::default);
        self.cluster.recorder.watch = watch(Signal::TailLatency);
        self.cluster.recorder.watch_first = watch(Signal::TailFirstToken);
        for _ in 0..self.controller.initial(self.scenario.initial_replicas) {
            self.cluster.order(0, 0);
        }
        self.note(0);
    }

    /// Lets everything happen in order: what ends, before what the policy sees, before what arrives. Returns the end.
    fn arrivals(&mut self) -> u64 {
        let last_arrival = self.scenario.trace.duration_ns();
        let mut arrivals = self.scenario.trace.arrivals().iter().copied().peekable();
        let mut now = 0;
        loop {
            let arrival = arrivals.peek().map(|arrival| arrival.time_ns);
            if arrival.is_none() && self.cluster.outstanding() == 0 {
                return now.max(last_arrival);
            }
            let event = self.cluster.next_event();
            let tick = self.controller.next_tick();
            let Some(time) = [arrival, event, tick].into_iter().flatten().min() else { return now };
            let spent = self.cluster.recorder.misses() > self.give_up_after;
            if spent || time > last_arrival.saturating_add(PATIENCE_NS) {
                return now;
            }
            now = time;
            if event == Some(time) {
                self.changed_ns = now;
                self.cluster.step();
            } else if tick == Some(time) {
                if event.is_none() && self.skips_pause(now, arrival) {
                    continue;
                }
                self.tick(now);
            } else if let Some(arrival) = arrivals.next() {
                self.changed_ns = now;
                self.cluster.arrive(arrival);
            }
            if event == Some(time) || tick == Some(time) {
                self.note(now);
            }
        }
    }

    /// Leaves out the ticks of a long pause: nothing runs, and since longer than the policy remembers nothing has changed, so that none
    /// of them would change anything. Those right before the next arrival stay, for whatever looks back from there. A pause of a year
    /// then takes no longer than one of an hour.
    fn skips_pause(&mut self, now: u64, arrival: Option<u64>) -> bool {
        let settled = now.saturating_sub(self.changed_ns) > self.memory_ns;
        let Some(until) = arrival.map(|arrival| arrival.saturating_sub(self.memory_ns)) else { return false };
        if !settled || until <= now || self.cluster.outstanding() > 0 {
            return false;
        }
        self.controller.skip_to(until);
        // One skip for each pause.
        self.changed_ns = until;
        true
    }

    fn tick(&mut self, now: u64) {
        let before = self.cluster.wanted() as u32;
        let wanted = self.controller.tick(&mut self.cluster, now);
        if wanted != before {
            self.changed_ns = now;
        }
        for _ in before..wanted {
            let starts = self.scenario.cold_starts;
            let takes = if starts.is_empty() { Nanos::ZERO } else { starts[self.draws.below(starts.len())] };
            self.cold_starts += 1;
            self.cluster.order(now, now.saturating_add(takes.as_nanos()));
        }
        for _ in wanted..before {
            self.cluster.remove(now);
        }
    }

    fn note(&mut self, now: u64) {
        let (ordered, ready) = (self.cluster.wanted() as u32, self.cluster.ready() as u32);
        let same = self.timeline.last().is_some_and(|last| last.ordered == ordered && last.ready == ready);
        if !same && self.timeline.len() < MOST_POINTS {
            self.timeline.push(ReplicasAt { time_ns: Nanos::from_nanos(now), ordered, ready });
        }
    }

    fn finish(mut self, policy: &Policy, end: u64) -> PolicyOutcome {
        self.cluster.abandon();
        let replica_time = self.cluster.totals(end).ordered_ns;
        let replica_hours = replica_time as f64 / 3.6e12;
        let missed = self.cluster.recorder.requests_missed();
        let gave_up = self.cluster.recorder.misses() > self.give_up_after;
        let outcome = self.cluster.recorder.outcome(self.cluster.utilization(end), gave_up);
        let slices = self.cluster.recorder.slices.take();
        PolicyOutcome {
            policy: policy.clone(),
            outcome,
            missed,
            replica_time_ns: Nanos::from_nanos(replica_time),
            replica_hours,
            mean_replicas: if end == 0 { 0.0 } else { replica_time as f64 / end as f64 },
            peak_replicas: self.timeline.iter().map(|at| at.ordered).max().unwrap_or(0),
            cold_starts: self.cold_starts,
            cost: self
                .scenario
                .prices
                .map(|prices| replica_hours * prices.replica_hour + missed as f64 * prices.missed_request),
            timeline: self.timeline,
            slice_ns: Nanos::from_nanos(slices.as_ref().map_or(0, Slices::width_ns)),
            slices: slices.map(Slices::into_slices).unwrap_or_default(),
        }
    }
}
