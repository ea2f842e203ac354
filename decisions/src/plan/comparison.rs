//! The plan and its alternatives, simulated on the same trace.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::PlanRequest;
use super::serving_plan::ServingPlan;
use crate::autoscaler::{Autoscaler, Signal as Watched};
use crate::basis::Quantity;
use crate::capacity::{PlanError, Planner, Warm};
use crate::measured::ColdStart;
use crate::scaling::{Behavior, Hpa, PolicyKind, ScalingPolicy, ScalingRules, SelectPolicy, TargetKind};
use crate::service::ServiceModel;
use crate::simulate::{
    Metric, Monitoring, ParetoPoint, Planned, Policy, PolicyOutcome, Prices, Rule, Scenario, Signal,
    autoscaled, largest_rates, pareto, usual_policies,
};
use crate::traffic::{Trace, Traffic};

/// No more standby than this is tried.
const MOST_STANDBY: u32 = 40;
/// Numbers are simulated over an hour, but not over more requests than this.
const MOST_REQUESTS: f64 = 500_000.0;
/// What several policies do with one trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyComparison {
    /// Requests of the trace.
    pub requests: u64,
    /// From the first arrival to the last.
    pub duration_ns: Nanos,
    /// Whether the trace was drawn from numbers (Poisson arrivals).
    pub drawn: bool,
    /// What each policy did, the usual ones first, then the plan's.
    pub policies: Vec<PolicyOutcome>,
    /// The plan with more and with less standby.
    pub pareto: Vec<ParetoPoint>,
}

/// A stretch of the traffic under one policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// When it begins.
    pub from_ns: Nanos,
    /// Requests per second that arrived in it.
    pub arrivals_per_s: f64,
    /// Of those, per second, that missed a bound.
    pub missed_per_s: f64,
    /// The fewest ready replicas in it.
    pub ready: u32,
    /// What those certainly carry: ready × μ_SLA.
    pub capacity_per_s: f64,
}

impl ServingPlan {
    /// What arrived, what was ready and what missed, stretch by stretch.
    pub fn over_time(&self, policy: &PolicyOutcome) -> Vec<Moment> {
        let seconds = policy.slice_ns.as_secs_f64();
        let carries = self.capacity.bound.rate_per_s.value;
        let mut timeline = policy.timeline.iter().peekable();
        let mut ready = 0;
        let mut moments = Vec::with_capacity(policy.slices.len());
        for (slice, index) in policy.slices.iter().zip(0u64..) {
            let from = policy.slice_ns.as_nanos().saturating_mul(index);
            let until = from.saturating_add(policy.slice_ns.as_nanos());
            let mut fewest = ready;
            while let Some(at) = timeline.next_if(|at| at.time_ns.as_nanos() < until) {
                // What changes right at the begin holds for all of the stretch.
                let begins = at.time_ns.as_nanos() <= from;
                ready = at.ready;
                fewest = if begins { ready } else { fewest.min(ready) };
            }
            let per_s = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
            moments.push(Moment {
                from_ns: Nanos::from_nanos(from),
                arrivals_per_s: per_s(slice.requests),
                missed_per_s: per_s(slice.missed),
                ready: fewest,
                capacity_per_s: f64::from(fewest) * carries,
            });
        }
        moments
    }
}

/// What the comparison is made of.
pub(super) struct Alternatives<'a> {
    pub(super) planner: &'a Planner<'a>,
    pub(super) service: &'a ServiceModel,
    pub(super) cold: &'a ColdStart,
    pub(super) warm: &'a Warm,
    pub(super) autoscaler: &'a Autoscaler,
    pub(super) request: &'a PlanRequest,
}

impl Alternatives<'_> {
    /// Simulates every policy, the plan's with so many standing by.
    ///
    /// # Errors
    /// When the traffic gives no trace, or a rate of the plan's table can't be carried.
    pub(super) fn compare(&self, traffic: &Traffic, standby: u32) -> Result<PolicyComparison, PlanError> {
        let drawn = !matches!(traffic, Traffic::Trace(_));
        let trace = traffic.to_trace(self.duration(traffic), self.request.seed)?;
        let starts = self.starts_ns(1.0);
        let scenario = self.scenario(&trace, &starts);
        let planned = Planned { standby, ..self.planned(self.table(traffic)?) };
        let policies = self.policies(&planned).into_iter().map(|policy| {
            // What stands by is there from the start.
            let more = if matches!(policy.rule, Rule::Planned(_)) { standby } else { 0 };
            let initial_replicas = scenario.initial_replicas.saturating_add(more);
            autoscaled(&Scenario { initial_replicas, ..scenario }, &policy)
        });
        let policies = policies.collect();
        Ok(PolicyComparison {
            requests: trace.len() as u64,
            duration_ns: Nanos::from_nanos(trace.duration_ns()),
            drawn,
            policies,
            pareto: pareto(
                &scenario,
                &planned,
                (2 * standby).max(self.warm.standby.value).clamp(3, MOST_STANDBY),
            ),
        })
    }

    /// From the order until a replica is ready: a node where one has to come, and each cold start, `factor` times as long.
    pub(super) fn starts_ns(&self, factor: f64) -> Vec<Nanos> {
        let node = self.request.cluster.provisioning_ns;
        let start =
            |total: &Nanos| Nanos::from_nanos_f64(total.as_nanos() as f64 * factor).saturating_add(node);
        self.cold.totals_ns.iter().map(start).collect()
    }

    /// An hour; less where that would be too many requests.
    fn duration(&self, traffic: &Traffic) -> Nanos {
        let most = match traffic {
            Traffic::Steady(steady) => steady.rate_per_s,
            Traffic::Ramp(ramp) => ramp.peak_per_s,
            Traffic::Trace(_) => 0.0,
        };
        let seconds = if most > 0.0 { (MOST_REQUESTS / most).min(3600.0) } else { 3600.0 };
        Nanos::from_nanos_f64(seconds * 1e9)
    }

    /// `starts_ns` are the times that replicas take until they are ready, of which each draws one.
    pub(super) fn scenario<'t>(&'t self, trace: &'t Trace, starts_ns: &'t [Nanos]) -> Scenario<'t> {
        let prices = self.request.prices;
        Scenario {
            service: self.service,
            sla: &self.request.sla,
            trace,
            dispatch: self.request.dispatch,
            cold_starts: starts_ns,
            initial_replicas: self.warm.replicas_now.value,
            monitoring: Monitoring {
                scrape_ns: self.request.cluster.scrape_interval_ns,
                window_ns: self.request.cluster.query_window_ns,
            },
            prices: prices
                .replica_hour
                .map(|replica_hour| Prices { replica_hour, missed_request: prices.miss.unwrap_or(0.0) }),
            seed: self.request.seed,
        }
    }

    /// The usual ones, then the plan's two ways to cover the growth: headroom in the target, and standby.
    fn policies(&self, planned: &Planned) -> Vec<Policy> {
        let named = |name: &str, rule| Policy { name: name.to_owned(), rule };
        let bound = self.service.bound(&self.request.sla, self.planner.size());
        let hpa = self.hpa(Behavior::default());
        let mut policies = usual_policies(&hpa, &bound, &self.request.sla, self.warm.replicas_peak.value);
        if let Some(rate) = self.target(Watched::RequestRate) {
            let metric = Metric {
                signal: Signal::RequestRate,
                target: rate,
                target_kind: TargetKind::AverageValue,
                activation: 0.0,
            };
            let rule = Rule::Hpa { hpa: self.hpa(self.behavior()), metrics: vec![metric] };
            policies.push(named("plan: rate with headroom", rule));
        }
        policies.push(named("plan: standby", Rule::Planned(planned.clone())));
        policies
    }

    /// The plan's target of a signal as a plain number.
    fn target(&self, signal: Watched) -> Option<f64> {
        let target = self.autoscaler.targets.iter().find(|target| target.signal == signal)?;
        match target.value.as_ref()?.value {
            Quantity::PerSecond(value) | Quantity::Number(value) => Some(value),
            _ => None,
        }
    }

    fn hpa(&self, behavior: Behavior) -> Hpa {
        let cluster = &self.request.cluster;
        let seconds = cluster.sync_interval_ns.as_nanos().div_ceil(1_000_000_000);
        let (min, max) = (self.autoscaler.min_replicas.value, self.autoscaler.max_replicas.value);
        Hpa {
            behavior,
            tolerance: cluster.tolerance,
            sync_seconds: u32::try_from(seconds).unwrap_or(u32::MAX).max(1),
            ..Hpa::new(min, max)
        }
    }

    fn behavior(&self) -> Behavior {
        let behaviour = &self.autoscaler.behaviour;
        let rules = |policy: &crate::autoscaler::PodsPolicy, window: u32| ScalingRules {
            stabilization_window_seconds: window,
            select_policy: SelectPolicy::Max,
            policies: vec![ScalingPolicy {
                kind: PolicyKind::Pods,
                value: policy.pods.value,
                period_seconds: policy.period_s.value,
            }],
        };
        Behavior {
            scale_up: rules(&behaviour.scale_up, behaviour.scale_up_window_s.value),
            scale_down: rules(&behaviour.scale_down, behaviour.scale_down_window_s.value),
        }
    }

    /// The largest rate that 1, 2, 3 … replicas carry.
    pub(super) fn table(&self, traffic: &Traffic) -> Result<Vec<f64>, PlanError> {
        let most = self.autoscaler.largest_per_s.max(self.warm.peak_per_s.value);
        let search = self.planner.search();
        Ok(largest_rates(self.service, &self.request.sla, traffic.sizes(), search, most)?)
    }

    pub(super) fn planned(&self, largest_rates_per_s: Vec<f64>) -> Planned {
        let seconds = |count: u32| Nanos::from_secs(u64::from(count));
        let most = self.autoscaler.max_replicas.value;
        Planned {
            largest_rates_per_s,
            standby: self.warm.standby.value,
            min_replicas: 1,
            // What stands by comes on top of what the largest rate needs, unless the cluster has no more.
            max_replicas: self
                .request
                .cluster
                .max_replicas
                .unwrap_or_else(|| most.saturating_add(2 * self.warm.standby.value.max(2))),
            period_ns: self.request.cluster.sync_interval_ns,
            scale_down_window_ns: seconds(self.autoscaler.behaviour.scale_down_window_s.value),
        }
    }
}
