//! What kind of warm-up a trial went through, and what it cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Nanos;
use crate::warm_up::locate::{Located, locate};
use crate::warm_up::trend::trend;

/// A steady part shorter than this is none.
const LEAST_STEADY: usize = 30;

/// What kind of warm-up a trial went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarmUpClass {
    /// Steady from the first iteration.
    Flat,
    /// Slower before the steady state.
    Warmup,
    /// Faster before the steady state.
    Slowdown,
    /// No steady state was reached.
    NoSteadyState,
}

impl WarmUpClass {
    /// Every class.
    pub const ALL: [WarmUpClass; 4] =
        [WarmUpClass::Flat, WarmUpClass::Warmup, WarmUpClass::Slowdown, WarmUpClass::NoSteadyState];

    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            WarmUpClass::Flat => "flat",
            WarmUpClass::Warmup => "warmup",
            WarmUpClass::Slowdown => "slowdown",
            WarmUpClass::NoSteadyState => "no_steady_state",
        }
    }
}

/// The warm-up of one trial, from all of its iterations.
///
/// All numbers but `noise_ppm` and `drift_ppm` are those of the raw readings. Without a steady state the numbers that rest
/// on one are `null`, and `why` says what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WarmUpAnalysis {
    /// What was seen.
    pub class: WarmUpClass,
    /// How many iterations were analysed.
    pub iterations: usize,
    /// The first steady iteration, counted from 0.
    pub steady_start: Option<usize>,
    /// The median of the steady iterations.
    pub steady_median_ns: Option<Nanos>,
    /// The time of all iterations before the first steady one.
    pub time_to_steady_ns: Option<Nanos>,
    /// What these iterations took above the steady median: Σ_{i<start} (xᵢ − median). Negative after a slowdown.
    pub warmup_cost_ns: Option<i64>,
    /// Where the level moves: the first iteration of each segment after the first.
    pub changepoints: Vec<usize>,
    /// The median of each segment; one more than there are changepoints.
    pub segment_medians_ns: Vec<Nanos>,
    /// The scatter between iterations at an unchanged level, in millionths of the level.
    pub noise_ppm: u64,
    /// How much slower the end of the steady part is than its beginning, in millionths, where it was long enough to tell.
    pub drift_ppm: Option<i64>,
    /// Why there is no steady state.
    pub why: Option<String>,
}

/// Analyses the iterations of one trial, in the order taken and from the first.
///
/// `resolution` is the least step of the clock that took them. A steady state needs at least max(30, n/4)
/// iterations without a trend of 5 % or more that is significant at 1 %.
pub fn analyse(readings: &[Nanos], resolution: Nanos) -> WarmUpAnalysis {
    if readings.is_empty() {
        return WarmUpAnalysis {
            class: WarmUpClass::NoSteadyState,
            iterations: 0,
            steady_start: None,
            steady_median_ns: None,
            time_to_steady_ns: None,
            warmup_cost_ns: None,
            changepoints: Vec::new(),
            segment_medians_ns: Vec::new(),
            noise_ppm: 0,
            drift_ppm: None,
            why: Some("no iteration was measured".to_owned()),
        };
    }
    let located = locate(readings, resolution);
    let verdict = judge(&located);
    describe(readings, located, verdict)
}

/// Whether the located steady part is one.
pub(super) struct Judgement {
    /// The drift over the steady part, where it is long enough.
    drift: Option<f64>,
    /// Why it is no steady state; `None` when it is one.
    why: Option<String>,
}

impl Judgement {
    pub(super) fn is_steady(&self) -> bool {
        self.why.is_none()
    }
}

pub(super) fn judge(located: &Located) -> Judgement {
    let n = located.logs.len();
    let left = n - located.start;
    let needed = LEAST_STEADY.max(n.div_ceil(4));
    if left < needed {
        let why = format!(
            "{left} of {n} iterations follow the last change of level, {needed} are needed: iterate longer"
        );
        return Judgement { drift: None, why: Some(why) };
    }
    let trend = trend(&located.logs[located.start..]);
    let why = trend.matters().then(|| {
        format!(
            "iterations still drift by {:+.1} % over the last {left}: iterate longer",
            trend.drift * 100.0
        )
    });
    Judgement { drift: Some(trend.drift), why }
}

fn describe(readings: &[Nanos], located: Located, judgement: Judgement) -> WarmUpAnalysis {
    let steady = judgement.is_steady();
    let before = &readings[..located.start];
    let taken: u128 = before.iter().map(|reading| u128::from(reading.as_nanos())).sum();
    let normal = before.len() as u128 * u128::from(located.steady_median.as_nanos());
    let cost = i128::try_from(taken).unwrap_or(i128::MAX) - i128::try_from(normal).unwrap_or(i128::MAX);
    let cost = cost.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
    WarmUpAnalysis {
        class: if steady { located.class } else { WarmUpClass::NoSteadyState },
        iterations: readings.len(),
        steady_start: steady.then_some(located.start),
        steady_median_ns: steady.then_some(located.steady_median),
        time_to_steady_ns: steady.then(|| before.iter().copied().sum()),
        warmup_cost_ns: steady.then_some(cost),
        changepoints: located.changepoints,
        segment_medians_ns: located.medians,
        noise_ppm: (located.noise * 1e6).round() as u64,
        drift_ppm: judgement.drift.map(|drift| (drift * 1e6).round() as i64),
        why: judgement.why,
    }
}
