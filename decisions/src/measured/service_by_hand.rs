//! Service times that a user gives where none were measured.

use std::fmt;

use coldstart_profiles::Nanos;
use coldstart_profiles::stats::FitQuality;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::MeasuredError;
use super::memory::MemoryFacts;
use super::non_negative;
use super::service_fit::language_model;
use crate::basis::{Basis, Quantity};
use crate::service::{Decode, Prefill, ServiceModel, SingleForward, Tail, TailPoint, Variation};

/// A fit of so many points goes through all of them and says nothing of its quality.
const EXACT: usize = 2;

/// Service times as a user knows them, such as from a load test. They take the place of what was measured, and are taken as the slow
/// end: with 99th percentiles a plan is as safe as with a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ServiceByHand {
    /// `--assume-batches`: encoders and classifiers.
    SingleForward {
        /// Times of batches, by requests.
        batches: Vec<TimeOf>,
    },
    /// `--assume-prefill` and `--assume-decode`.
    LanguageModel {
        /// Times of prefills, by tokens of the prompt.
        prefill: Vec<TimeOf>,
        /// Times of decode steps.
        decode: Vec<StepTime>,
    },
}

/// What a batch of so many requests, or a prompt of so many tokens, takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimeOf {
    /// Requests or tokens.
    pub count: u32,
    /// From its start to its end.
    pub time_ns: Nanos,
}

/// What one decode step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepTime {
    /// Requests in the step.
    pub batch: u32,
    /// Tokens that each of them holds; `null` where that was not said.
    pub context: Option<u32>,
    /// From its start to its end.
    pub time_ns: Nanos,
}

impl fmt::Display for TimeOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.count, self.time_ns)
    }
}

impl fmt::Display for StepTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.context {
            Some(context) => write!(f, "{}x{context}={}", self.batch, self.time_ns),
            None => write!(f, "{}={}", self.batch, self.time_ns),
        }
    }
}

impl ServiceByHand {
    /// The flag of batches.
    pub const BATCHES: &str = "--assume-batches";
    /// The flag of prefills.
    pub const PREFILL: &str = "--assume-prefill";
    /// The flag of decode steps.
    pub const DECODE: &str = "--assume-decode";

    /// The service model through these times, and what it rests on. `max_batch` takes the place of the largest batch that a time was
    /// given for.
    ///
    /// # Errors
    /// When a time is given twice, more work takes less time than less, contexts are given for some steps only, and where nothing
    /// fits into the memory.
    pub fn model(
        &self,
        memory: &MemoryFacts,
        max_batch: Option<u32>,
    ) -> Result<(ServiceModel, Basis), MeasuredError> {
        match self {
            ServiceByHand::SingleForward { batches } => forward_model(batches, max_batch),
            ServiceByHand::LanguageModel { prefill, decode } => {
                let (prefill, of_prefill) = prefill_of(prefill)?;
                let (decode, of_decode) = (decode_of(decode)?, decode);
                let formula = "T_pre(tok) = α_p + β_p·tok and T_dec(n, ctx) = α_d + β_d·n + γ·n·ctx through times given by hand, no \
                               coefficient below zero";
                let mut basis = of_hand(formula)
                    .input("times of prefills", Quantity::Text(of_prefill))
                    .assumed(Self::PREFILL)
                    .input("times of decode steps", Quantity::Text(list(of_decode)))
                    .assumed(Self::DECODE);
                if of_decode.iter().all(|step| step.context.is_none()) {
                    basis = basis.caveat(
                        "decode steps are given without a context: that of a request is taken not to slow them",
                    );
                }
                let largest = of_decode.iter().map(|step| step.batch).max().unwrap_or(1);
                let basis = limited(Self::DECODE, of_decode, basis, largest, max_batch)?;
                let model = (prefill, decode, Variation::default());
                language_model(model, memory, max_batch.unwrap_or(largest), basis)
            }
        }
    }

    /// The longest prompt and the longest context that a time was given for; `None` of single forwards, and of steps without contexts.
    pub(crate) fn longest(&self) -> (Option<u32>, Option<u32>) {
        match self {
            ServiceByHand::SingleForward { .. } => (None, None),
            ServiceByHand::LanguageModel { prefill, decode } => (
                prefill.iter().map(|time| time.count).max(),
                decode.iter().filter_map(|step| step.context).max(),
            ),
        }
    }
}

fn forward_model(batches: &[TimeOf], max_batch: Option<u32>) -> Result<(ServiceModel, Basis), MeasuredError> {
    let flag = ServiceByHand::BATCHES;
    let line = Line::through(flag, batches)?;
    let basis = of_hand("T(n) = α + β·n through times given by hand, no coefficient below zero")
        .input("times of batches", Quantity::Text(list(batches)))
        .assumed(flag);
    let largest = batches.iter().map(|time| time.count).max().unwrap_or(1);
    let model = SingleForward {
        tail: line.tail,
        quality: line.quality,
        ..SingleForward::by_hand(line.alpha_ns, line.beta_ns, max_batch.unwrap_or(largest))
    };
    let basis = limited(flag, batches, basis, largest, max_batch)?;
    model.check().map_err(|error| wrong(flag, format!("failed to {error}")))?;
    Ok((ServiceModel::SingleForward(model), basis))
}

/// The model of prefills, and its times as they were given.
fn prefill_of(times: &[TimeOf]) -> Result<(Prefill, String), MeasuredError> {
    if let [only] = times {
        let why = format!("{only} alone says nothing of shorter or longer prompts: give another length too");
        return Err(wrong(ServiceByHand::PREFILL, why));
    }
    let Line { alpha_ns, beta_ns, tail, quality } = Line::through(ServiceByHand::PREFILL, times)?;
    Ok((Prefill { alpha_ns, beta_ns, tail, quality }, list(times)))
}

fn decode_of(steps: &[StepTime]) -> Result<Decode, MeasuredError> {
    let flag = ServiceByHand::DECODE;
    let contexts: Vec<u32> = steps.iter().filter_map(|step| step.context).collect();
    if contexts.is_empty() {
        let times: Vec<TimeOf> =
            steps.iter().map(|step| TimeOf { count: step.batch, time_ns: step.time_ns }).collect();
        let Line { alpha_ns, beta_ns, tail, quality } = Line::through(flag, &times)?;
        return Ok(Decode { alpha_ns, beta_ns, gamma_ns: 0.0, tail, quality });
    }
    if contexts.len() < steps.len() {
        return Err(wrong(
            flag,
            "some steps have a context, others none: give one with each, or with none".into(),
        ));
    }
    if steps.len() <= EXACT {
        let why = format!(
            "{} say nothing of how batch and context add up: give three times or more, such as 1x512=12ms,32x512=16ms,32x4096=25ms, or \
             leave the contexts out",
            list(steps)
        );
        return Err(wrong(flag, why));
    }
    let work = |step: &StepTime| [step.batch, step.context.unwrap_or(0)];
    in_order(flag, steps, work, |step| step.time_ns)?;
    let tokens = |step: &StepTime| f64::from(step.batch) * f64::from(step.context.unwrap_or(0));
    let rows: Vec<[f64; 3]> = steps.iter().map(|step| [1.0, f64::from(step.batch), tokens(step)]).collect();
    let times: Vec<f64> = steps.iter().map(|step| step.time_ns.as_nanos() as f64).collect();
    let ([alpha_ns, beta_ns, gamma_ns], quality) =
        non_negative::fit(&rows, &times).ok_or_else(|| no_line(flag))?;
    let fit = |row: &[f64; 3]| alpha_ns + beta_ns * row[1] + gamma_ns * row[2];
    let slow = |(row, time): (&[f64; 3], &f64)| TailPoint { n: row[1], factor: time / fit(row) };
    let tail = Tail::new(rows.iter().zip(&times).map(slow));
    Ok(Decode { alpha_ns, beta_ns, gamma_ns, tail, quality: Some(quality) })
}

/// α + β·n through times that were given.
struct Line {
    alpha_ns: f64,
    beta_ns: f64,
    /// Where a time lies above the line, the slow end does.
    tail: Tail,
    quality: Option<FitQuality>,
}

impl Line {
    /// One time is taken for less work, too, which it can't be below: a promise that is kept. Of more work it says nothing, and
    /// [`limited`] sees to it that none is asked for.
    fn through(flag: &'static str, times: &[TimeOf]) -> Result<Self, MeasuredError> {
        in_order(flag, times, |time| [time.count, 0], |time| time.time_ns)?;
        let points: Vec<(f64, f64)> =
            times.iter().map(|time| (f64::from(time.count), time.time_ns.as_nanos() as f64)).collect();
        if let [(_, time)] = points[..] {
            return Ok(Line { alpha_ns: time, beta_ns: 0.0, tail: Tail::default(), quality: None });
        }
        let rows: Vec<[f64; 2]> = points.iter().map(|(count, _)| [1.0, *count]).collect();
        let values: Vec<f64> = points.iter().map(|(_, time)| *time).collect();
        let ([alpha_ns, beta_ns], quality) =
            non_negative::fit(&rows, &values).ok_or_else(|| no_line(flag))?;
        let slow =
            |(count, time): &(f64, f64)| TailPoint { n: *count, factor: time / (alpha_ns + beta_ns * count) };
        let tail = Tail::new(points.iter().map(slow));
        Ok(Line { alpha_ns, beta_ns, tail, quality: (points.len() > EXACT).then_some(quality) })
    }
}

/// Fails where the same work has two times, and where more of it takes less.
fn in_order<T: fmt::Display>(
    flag: &'static str,
    times: &[T],
    work: impl Fn(&T) -> [u32; 2],
    time: impl Fn(&T) -> Nanos,
) -> Result<(), MeasuredError> {
    for (index, a) in times.iter().enumerate() {
        for b in &times[index + 1..] {
            let ([a0, a1], [b0, b1]) = (work(a), work(b));
            let (less, more) = if (a0, a1) <= (b0, b1) { (a, b) } else { (b, a) };
            if (a0, a1) == (b0, b1) {
                return Err(wrong(flag, format!("{a} and {b} are times of the same: give one of them")));
            }
            let all_of_it = (a0 <= b0 && a1 <= b1) || (b0 <= a0 && b1 <= a1);
            if all_of_it && time(more) < time(less) {
                return Err(wrong(flag, format!("{more} takes less time than {less}, which is less work")));
            }
        }
    }
    match times {
        [] => Err(wrong(flag, "no time is given".into())),
        _ => Ok(()),
    }
}

fn of_hand(formula: &str) -> Basis {
    Basis::of(formula).caveat(
        "service times are given by hand and taken as the slow end of them: give 99th percentiles, or measure them with `coldstart run`",
    )
}

/// With the most requests at once: the largest batch that has a time, or what was given.
fn limited<T: fmt::Display>(
    flag: &'static str,
    times: &[T],
    basis: Basis,
    largest: u32,
    max_batch: Option<u32>,
) -> Result<Basis, MeasuredError> {
    let beyond = max_batch.filter(|batch| *batch > largest);
    let basis =
        match (times, beyond) {
            ([only], Some(batch)) => {
                let why = format!(
                    "{only} alone says nothing of the {batch} of --max-batch: give the time of a second batch"
                );
                return Err(wrong(flag, why));
            }
            ([only], None) if largest > 1 => basis
                .caveat(format!("{only} is all that is known: smaller batches are taken to take as long")),
            (_, Some(batch)) => basis
                .caveat(format!("batches of up to {batch} are extrapolated from times of up to {largest}")),
            (_, None) => basis,
        };
    Ok(match max_batch {
        Some(batch) => basis.input("largest batch", Quantity::Count(u64::from(batch))).assumed("--max-batch"),
        None => basis.input("largest batch with a time", Quantity::Count(u64::from(largest))),
    })
}

fn list<T: fmt::Display>(times: &[T]) -> String {
    times.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn wrong(flag: &'static str, why: String) -> MeasuredError {
    MeasuredError::ByHand { flag, why }
}

fn no_line(flag: &'static str) -> MeasuredError {
    wrong(flag, "no line goes through these times: give those of other batches".into())
}
