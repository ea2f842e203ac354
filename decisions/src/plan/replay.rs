//! The plan on the trace that it is made for: how many must stand by, with the cold start as it is and with another; the line that
//! an autoscaler can follow; and what each way to carry it out takes.

use coldstart_profiles::Nanos;

use super::alternatives::Alternatives;
use super::cheapest::Fewest;
use super::comparison::PolicyComparison;
use super::courses::{Course, Courses};
use super::line::{line, wanted};
use crate::autoscaler::{Advice, Signal, Wanted};
use crate::basis::{Basis, Figure, Quantity};
use crate::simulate::{
    Load, ParetoPoint, Planned, Policy, PolicyOutcome, Replicas, Rule, Scenario, Search, Standby, autoscaled,
    carried_out, fewest, fewest_standing_by, meets_sla, pareto, replicas_for, standby_for,
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
    pub(super) alternatives: &'a Alternatives<'a>,
    pub(super) trace: &'a Trace,
    planned: Planned,
    starts_ns: Vec<Nanos>,
    /// Whether the arrivals were drawn of numbers.
    drawn: bool,
    /// `None` where no standby is enough.
    pub(super) replayed: Option<Replayed>,
    fixed: Option<Replicas>,
}

impl<'a> Replay<'a> {
    /// Finds the standby, and the number that would never have to change.
    /// Of arrivals that were `drawn` of numbers the plan is carried out with the standby of the formula, which those numbers ask for: the
    /// fewest that do on one draw are of that draw.
    pub(super) fn new(
        alternatives: &'a Alternatives<'a>,
        trace: &'a Trace,
        table: Vec<f64>,
        drawn: bool,
    ) -> Self {
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
            drawn,
            replayed: None,
            fixed: replicas_for(alternatives.service, sla, Load::Trace(trace), search).ok(),
        };
        replay.replayed = replay.find();
        replay
    }

    fn find(&self) -> Option<Replayed> {
        let formula = &self.alternatives.warm.standby;
        let found = self.search(formula.value)?;
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
    pub(super) fn basis(&self, formula: &str) -> Basis {
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
        if let Some(found) = self.replayed.as_ref().filter(|_| factor == 1.0) {
            return Some(found.standby.value);
        }
        let starts = self.alternatives.starts_ns(factor);
        fewest_standing_by(&self.alternatives.scenario(self.trace, &starts), &self.planned, from).0
    }

    fn search(&self, from: u32) -> Option<Standby> {
        standby_for(&self.scenario(), &self.planned, from).ok()
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

    /// The line with so many standing by that the autoscaler that follows it meets the SLA: the fewest, or more where those are cheaper;
    /// with as many as the plan has where none do.
    pub(super) fn wanted(&self) -> (Wanted, Option<Fewest>) {
        let from =
            self.replayed.as_ref().map_or(self.alternatives.warm.standby.value, |found| found.standby.value);
        let line = line(self.alternatives, &self.planned.largest_rates_per_s);
        let scenario = self.scenario();
        let policy = |standby: u32| {
            let figure = Figure::new(standby, Basis::default());
            self.alternatives.on_plan(&wanted(self.alternatives, line, figure), false)
        };
        let mut replays = 0_u64;
        let found = fewest(0, from, self.planned.max_replicas, |standby| {
            replays += 1;
            let initial_replicas = scenario.initial_replicas.saturating_add(standby);
            meets_sla(&Scenario { initial_replicas, ..scenario }, &policy(standby))
        });
        let Some(least) = found else {
            let basis = self
                .basis(&format!("the fewest {FOLLOWS}"))
                .input("replays", Quantity::Count(replays))
                .caveat("no standby is enough: the autoscaler is too slow for this SLA");
            return (wanted(self.alternatives, line, Figure::new(from, basis)), None);
        };
        // One more stands by all the time.
        let hours_of = |standby: u32, first: &PolicyOutcome| {
            first.replica_hours + f64::from(standby - least) * self.hours()
        };
        let chosen = self.cheapest((least, self.beyond(least)), hours_of, |standby| {
            replays += 1;
            self.run(&policy(standby), standby)
        });
        let formula = match chosen.fewest {
            None => format!("the fewest {FOLLOWS}"),
            Some(_) => format!("of the numbers {FOLLOWS} the cheapest"),
        };
        let basis = self.basis(&formula).input("replays", Quantity::Count(replays));
        (wanted(self.alternatives, line, Figure::new(chosen.replicas, basis)), chosen.fewest)
    }

    /// What every way takes. Without `all` only the fixed number and the plan's own export.
    pub(super) fn courses(
        &self,
        (wanted, fewest): (&Wanted, Option<Fewest>),
        all: bool,
    ) -> (Courses, Vec<PolicyOutcome>) {
        let basis = self.basis("replayed by the algorithms of the horizontal pod autoscaler and KEDA");
        let mut outcomes = Vec::new();
        let mut courses = Vec::new();
        if let Some((course, found)) = self.never_changing(&basis) {
            courses.push(course);
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
            let fewest = fewest.clone().filter(|_| !to_zero);
            courses.push(Course {
                to_zero,
                floor_carries: !to_zero && self.is_floor(min.0),
                fewest,
                ..course
            });
            outcomes.push(found);
        }
        let exactly = self.exactly().map(|mut outcome| {
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

    /// The plan as no autoscaler carries it out, with the standby that it has.
    fn exactly(&self) -> Option<PolicyOutcome> {
        match self.drawn {
            true => Some(carried_out(&self.scenario(), &self.planned, self.alternatives.warm.standby.value)),
            false => self.replayed.as_ref().map(|found| found.outcome.clone()),
        }
    }

    /// The fixed number: the fewest that are enough, or more where misses cost more than those.
    fn never_changing(&self, basis: &Basis) -> Option<(Course, PolicyOutcome)> {
        let enough = self.fixed.as_ref()?.replicas;
        let policy =
            |replicas: u32| Policy { name: format!("static {replicas}"), rule: Rule::Static { replicas } };
        let hours_of = |replicas: u32, _: &PolicyOutcome| f64::from(replicas) * self.hours();
        let chosen =
            self.cheapest((enough, self.beyond(enough)), hours_of, |replicas| self.run(&policy(replicas), 0));
        let least = match chosen.fewest {
            None => "the fewest that meet the SLA without ever changing",
            Some(_) => "the cheapest that meets the SLA without ever changing",
        };
        let course = Course::of(&chosen.outcome, None, (chosen.replicas, least), basis);
        Some((Course { fewest: chosen.fewest, ..course }, chosen.outcome))
    }

    /// An exported target with as many replicas at least as make it meet the SLA at the lowest price. With the fixed number at the latest
    /// any does.
    fn on_signal(&self, signal: Signal, basis: &Basis) -> Option<(Course, PolicyOutcome)> {
        let own = self.alternatives.autoscaler.min_replicas.value;
        let most = self.fixed.as_ref().map_or(self.planned.max_replicas, |fixed| fixed.replicas);
        let policy = |floor| self.alternatives.on_signal(signal, floor);
        policy(1)?;
        let found = fewest(1, own.min(most), most, |floor| {
            policy(floor).is_some_and(|policy| meets_sla(&self.scenario(), &policy))
        });
        let Some(least) = found else {
            let outcome = self.run(&policy(most)?, 0);
            let why = "the most that were tried: with none of them this target meets the SLA on the traffic";
            let course = Course::of(&outcome, Some(signal), (most, why), basis);
            return Some((Course { floor_carries: self.is_floor(most), ..course }, outcome));
        };
        let otherwise = policy(least)?;
        // With as many as the fixed number a threshold only adds to what that takes.
        let below = most.saturating_sub(1).max(least);
        let hours_of = |floor: u32, _: &PolicyOutcome| f64::from(floor) * self.hours();
        let chosen = self.cheapest((least, below), hours_of, |floor| {
            self.run(policy(floor).as_ref().unwrap_or(&otherwise), 0)
        });
        let why = match chosen.fewest {
            None => "the fewest with which this target meets the SLA on the traffic",
            Some(_) => "the cheapest number with which this target meets the SLA on the traffic",
        };
        let course = Course::of(&chosen.outcome, Some(signal), (chosen.replicas, why), basis);
        let floor_carries = self.is_floor(chosen.replicas);
        Some((Course { floor_carries, fewest: chosen.fewest, ..course }, chosen.outcome))
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
        let replayed = self.replayed.as_ref().filter(|_| !self.drawn);
        let standby = replayed.map_or(formula, |found| found.standby.value);
        pareto(&self.scenario(), &self.planned, (2 * standby).max(formula).clamp(3, MOST_STANDBY))
    }
}

/// What the standby of a line is.
const FOLLOWS: &str =
    "standing by with which an autoscaler that follows the line meets the SLA on the trace, replayed";
/// The name of the plan as no autoscaler carries it out.
const EXACTLY: &str = "plan, exactly";
