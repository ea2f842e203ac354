//! Targets of an autoscaler's metrics.
//!
//! Nothing happens until a metric is more than the tolerance above its target, so every target lies that much lower.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings::Situation;
use super::signal::{MetricType, Signal};
use crate::basis::{Basis, Figure, Quantity};
use crate::service::{ServiceModel, SlaPart};

/// What a replica on processors fills is the node's memory, which others fill as well.
const HOST_MEMORY: &str =
    "replicas on the host device have no device memory that could be watched: profile a node with a GPU";

/// One metric with its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// What is watched.
    pub signal: Signal,
    /// How it is compared.
    pub metric_type: MetricType,
    /// Of a latency: from the arrival until which part of the answer. `null` for other signals.
    pub part: Option<SlaPart>,
    /// The target; `null` where none can be derived.
    pub value: Option<Figure<Quantity>>,
    /// Whether it can be scaled on.
    pub usability: Usability,
}

/// Whether a metric can be scaled on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Usability {
    /// It rises in time.
    Usable,
    /// It works, but something speaks against it.
    Doubtful {
        /// What.
        why: String,
    },
    /// It can't.
    Unusable {
        /// Why.
        why: String,
    },
}

/// Why no threshold on the queue can save the service level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hopeless {
    /// What queues up while a replica starts: g(L)·L ÷ 2, in requests.
    pub queued: Figure<f64>,
    /// What may wait within the service level: (S − T_hi)·μ_SLA × replicas, in requests.
    pub affordable: Figure<f64>,
}

/// The bound that waiting eats up first: which it is, S, and T_hi.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slack {
    pub(super) part: SlaPart,
    sla_ns: Nanos,
    time_hi_ns: Nanos,
}

impl Slack {
    /// Of the bounds that waiting counts towards, the one with the least room; `None` where only the gap between tokens is bounded.
    pub(super) fn of(situation: &Situation<'_>) -> Option<Self> {
        let bound = situation.bound;
        let time_hi = |part| match part {
            SlaPart::EndToEnd => Some(bound.time_hi_ns.value),
            SlaPart::Ttft => Some(match situation.service {
                ServiceModel::SingleForward(_) => bound.time_hi_ns.value,
                ServiceModel::LanguageModel(_) => {
                    Nanos::from_nanos_f64(situation.service.ttft_hi(situation.size))
                }
            }),
            SlaPart::Itl => None,
        };
        let slacks = situation
            .sla
            .bounds()
            .filter_map(|(part, sla_ns)| Some(Slack { part, sla_ns, time_hi_ns: time_hi(part)? }));
        slacks.min_by_key(|slack| slack.room())
    }

    fn room(self) -> Nanos {
        self.sla_ns.saturating_sub(self.time_hi_ns)
    }

    fn seconds(self) -> f64 {
        self.room().as_secs_f64()
    }

    fn inputs(self, basis: Basis) -> Basis {
        basis.input("S", Quantity::Nanos(self.sla_ns)).input("T_hi", Quantity::Nanos(self.time_hi_ns))
    }
}

impl Target {
    /// One that can't be scaled on, without a value.
    pub(super) fn unusable(signal: Signal, metric_type: MetricType, why: String) -> Self {
        Target { signal, metric_type, part: None, value: None, usability: Usability::Unusable { why } }
    }
}

impl Situation<'_> {
    /// Everything that rests on ρ, μ_SLA and the tolerance.
    pub(super) fn with_headroom(&self, formula: &str, headroom: &Figure<f64>) -> Basis {
        Basis::of(formula)
            .figure("ρ", Quantity::Share(headroom.value), "autoscaler.headroom", &headroom.basis)
            .figure(
                "μ_SLA",
                Quantity::PerSecond(self.bound.rate_per_s.value),
                "capacity.bound.rate_per_s",
                &self.bound.rate_per_s.basis,
            )
            .input("tolerance", Quantity::Share(self.cluster.tolerance))
    }

    /// ρ·μ_SLA ÷ (1 + tolerance), in requests per second of one replica.
    pub(super) fn rate_target(&self, headroom: &Figure<f64>) -> Figure<f64> {
        let value = headroom.value * self.bound.rate_per_s.value / (1.0 + self.cluster.tolerance);
        Figure::new(value, self.with_headroom("ρ·μ_SLA ÷ (1 + tolerance)", headroom))
    }

    /// Every signal's target.
    pub(super) fn targets(&self, headroom: &Figure<f64>, hopeless: Option<&Hopeless>) -> Vec<Target> {
        let rate = self.rate_target(headroom);
        let plan = Basis::of("1: the metric is the number of replicas that are wanted");
        let mut targets = vec![
            Target {
                signal: Signal::Plan,
                metric_type: MetricType::AverageValue,
                part: None,
                value: Some(Figure::new(Quantity::Number(1.0), plan)),
                usability: Usability::Usable,
            },
            Target {
                signal: Signal::RequestRate,
                metric_type: MetricType::AverageValue,
                part: None,
                value: Some(Figure::new(Quantity::PerSecond(rate.value), rate.basis)),
                usability: Usability::Usable,
            },
            self.queue_target(headroom, hopeless),
            self.concurrency_target(headroom),
            self.latency_target(headroom, hopeless),
        ];
        targets.push(match self.host {
            true => Target::unusable(Signal::MemoryPressure, MetricType::Value, HOST_MEMORY.to_owned()),
            false => self.memory_target(headroom),
        });
        targets
    }

    /// ρ·n* ÷ (1 + tolerance), in requests that wait or run for each replica: by Little's law what ρ·μ_SLA keeps in the system for T(n*).
    fn concurrency_target(&self, headroom: &Figure<f64>) -> Target {
        let batch = f64::from(self.bound.batch.value);
        let value = headroom.value * batch / (1.0 + self.cluster.tolerance);
        let basis = self.with_headroom("ρ·n* ÷ (1 + tolerance)", headroom).figure(
            "n*",
            Quantity::Count(u64::from(self.bound.batch.value)),
            "capacity.bound.batch",
            &self.bound.batch.basis,
        );
        let usability = if value < 1.0 {
            Usability::Doubtful {
                why: "less than one request per replica: a single one already exceeds it".to_owned(),
            }
        } else {
            Usability::Usable
        };
        Target {
            signal: Signal::Concurrency,
            metric_type: MetricType::AverageValue,
            part: None,
            value: Some(Figure::new(Quantity::Number(value), basis)),
            usability,
        }
    }

    /// Q* = ρ·(S − T_hi)·μ_SLA ÷ (1 + tolerance), in waiting requests of one replica.
    fn queue_target(&self, headroom: &Figure<f64>, hopeless: Option<&Hopeless>) -> Target {
        let (signal, metric_type) = (Signal::QueueDepth, MetricType::AverageValue);
        let Some(slack) = Slack::of(self) else { return without_queue(signal, metric_type) };
        let value =
            headroom.value * slack.seconds() * self.bound.rate_per_s.value / (1.0 + self.cluster.tolerance);
        let basis = slack.inputs(self.with_headroom("Q* = ρ·(S − T_hi)·μ_SLA ÷ (1 + tolerance)", headroom));
        let usability = match hopeless {
            _ if value <= 0.0 => Usability::Unusable {
                why: "no request may wait at all: the SLA leaves no room above the time of a batch"
                    .to_owned(),
            },
            Some(hopeless) => too_late(hopeless),
            None if value < 1.0 => Usability::Doubtful {
                why: "less than one waiting request per replica: a single one already exceeds it".to_owned(),
            },
            None => Usability::Usable,
        };
        Target {
            signal,
            metric_type,
            part: None,
            value: Some(Figure::new(Quantity::Number(value), basis)),
            usability,
        }
    }

    /// The latency at which the queue is Q*: (T_hi + ρ·(S − T_hi)) ÷ (1 + tolerance).
    fn latency_target(&self, headroom: &Figure<f64>, hopeless: Option<&Hopeless>) -> Target {
        let (signal, metric_type) = (Signal::TailLatency, MetricType::Value);
        let Some(slack) = Slack::of(self) else { return without_queue(signal, metric_type) };
        let seconds = slack.time_hi_ns.as_secs_f64() + headroom.value * slack.seconds();
        let value = Nanos::from_nanos_f64(seconds / (1.0 + self.cluster.tolerance) * 1e9);
        let basis = slack
            .inputs(self.with_headroom("(T_hi + ρ·(S − T_hi)) ÷ (1 + tolerance)", headroom))
            .input("of", Quantity::Text(slack.part.to_string()));
        let usability = match hopeless {
            // A busy replica that keeps its level would be taken for one that doesn't.
            _ if value <= slack.time_hi_ns => Usability::Unusable {
                why: format!(
                    "the target would lie below T_hi = {}, which requests take without any queue: it would always ask for more",
                    slack.time_hi_ns
                ),
            },
            Some(hopeless) => too_late(hopeless),
            None => Usability::Doubtful {
                why: "latency rises after the queue has built up, and says nothing while it is low: take it as a second signal"
                    .to_owned(),
            },
        };
        let part = Some(slack.part);
        Target {
            signal,
            metric_type,
            part,
            value: Some(Figure::new(Quantity::Nanos(value), basis)),
            usability,
        }
    }
}

fn without_queue(signal: Signal, metric_type: MetricType) -> Target {
    let why = "only the inter-token latency is bounded, and it does not depend on how many wait".to_owned();
    Target::unusable(signal, metric_type, why)
}

fn too_late(hopeless: &Hopeless) -> Usability {
    Usability::Unusable {
        why: format!(
            "no threshold saves this SLA: {:.1} requests queue up while a replica starts, and {:.1} may wait; the standby must \
             carry the growth",
            hopeless.queued.value, hopeless.affordable.value
        ),
    }
}

impl Hopeless {
    /// g(L)·L ÷ 2 > (S − T_hi)·μ_SLA × replicas: whatever the threshold, the queue outgrows the service level before a new
    /// replica helps. `None` where a threshold can.
    pub(super) fn of(situation: &Situation<'_>) -> Option<Self> {
        let slack = Slack::of(situation)?;
        let (warm, lead) = (situation.warm, situation.lead);
        let queued = warm.growth_per_s.value * lead.total_ns.value.as_secs_f64() / 2.0;
        let replicas = warm.replicas_now.value;
        let affordable = slack.seconds() * situation.bound.rate_per_s.value * f64::from(replicas);
        if queued <= affordable {
            return None;
        }
        let queued_basis = Basis::of("g(L)·L ÷ 2")
            .figure(
                "g(L)",
                Quantity::PerSecond(warm.growth_per_s.value),
                "capacity.warm.growth_per_s",
                &warm.growth_per_s.basis,
            )
            .figure("L", Quantity::Nanos(lead.total_ns.value), "lead_time.total_ns", &lead.total_ns.basis);
        let affordable_basis = slack
            .inputs(Basis::of("(S − T_hi)·μ_SLA × replicas(λ_now)"))
            .figure(
                "μ_SLA",
                Quantity::PerSecond(situation.bound.rate_per_s.value),
                "capacity.bound.rate_per_s",
                &situation.bound.rate_per_s.basis,
            )
            .figure(
                "replicas(λ_now)",
                Quantity::Count(u64::from(replicas)),
                "capacity.warm.replicas_now",
                &warm.replicas_now.basis,
            );
        Some(Hopeless {
            queued: Figure::new(queued, queued_basis),
            affordable: Figure::new(affordable, affordable_basis),
        })
    }
}
