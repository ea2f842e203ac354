//! The target of memory pressure: what rises in a replica's memory with its requests, and whether it rises far enough to scale on.

use coldstart_profiles::ForwardMode;

use super::settings::Situation;
use super::signal::{MetricType, Signal};
use super::target::{Target, Usability};
use crate::basis::{Basis, Figure, Quantity};
use crate::measured::MemoryFacts;
use crate::service::ServiceModel;

/// The share of its memory that the requests of a replica fill: a line over their number.
#[derive(Debug, Clone, Copy)]
enum Pressure {
    /// Of the room for keys and values, as vLLM's `kv_cache_usage_perc` shows it.
    Cache { tokens: u64, room: u64 },
    /// Of the device's memory, weights included: with one request, and with n*.
    Device { one: f64, all: f64 },
}

impl Situation<'_> {
    /// The share in use at max(1, ρ·n*) requests ÷ (1 + tolerance): of the room for keys and values, or, of a model without those, of the
    /// device's memory.
    pub(super) fn memory_target(&self, headroom: &Figure<f64>) -> Target {
        let (signal, metric_type) = (Signal::MemoryPressure, MetricType::Value);
        let pressure = match Pressure::of(self) {
            Ok(pressure) => pressure,
            Err(why) => return Target::unusable(signal, metric_type, why),
        };
        let batch = f64::from(self.bound.batch.value);
        let share = pressure.at((headroom.value * batch).max(1.0), batch);
        let tolerance = self.cluster.tolerance;
        let basis = self.with_headroom(pressure.formula(), headroom).figure(
            "n*",
            Quantity::Count(u64::from(self.bound.batch.value)),
            "capacity.bound.batch",
            &self.bound.batch.basis,
        );
        Target {
            signal,
            metric_type,
            part: None,
            value: Some(Figure::new(Quantity::Share(share / (1.0 + tolerance)), pressure.inputs(basis))),
            usability: pressure.usability(share, batch, tolerance),
        }
    }

    /// Weights, and what `n` requests hold besides, in bytes.
    fn used_at(&self, n: f64) -> Option<f64> {
        let MemoryFacts { weights_bytes, kv_bytes_per_token, at_batch, .. } = self.memory;
        let weights = weights_bytes.get() as f64;
        if let (ServiceModel::LanguageModel(_), Some(kv)) = (self.service, kv_bytes_per_token) {
            return Some(weights + n * kv.value.get() as f64 * self.size.tokens() as f64);
        }
        let mode = match self.service {
            ServiceModel::SingleForward(_) => ForwardMode::Encode,
            ServiceModel::LanguageModel(_) => ForwardMode::Decode,
        };
        let mut points: Vec<(f64, f64)> = (at_batch.iter())
            .filter(|point| point.mode == mode)
            .map(|point| (f64::from(point.batch), point.workspace_bytes.get() as f64))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        points.dedup_by(|next, kept| next.0 == kept.0);
        Some(weights + between(&points, n)?)
    }
}

impl Pressure {
    /// What rises in the replicas of this situation, or why nothing does that is known.
    fn of(situation: &Situation<'_>) -> Result<Self, String> {
        if let ServiceModel::LanguageModel(model) = situation.service
            && model.token_limit() < u64::MAX
        {
            return Ok(Pressure::Cache { tokens: situation.size.tokens(), room: model.token_limit() });
        }
        let batch = f64::from(situation.bound.batch.value);
        let (Some(one), Some(all)) = (situation.used_at(1.0), situation.used_at(batch)) else {
            return Err("no memory was measured in the sweep".to_owned());
        };
        match situation.memory.device_bytes.get() as f64 {
            device if device > 0.0 => Ok(Pressure::Device { one: one / device, all: all / device }),
            _ => Err("the size of the device's memory is not known".to_owned()),
        }
    }

    /// The share that so many requests fill, where n* = `batch`.
    fn at(self, requests: f64, batch: f64) -> f64 {
        match self {
            Pressure::Cache { tokens, room } => requests * tokens as f64 / room as f64,
            Pressure::Device { one, .. } if batch <= 1.0 => one,
            Pressure::Device { one, all } => one + (all - one) * (requests - 1.0) / (batch - 1.0),
        }
    }

    const fn formula(self) -> &'static str {
        match self {
            Pressure::Cache { .. } => {
                "max(1, ρ·n*) × tokens of a request ÷ tokens that fit ÷ (1 + tolerance)"
            }
            Pressure::Device { .. } => {
                "memory in use at max(1, ρ·n*) requests ÷ memory of the device ÷ (1 + tolerance)"
            }
        }
    }

    fn inputs(self, basis: Basis) -> Basis {
        match self {
            Pressure::Cache { tokens, room } => basis
                .input("tokens of a request", Quantity::Count(tokens))
                .input("tokens that fit", Quantity::Count(room)),
            Pressure::Device { one, all } => {
                basis.input("in use at 1", Quantity::Share(one)).input("in use at n*", Quantity::Share(all))
            }
        }
    }

    /// Doubtful at best: it says what is held, not how many wait. Unusable where it rises by less than what an autoscaler passes over.
    fn usability(self, at_target: f64, batch: f64, tolerance: f64) -> Usability {
        let passed_over = 1.0 + tolerance;
        let (flat, doubt) = match self {
            Pressure::Cache { .. } => (
                (self.at(batch, batch) < at_target * passed_over).then(|| {
                    format!("from ρ·n* to n* = {batch:.0} requests it grows by less than the tolerance")
                }),
                "the cache says how many tokens are held, not how many requests wait: take it as a second signal",
            ),
            Pressure::Device { one, all } => (
                (all <= one * passed_over).then(|| {
                    format!(
                        "memory in use grows by {:.1} % from one request to n* = {batch:.0}: less than the tolerance of {:.0} %",
                        (all / one - 1.0) * 100.0,
                        tolerance * 100.0
                    )
                }),
                "servers that reserve their KV cache at the start show the same memory at every load: watch the share of the cache in use",
            ),
        };
        match flat {
            Some(why) => Usability::Unusable { why },
            None => Usability::Doubtful { why: doubt.to_owned() },
        }
    }
}

/// On the line between the two points around `n`; the nearest point beyond them.
fn between(points: &[(f64, f64)], n: f64) -> Option<f64> {
    let after = points.partition_point(|(at, _)| *at < n);
    match (after.checked_sub(1).and_then(|before| points.get(before)), points.get(after)) {
        (None, None) => None,
        (None, Some((_, value))) | (Some((_, value)), None) => Some(*value),
        (Some((low, from)), Some((high, to))) => Some(from + (to - from) * (n - low) / (high - low)),
    }
}
