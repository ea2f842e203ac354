//! The same question for every class of nodes of a fleet.

use super::alternatives::Alternatives;
use super::make::{Settings, demand, service_of};
use super::replay::Replay;
use super::request::PlanRequest;
use super::serving_plan::{Capacity, ClassOutlook};
use crate::basis::{Basis, Figure, Quantity};
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
    rate_per_s: Figure<f64>,
    replicas_peak: Figure<u32>,
    standby: Figure<u32>,
    replayed_standby: Option<Figure<u32>>,
    fixed_replicas: Option<Figure<u32>>,
}

impl Answer {
    fn of_plan(capacity: &Capacity) -> Self {
        Answer {
            rate_per_s: capacity.bound.rate_per_s.clone(),
            replicas_peak: capacity.warm.replicas_peak.clone(),
            standby: capacity.warm.standby.clone(),
            replayed_standby: capacity.replayed_standby.clone(),
            fixed_replicas: capacity.fixed_replicas.clone(),
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
            Traffic::Trace(trace) => {
                Some(Replay::new(&alternatives, trace, alternatives.table(traffic)?, false))
            }
            Traffic::Steady(_) | Traffic::Ramp(_) => None,
        };
        let replayed = replay.as_ref().and_then(|replay| replay.replayed.as_ref());
        // The fields that its inputs are named after are those of the class that the plan is for.
        let apart = |figure: &Figure<u32>| Figure::new(figure.value, figure.basis.clone().apart());
        Ok(Answer {
            rate_per_s: Figure::new(bound.rate_per_s.value, bound.rate_per_s.basis.apart()),
            replicas_peak: apart(&warm.replicas_peak),
            standby: apart(&warm.standby),
            replayed_standby: replayed.map(|found| apart(&found.standby)),
            fixed_replicas: replay.as_ref().and_then(Replay::fixed).map(|figure| apart(&figure)),
        })
    }
}

fn outlook(measured: &Measured, found: Result<Answer, PlanError>) -> ClassOutlook {
    let cold = measured.cold_starts.first();
    let nodes = nodes(measured);
    let answer = found.as_ref().ok();
    ClassOutlook {
        node_class: measured.class.name.clone(),
        nodes,
        cold_median_ns: cold.map(|cold| cold.median_ns.clone()),
        cold_hi_ns: cold.map(|cold| cold.hi_ns.clone()),
        rate_per_s: answer.map(|answer| answer.rate_per_s.clone()),
        replicas_peak: answer.map(|answer| answer.replicas_peak.clone()),
        standby: answer.map(|answer| answer.standby.clone()),
        replayed_standby: answer.and_then(|answer| answer.replayed_standby.clone()),
        fixed_replicas: answer.and_then(|answer| answer.fixed_replicas.clone()),
        why: found.as_ref().err().map(|error| format!("failed to {error}")),
    }
}

/// How many nodes were measured; of pods alone, how many they ran on.
fn nodes(measured: &Measured) -> Figure<usize> {
    let (formula, mut hosts, names): (&str, Vec<&str>, Vec<&str>) = match measured.profiles.as_slice() {
        [] => (
            "nodes of the pods, each once",
            measured.pods.iter().flat_map(|pods| &pods.nodes).map(String::as_str).collect(),
            measured.pods.iter().map(|pods| pods.name.as_str()).collect(),
        ),
        profiles => (
            "hosts of the profiles, each once",
            profiles.iter().map(|profile| profile.host.as_str()).collect(),
            profiles.iter().map(|profile| profile.name.as_str()).collect(),
        ),
    };
    hosts.sort_unstable();
    hosts.dedup();
    Figure::new(hosts.len(), Basis::of(formula).input("profiles", Quantity::Text(names.join(", "))))
}
