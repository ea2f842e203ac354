//! What plans and policies are simulated with: the scenario, and the autoscalers that the plan's settings make.

use coldstart_profiles::Nanos;

use super::drawn::length_s;
use super::request::PlanRequest;
use crate::autoscaler::{Autoscaler, KeepAlive, PodsPolicy, Signal as Watched, Wanted};
use crate::basis::Quantity;
use crate::capacity::{LeadTime, PlanError, Planner, Warm};
use crate::measured::{ColdStart, Measured};
use crate::scaling::{
    Behavior, Hpa, Keda, PolicyKind, ScalingPolicy, ScalingRules, SelectPolicy, TargetKind,
};
use crate::service::{ServiceModel, SlaPart};
use crate::simulate::{
    Metric, Monitoring, Planned, Policy, Prices, Rule, Scenario, Signal, largest_rates, usual_policies,
};
use crate::traffic::{Trace, Traffic};

/// One service under one demand, with the settings that follow from them.
pub(super) struct Alternatives<'a> {
    pub(super) planner: &'a Planner<'a>,
    pub(super) service: &'a ServiceModel,
    pub(super) measured: &'a Measured,
    pub(super) cold: &'a ColdStart,
    pub(super) warm: &'a Warm,
    pub(super) autoscaler: &'a Autoscaler,
    pub(super) keep_alive: &'a KeepAlive,
    pub(super) request: &'a PlanRequest,
}

impl Alternatives<'_> {
    /// From the order until a replica is ready: a node where one has to come, and each cold start, `factor` times as long.
    pub(super) fn starts_ns(&self, factor: f64) -> Vec<Nanos> {
        let node = self.request.cluster.provisioning_ns;
        let start =
            |total: &Nanos| Nanos::from_nanos_f64(total.as_nanos() as f64 * factor).saturating_add(node);
        self.cold.totals_ns.iter().map(start).collect()
    }

    /// Poisson arrivals of numbers over a lead time at least, with a ramp that starts after a quarter, reaches its peak, and stays there for
    /// as long; or why there are none to replay.
    pub(super) fn drawn(&self, traffic: &Traffic) -> Result<Trace, String> {
        let lead = LeadTime::new(&self.request.cluster, &self.cold.hi_ns).total_ns.value.as_secs_f64();
        // A trace is as long as it is.
        let seconds = length_s(traffic, lead).unwrap_or(Ok(0.0))?;
        traffic
            .to_trace(Nanos::from_nanos_f64(seconds * 1e9), self.request.seed)
            .map_err(|error| error.to_string())
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

    /// The largest rate that 1, 2, 3 … replicas carry.
    pub(super) fn table(&self, traffic: &Traffic) -> Result<Vec<f64>, PlanError> {
        let most = self.autoscaler.largest_per_s.value.max(self.warm.peak_per_s.value);
        let search = self.planner.search();
        Ok(largest_rates(self.service, &self.request.sla, traffic.sizes(), search, most)?)
    }

    pub(super) fn planned(&self, largest_rates_per_s: Vec<f64>) -> Planned {
        let most = self.autoscaler.max_replicas.value;
        let standby = self.warm.standby.value;
        Planned {
            largest_rates_per_s,
            standby,
            min_replicas: 1,
            // What stands by comes on top of what the largest rate needs, unless the cluster has no more.
            max_replicas: self
                .request
                .cluster
                .max_replicas
                .unwrap_or_else(|| most.saturating_add(2 * standby.max(2))),
            period_ns: self.request.cluster.sync_interval_ns,
            scale_down_window_ns: Nanos::from_secs(u64::from(
                self.autoscaler.behaviour.scale_down_window_s.value,
            )),
        }
    }

    /// What is usually set up without a plan: from one replica on, as fast as Kubernetes does by itself.
    pub(super) fn usual(&self) -> Vec<Policy> {
        let bound = self.service.bound(&self.request.sla, self.planner.size());
        let hpa = self.hpa(Behavior::default(), 1, self.autoscaler.max_replicas.value);
        usual_policies(&hpa, &bound, !self.measured.class.on_host())
    }

    /// The autoscaler on one of the plan's targets, as it is exported, with at least `floor` replicas; `None` where there is no target.
    pub(super) fn on_signal(&self, watched: Watched, floor: u32) -> Option<Policy> {
        let target = self.autoscaler.targets.iter().find(|target| target.signal == watched)?;
        let value = match target.value.as_ref()?.value {
            Quantity::PerSecond(value) | Quantity::Number(value) | Quantity::Share(value) => value,
            Quantity::Nanos(time) => time.as_nanos() as f64,
            Quantity::Count(_) | Quantity::Bytes(_) | Quantity::BytesPerSecond(_) | Quantity::Text(_) => {
                return None;
            }
        };
        let (signal, target_kind) = match watched {
            // Its line is not known here: see `on_plan`.
            Watched::Plan => return None,
            Watched::RequestRate => (Signal::RequestRate, TargetKind::AverageValue),
            Watched::QueueDepth => (Signal::QueueDepth, TargetKind::AverageValue),
            Watched::Concurrency => (Signal::Concurrency, TargetKind::AverageValue),
            Watched::TailLatency if target.part == Some(SlaPart::Ttft) => {
                (Signal::TailFirstToken, TargetKind::Value)
            }
            Watched::TailLatency => (Signal::TailLatency, TargetKind::Value),
            Watched::MemoryPressure => (Signal::MemoryPressure, TargetKind::Value),
        };
        let metric = Metric { signal, target: value, target_kind, activation: 0.0 };
        let most = self.autoscaler.max_replicas.value.max(floor);
        let rule = Rule::Hpa { hpa: self.hpa(self.behavior(), floor, most), metrics: vec![metric] };
        Some(Policy { name: exported(watched), rule })
    }

    /// The autoscaler that follows the plan's line, as it is exported; `to_zero` as KEDA does it in pauses.
    pub(super) fn on_plan(&self, wanted: &Wanted, to_zero: bool) -> Policy {
        let metric = Metric {
            signal: Signal::Wanted {
                base: wanted.without_traffic(),
                per_request_per_s: wanted.per_request_per_s.value,
            },
            target: 1.0,
            target_kind: TargetKind::AverageValue,
            activation: wanted.without_traffic(),
        };
        let (min, max) = (wanted.min_replicas.value, wanted.max_replicas.value);
        let mut behavior = self.behavior();
        (behavior.scale_up.policies, behavior.scale_down.policies) = at_once(min, max);
        let hpa = self.hpa(behavior, min, max);
        let metrics = vec![metric];
        let name = exported(Watched::Plan);
        match to_zero {
            false => Policy { name, rule: Rule::Hpa { hpa, metrics } },
            true => {
                let keda = Keda {
                    polling_seconds: self.autoscaler.polling_interval_s.value,
                    cooldown_seconds: self.keep_alive.cooldown_s.value,
                    idle_replica_count: Some(0),
                    min_replica_count: min,
                    max_replica_count: max,
                    ..Keda::default()
                };
                Policy { name: format!("{name}, to zero"), rule: Rule::Keda { keda, hpa, metrics } }
            }
        }
    }

    fn hpa(&self, behavior: Behavior, min: u32, max: u32) -> Hpa {
        let cluster = &self.request.cluster;
        let seconds = cluster.sync_interval_ns.as_nanos().div_ceil(1_000_000_000);
        Hpa {
            behavior,
            tolerance: cluster.tolerance,
            sync_seconds: u32::try_from(seconds).unwrap_or(u32::MAX).max(1),
            ..Hpa::new(min, max)
        }
    }

    fn behavior(&self) -> Behavior {
        let behaviour = &self.autoscaler.behaviour;
        let rules = |policy: &PodsPolicy, window: u32| ScalingRules {
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
}

/// Up to any number at once and down as well: a metric that says how many replicas are wanted orders none twice, and the window for
/// scaling down holds what was wanted within it.
fn at_once(min: u32, max: u32) -> (Vec<ScalingPolicy>, Vec<ScalingPolicy>) {
    let period_seconds = Wanted::PERIOD_S;
    let up = ScalingPolicy { kind: PolicyKind::Pods, value: max.saturating_sub(min).max(1), period_seconds };
    let down = ScalingPolicy { kind: PolicyKind::Percent, value: 100, period_seconds };
    (vec![up], vec![down])
}

/// The name of an exported policy: the flag that exports it.
fn exported(signal: Watched) -> String {
    format!("--signal {}", signal.flag())
}
