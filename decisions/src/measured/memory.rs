//! Device memory: what weights, activations and the KV cache take, and what is left.

use coldstart_profiles::stats::fit_line;
use coldstart_profiles::{Bytes, Detail, ForwardMode, Phase, Profile, ThroughputPoint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::by_hand::ByHand;
use crate::basis::{Basis, Figure, Quantity};

/// The memory of one replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryFacts {
    /// Memory of the device.
    pub device_bytes: Bytes,
    /// The weights.
    pub weights_bytes: Bytes,
    /// What is left beside the weights for requests in flight.
    pub free_bytes: Figure<Bytes>,
    /// Keys and values of one token of one sequence; `null` for models without a KV cache, and where the sweep does not show it.
    pub kv_bytes_per_token: Option<Figure<Bytes>>,
    /// What the sweep's points held, besides the weights.
    pub at_batch: Vec<MemoryAtBatch>,
}

/// Memory besides the weights at one point of the sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct MemoryAtBatch {
    /// What an iteration does.
    pub mode: ForwardMode,
    /// Sequences at a time.
    pub batch: u32,
    /// Tokens of each prompt, or in the cache of each sequence.
    pub tokens: u32,
    /// Activations and KV cache.
    pub workspace_bytes: Bytes,
}

impl MemoryFacts {
    pub(super) fn of(profiles: &[&Profile], by_hand: &ByHand) -> Option<Self> {
        let first = profiles.first()?;
        let device_bytes = first.target.device.memory_bytes;
        let weights_bytes = first.target.model.as_ref().map_or(Bytes::ZERO, |model| model.bytes);
        let points: Vec<&ThroughputPoint> = profiles.iter().flat_map(|profile| &profile.throughput).collect();
        let mut at_batch: Vec<MemoryAtBatch> = points
            .iter()
            .map(|point| MemoryAtBatch {
                mode: point.mode,
                batch: point.batch,
                tokens: point.tokens,
                workspace_bytes: point.workspace_bytes,
            })
            .collect();
        at_batch.sort_unstable();
        at_batch.dedup();
        Some(MemoryFacts {
            device_bytes,
            weights_bytes,
            free_bytes: free(profiles, by_hand, device_bytes, weights_bytes),
            kv_bytes_per_token: kv_bytes_per_token(&points),
            at_batch,
        })
    }
}

/// What the device said to be free after the weights were allocated, the least of all trials; else its size less the weights.
fn free(profiles: &[&Profile], by_hand: &ByHand, device: Bytes, weights: Bytes) -> Figure<Bytes> {
    if let Some(bytes) = by_hand.free_memory_bytes {
        return Figure::by_hand(bytes, "--free-memory");
    }
    let readings = profiles.iter().flat_map(|profile| &profile.traces).flat_map(|trace| &trace.readings);
    let seen: Vec<Bytes> = readings
        .filter_map(|reading| match &reading.detail {
            Some(Detail::Alloc(alloc)) => Some(alloc.free_after_bytes),
            _ => None,
        })
        .collect();
    let keys = profiles.iter().flat_map(|profile| profile.of_phase(Phase::Alloc)).map(|row| row.key.clone());
    match seen.iter().min() {
        Some(least) => {
            let basis =
                Basis::measured("the least that was free after the weights' allocation", keys, seen.len());
            Figure::new(*least, basis)
        }
        None => {
            let basis = Basis::of("device memory − weights")
                .input("device memory", Quantity::Bytes(device))
                .input("weights", Quantity::Bytes(weights));
            Figure::new(Bytes::new(device.get().saturating_sub(weights.get())), basis)
        }
    }
}

/// The slope of the workspace over the tokens that decode steps hold in their caches together.
fn kv_bytes_per_token(points: &[&ThroughputPoint]) -> Option<Figure<Bytes>> {
    let decode: Vec<&&ThroughputPoint> =
        points.iter().filter(|point| point.mode == ForwardMode::Decode).collect();
    let line: Vec<(f64, f64)> = decode
        .iter()
        .map(|point| (f64::from(point.batch) * f64::from(point.tokens), point.workspace_bytes.get() as f64))
        .collect();
    // The fit is one of bytes here; its fields are named for times.
    let slope = fit_line(&line).ok()?.beta_ns;
    if slope.is_nan() || slope < 1.0 {
        return None;
    }
    let keys = decode.iter().map(|point| point.key.clone());
    let basis =
        Basis::measured("slope of the workspace over batch × context of decode steps", keys, decode.len());
    Some(Figure::new(Bytes::new(slope.round() as u64), basis))
}
