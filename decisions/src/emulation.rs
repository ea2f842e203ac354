//! A replica as simulators of serving take it: fits and points of the sweep in their terms.

use coldstart_profiles::{Fit, ForwardMode, Nanos, Profile, Summary, ThroughputPoint};

use crate::basis::{Basis, Figure, Quantity};
use crate::measured::MemoryFacts;

/// Simulators that draw latencies refuse a standard deviation above this share of its base, as they read both.
const MOST_DEVIATION: f64 = 0.3;
/// What simulators count in; what is less than one is cut off.
const SIMULATED_STEP: Nanos = Nanos::from_nanos(1_000);
/// From the median absolute deviation to the standard deviation of a normal distribution.
const TO_DEVIATION: f64 = 1.4826;

/// One replica of a language model: a request takes prefill_overhead + tokens × prefill_per_token until its first token, and
/// inter_token for each further one, both longer under load.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyModel {
    /// α of the prefill's fit; zero where the fit has it below.
    pub prefill_overhead_ns: Figure<Nanos>,
    /// β of the prefill's fit.
    pub prefill_per_token_ns: Figure<Nanos>,
    /// The spread of a prefill, at most 30 % of its overhead and one token.
    pub prefill_deviation_ns: Nanos,
    /// A decode step of one sequence at the shortest context.
    pub inter_token_ns: Figure<Nanos>,
    /// Its spread, at most 30 % of it.
    pub inter_token_deviation_ns: Nanos,
    /// The largest batch of the sweep.
    pub most_sequences: u32,
    /// A decode step of the largest batch ÷ one of a single sequence; at least 1.
    pub load_factor: Figure<f64>,
}

/// What a simulator of serving can't do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoModel {
    /// What is missing, and what would measure it.
    pub why: String,
}

fn missing<T>(why: impl Into<String>) -> Result<T, NoModel> {
    Err(NoModel { why: why.into() })
}

/// Points of one mode with their summaries, in the order of tokens and batch.
fn points(profile: &Profile, mode: ForwardMode) -> Vec<(&ThroughputPoint, &Summary)> {
    let of_mode = profile.throughput.iter().filter(|point| point.mode == mode);
    let mut points: Vec<_> = of_mode
        .filter_map(|point| Some((point, profile.measurement(&point.key)?.outcome.as_measured()?.1)))
        .collect();
    points.sort_by_key(|(point, _)| (point.tokens, point.batch));
    points
}

/// A time as a simulator reads it: in whole microseconds.
pub fn simulated(time: Nanos) -> Nanos {
    let step = SIMULATED_STEP.as_nanos();
    Nanos::from_nanos(time.as_nanos() / step * step)
}

/// Times of a standard deviation as robust as the median.
fn deviation(summary: &Summary, base: Nanos) -> Nanos {
    let robust = TO_DEVIATION * summary.mad_ns.as_nanos() as f64;
    Nanos::from_nanos_f64(robust.min(MOST_DEVIATION * base.as_nanos() as f64).floor())
}

impl LatencyModel {
    /// The model of a profile's sweep.
    ///
    /// # Errors
    /// When it has no decode steps, or too few prompt lengths for a fit.
    pub fn of(profile: &Profile) -> Result<Self, NoModel> {
        let decode = points(profile, ForwardMode::Decode);
        let Some((_, shortest)) =
            decode.iter().find(|(point, _)| point.batch == 1).map(|(point, of)| (*point, *of))
        else {
            return missing(
                "it has no decode steps of a single sequence: measure a language model with `--batches 1,…`",
            );
        };
        let context = decode.iter().map(|(point, _)| point.tokens).min().unwrap_or_default();
        let at_context = || decode.iter().filter(|(point, _)| point.tokens == context);
        let Some((largest, loaded)) = at_context().max_by_key(|(point, _)| point.batch).copied() else {
            return missing("it has no decode steps");
        };
        let fit = match &profile.fits.prefill {
            Fit::Fitted { fit } => fit,
            Fit::Skipped { why } => return missing(format!("its prefill has no fit ({why})")),
        };
        let prefill = points(profile, ForwardMode::Prefill);
        let keys = || prefill.iter().map(|(point, _)| point.key.clone());
        let formula =
            |what: &str| format!("{what} of T(tokens) = α + β·tokens, R² {:.3}", fit.quality.r_squared);
        let part = |what: &str, value: f64| {
            Figure::new(Nanos::from_nanos_f64(value), Basis::measured(formula(what), keys(), prefill.len()))
        };
        let (overhead, per_token) = (part("α", fit.alpha_ns), part("β", fit.beta_ns));
        let base = simulated(overhead.value).saturating_add(simulated(per_token.value));
        let spread = prefill.iter().map(|(_, summary)| deviation(summary, base)).min().unwrap_or_default();
        let inter_token = shortest.p50_ns;
        let first_key = at_context().map(|(point, _)| point.key.clone()).next();
        let factor = loaded.p50_ns.as_secs_f64() / inter_token.as_secs_f64().max(1e-9);
        Ok(LatencyModel {
            prefill_overhead_ns: overhead,
            prefill_per_token_ns: per_token,
            prefill_deviation_ns: spread,
            inter_token_ns: Figure::new(
                inter_token,
                Basis::measured(
                    format!("median decode step, batch 1, context {context}"),
                    first_key,
                    shortest.n,
                ),
            ),
            inter_token_deviation_ns: deviation(shortest, simulated(inter_token)),
            most_sequences: largest.batch,
            load_factor: Figure::new(
                factor.max(1.0),
                Basis::measured(
                    format!("T(batch {}) ÷ T(batch 1) of decode steps at context {context}", largest.batch),
                    at_context().map(|(point, _)| point.key.clone()),
                    loaded.n,
                ),
            ),
        })
    }
}

/// The sweep as tables to interpolate in.
#[derive(Debug, Clone, PartialEq)]
pub struct InterpolationTables {
    /// Prompt lengths of single sequences in order, each once.
    pub prefill: Vec<PrefillRow>,
    /// Decode steps.
    pub decode: Vec<DecodeRow>,
    /// Tokens whose keys and values fit beside the weights.
    pub most_kv_tokens: Figure<u64>,
}

/// The prefill of a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrefillRow {
    /// Tokens of the prompt.
    pub tokens: u32,
    /// Its median time.
    pub time_ns: Nanos,
    /// Tokens per second of one device.
    pub tokens_per_s_per_device: f64,
}

/// A decode step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeRow {
    /// Share of the KV cache that is in use, above 0 and at most 1.
    pub kv_share: f64,
    /// Tokens in the cache of each sequence.
    pub context: u32,
    /// Its median time.
    pub time_ns: Nanos,
    /// Tokens per second of one device.
    pub tokens_per_s_per_device: f64,
}

impl InterpolationTables {
    /// The tables of a profile's sweep. A cubic interpolation needs four prompt lengths, and four points of share and context
    /// that do not lie on a line.
    ///
    /// # Errors
    /// When there are fewer, or the memory of the KV cache is not known.
    pub fn of(profile: &Profile, memory: &MemoryFacts) -> Result<Self, NoModel> {
        let devices = f64::from(profile.target.device.count.max(1));
        let single = points(profile, ForwardMode::Prefill).into_iter().filter(|(point, _)| point.batch == 1);
        let prefill: Vec<PrefillRow> = single
            .map(|(point, summary)| PrefillRow {
                tokens: point.tokens,
                time_ns: summary.p50_ns,
                tokens_per_s_per_device: point.tokens_per_s / devices,
            })
            .collect();
        if prefill.len() < LENGTHS {
            let lengths: Vec<u32> = prefill.iter().map(|row| row.tokens).collect();
            return missing(format!(
                "it has prefills of {} prompt lengths at batch 1, and a cubic interpolation needs {LENGTHS}: measure with `coldstart run \
                 --prompts {}`, and with a batch of 1 among `--batches`",
                lengths.len(),
                enough(&lengths)
            ));
        }
        let Some(per_token) = memory.kv_bytes_per_token.as_ref().filter(|bytes| bytes.value.get() > 0) else {
            return missing("the KV cache of a token is not known: the sweep has too few decode steps");
        };
        let most = memory.free_bytes.value.get() / per_token.value.get();
        let held = |point: &ThroughputPoint| u64::from(point.batch) * u64::from(point.tokens);
        let decode: Vec<DecodeRow> = points(profile, ForwardMode::Decode)
            .into_iter()
            .filter(|(point, _)| held(point) > 0 && held(point) <= most)
            .map(|(point, summary)| DecodeRow {
                kv_share: held(point) as f64 / most as f64,
                context: point.tokens,
                time_ns: summary.p50_ns,
                tokens_per_s_per_device: point.tokens_per_s / devices,
            })
            .collect();
        if decode.len() < 4 || on_a_line(&decode) {
            return missing(format!(
                "it has {} decode steps that fit the cache, and a cubic interpolation over share and context needs 4 that do not \
                 lie on a line: measure with `--batches` of several sizes and `--contexts` of two lengths",
                decode.len()
            ));
        }
        let basis = Basis::of("free memory ÷ bytes of one token's keys and values")
            .input("free memory", Quantity::Bytes(memory.free_bytes.value))
            .input("bytes of a token", Quantity::Bytes(per_token.value))
            .resting_on(&memory.free_bytes.basis)
            .resting_on(&per_token.basis);
        Ok(InterpolationTables { prefill, decode, most_kv_tokens: Figure::new(most, basis) })
    }
}

/// Prompt lengths that a cubic interpolation needs.
const LENGTHS: usize = 4;

/// These lengths and others between them, as many as it takes.
fn enough(known: &[u32]) -> String {
    let mut lengths = if known.is_empty() { vec![16, 32, 64, 128] } else { known.to_vec() };
    lengths.sort_unstable();
    lengths.dedup();
    while lengths.len() < LENGTHS {
        let gaps = lengths.windows(2).map(|pair| (pair[1] - pair[0], pair[0]));
        let next = match gaps.max() {
            Some((gap, from)) if gap >= 2 => from + gap / 2,
            _ => lengths.last().map_or(1, |last| last.saturating_mul(2).max(1)),
        };
        lengths.push(next);
        lengths.sort_unstable();
    }
    lengths.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// Whether all points (share, context) lie on one line, so that no triangle has an area.
fn on_a_line(rows: &[DecodeRow]) -> bool {
    let longest = rows.iter().map(|row| row.context).max().unwrap_or(1).max(1);
    let largest = rows.iter().map(|row| row.kv_share).fold(f64::MIN_POSITIVE, f64::max);
    let place = |row: &DecodeRow| (row.kv_share / largest, f64::from(row.context) / f64::from(longest));
    let Some((first, rest)) = rows.split_first() else { return true };
    let (x, y) = place(first);
    let away = rest.iter().map(place).max_by(|a, b| {
        let distance = |(px, py): &(f64, f64)| (px - x).hypot(py - y);
        distance(a).total_cmp(&distance(b))
    });
    let Some((far_x, far_y)) = away else { return true };
    rest.iter().map(place).all(|(px, py)| ((far_x - x) * (py - y) - (far_y - y) * (px - x)).abs() < 1e-9)
}

#[cfg(test)]
mod tests {
    use super::enough;

    #[test]
    fn lengths_that_are_missing_lie_between_those_that_are_there() {
        for (known, all) in [
            (&[8, 16, 32][..], "8,16,24,32"),
            (&[512, 128, 2048], "128,512,1280,2048"),
            (&[1, 2], "1,2,3,4"),
            (&[64], "64,128,256,512"),
            (&[], "16,32,64,128"),
        ] {
            let lengths = enough(known);
            let mut sorted: Vec<u32> = lengths.split(',').map(|length| length.parse().unwrap()).collect();
            sorted.dedup();
            assert_eq!(sorted.len(), 4, "{lengths}");
            if known.len() != 1 {
                assert_eq!(lengths, all);
            }
        }
    }
}
