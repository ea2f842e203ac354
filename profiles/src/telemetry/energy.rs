//! What a GPU used in a window of time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sample::TelemetrySample;
use crate::units::Nanos;

/// The counter moves in steps of up to a tenth of a second: a shorter window would be mostly rounding.
const LEAST_BY_COUNTER: Nanos = Nanos::from_millis(500);
/// Power is told as the mean of the last second: a shorter window would hold mostly what came before it.
const LEAST_BY_POWER: Nanos = Nanos::from_secs(2);
/// Between two samples of power that lie further apart nobody knows what happened.
const LARGEST_GAP: Nanos = Nanos::from_secs(1);

/// Where an energy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnergySource {
    /// The GPU's own counter, interpolated between the samples around both ends of the window.
    Counter,
    /// Power over time by the trapezoidal rule, for a GPU without a counter.
    Power,
}

/// What the whole board used in a window, idle power included, or why that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Energy {
    /// It was measured.
    Measured {
        /// The energy in millijoules.
        energy_mj: u64,
        /// The energy over the length of the window, in milliwatts.
        mean_power_mw: u64,
        /// Where it comes from.
        source: EnergySource,
    },
    /// It is not known.
    Skipped {
        /// The reason.
        why: String,
    },
}

impl Energy {
    /// The energy between `begin` and `end` by samples of which one lies at or before the begin and one at or behind the
    /// end. The counter is preferred to power. Windows too short for what the source resolves are skipped: 0.5 s by
    /// counter, 2 s by power.
    pub fn of(samples: &[TelemetrySample], begin: Nanos, end: Nanos) -> Self {
        let skipped = |why: String| Energy::Skipped { why };
        let length = end.saturating_sub(begin);
        let counter = series(samples, |sample| sample.energy_mj);
        let power = series(samples, |sample| sample.power_mw);
        let (points, source, least) = if counter.len() >= 2 {
            (counter, EnergySource::Counter, LEAST_BY_COUNTER)
        } else if power.len() >= 2 {
            (power, EnergySource::Power, LEAST_BY_POWER)
        } else {
            return skipped(match samples.len() {
                0 | 1 => "fewer than two samples lie around the window".to_owned(),
                _ => "the GPU tells neither its energy nor its power".to_owned(),
            });
        };
        if length < least {
            return skipped(format!("the window is shorter than {least}"));
        }
        let around = points.first().is_some_and(|first| first.0 <= begin)
            && points.last().is_some_and(|last| last.0 >= end);
        if !around {
            return skipped("the samples do not reach over both ends of the window".to_owned());
        }
        let energy_mj = match source {
            EnergySource::Counter => match (at(&points, begin), at(&points, end)) {
                (Some(from), Some(to)) if to >= from => (to - from + HALF) / ONE,
                _ => return skipped("the energy counter went backwards".to_owned()),
            },
            EnergySource::Power => match integral(&points, begin, end) {
                Some(energy) => energy,
                None => return skipped(format!("samples lie more than {LARGEST_GAP} apart")),
            },
        };
        let mean = energy_mj * 1_000_000_000 / u128::from(length.as_nanos().max(1));
        let (Ok(energy_mj), Ok(mean_power_mw)) = (u64::try_from(energy_mj), u64::try_from(mean)) else {
            return skipped("the energy counter jumped".to_owned());
        };
        Energy::Measured { energy_mj, mean_power_mw, source }
    }

    /// The energy in millijoules, if it was measured.
    pub const fn energy_mj(&self) -> Option<u64> {
        match self {
            Energy::Measured { energy_mj, .. } => Some(*energy_mj),
            Energy::Skipped { .. } => None,
        }
    }

    /// The mean power in milliwatts, if it was measured.
    pub const fn mean_power_mw(&self) -> Option<u64> {
        match self {
            Energy::Measured { mean_power_mw, .. } => Some(*mean_power_mw),
            Energy::Skipped { .. } => None,
        }
    }
}

/// The fixed point of interpolated counters: a thousandth of a millijoule.
const ONE: u128 = 1_000;
const HALF: u128 = ONE / 2;

/// The samples that hold a quantity.
fn series(samples: &[TelemetrySample], of: fn(&TelemetrySample) -> Option<u64>) -> Vec<(Nanos, u64)> {
    samples.iter().filter_map(|sample| Some((sample.at_ns, of(sample)?))).collect()
}

/// The value at a time between two points, in thousandths of its unit. `None` where it falls, or outside of the points.
fn at(points: &[(Nanos, u64)], time: Nanos) -> Option<u128> {
    let after = points.partition_point(|point| point.0 < time);
    let (t1, v1) = *points.get(after)?;
    if t1 == time {
        return Some(u128::from(v1) * ONE);
    }
    let (t0, v0) = *points.get(after.checked_sub(1)?)?;
    let rise = u128::from(v1.checked_sub(v0)?);
    let (part, whole) =
        (u128::from((time.saturating_sub(t0)).as_nanos()), u128::from(t1.saturating_sub(t0).as_nanos()));
    Some(u128::from(v0) * ONE + rise * ONE * part / whole.max(1))
}

/// ∫ power dt from `begin` to `end` by the trapezoidal rule, power being linear between two samples. Milliwatts in,
/// millijoules out.
fn integral(points: &[(Nanos, u64)], begin: Nanos, end: Nanos) -> Option<u128> {
    let mut twice = 0_u128; // 2 · mW · ns
    for pair in points.windows(2) {
        let [(t0, p0), (t1, p1)] = [pair[0], pair[1]];
        let (from, to) = (t0.max(begin), t1.min(end));
        if from >= to {
            continue;
        }
        let gap = t1.saturating_sub(t0);
        if gap > LARGEST_GAP {
            return None;
        }
        let level = |time: Nanos| {
            let part = time.saturating_sub(t0).as_nanos() as f64 / gap.as_nanos().max(1) as f64;
            p0 as f64 + (p1 as f64 - p0 as f64) * part
        };
        let sum = (level(from) + level(to)).round().max(0.0) as u128;
        twice += sum * u128::from(to.saturating_sub(from).as_nanos());
    }
    Some((twice + 1_000_000_000) / 2_000_000_000)
}
