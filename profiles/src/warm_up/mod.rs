//! Warm-up and steady state within one trial, from every iteration since the first.
//!
//! The analysis works on logarithms, so that it asks by which factor iterations differ:
//! 1. `hampel` pulls lone spikes in; the raw readings stay as they are.
//! 2. `noise` estimates the scatter σ between neighbours, wide enough for autocorrelation and coarse clocks.
//! 3. `changepoints` cuts the series where its level moves by more than σ explains.
//! 4. `locate` walks back from the end over segments of the same level: there the steady state starts.
//! 5. `trend` asks whether the steady part still drifts, and `classify` names what was seen
//!    (after Barrett et al., "Virtual machine warmup blows hot and cold", OOPSLA 2017).
//!
//! [`StopRule`] decides, one reading at a time, when enough has been seen; [`TrialsAgreement`] sets the trials
//! side by side.

mod agreement;
mod changepoints;
mod classify;
#[cfg(test)]
pub(crate) mod curves;
mod hampel;
mod locate;
mod noise;
mod stop;
#[cfg(test)]
mod tests;
mod trend;

pub use agreement::{ClassCounts, Spread, TrialsAgreement, WarmUpCurve};
pub use classify::{WarmUpAnalysis, WarmUpClass, analyse};
pub use stop::{StopLimits, StopReason, StopRule};
