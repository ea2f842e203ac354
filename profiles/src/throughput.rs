//! Steady-state rates over batch sizes, and the service times fitted to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::measurement::{Measurement, Outcome};
use crate::plan::ForwardMode;
use crate::stats::{LinearFit, PlaneFit, fit_line, fit_plane};
use crate::units::{Bytes, Nanos};
use crate::warm_up::StopReason;

/// The rates of one point of the sweep. Its samples and their summary stand in the measurement under `key`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThroughputPoint {
    /// The measurement that this belongs to.
    pub key: Key,
    /// What one iteration does.
    pub mode: ForwardMode,
    /// Sequences at a time.
    pub batch: u32,
    /// Tokens of each prompt, or in the cache of each sequence.
    pub tokens: u32,
    /// Sequences finished per second in the steady window; decode: steps of one sequence.
    pub items_per_s: f64,
    /// Tokens read (prefill, encode) or generated (decode) per second in the steady window.
    pub tokens_per_s: f64,
    /// From the begin of the first steady iteration to the end of the last: what the rates are taken over.
    #[serde(default)]
    pub window_ns: Nanos,
    /// Floating-point operations of one iteration's matrix products.
    pub flops: u64,
    /// Bytes of weights and KV cache that one iteration reads at least once.
    pub read_bytes: Bytes,
    /// Memory that the forward pass holds on the device besides the weights: activations and KV cache.
    pub workspace_bytes: Bytes,
    /// Why it stopped iterating.
    pub stop: StopReason,
    /// Mean power of the whole board over the steady window in milliwatts, of all GPUs together; `null` where it was not
    /// measured: the energy of the telemetry window says why.
    #[serde(default)]
    pub power_mw: Option<u64>,
    /// Energy of the board in the steady window, idle power included, over the tokens read (prefill, encode) or generated
    /// (decode) in it, in microjoules.
    #[serde(default)]
    pub energy_per_token_uj: Option<u64>,
    /// Median share of the time in which a kernel ran, in percent, in the steady window. It says nothing of how much of
    /// the GPU that kernel used.
    #[serde(default)]
    pub utilisation_percent: Option<u64>,
    /// The format of activations, such as `bf16`; `null` in profiles that did not note it.
    #[serde(default)]
    pub dtype: Option<String>,
    /// Whether decode steps were replayed as a recorded graph; `null` for other passes and on devices without graphs.
    #[serde(default)]
    pub replay: Option<Replay>,
}

/// The steady state at one point in one fresh process. Its iterations are never pooled with those of other processes, nor
/// with the sweep's: the process is the unit of replication (Kalibera & Jones, ISMM 2013).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThroughputTrial {
    /// The step of the plan that it belongs to.
    pub step: String,
    /// Which repetition, counted from 0.
    pub trial: u32,
    /// The point, under the key of its measurement in the sweep.
    pub key: Key,
    /// Every iteration of this process; those before its steady state are left out of the summary.
    pub outcome: Outcome,
}

/// How a device with graphs ran decode steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Replay {
    /// Recorded once, replayed as one launch from then on.
    Replayed,
    /// Every kernel launched by itself.
    Eager {
        /// Why nothing was recorded.
        why: String,
    },
}

/// A fit, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Fit<T> {
    /// It was fitted.
    Fitted {
        /// Coefficients and quality.
        fit: T,
    },
    /// There was too little to fit.
    Skipped {
        /// The reason.
        why: String,
    },
}

impl<T> Fit<T> {
    /// The fit, where there is one.
    pub const fn fitted(&self) -> Option<&T> {
        match self {
            Fit::Fitted { fit } => Some(fit),
            Fit::Skipped { .. } => None,
        }
    }
}

/// Service times over the sweep, from the medians of its points, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fits {
    /// Encoders: T(n) = α + β·n over batch n, for each prompt length.
    pub encode: Vec<EncodeFit>,
    /// Prefill: T(tok) = α + β·tok over the tokens of the whole batch.
    pub prefill: Fit<LinearFit>,
    /// Decode: T(n, ctx) = α + β·n + γ·n·ctx over batch n and context ctx.
    pub decode: Fit<PlaneFit>,
}

/// The fit over batches at one prompt length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EncodeFit {
    /// Tokens of each text.
    pub tokens: u32,
    /// T(n) = α + β·n.
    pub fit: Fit<LinearFit>,
}

impl Default for Fits {
    fn default() -> Self {
        Fits::of(&[], &[])
    }
}

impl Fits {
    /// The fitted time of one iteration of `batch` sequences with `tokens` tokens each, in nanoseconds; `None` without a fit for it.
    pub fn time(&self, mode: ForwardMode, batch: f64, tokens: u32) -> Option<f64> {
        let all = batch * f64::from(tokens);
        match mode {
            ForwardMode::Prefill => self.prefill.fitted().map(|fit| fit.at(all)),
            ForwardMode::Decode => self.decode.fitted().map(|fit| fit.at(batch, all)),
            ForwardMode::Encode => {
                let of_length = self.encode.iter().find(|encode| encode.tokens == tokens)?;
                of_length.fit.fitted().map(|fit| fit.at(batch))
            }
        }
    }

    /// Fits service times to the medians of the sweep's points.
    pub fn of(points: &[ThroughputPoint], measurements: &[Measurement]) -> Self {
        let median_of = |point: &ThroughputPoint| {
            let row = measurements.iter().find(|row| row.key == point.key)?;
            Some(row.outcome.as_measured()?.1.p50_ns.as_nanos() as f64)
        };
        let of_mode = |mode: ForwardMode| {
            points
                .iter()
                .filter(move |point| point.mode == mode)
                .filter_map(|point| Some((point, median_of(point)?)))
                .collect::<Vec<_>>()
        };
        let mut lengths: Vec<u32> =
            of_mode(ForwardMode::Encode).iter().map(|(point, _)| point.tokens).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let encode = lengths
            .into_iter()
            .map(|tokens| {
                let line: Vec<(f64, f64)> = of_mode(ForwardMode::Encode)
                    .iter()
                    .filter(|(point, _)| point.tokens == tokens)
                    .map(|(point, time)| (f64::from(point.batch), *time))
                    .collect();
                EncodeFit { tokens, fit: line_or_why(&line) }
            })
            .collect();
        let prefill: Vec<(f64, f64)> = of_mode(ForwardMode::Prefill)
            .iter()
            .map(|(point, time)| (f64::from(point.batch) * f64::from(point.tokens), *time))
            .collect();
        let decode: Vec<(f64, f64, f64)> = of_mode(ForwardMode::Decode)
            .iter()
            .map(|(point, time)| {
                (f64::from(point.batch), f64::from(point.batch) * f64::from(point.tokens), *time)
            })
            .collect();
        Fits { encode, prefill: line_or_why(&prefill), decode: plane_or_why(&decode) }
    }
}

fn line_or_why(points: &[(f64, f64)]) -> Fit<LinearFit> {
    match fit_line(points) {
        Ok(fit) => Fit::Fitted { fit },
        Err(why) => Fit::Skipped { why: format!("failed to {why}") },
    }
}

fn plane_or_why(points: &[(f64, f64, f64)]) -> Fit<PlaneFit> {
    match fit_plane(points) {
        Ok(fit) => Fit::Fitted { fit },
        Err(why) => Fit::Skipped { why: format!("failed to {why}") },
    }
}
