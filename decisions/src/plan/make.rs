//! From profiles, traffic and a request to a plan.

use coldstart_profiles::Nanos;

use super::alternatives::Alternatives;
use super::caveats::Known;
use super::comparison::PolicyComparison;
use super::courses::Courses;
use super::format::PlanFormat;
use super::line::wanted_of_numbers;
use super::outlook::outlooks;
use super::places::{affinity_of, locality_of, mitigations_of};
use super::replay::Replay;
use super::request::PlanRequest;
use super::serving_plan::{Capacity, ServicePlan, ServingPlan};
use crate::autoscaler::{Autoscaler, KeepAlive, Situation, Wanted, keep_alive};
use crate::basis::{Basis, Figure, Quantity};
use crate::capacity::{Demand, LeadTime, PlanError, Planner, SlaBound, Warm, sensitivity};
use crate::measured::{Distinct, Fleet, Measured, NamedProfile};
use crate::mitigations::Mitigation;
use crate::service::{RequestSize, ServiceModel};
use crate::traffic::{RateSeries, Trace, Traffic};

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
    let distinct = Distinct::of(profiles);
    let fleet = Fleet::of(&distinct.named(), &request.by_hand, request.allow_stand_in)?;
    let measured = fleet.class(request.node_class.as_deref())?;
    let (cold, (model, basis)) = (measured.cold_start()?, service_of(measured, traffic, &request)?);
    let planner = Planner::new(demand(traffic, &request), &model, &basis, &request.cluster)?;
    let lead_time = LeadTime::new(&request.cluster, &cold.hi_ns);
    let (bound, warm) = (planner.bound(), planner.warm(&lead_time)?);
    let Settings { keep_alive, autoscaler } =
        Settings::of(measured, traffic, &request, &planner, (&lead_time, &bound, &warm))?;
    let alternatives = Alternatives {
        planner: &planner,
        service: &model,
        measured,
        cold,
        warm: &warm,
        autoscaler: &autoscaler,
        keep_alive: &keep_alive,
        request: &request,
    };
    let Replays { wanted, courses, comparison, capacity, mitigations, of_numbers } =
        Replays::of(&alternatives, traffic, bound)?;
    let summary = traffic.summary(request.window_ns);
    let service = ServicePlan { size: planner.size(), model: model.clone(), basis: basis.clone() };
    let locality = locality_of(measured, cold, &capacity.warm, &request);
    let known = Known {
        distinct: &distinct,
        alternatives: &alternatives,
        locality: &locality,
        service: &service,
        courses: courses.as_ref(),
        of_numbers: of_numbers.as_deref(),
    };
    Ok(ServingPlan {
        format: PlanFormat::CURRENT,
        tool_version: tool_version.to_owned(),
        node_class: measured.class.name.clone(),
        caveats: known.caveats(&summary, &capacity).into_iter().chain(fleet.kinds_differ()).collect(),
        traffic: summary,
        service,
        lead_time,
        locality,
        affinity: affinity_of(&fleet),
        classes: outlooks(&fleet, measured, traffic, &request, &capacity),
        capacity,
        mitigations,
        autoscaler,
        wanted,
        courses,
        keep_alive,
        comparison,
        request: request.clone(),
        fleet: fleet.clone(),
    })
}

/// What the autoscaler is told.
pub(super) struct Settings {
    pub(super) keep_alive: KeepAlive,
    pub(super) autoscaler: Autoscaler,
}

impl Settings {
    pub(super) fn of(
        measured: &Measured,
        traffic: &Traffic,
        request: &PlanRequest,
        planner: &Planner<'_>,
        (lead, bound, warm): (&LeadTime, &SlaBound, &Warm),
    ) -> Result<Self, PlanError> {
        let situation = Situation {
            service: planner.service(),
            sla: &request.sla,
            size: planner.size(),
            cluster: &request.cluster,
            bound,
            warm,
            lead,
            cold_start: &lead.cold_start_ns,
            memory: &measured.memory,
            host: measured.class.on_host(),
        };
        Ok(Settings {
            keep_alive: keep_alive(&situation, &request.prices, traffic),
            autoscaler: Autoscaler::derive(&situation, planner, ends(traffic, request))?,
        })
    }
}

/// What replays of the traffic say.
struct Replays {
    wanted: Option<Wanted>,
    courses: Option<Courses>,
    comparison: Option<PolicyComparison>,
    capacity: Capacity,
    mitigations: Vec<Mitigation>,
    /// Of numbers: what was replayed in their place, or why nothing was.
    of_numbers: Option<String>,
}

impl Replays {
    /// A trace is replayed, numbers as a trace that is drawn of them, where that says something.
    fn of(alternatives: &Alternatives<'_>, traffic: &Traffic, bound: SlaBound) -> Result<Self, PlanError> {
        let (request, warm) = (alternatives.request, alternatives.warm);
        let (drawn, of_numbers) = match traffic {
            Traffic::Trace(_) => (None, None),
            _ => match alternatives.drawn(traffic) {
                Ok(trace) => {
                    let said = replayed_numbers(traffic, &trace);
                    (Some(trace), Some(said))
                }
                Err(why) => {
                    (None, Some(format!("nothing was replayed: {why}: give --trace, or other numbers")))
                }
            },
        };
        let trace = if let Traffic::Trace(trace) = traffic { Some(trace) } else { drawn.as_ref() };
        let replay = trace
            .map(|trace| {
                let table = alternatives.table(traffic)?;
                Ok::<_, PlanError>(Replay::new(alternatives, trace, table, drawn.is_some()))
            })
            .transpose()?;
        let (wanted, fewest) = match &replay {
            Some(replay) => {
                let (wanted, fewest) = replay.wanted();
                (Some(wanted), fewest)
            }
            None => (wanted_of_numbers(alternatives, traffic), None),
        };
        let (courses, outcomes) = replay
            .as_ref()
            .zip(wanted.as_ref())
            .map(|(replay, wanted)| replay.courses((wanted, fewest), request.simulate))
            .unzip();
        let comparison = (replay.as_ref().filter(|_| request.simulate).zip(outcomes))
            .map(|(replay, outcomes)| replay.comparison(outcomes, drawn.is_some()));
        // Standby and fixed number of numbers are those of the formula: what was drawn is one of many draws, and compares.
        let of_trace = replay.as_ref().filter(|_| drawn.is_none());
        let replayed = of_trace.and_then(|replay| replay.replayed.as_ref());
        let (replayed_standby, replayed_peak) =
            replayed.map(|found| (found.standby.clone(), found.peak.clone())).unzip();
        let standby = replayed_standby.as_ref().map_or(warm.standby.value, |replayed| replayed.value);
        let replayed_at = |factor: f64| of_trace?.standby_at(factor, standby);
        let cold = alternatives.cold;
        let capacity = Capacity {
            sensitivity: sensitivity(alternatives.planner, &cold.hi_ns, replayed_at)?,
            cost_per_hour: cost_per_hour(warm, replayed_standby.as_ref(), request),
            replayed_standby,
            replayed_peak,
            fixed_replicas: of_trace.and_then(Replay::fixed),
            bound,
            warm: warm.clone(),
        };
        let mitigations =
            mitigations_of(alternatives.measured, cold, alternatives.planner, request, replayed_at);
        Ok(Replays { wanted, courses, comparison, capacity, mitigations, of_numbers })
    }
}

pub(super) fn demand<'a>(traffic: &'a Traffic, request: &'a PlanRequest) -> Demand<'a> {
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
pub(super) fn service_of(
    measured: &Measured,
    traffic: &Traffic,
    request: &PlanRequest,
) -> Result<(ServiceModel, Basis), PlanError> {
    let size = traffic.sizes().mean();
    let told = match traffic {
        Traffic::Trace(trace) => trace.has_tokens(),
        Traffic::Steady(_) | Traffic::Ramp(_) => size != RequestSize::ONE,
    };
    let tokens_in = told.then_some(size.tokens_in);
    let (memory, most) = (&measured.memory, request.max_batch);
    let found = match &request.by_hand.service {
        Some(given) => given.model(memory, most)?,
        None => measured.service.model(memory, tokens_in, most)?,
    };
    if tokens_in.is_none() && matches!(found.0, ServiceModel::LanguageModel(_)) {
        return Err(PlanError::NoSizes);
    }
    Ok(found)
}

/// What stands in for numbers in a replay.
fn replayed_numbers(traffic: &Traffic, trace: &Trace) -> String {
    let ramp = match traffic {
        Traffic::Ramp(_) => {
            ", the ramp from a quarter of that on: how long its peak lasts is part of the replica-hours"
        }
        Traffic::Steady(_) | Traffic::Trace(_) => "",
    };
    format!(
        "the numbers are replayed as {} Poisson arrivals over {}{ramp}: --trace replays your own traffic",
        trace.len(),
        Nanos::from_nanos(trace.duration_ns())
    )
}

/// The lowest and the largest rate: of a trace the rate at the complement of the quantile, and that of its busiest window.
fn ends(traffic: &Traffic, request: &PlanRequest) -> (f64, Figure<f64>) {
    let largest = |per_s: f64, formula: &str, flag: &str| {
        Figure::new(per_s, Basis::of(formula).input("given", Quantity::Text(flag.to_owned())))
    };
    match traffic {
        Traffic::Steady(steady) => (steady.rate_per_s, largest(steady.rate_per_s, "the rate", "--rate")),
        Traffic::Ramp(ramp) => (ramp.base_per_s, largest(ramp.peak_per_s, "the peak of the ramp", "--peak")),
        Traffic::Trace(trace) => {
            let rates = RateSeries::new(trace, request.window_ns.as_nanos());
            let mut values = rates.values().to_vec();
            values.sort_by(f64::total_cmp);
            let rank = ((values.len() as f64 * (1.0 - request.quantile)).ceil() as usize).max(1);
            let basis = Basis::of("the largest rate of a window of the trace")
                .input("window", Quantity::Nanos(request.window_ns))
                .input("requests", Quantity::Count(trace.len() as u64));
            (values.get(rank - 1).copied().unwrap_or(0.0), Figure::new(rates.peak_per_s(), basis))
        }
    }
}

fn cost_per_hour(warm: &Warm, replayed: Option<&Figure<u32>>, request: &PlanRequest) -> Option<Figure<f64>> {
    let price = request.prices.replica_hour?;
    let (field, standby) = match replayed {
        Some(standby) => ("capacity.replayed_standby", standby),
        None => ("capacity.warm.standby", &warm.standby),
    };
    let (now, count) = (&warm.replicas_now, |figure: &Figure<u32>| Quantity::Count(u64::from(figure.value)));
    let kept = now.value.saturating_add(standby.value);
    let limit = request.cluster.max_replicas.filter(|most| *most < kept);
    let formula = match limit {
        None => "(replicas(λ_now) + standby) × price of a replica-hour",
        Some(_) => "min(replicas(λ_now) + standby, --max-replicas) × price of a replica-hour",
    };
    let basis = Basis::of(formula)
        .figure("replicas(λ_now)", count(now), "capacity.warm.replicas_now", &now.basis)
        .figure("standby", count(standby), field, &standby.basis)
        .input("price of a replica-hour", Quantity::Number(price));
    let basis = match limit {
        None => basis,
        Some(most) => basis.input("--max-replicas", Quantity::Count(u64::from(most))),
    };
    Some(Figure::new(f64::from(limit.unwrap_or(kept)) * price, basis))
}
