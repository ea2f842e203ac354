//! The same question for every class of nodes of a fleet.

use super::alternatives::Alternatives;
use super::make::{Settings, demand, service_of};
use super::replay::Replay;
use super::request::PlanRequest;
use super::serving_plan::{Capacity, ClassOutlook};
use crate::capacity::{LeadTime, PlanError, Planner};
use crate::measured::{Fleet, Measured};
use crate::traffic::Traffic;

/// The answer for each class; the one that the plan is for has its own.
pub(super) fn outlooks(
    fleet: &Fleet,
    planned: &Measured,
    traffic: &Traffic,
    request: &PlanRequest,
    capacity: &Capacity,
) -> Vec<ClassOutlook> {
    let of = |class: &Measured| {
        let found = match class.class.name == planned.class.name {
            true => Ok(Answer::of_plan(capacity)),
            false => Answer::of(class, traffic, request),
        };
        outlook(class, found)
    };
    fleet.classes.iter().map(of).collect()
}

struct Answer {
    rate_per_s: f64,
    replicas_peak: u32,
    standby: u32,
    replayed_standby: Option<u32>,
    fixed_replicas: Option<u32>,
}

impl Answer {
    fn of_plan(capacity: &Capacity) -> Self {
        Answer {
            rate_per_s: capacity.bound.rate_per_s.value,
            replicas_peak: capacity.warm.replicas_peak.value,
            standby: capacity.warm.standby.value,
            replayed_standby: capacity.replayed_standby.as_ref().map(|figure| figure.value),
            fixed_replicas: capacity.fixed_replicas.as_ref().map(|figure| figure.value),
        }
    }

    fn of(measured: &Measured, traffic: &Traffic, request: &PlanRequest) -> Result<Self, PlanError> {
        let cold = measured.cold_start()?;
        let (service, basis) = service_of(measured, traffic, request)?;
        let planner = Planner::new(demand(traffic, request), &service, &basis, &request.cluster)?;
        let lead = LeadTime::new(&request.cluster, &cold.hi_ns);
        let (bound, warm) = (planner.bound(), planner.warm(&lead)?);
        let Settings { keep_alive, autoscaler } =
            Settings::of(measured, traffic, request, &planner, (&lead, &bound, &warm))?;
        let alternatives = Alternatives {
            planner: &planner,
            service: &service,
            measured,
            cold,
            warm: &warm,
            autoscaler: &autoscaler,
            keep_alive: &keep_alive,
            request,
        };
        let replay = match traffic {
            Traffic::Trace(trace) => Some(Replay::new(&alternatives, trace, alternatives.table(traffic)?)),
            Traffic::Steady(_) | Traffic::Ramp(_) => None,
        };
        let replayed = replay.as_ref().and_then(|replay| replay.replayed.as_ref());
        Ok(Answer {
            rate_per_s: bound.rate_per_s.value,
            replicas_peak: warm.replicas_peak.value,
            standby: warm.standby.value,
            replayed_standby: replayed.map(|found| found.standby.value),
            fixed_replicas: replay.as_ref().and_then(Replay::fixed).map(|figure| figure.value),
        })
    }
}

fn outlook(measured: &Measured, found: Result<Answer, PlanError>) -> ClassOutlook {
    let cold = measured.cold_starts.first();
    let mut hosts: Vec<&str> = measured.profiles.iter().map(|profile| profile.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let answer = found.as_ref().ok();
    ClassOutlook {
        node_class: measured.class.name.clone(),
        nodes: hosts.len(),
        cold_median_ns: cold.map(|cold| cold.median_ns.value),
        cold_hi_ns: cold.map(|cold| cold.hi_ns.value),
        rate_per_s: answer.map(|answer| answer.rate_per_s),
        replicas_peak: answer.map(|answer| answer.replicas_peak),
        standby: answer.map(|answer| answer.standby),
        replayed_standby: answer.and_then(|answer| answer.replayed_standby),
        fixed_replicas: answer.and_then(|answer| answer.fixed_replicas),
        why: found.as_ref().err().map(|error| format!("failed to {error}")),
    }
}
