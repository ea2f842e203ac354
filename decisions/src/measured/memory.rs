//! Device memory: what weights, activations and the KV cache take, and what is left.

use std::collections::BTreeMap;

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
    /// What sizes and the sweep's points rest on.
    pub basis: Basis,
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
        let weights_bytes = match (&first.target.model, by_hand.weights_bytes) {
            (Some(model), _) => model.bytes,
            (None, given) => given.unwrap_or(Bytes::ZERO),
        };
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
        let keys: Vec<_> = points.iter().map(|point| point.key.clone()).collect();
        let formula = "the device's size as its driver says it, all tensors by the headers of the model's files, and besides them what each point of \
                       the sweep held";
        let basis = Basis::measured(formula, keys, points.len())
            .input("device", Quantity::Bytes(device_bytes))
            .input("weights", Quantity::Bytes(weights_bytes));
        let basis = match by_hand.weights_bytes {
            Some(_) => basis.assumed("--weights"),
            None => basis,
        };
        Some(MemoryFacts {
            basis,
            device_bytes,
            weights_bytes,
            free_bytes: free(profiles, by_hand, device_bytes, weights_bytes),
            kv_bytes_per_token: match by_hand.kv_bytes_per_token {
                Some(bytes) => Some(Figure::by_hand(bytes, "--kv-per-token")),
                None => kv_bytes_per_token(&points),
            },
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

/// What one more token of one more sequence adds to the workspace of decode steps.
///
/// Their workspace also holds what grows with the sequences alone (a row of logits each) and with the context alone (the prompt's own
/// prefill, one sequence at a time), so that its slope over batch × context is too steep. What both add together is what is left of the
/// four corners of a rectangle: W(b₂, c₂) − W(b₁, c₂) − W(b₂, c₁) + W(b₁, c₁) = k·(b₂ − b₁)·(c₂ − c₁).
fn kv_bytes_per_token(points: &[&ThroughputPoint]) -> Option<Figure<Bytes>> {
    let decode: BTreeMap<(u32, u32), f64> = points
        .iter()
        .filter(|point| point.mode == ForwardMode::Decode)
        .map(|point| ((point.batch, point.tokens), point.workspace_bytes.get() as f64))
        .collect();
    let keys =
        || points.iter().filter(|point| point.mode == ForwardMode::Decode).map(|point| point.key.clone());
    let mut found: Vec<f64> = Vec::new();
    for ((b1, c1), low) in &decode {
        for ((b2, c2), high) in decode.iter().filter(|((b2, c2), _)| b2 > b1 && c2 > c1) {
            if let (Some(wide), Some(long)) = (decode.get(&(*b2, *c1)), decode.get(&(*b1, *c2))) {
                found.push((high - long - wide + low) / (f64::from(b2 - b1) * f64::from(c2 - c1)));
            }
        }
    }
    found.sort_by(f64::total_cmp);
    let (bytes, basis) = match found.get(found.len() / 2) {
        Some(median) => {
            let formula = "what batch and context add together to the workspace of decode steps, ÷ tokens: the median over pairs of \
                           batches and of contexts";
            (*median, Basis::measured(formula, keys(), decode.len()))
        }
        // Without a rectangle the slope is the best there is.
        None => {
            let line: Vec<(f64, f64)> = decode
                .iter()
                .map(|((batch, tokens), bytes)| (f64::from(*batch) * f64::from(*tokens), *bytes))
                .collect();
            let basis = Basis::measured(
                "slope of the workspace over batch × context of decode steps",
                keys(),
                decode.len(),
            );
            // The fit is one of bytes here; its fields are named for times.
            let caveat = "the KV cache of a token is a slope that holds other memory, too: measure two batches at two contexts";
            (fit_line(&line).ok()?.beta_ns, basis.caveat(caveat))
        }
    };
    (bytes >= 1.0).then(|| Figure::new(Bytes::new(bytes.round() as u64), basis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{profile, with_sweep};

    fn kv(points: &[(u32, u32, u64)]) -> Option<u64> {
        let sweep: Vec<_> =
            points.iter().map(|(batch, tokens, _)| (ForwardMode::Decode, *batch, *tokens, 1e6)).collect();
        let mut profile = with_sweep(profile(), &sweep);
        for (point, (_, _, bytes)) in profile.throughput.iter_mut().zip(points) {
            point.workspace_bytes = Bytes::new(*bytes);
        }
        let facts = MemoryFacts::of(&[&profile], &ByHand::default()).unwrap();
        facts.kv_bytes_per_token.map(|figure| figure.value.get())
    }

    #[test]
    fn the_cache_of_a_token_is_what_batch_and_context_add_together() {
        // As a run on a host device had it: a model of 12 layers with 4 heads of 128 of keys and of values, in BF16.
        let seen = [(1, 32, 2_294_176), (4, 32, 5_120_488), (1, 128, 8_709_664), (4, 128, 18_613_864)];
        assert_eq!(kv(&seen), Some(24_576), "2 · 12 · 4 · 128 · 2 bytes");
        let of = |batch: u32, context: u32| {
            let (b, c) = (u64::from(batch), u64::from(context));
            (batch, context, 1_000_000 + 40_000 * b + 70_000 * c + 24_576 * b * c)
        };
        let grid: Vec<_> = [1, 2, 4, 8].into_iter().flat_map(|b| [64, 256, 1024].map(|c| of(b, c))).collect();
        assert_eq!(kv(&grid), Some(24_576));
        // One context, or one batch: the slope of what there is.
        assert_eq!(kv(&[1, 2, 4, 8].map(|b| of(b, 64))), Some(24_576 + 40_000 / 64));
        assert_eq!(kv(&[of(1, 64), of(2, 64), of(4, 64)]), None, "too few points for a line");
        assert_eq!(kv(&[(1, 32, 5), (4, 32, 5), (1, 128, 5), (4, 128, 5)]), None, "nothing grows");
    }
}
