//! How many must stand by, found by replaying the trace: with the cold start as it is, and with another.

use super::comparison::Alternatives;
use crate::basis::{Basis, Figure, Quantity};
use crate::capacity::PlanError;
use crate::simulate::{Load, Planned, Standby, replicas_for, standby_for};
use crate::traffic::{Trace, Traffic};

/// What a replay of the trace found.
pub(super) struct Replayed {
    /// The fewest replicas standing by with which the plan meets the SLA.
    pub(super) standby: Figure<u32>,
    /// The most replicas that it then had at once, without those.
    pub(super) peak: Figure<u32>,
}

/// The plan on the trace that it is made for.
pub(super) struct Replay<'a> {
    alternatives: &'a Alternatives<'a>,
    trace: &'a Trace,
    planned: Planned,
}

impl<'a> Replay<'a> {
    /// `None` for numbers: nothing is there to be replayed.
    ///
    /// # Errors
    /// When a rate of the plan's table can't be carried.
    pub(super) fn new(
        alternatives: &'a Alternatives<'a>,
        traffic: &'a Traffic,
    ) -> Result<Option<Self>, PlanError> {
        let Traffic::Trace(trace) = traffic else { return Ok(None) };
        let planned = alternatives.planned(alternatives.table(traffic)?);
        Ok(Some(Replay { alternatives, trace, planned }))
    }

    /// The fewest replicas standing by with which the plan meets the SLA; the difference of two replica counts is where the search
    /// begins. `None` where no standby is enough.
    pub(super) fn replayed(&self) -> Option<Replayed> {
        let formula = &self.alternatives.warm.standby;
        let found = self.search(1.0, formula.value)?;
        let cold = self.alternatives.cold;
        let basis = Basis::of(
            "the fewest standing by with which replicas(rate) + standby meets the SLA on the trace, replayed",
        )
        .figure(
            "search from",
            Quantity::Count(u64::from(formula.value)),
            "capacity.warm.standby",
            &formula.basis,
        )
        .figure("C", Quantity::Nanos(cold.median_ns.value), "lead_time.cold_start_ns", &cold.hi_ns.basis)
        .input("replays", Quantity::Count(u64::from(found.simulations)))
        .input("seed", Quantity::Count(self.alternatives.request.seed));
        let peak = found.outcome.peak_replicas.saturating_sub(found.standby);
        let peak_basis = Basis::of("the most that replicas(rate) came to on the trace, replayed").figure(
            "standby",
            Quantity::Count(u64::from(found.standby)),
            "capacity.replayed_standby",
            &basis,
        );
        Some(Replayed { standby: Figure::new(found.standby, basis), peak: Figure::new(peak, peak_basis) })
    }

    /// The fewest replicas with which the SLA holds on the trace when their number never changes; `None` where none are enough.
    pub(super) fn fixed(&self) -> Option<Figure<u32>> {
        let (sla, planner) = (&self.alternatives.request.sla, self.alternatives.planner);
        let found =
            replicas_for(self.alternatives.service, sla, Load::Trace(self.trace), planner.search()).ok()?;
        let basis =
            Basis::of("the smallest number that meets the SLA on the trace without ever changing, replayed")
                .input("replays", Quantity::Count(u64::from(found.simulations)))
                .resting_on(&planner.replicas_basis());
        Some(Figure::new(found.replicas, basis))
    }

    /// The same with cold starts `factor` times as long; the search begins at `from`.
    pub(super) fn standby_at(&self, factor: f64, from: u32) -> Option<u32> {
        Some(self.search(factor, from)?.standby)
    }

    fn search(&self, factor: f64, from: u32) -> Option<Standby> {
        let starts = self.alternatives.starts_ns(factor);
        standby_for(&self.alternatives.scenario(self.trace, &starts), &self.planned, from).ok()
    }
}
