//! The plan on the trace that it is made for: how many must stand by, with the cold start as it is and with another; the line that
//! an autoscaler can follow; and what each way to carry it out takes.

use coldstart_profiles::Nanos;

use super::alternatives::Alternatives;
use super::comparison::PolicyComparison;
use super::courses::{Course, Courses};
use super::line::{line, wanted};
use crate::autoscaler::{Advice, Signal, Wanted};
use crate::basis::{Basis, Figure, Quantity};
use crate::simulate::{
    Load, ParetoPoint, Planned, Policy, PolicyOutcome, Replicas, Rule, Scenario, Search, Standby, autoscaled,
    fewest, meets_sla, pareto, replicas_for, standby_for,
};
use crate::traffic::Trace;

/// No more standby than this is tried for the comparison.
const MOST_STANDBY: u32 = 40;

/// The fewest replicas standing by with which the plan meets the SLA.
pub(super) struct Replayed {
    pub(super) standby: Figure<u32>,
    /// The most replicas that it then had at once, without those.
    pub(super) peak: Figure<u32>,
    outcome: PolicyOutcome,
}

/// The plan on one trace.
pub(super) struct Replay<'a> {
    alternatives: &'a Alternatives<'a>,
    trace: &'a Trace,
    planned: Planned,
    starts_ns: Vec<Nanos>,
    /// `None` where no standby is enough.
    pub(super) replayed: Option<Replayed>,
    fixed: Option<Replicas>,
}

impl<'a> Replay<'a> {
    /// Finds the standby, and the number that would never have to change.
    pub(super) fn new(alternatives: &'a Alternatives<'a>, trace: &'a Trace, table: Vec<f64>) -> Self {
        let sla = &alternatives.request.sla;
        // No more than the cluster has.
        let search = alternatives.planner.search();
        let most = alternatives.request.cluster.max_replicas.unwrap_or(search.most);
        let search = Search { most, ..search };
        let mut replay = Replay {
            alternatives,
            trace,
            planned: alternatives.planned(table),
            starts_ns: alternatives.starts_ns(1.0),
            replayed: None,
            fixed: replicas_for(alternatives.service, sla, Load::Trace(trace), search).ok(),
        };
        replay.replayed = replay.find();
        replay
    }

    fn find(&self) -> Option<Replayed> {
        let formula = &self.alternatives.warm.standby;
        let found = self.search(1.0, formula.value)?;
        let basis = self
            .basis("the fewest standing by with which replicas(rate) + standby meets the SLA on the trace, replayed")
            .figure(
                "search from",
                Quantity::Count(u64::from(formula.value)),
                "capacity.warm.standby",
                &formula.basis,
            )
            .input("replays", Quantity::Count(u64::from(found.simulations)));
        let peak = found.outcome.peak_replicas.saturating_sub(found.standby);
        let peak_basis = Basis::of("the most that replicas(rate) came to on the trace, replayed").figure(
            "standby",
            Quantity::Count(u64::from(found.standby)),
            "capacity.replayed_standby",
            &basis,
        );
        Some(Replayed {
            standby: Figure::new(found.standby, basis),
            peak: Figure::new(peak, peak_basis),
            outcome: found.outcome,
        })
    }

    /// What every replay rests on. Each cold start is drawn from those of the trials.
    fn basis(&self, formula: &str) -> Basis {
        let cold = self.alternatives.cold;
        let (starts, cluster) = (&self.starts_ns, &self.alternatives.request.cluster);
        let (least, most) = (starts.iter().min(), starts.iter().max());
        let drawn = match (least, most) {
            (Some(least), Some(most)) if least < most => {
                format!("drawn from {}, {least} – {most}", starts.len())
            }
            (Some(least), _) => format!("{least} each"),
            (None, _) => "none".to_owned(),
        };
        Basis::of(formula)
            .input("cold starts", Quantity::Text(drawn))
            .input("requests", Quantity::Count(self.trace.len() as u64))
            .input("dispatch", Quantity::Text(self.alternatives.request.dispatch.to_string()))
            .input("scrape interval", Quantity::Nanos(cluster.scrape_interval_ns))
            .input("query window", Quantity::Nanos(cluster.query_window_ns))
            .input("sync interval", Quantity::Nanos(cluster.sync_interval_ns))
            .input("seed", Quantity::Count(self.alternatives.request.seed))
            .resting_on(&cold.hi_ns.basis)
            .resting_on(&self.alternatives.planner.replicas_basis())
    }

    /// The fewest replicas with which the SLA holds on the trace when their number never changes; `None` where none are enough.
    pub(super) fn fixed(&self) -> Option<Figure<u32>> {
        let found = self.fixed.as_ref()?;
        let basis =
            Basis::of("the smallest number that meets the SLA on the trace without ever changing, replayed")
                .input("replays", Quantity::Count(u64::from(found.simulations)))
                .resting_on(&self.alternatives.planner.replicas_basis());
        Some(Figure::new(found.replicas, basis))
    }

    /// The standby with cold starts `factor` times as long; the search begins at `from`.
    pub(super) fn standby_at(&self, factor: f64, from: u32) -> Option<u32> {
        Some(self.search(factor, from)?.standby)
    }

    fn search(&self, factor: f64, from: u32) -> Option<Standby> {
        let starts = self.alternatives.starts_ns(factor);
        standby_for(&self.alternatives.scenario(self.trace, &starts), &self.planned, from).ok()
    }

    fn scenario(&self) -> Scenario<'_> {
        self.alternatives.scenario(self.trace, &self.starts_ns)
    }

    /// Simulates a policy that begins with `more` replicas than the rate needs.
    fn run(&self, policy: &Policy, more: u32) -> PolicyOutcome {
        let scenario = self.scenario();
        let initial_replicas = scenario.initial_replicas.saturating_add(more);
        autoscaled(&Scenario { initial_replicas, ..scenario }, policy)
    }

    /// The line with so many standing by that the autoscaler that follows it meets the SLA; with as many as the plan has where none do.
    pub(super) fn wanted(&self) -> Wanted {
        let from =
            self.replayed.as_ref().map_or(self.alternatives.warm.standby.value, |found| found.standby.value);
        let line = line(self.alternatives, &self.planned.largest_rates_per_s);
        let scenario = self.scenario();
        let mut replays = 0_u64;
        let most = self.planned.max_replicas;
        let found = fewest(0, from, most, |standby| {
            replays += 1;
            let figure = Figure::new(standby, Basis::default());
            let policy = self.alternatives.on_plan(&wanted(self.alternatives, line, figure), false);
            let initial_replicas = scenario.initial_replicas.saturating_add(standby);
            meets_sla(&Scenario { initial_replicas, ..scenario }, &policy)
        });
        let basis = self
            .basis("the fewest standing by with which an autoscaler that follows the line meets the SLA on the trace, replayed")
            .input("replays", Quantity::Count(replays));
        let standby = match found {
            Some(standby) => Figure::new(standby, basis),
            None => Figure::new(
                from,
                basis.caveat("no standby is enough: the autoscaler is too slow for this SLA"),
            ),
        };
        wanted(self.alternatives, line, standby)
    }

    /// What every way takes. Without `all` only the fixed number and the plan's own export.
    pub(super) fn courses(&self, wanted: &Wanted, all: bool) -> (Courses, Vec<PolicyOutcome>) {
        let basis = self.basis("replayed by the algorithms of the horizontal pod autoscaler and KEDA");
        let mut outcomes = Vec::new();
        let mut courses = Vec::new();
        if let Some(fixed) = &self.fixed {
            let replicas = fixed.replicas;
            let policy = Policy { name: format!("static {replicas}"), rule: Rule::Static { replicas } };
            let found = self.run(&policy, 0);
            courses.push(Course::of(
                &found,
                None,
                (replicas, "the fewest that meet the SLA without ever changing"),
                &basis,
            ));
            outcomes.push(found);
        }
        let others = Signal::ALL.into_iter().filter(|signal| all && *signal != Signal::Plan);
        for (course, found) in others.filter_map(|signal| self.on_signal(signal, &basis)) {
            courses.push(course);
            outcomes.push(found);
        }
        let to_zero = matches!(self.alternatives.keep_alive.advice, Advice::ScaleToZero);
        for to_zero in [false, true].into_iter().take(1 + usize::from(to_zero)) {
            let found = self.run(&self.alternatives.on_plan(wanted, to_zero), wanted.standby.value);
            let min = match to_zero {
                true => (0, "0: in pauses none is kept"),
                false => (wanted.min_replicas.value, "wanted.min_replicas: as many as without any traffic"),
            };
            let course = Course::of(&found, Some(Signal::Plan), min, &basis);
            courses.push(Course { to_zero, floor_carries: !to_zero && self.is_floor(min.0), ..course });
            outcomes.push(found);
        }
        let exactly = self.replayed.as_ref().map(|found| {
            let mut outcome = found.outcome.clone();
            outcome.policy.name = EXACTLY.to_owned();
            outcomes.push(outcome.clone());
            Course::of(
                &outcome,
                None,
                (self.planned.min_replicas, "1: it follows the rate as low as that goes"),
                &basis,
            )
        });
        (Courses::new(exactly, courses), outcomes)
    }

    /// An exported target with the fewest replicas with which it meets the SLA. With the fixed number at the latest any does.
    fn on_signal(&self, signal: Signal, basis: &Basis) -> Option<(Course, PolicyOutcome)> {
        let own = self.alternatives.autoscaler.min_replicas.value;
        let most = self.fixed.as_ref().map_or(self.planned.max_replicas, |fixed| fixed.replicas);
        let policy = |floor| self.alternatives.on_signal(signal, floor);
        policy(1)?;
        let found = fewest(1, own.min(most), most, |floor| {
            policy(floor).is_some_and(|policy| meets_sla(&self.scenario(), &policy))
        });
        let floor = found.unwrap_or(most);
        let outcome = self.run(&policy(floor)?, 0);
        let least = match found {
            Some(_) => "the fewest with which this target meets the SLA on the traffic",
            None => "the most that were tried: with none of them this target meets the SLA on the traffic",
        };
        let course = Course::of(&outcome, Some(signal), (floor, least), basis);
        Some((Course { floor_carries: self.is_floor(floor), ..course }, outcome))
    }

    fn is_floor(&self, replicas: u32) -> bool {
        // One replica carries what one carries: nothing was to be saved.
        self.fixed.as_ref().is_some_and(|fixed| fixed.replicas > 1 && replicas >= fixed.replicas)
    }

    /// Everything side by side.
    pub(super) fn comparison(&self, outcomes: Vec<PolicyOutcome>, drawn: bool) -> PolicyComparison {
        let usual = self.alternatives.usual().into_iter().map(|policy| self.run(&policy, 0));
        let mut policies = outcomes;
        let after_fixed = usize::from(self.fixed.is_some());
        policies.splice(after_fixed..after_fixed, usual);
        PolicyComparison {
            requests: self.trace.len() as u64,
            duration_ns: Nanos::from_nanos(self.trace.duration_ns()),
            drawn,
            policies,
            pareto: self.pareto(),
            basis: self.basis("each policy on the same arrivals, with the same chances"),
        }
    }

    fn pareto(&self) -> Vec<ParetoPoint> {
        let formula = self.alternatives.warm.standby.value;
        let standby = self.replayed.as_ref().map_or(formula, |found| found.standby.value);
        pareto(&self.scenario(), &self.planned, (2 * standby).max(formula).clamp(3, MOST_STANDBY))
    }
}

/// The name of the plan as no autoscaler carries it out.
const EXACTLY: &str = "plan, exactly";
