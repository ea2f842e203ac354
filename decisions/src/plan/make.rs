//! From profiles, traffic and a request to a plan.

use coldstart_profiles::Nanos;

use super::caveats::Known;
use super::comparison::Alternatives;
use super::format::PlanFormat;
use super::places::{affinity_of, locality_of, mitigations_of};
use super::replay::Replay;
use super::request::PlanRequest;
use super::serving_plan::{Capacity, ClassOutlook, ServicePlan, ServingPlan};
use crate::autoscaler::{Autoscaler, Situation, keep_alive};
use crate::basis::{Basis, Figure, Quantity};
use crate::capacity::{Demand, LeadTime, PlanError, Planner, Warm, sensitivity};
use crate::measured::{Fleet, Measured, NamedProfile};
use crate::service::{RequestSize, ServiceModel};
use crate::traffic::{RateSeries, Traffic, TrafficSummary};

/// Makes a plan. Pure: the same for the same arguments.
///
/// # Errors
/// When the profiles can't be planned with or lack a phase that it takes, when the traffic or the service level is none, and when no
/// number of replicas, or more than there may be, would meet it.
pub fn make_plan(
    profiles: &[NamedProfile<'_>],
    traffic: &Traffic,
    request: PlanRequest,
    tool_version: &str,
) -> Result<ServingPlan, PlanError> {
    let fleet = Fleet::of(profiles, &request.by_hand, request.allow_stand_in)?;
    let measured = fleet.class(request.node_class.as_deref())?;
    let cold = measured.cold_start()?;
    let (service, service_basis) = service_of(measured, traffic, &request)?;
    let planner = Planner::new(demand(traffic, &request), &service, &service_basis, &request.cluster)?;
    let lead_time = LeadTime::new(&request.cluster, &cold.hi_ns);
    let bound = planner.bound();
    let warm = planner.warm(&lead_time)?;
    let summary = traffic.summary(request.window_ns);
    let situation = Situation {
        service: &service,
        sla: &request.sla,
        size: planner.size(),
        cluster: &request.cluster,
        bound: &bound,
        warm: &warm,
        lead: &lead_time,
        cold_start: &lead_time.cold_start_ns,
        memory: &measured.memory,
    };
    let keep_alive = keep_alive(&situation, &request.prices, longest_gap(&summary));
    let ends = ends(traffic, &request);
    let autoscaler = Autoscaler::derive(&situation, &planner, ends, keep_alive.break_even_ns.as_ref())?;
    let alternatives = Alternatives {
        planner: &planner,
        service: &service,
        cold,
        warm: &warm,
        autoscaler: &autoscaler,
        request: &request,
    };
    let replay = Replay::new(&alternatives, traffic)?;
    let replayed = replay.as_ref().and_then(Replay::replayed);
    let (replayed_standby, replayed_peak) = replayed.map(|found| (found.standby, found.peak)).unzip();
    let standby = replayed_standby.as_ref().map_or(warm.standby.value, |replayed| replayed.value);
    // A trace is asked for other cold starts, too; numbers have the formula.
    let replayed_at = |factor: f64| replay.as_ref()?.standby_at(factor, standby);
    let comparison = request.simulate.then(|| alternatives.compare(traffic, standby)).transpose()?;
    let mitigations = mitigations_of(measured, cold, &planner, &request, replayed_at);
    let capacity = Capacity {
        sensitivity: sensitivity(&planner, cold.hi_ns.value, replayed_at)?,
        cost_per_hour: cost_per_hour(&warm, replayed_standby.as_ref(), request.prices.replica_hour),
        replayed_standby,
        replayed_peak,
        fixed_replicas: replay.as_ref().and_then(Replay::fixed),
        bound,
        warm,
    };
    let service = ServicePlan { size: planner.size(), model: service.clone(), basis: service_basis.clone() };
    let largest_per_s = autoscaler.largest_per_s;
    let known =
        Known { measured, cold, request: &request, planner: &planner, service: &service, largest_per_s };
    let caveats = known.caveats(&summary, &capacity);
    let classes = fleet.classes.iter().map(|class| {
        let known = (class.class.name == measured.class.name).then_some(&planner);
        outlook(class, traffic, &request, known)
    });
    let classes = classes.collect();
    Ok(ServingPlan {
        format: PlanFormat::CURRENT,
        tool_version: tool_version.to_owned(),
        node_class: measured.class.name.clone(),
        traffic: summary,
        service,
        lead_time,
        locality: locality_of(measured, cold, &capacity.warm, &request),
        capacity,
        affinity: affinity_of(&fleet),
        mitigations,
        autoscaler,
        keep_alive,
        classes,
        comparison,
        caveats,
        request: request.clone(),
        fleet: fleet.clone(),
    })
}

fn demand<'a>(traffic: &'a Traffic, request: &'a PlanRequest) -> Demand<'a> {
    Demand {
        traffic,
        sla: &request.sla,
        window: request.window_ns,
        quantile: request.quantile,
        dispatch: request.dispatch,
        seed: request.seed,
    }
}

/// The service model of a class; a language model needs to know how long requests are.
fn service_of(
    measured: &Measured,
    traffic: &Traffic,
    request: &PlanRequest,
) -> Result<(ServiceModel, Basis), PlanError> {
    let size = traffic.sizes().mean();
    let tokens_in = (size != RequestSize::ONE).then_some(size.tokens_in);
    let found = measured.service.model(&measured.memory, tokens_in, request.max_batch)?;
    if tokens_in.is_none() && matches!(found.0, ServiceModel::LanguageModel(_)) {
        return Err(PlanError::NoSizes);
    }
    Ok(found)
}

/// The lowest and the largest rate: of a trace the rate at the complement of the quantile, and that of its busiest window.
fn ends(traffic: &Traffic, request: &PlanRequest) -> (f64, f64) {
    match traffic {
        Traffic::Steady(steady) => (steady.rate_per_s, steady.rate_per_s),
        Traffic::Ramp(ramp) => (ramp.base_per_s, ramp.peak_per_s),
        Traffic::Trace(trace) => {
            let rates = RateSeries::new(trace, request.window_ns.as_nanos());
            let mut values = rates.values().to_vec();
            values.sort_by(f64::total_cmp);
            let rank = ((values.len() as f64 * (1.0 - request.quantile)).ceil() as usize).max(1);
            (values.get(rank - 1).copied().unwrap_or(0.0), rates.peak_per_s())
        }
    }
}

fn longest_gap(summary: &TrafficSummary) -> Option<Nanos> {
    match summary {
        TrafficSummary::Trace { longest_gap_ns, .. } => Some(*longest_gap_ns),
        TrafficSummary::Steady(_) | TrafficSummary::Ramp(_) => None,
    }
}

fn cost_per_hour(
    warm: &Warm,
    replayed: Option<&Figure<u32>>,
    replica_hour: Option<f64>,
) -> Option<Figure<f64>> {
    let price = replica_hour?;
    let (field, standby) = match replayed {
        Some(standby) => ("capacity.replayed_standby", standby),
        None => ("capacity.warm.standby", &warm.standby),
    };
    let (now, count) = (&warm.replicas_now, |figure: &Figure<u32>| Quantity::Count(u64::from(figure.value)));
    let basis = Basis::of("(replicas(λ_now) + standby) × price of a replica-hour")
        .figure("replicas(λ_now)", count(now), "capacity.warm.replicas_now", &now.basis)
        .figure("standby", count(standby), field, &standby.basis)
        .input("price of a replica-hour", Quantity::Number(price));
    Some(Figure::new((f64::from(now.value) + f64::from(standby.value)) * price, basis))
}

/// The same question for one class, as plain numbers; `known` has the answers for the one that the plan is for.
fn outlook(
    measured: &Measured,
    traffic: &Traffic,
    request: &PlanRequest,
    known: Option<&Planner<'_>>,
) -> ClassOutlook {
    let cold = measured.cold_starts.first();
    let mut hosts: Vec<&str> = measured.profiles.iter().map(|profile| profile.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let found = || -> Result<_, PlanError> {
        let cold = measured.cold_start()?;
        if let Some(planner) = known {
            let at = planner.at_cold_start(cold.hi_ns.value)?;
            return Ok((planner.bound().rate_per_s.value, at));
        }
        let (service, basis) = service_of(measured, traffic, request)?;
        let planner = Planner::new(demand(traffic, request), &service, &basis, &request.cluster)?;
        let at = planner.at_cold_start(cold.hi_ns.value)?;
        Ok((planner.bound().rate_per_s.value, at))
    };
    let found = found();
    let number = found.as_ref().ok();
    ClassOutlook {
        node_class: measured.class.name.clone(),
        nodes: hosts.len(),
        cold_median_ns: cold.map(|cold| cold.median_ns.value),
        cold_hi_ns: cold.map(|cold| cold.hi_ns.value),
        rate_per_s: number.map(|(rate, _)| *rate),
        replicas_peak: number.map(|(_, at)| at.replicas_peak),
        standby: number.map(|(_, at)| at.standby),
        why: found.as_ref().err().map(|error| format!("failed to {error}")),
    }
}
