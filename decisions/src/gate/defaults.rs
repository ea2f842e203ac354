//! Thresholds where no rule gives any.

use coldstart_profiles::Phase;

use super::rules::Thresholds;
use super::series::{Metric, SeriesKey};

/// What a calibration found for one key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibrated {
    /// θ.
    pub relative: f64,
    /// Whether this metric decides; of time and times_limit of one load the steadier one does.
    pub decides: bool,
    /// The smallest slowdown that is found in nine of ten comparisons, as a share.
    pub detectable: Option<f64>,
}

/// Differences of pulls below this are the engine's own scheduling.
const PULL_FLOOR_NS: f64 = 20e6;
/// Differences of one-shot phases below this are the operating system's.
const ONE_SHOT_FLOOR_NS: f64 = 5e6;
/// Stamps of a cluster are cut off to whole seconds, on either side.
const STAMP_FLOOR_NS: f64 = 2e9;
/// The same of phases that take longer, where a calibration knows how unsteady they are: only what nobody would notice.
const CALIBRATED_FLOOR_NS: f64 = 0.5e6;
/// Steady iterations are compared down to so many steps of the clock.
const STEPS: f64 = 3.0;

/// θ and τ for a key: θ from the calibration, else 5 % for compute, 10 % for transfers and totals, 15 % for what the
/// operating system and the driver do, 25 % for pulls and containers; τ by the kind of phase. A calibrated θ leaves τ less to
/// do: loads, first batches and totals are then told apart down to half a millisecond. `resolution` is the clock's, in
/// nanoseconds.
pub fn thresholds(key: &SeriesKey, calibrated: Option<&Calibrated>, resolution: f64) -> Thresholds {
    let by_phase = match (key.metric, key.phase) {
        (Metric::Total, _) | (Metric::TimesLimit, _) => 0.10,
        (_, Phase::FirstBatch | Phase::WarmUp | Phase::Throughput) => 0.05,
        (_, Phase::WeightsLoad) => 0.10,
        (_, Phase::ImagePull | Phase::ContainerStart | Phase::Scheduling | Phase::Readiness) => 0.25,
        (
            _,
            Phase::ProcessStart | Phase::DriverInit | Phase::ContextCreate | Phase::ModuleLoad | Phase::Alloc,
        ) => 0.15,
    };
    let floor = match (key.metric, key.phase) {
        (Metric::TimesLimit, _) => 0.0,
        (Metric::SteadyTime, _) | (_, Phase::Throughput) => STEPS * resolution,
        (_, Phase::Scheduling | Phase::Readiness) => STAMP_FLOOR_NS,
        (_, Phase::ImagePull | Phase::ContainerStart) => PULL_FLOOR_NS,
        (Metric::Total, _) | (_, Phase::FirstBatch | Phase::WeightsLoad) if calibrated.is_some() => {
            CALIBRATED_FLOOR_NS
        }
        _ => ONE_SHOT_FLOOR_NS,
    };
    Thresholds { relative: calibrated.map_or(by_phase, |calibrated| calibrated.relative), floor }
}
