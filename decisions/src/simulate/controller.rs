//! The clocks of an autoscaler: scrapes, syncs and polls.

use std::collections::VecDeque;

use super::cluster::Cluster;
use super::meter::Meter;
use super::policy::{Metric, Monitoring, Planned, Rule, Signal};
use super::server::{Draws, Server};
use crate::scaling::{Hpa, HpaState, Keda, KedaState, ScalingRules};

const SECOND: u64 = 1_000_000_000;

/// A policy at work.
pub(super) struct Controller<'a> {
    meter: Meter,
    scrape: Option<Clock>,
    decide: Decide<'a>,
}

enum Decide<'a> {
    Static(u32),
    Hpa(Box<HpaAtWork<'a>>),
    Planned { plan: &'a Planned, clock: Clock, recent: VecDeque<(u64, u32)> },
}

struct HpaAtWork<'a> {
    hpa: Hpa,
    metrics: &'a [Metric],
    state: HpaState,
    sync: Clock,
    keda: Option<(Keda, KedaState, Clock)>,
}

/// Ticks at its phase and then once a period.
struct Clock {
    next_ns: u64,
    period_ns: u64,
}

impl Clock {
    /// Begins anywhere within its first period: nothing in a cluster is in step with the traffic.
    fn new(period_ns: u64, draws: &mut Draws) -> Self {
        let period_ns = period_ns.max(SECOND / 1_000);
        Clock { next_ns: (draws.unit() * period_ns as f64) as u64, period_ns }
    }

    /// Leaves out its ticks before `until`.
    fn skip_to(&mut self, until: u64) {
        let periods = until.saturating_sub(self.next_ns) / self.period_ns;
        self.next_ns = self.next_ns.saturating_add(periods.saturating_mul(self.period_ns));
    }

    fn is_due(&mut self, now: u64) -> bool {
        let due = self.next_ns <= now;
        if due {
            self.next_ns = self.next_ns.saturating_add(self.period_ns);
        }
        due
    }
}

impl<'a> Controller<'a> {
    pub(super) fn new(rule: &'a Rule, monitoring: Monitoring, draws: &mut Draws) -> Self {
        let scrape = Clock::new(monitoring.scrape_ns.as_nanos(), draws);
        let decide = match rule {
            Rule::Static { replicas } => Decide::Static(*replicas),
            Rule::Hpa { hpa, metrics } => {
                Decide::Hpa(Box::new(HpaAtWork::new(hpa.clone(), metrics, None, draws)))
            }
            Rule::Keda { keda, hpa, metrics } => {
                let (min_replicas, max_replicas) = keda.hpa_bounds();
                let hpa = Hpa { min_replicas, max_replicas, ..hpa.clone() };
                Decide::Hpa(Box::new(HpaAtWork::new(hpa, metrics, Some(*keda), draws)))
            }
            Rule::Planned(plan) => Decide::Planned {
                plan,
                clock: Clock::new(plan.period_ns.as_nanos(), draws),
                recent: VecDeque::new(),
            },
        };
        let scrape = (!matches!(decide, Decide::Static(_))).then_some(scrape);
        Controller { meter: Meter::new(monitoring), scrape, decide }
    }

    /// Whether it looks at this signal.
    pub(super) fn watches(&self, signal: Signal) -> bool {
        match &self.decide {
            Decide::Hpa(at_work) => at_work.metrics.iter().any(|metric| metric.signal == signal),
            Decide::Static(_) | Decide::Planned { .. } => false,
        }
    }

    /// How many replicas are there at the start when `asked` are wished for.
    pub(super) fn initial(&self, asked: u32) -> u32 {
        match &self.decide {
            Decide::Static(replicas) => *replicas,
            Decide::Hpa(at_work) => at_work.initial(asked),
            Decide::Planned { plan, .. } => {
                asked.clamp(plan.min_replicas, plan.max_replicas.max(plan.min_replicas))
            }
        }
    }

    pub(super) fn next_tick(&self) -> Option<u64> {
        let decide = match &self.decide {
            Decide::Static(_) => None,
            Decide::Hpa(at_work) => Some(at_work.next_tick()),
            Decide::Planned { clock, .. } => Some(clock.next_ns),
        };
        let next = self.scrape.as_ref().map(|scrape| scrape.next_ns).into_iter().chain(decide).min();
        // A clock that came to the end of time stands still.
        next.filter(|time| *time < u64::MAX)
    }

    /// How long the policy remembers: after so long without any change it decides the same for ever.
    pub(super) fn memory_ns(&self) -> u64 {
        let of_rules = |rules: &ScalingRules| {
            let periods = rules.policies.iter().map(|policy| policy.period_seconds);
            u64::from(rules.stabilization_window_seconds.max(periods.max().unwrap_or(0))) * SECOND
        };
        let own = match &self.decide {
            Decide::Static(_) => 0,
            Decide::Planned { plan, clock, .. } => {
                plan.scale_down_window_ns.as_nanos().saturating_add(clock.period_ns)
            }
            Decide::Hpa(at_work) => {
                let behavior = &at_work.hpa.behavior;
                let pods = at_work.hpa.cpu_initialization_seconds.max(at_work.hpa.initial_readiness_seconds);
                let keda = at_work.keda.as_ref().map_or(0, |(keda, _, poll)| {
                    let cooldown = keda.cooldown_seconds.max(keda.initial_cooldown_seconds);
                    poll.period_ns.saturating_add(u64::from(cooldown) * SECOND)
                });
                (of_rules(&behavior.scale_up).max(of_rules(&behavior.scale_down)))
                    .saturating_add(u64::from(pods) * SECOND)
                    .saturating_add(at_work.sync.period_ns)
                    .saturating_add(keda)
            }
        };
        let scrape = self.scrape.as_ref().map_or(0, |scrape| scrape.period_ns);
        own.saturating_add(self.meter.window_ns()).saturating_add(scrape.saturating_mul(2))
    }

    /// Leaves out every tick before `until`: for times in which none would decide anything.
    pub(super) fn skip_to(&mut self, until: u64) {
        if let Some(scrape) = &mut self.scrape {
            scrape.skip_to(until);
        }
        match &mut self.decide {
            Decide::Static(_) => {}
            Decide::Planned { clock, .. } => clock.skip_to(until),
            Decide::Hpa(at_work) => {
                at_work.sync.skip_to(until);
                if let Some((.., poll)) = &mut at_work.keda {
                    poll.skip_to(until);
                }
            }
        }
    }

    /// Does what is due, and says how many replicas there should be.
    pub(super) fn tick<S: Server>(&mut self, cluster: &mut Cluster<'_, S>, now: u64) -> u32 {
        if self.scrape.as_mut().is_some_and(|scrape| scrape.is_due(now)) {
            self.meter.scrape(cluster, now);
        }
        let wanted = cluster.wanted() as u32;
        match &mut self.decide {
            Decide::Static(_) => wanted,
            Decide::Hpa(at_work) => at_work.tick(&self.meter, cluster, now, wanted),
            Decide::Planned { plan, clock, recent } => {
                let rate = if clock.is_due(now) {
                    self.meter.value(cluster, Signal::RequestRate, now)
                } else {
                    None
                };
                rate.map_or(wanted, |rate| follow(plan, recent, now, rate))
            }
        }
    }
}

impl<'a> HpaAtWork<'a> {
    fn new(hpa: Hpa, metrics: &'a [Metric], keda: Option<Keda>, draws: &mut Draws) -> Self {
        let sync = Clock::new(u64::from(hpa.sync_seconds) * SECOND, draws);
        // Replicas that are there at the start are there because a trigger was active.
        let keda = keda.map(|keda| {
            (keda, KedaState::active_at(0), Clock::new(u64::from(keda.polling_seconds) * SECOND, draws))
        });
        HpaAtWork { hpa, metrics, state: HpaState::default(), sync, keda }
    }

    fn initial(&self, asked: u32) -> u32 {
        let least = self.keda.as_ref().map_or(self.hpa.min_replicas, |(keda, ..)| {
            keda.idle_replica_count.unwrap_or(keda.min_replica_count)
        });
        asked.clamp(least, self.hpa.max_replicas.max(least))
    }

    fn next_tick(&self) -> u64 {
        let poll = self.keda.as_ref().map_or(u64::MAX, |(.., poll)| poll.next_ns);
        self.sync.next_ns.min(poll)
    }

    fn tick<S: Server>(
        &mut self,
        meter: &Meter,
        cluster: &mut Cluster<'_, S>,
        now: u64,
        current: u32,
    ) -> u32 {
        let mut wanted = current;
        if let Some((keda, operator, poll)) = &mut self.keda
            && poll.is_due(now)
        {
            let active = self.metrics.iter().any(|metric| is_active(meter, cluster, metric, &self.hpa, now));
            wanted = operator.poll(keda, now, wanted, active);
        }
        if self.sync.is_due(now) {
            let ready = cluster.ready() as u32;
            let mut asked = Vec::with_capacity(self.metrics.len());
            for metric in self.metrics {
                let reading = meter.reading(cluster, metric, &self.hpa, now);
                asked.push(reading.and_then(|reading| reading.desired(wanted, ready, self.hpa.tolerance)));
            }
            wanted = self.state.sync(&self.hpa, now, wanted, &asked);
        }
        wanted
    }
}

/// A trigger of pods is active when their mean is above the threshold; without a pod it is not.
fn is_active<S: Server>(
    meter: &Meter,
    cluster: &mut Cluster<'_, S>,
    metric: &Metric,
    hpa: &Hpa,
    now: u64,
) -> bool {
    let value = if metric.signal.of_pods() {
        meter.mean_of_pods(cluster, metric.signal, hpa, now)
    } else {
        meter.value(cluster, metric.signal, now)
    };
    value.is_some_and(|value| value > metric.activation)
}

/// What the rate needs now, or needed at most within the window for scaling down.
fn follow(plan: &Planned, recent: &mut VecDeque<(u64, u32)>, now: u64, rate: f64) -> u32 {
    recent.push_back((now, plan.replicas(rate)));
    let window = plan.scale_down_window_ns.as_nanos();
    while recent.front().is_some_and(|(at, _)| at.saturating_add(window) < now) {
        recent.pop_front();
    }
    recent.iter().map(|(_, replicas)| *replicas).max().unwrap_or(plan.min_replicas)
}
