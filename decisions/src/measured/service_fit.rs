//! Service times over batches and tokens: measured points, and the model that is fitted to them.

use coldstart_profiles::stats::{LinearFit, PlaneFit, fit_line, fit_plane};
use coldstart_profiles::{Bytes, Fit, ForwardMode, Key, Nanos, Phase, Profile, ProfileError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::MeasuredError;
use super::facts::why_missing;
use super::memory::MemoryFacts;
use super::non_negative;
use crate::basis::{Basis, Quantity};
use crate::service::{
    Decode, LanguageModel, Prefill, ServiceError, ServiceModel, SingleForward, Tail, TailPoint, Variation,
};

/// So many quantiles of the spread of iterations travel with a model.
const MOST_RATIOS: usize = 200;
const NOT_MEASURED: &str = "measure it with `coldstart run`, or give service times with --assume-batches, or with --assume-prefill and \
                            --assume-decode";
const REMEDY: &str =
    "sweep more batches and lengths with `coldstart run --batches 1,2,4,8 --prompts … --contexts …`";

/// Service times of a class: every point of the sweeps, and what was fitted to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceFits {
    /// Points of the sweeps; those of several profiles side by side.
    pub points: Vec<PointTime>,
    /// Single forwards: T(n) = α + β·n for each length.
    pub single_forward: Vec<SingleForwardFit>,
    /// T_pre(tok) = α_p + β_p·tok.
    pub prefill: Fit<LinearFit>,
    /// T_dec(n, ctx) = α_d + β_d·n + γ·n·ctx.
    pub decode: Fit<PlaneFit>,
    /// Why there are no points; empty where there are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub no_points: String,
    /// What points and fits rest on.
    pub basis: Basis,
}

/// One measured point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointTime {
    /// The measurement.
    pub key: Key,
    /// What one iteration does.
    pub mode: ForwardMode,
    /// Sequences at a time.
    pub batch: u32,
    /// Tokens of each prompt, or in the cache of each sequence.
    pub tokens: u32,
    /// The median of the steady iterations.
    pub median_ns: Nanos,
    /// T_hi: their 99th percentile, or the largest where there are too few.
    pub hi_ns: Nanos,
    /// Whether `hi_ns` is a 99th percentile.
    pub hi_is_p99: bool,
    /// How many iterations.
    pub n: usize,
    /// Quantiles of iteration ÷ median, evenly spaced.
    pub ratios: Vec<f64>,
}

/// T(n) = α + β·n at one length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SingleForwardFit {
    /// Tokens of each text.
    pub tokens: u32,
    /// The fit, or why there is none.
    pub fit: Fit<LinearFit>,
}

impl ServiceFits {
    pub(super) fn of(profiles: &[&Profile]) -> Self {
        let points: Vec<PointTime> = profiles.iter().flat_map(|profile| points_of(profile)).collect();
        let of_mode = |mode| points.iter().filter(move |point: &&PointTime| point.mode == mode);
        let mut lengths: Vec<u32> = of_mode(ForwardMode::Encode).map(|point| point.tokens).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let single_forward = lengths.into_iter().map(|tokens| {
            let at = of_mode(ForwardMode::Encode).filter(|point| point.tokens == tokens);
            let points: Vec<(f64, f64)> = at.map(|point| (f64::from(point.batch), time(point))).collect();
            SingleForwardFit { tokens, fit: fitted(line(&points)) }
        });
        let single_forward = single_forward.collect();
        let prefill: Vec<(f64, f64)> =
            of_mode(ForwardMode::Prefill).map(|point| (all_tokens(point), time(point))).collect();
        let decode: Vec<(f64, f64, f64)> = of_mode(ForwardMode::Decode)
            .map(|point| (f64::from(point.batch), all_tokens(point), time(point)))
            .collect();
        let no_points =
            if points.is_empty() { why_missing(profiles, Phase::Throughput) } else { String::new() };
        let keys = points.iter().map(|point| point.key.clone());
        let formula = "medians, tails and quantiles of the steady iterations of each point; lines and planes by least squares over the medians";
        let basis = Basis::measured(formula, keys, points.iter().map(|point| point.n).sum());
        ServiceFits {
            basis,
            single_forward,
            prefill: fitted(line(&prefill)),
            decode: fitted(plane(&decode)),
            points,
            no_points,
        }
    }

    /// The service model of a replica, and what it rests on. `tokens_in` picks the length of single forwards (the shortest
    /// measured one that is at least as long, else the longest); `max_batch` takes the place of the largest measured batch.
    ///
    /// # Errors
    /// When no throughput was measured, or too little of it: names the phase and what is missing.
    pub fn model(
        &self,
        memory: &MemoryFacts,
        tokens_in: Option<u32>,
        max_batch: Option<u32>,
    ) -> Result<(ServiceModel, Basis), MeasuredError> {
        if self.points.is_empty() {
            return Err(missing(self.no_points.clone(), NOT_MEASURED));
        }
        if self.single_forward.is_empty() {
            self.language_model(memory, max_batch)
        } else {
            self.forward_model(tokens_in, max_batch)
        }
    }

    fn forward_model(
        &self,
        tokens_in: Option<u32>,
        max_batch: Option<u32>,
    ) -> Result<(ServiceModel, Basis), MeasuredError> {
        let longest = self.single_forward.last();
        let enough = |wanted: u32| self.single_forward.iter().find(|fit| fit.tokens >= wanted);
        let length = tokens_in.and_then(enough).or(longest).ok_or_else(|| missing(String::new(), REMEDY))?;
        let fit = match &length.fit {
            Fit::Fitted { fit } => fit,
            Fit::Skipped { why } => return Err(missing(format!("encode: {why}"), REMEDY)),
        };
        let points: Vec<&PointTime> = self
            .points
            .iter()
            .filter(|point| point.mode == ForwardMode::Encode && point.tokens == length.tokens)
            .collect();
        let mut basis = self
            .basis(
                "T(n) = α + β·n by least squares over the medians, no coefficient below zero",
                &points,
                max_batch,
            )
            .input("length", Quantity::Count(u64::from(length.tokens)))
            .input("R²", Quantity::Number(fit.quality.r_squared))
            .input("largest residual", Quantity::Share(fit.quality.largest_residual_ratio));
        if tokens_in.is_some_and(|wanted| wanted > length.tokens) {
            basis = basis.caveat(format!("no length above {} tokens was measured", length.tokens));
        }
        let mut model = SingleForward::from_fit(fit, max_batch.unwrap_or_else(|| largest_batch(&points)))
            .map_err(|error| unusable(&error))?;
        model.tail = tail(&points, batch_of, |point| fit.at(batch_of(point)));
        model.variation = variation(&points);
        Ok((ServiceModel::SingleForward(model), basis))
    }

    fn language_model(
        &self,
        memory: &MemoryFacts,
        max_batch: Option<u32>,
    ) -> Result<(ServiceModel, Basis), MeasuredError> {
        let prefill = match &self.prefill {
            Fit::Fitted { fit } => fit,
            Fit::Skipped { why } => return Err(missing(format!("prefill: {why}"), REMEDY)),
        };
        let decode = match &self.decode {
            Fit::Fitted { fit } => fit,
            Fit::Skipped { why } => return Err(missing(format!("decode: {why}"), REMEDY)),
        };
        let of_mode =
            |mode| self.points.iter().filter(|point| point.mode == mode).collect::<Vec<&PointTime>>();
        let (prefills, decodes) = (of_mode(ForwardMode::Prefill), of_mode(ForwardMode::Decode));
        let all: Vec<&PointTime> = prefills.iter().chain(&decodes).copied().collect();
        let formula = "T_pre(tok) = α_p + β_p·tok and T_dec(n, ctx) = α_d + β_d·n + γ·n·ctx by least squares over the medians, no coefficient below zero";
        let basis = self
            .basis(formula, &all, max_batch)
            .input("R² prefill", Quantity::Number(prefill.quality.r_squared))
            .input("R² decode", Quantity::Number(decode.quality.r_squared))
            .input("largest residual prefill", Quantity::Share(prefill.quality.largest_residual_ratio))
            .input("largest residual decode", Quantity::Share(decode.quality.largest_residual_ratio));
        let fits = (
            Prefill::from_fit(prefill, tail(&prefills, all_tokens, |point| prefill.at(all_tokens(point)))),
            Decode::from_fit(
                decode,
                tail(&decodes, batch_of, |point| decode.at(batch_of(point), all_tokens(point))),
            ),
            variation(&all),
        );
        language_model(fits, memory, max_batch.unwrap_or_else(|| largest_batch(&decodes)), basis)
    }

    fn basis(&self, formula: &str, points: &[&PointTime], max_batch: Option<u32>) -> Basis {
        let keys = points.iter().map(|point| point.key.clone());
        let basis = Basis::measured(formula, keys, points.len());
        let few = points.iter().filter(|point| !point.hi_is_p99).map(|point| point.n).min();
        let basis = match few {
            Some(least) => basis.caveat(format!(
                "T_hi is the largest iteration where a point has fewer than 299 of them (the least has {least})"
            )),
            None => basis,
        };
        let largest = largest_batch(points);
        match max_batch {
            Some(batch) => {
                let basis =
                    basis.input("largest batch", Quantity::Count(u64::from(batch))).assumed("--max-batch");
                match batch > largest {
                    true => basis.caveat(format!(
                        "batches of up to {batch} are extrapolated: the largest that was measured is {largest}"
                    )),
                    false => basis,
                }
            }
            None => basis.input("largest measured batch", Quantity::Count(u64::from(largest_batch(points)))),
        }
    }
}

/// The language model of these times, with what the memory leaves it.
pub(super) fn language_model(
    (prefill, decode, variation): (Prefill, Decode, Variation),
    memory: &MemoryFacts,
    max_batch: u32,
    mut basis: Basis,
) -> Result<(ServiceModel, Basis), MeasuredError> {
    let kv_bytes_per_token = match &memory.kv_bytes_per_token {
        Some(kv) => {
            basis = basis.resting_on(&kv.basis);
            kv.value
        }
        None => {
            basis = basis.caveat(
                "the memory of keys and values is not known: only the largest batch bounds how many run at once (give it with --kv-per-token)",
            );
            Bytes::ZERO
        }
    };
    let free_bytes = memory.free_bytes.value;
    let model = LanguageModel { prefill, decode, kv_bytes_per_token, free_bytes, max_batch, variation };
    model.check().map_err(|error| match memory.free_bytes.is_assumed() {
        true => missing(format!("failed to {error}"), "give more with --free-memory, or leave it out"),
        false if memory.device_bytes == Bytes::ZERO => missing(
            "the size of the device's memory is not known".to_owned(),
            "give what the weights leave of it with --free-memory",
        ),
        false => unusable(&error),
    })?;
    Ok((ServiceModel::LanguageModel(model), basis.resting_on(&memory.free_bytes.basis)))
}

fn missing(why: String, remedy: &'static str) -> MeasuredError {
    MeasuredError::Missing { phase: Phase::Throughput, why, remedy }
}

fn unusable(error: &ServiceError) -> MeasuredError {
    missing(format!("failed to {error}"), REMEDY)
}

fn points_of(profile: &Profile) -> Vec<PointTime> {
    let point = |point: &coldstart_profiles::ThroughputPoint| {
        let (samples, summary) = profile.measurement(&point.key)?.outcome.as_measured()?;
        let mut times = samples.included();
        times.sort_unstable();
        Some(PointTime {
            key: point.key.clone(),
            mode: point.mode,
            batch: point.batch,
            tokens: point.tokens,
            median_ns: summary.p50_ns,
            hi_ns: summary.p99_ns.unwrap_or(summary.max_ns),
            hi_is_p99: summary.p99_ns.is_some(),
            n: summary.n,
            ratios: ratios(&times, summary.p50_ns),
        })
    };
    profile.throughput.iter().filter_map(point).collect()
}

/// Quantiles of iteration ÷ median in the middle of evenly spaced steps: an outlier keeps about the weight that it had.
fn ratios(ascending: &[Nanos], median: Nanos) -> Vec<f64> {
    if median == Nanos::ZERO {
        return Vec::new();
    }
    let count = ascending.len().min(MOST_RATIOS);
    let at = |step: usize| ascending.get((2 * step + 1) * ascending.len() / (2 * count));
    let ratio = |time: &Nanos| time.as_nanos() as f64 / median.as_nanos() as f64;
    (0..count).filter_map(at).map(ratio).collect()
}

fn time(point: &PointTime) -> f64 {
    point.median_ns.as_nanos() as f64
}

fn all_tokens(point: &PointTime) -> f64 {
    f64::from(point.batch) * f64::from(point.tokens)
}

fn batch_of(point: &PointTime) -> f64 {
    f64::from(point.batch)
}

fn largest_batch(points: &[&PointTime]) -> u32 {
    points.iter().map(|point| point.batch).max().unwrap_or(1)
}

fn fitted<T>(fit: Result<T, ProfileError>) -> Fit<T> {
    match fit {
        Ok(fit) => Fit::Fitted { fit },
        Err(why) => Fit::Skipped { why: format!("failed to {why}") },
    }
}

/// T(n) = α + β·n with α, β ≥ 0: the plain fit where its coefficients are, else the best one that is possible for times.
fn line(points: &[(f64, f64)]) -> Result<LinearFit, ProfileError> {
    let plain = fit_line(points)?;
    if plain.alpha_ns >= 0.0 && plain.beta_ns >= 0.0 {
        return Ok(plain);
    }
    let rows: Vec<[f64; 2]> = points.iter().map(|(n, _)| [1.0, *n]).collect();
    let times: Vec<f64> = points.iter().map(|(_, time)| *time).collect();
    let ([alpha_ns, beta_ns], quality) =
        non_negative::fit(&rows, &times).ok_or(ProfileError::DegeneratePoints)?;
    Ok(LinearFit { alpha_ns, beta_ns, quality })
}

/// T = α + β·n + γ·n·ctx with α, β, γ ≥ 0, likewise.
fn plane(points: &[(f64, f64, f64)]) -> Result<PlaneFit, ProfileError> {
    let plain = fit_plane(points)?;
    if [plain.alpha_ns, plain.beta_ns, plain.gamma_ns].iter().all(|value| *value >= 0.0) {
        return Ok(plain);
    }
    let rows: Vec<[f64; 3]> = points.iter().map(|(n, n_ctx, _)| [1.0, *n, *n_ctx]).collect();
    let times: Vec<f64> = points.iter().map(|(.., time)| *time).collect();
    let ([alpha_ns, beta_ns, gamma_ns], quality) =
        non_negative::fit(&rows, &times).ok_or(ProfileError::DegeneratePoints)?;
    Ok(PlaneFit { alpha_ns, beta_ns, gamma_ns, quality })
}

/// How far the slow end of each point lies above the fit.
fn tail(points: &[&PointTime], work: impl Fn(&PointTime) -> f64, fit: impl Fn(&PointTime) -> f64) -> Tail {
    let point =
        |point: &&PointTime| TailPoint { n: work(point), factor: point.hi_ns.as_nanos() as f64 / fit(point) };
    Tail::new(points.iter().map(point))
}

/// The spread of iterations, over all points alike.
fn variation(points: &[&PointTime]) -> Variation {
    let mut all: Vec<f64> = points.iter().flat_map(|point| point.ratios.iter().copied()).collect();
    all.sort_by(f64::total_cmp);
    let count = all.len().min(MOST_RATIOS);
    Variation::from_ratios((0..count).map(|step| all[(2 * step + 1) * all.len() / (2 * count)]))
}
