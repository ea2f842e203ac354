//! Whether the machine was fit to be judged by.

use coldstart_profiles::{CanaryReading, Profile};

/// A canary that moved by more than this, within a run or from the baseline's, was not taken on the same machine, so to speak.
const DRIFT: f64 = 0.05;

/// What speaks against judging by these profiles: each side's canary against itself, and the new side's against the
/// baseline's. `tolerance` replaces 5 % where a calibration found that the machine's canary wanders further. Where the device
/// is a GPU, what its telemetry says counts as well.
pub fn unfit(baseline: &[&Profile], new: &[&Profile], tolerance: Option<f64>) -> Vec<String> {
    let tolerance = tolerance.unwrap_or(DRIFT);
    let mut reasons: Vec<String> = Vec::new();
    for (side, profiles) in [("baseline", baseline), ("new", new)] {
        let moved = profiles.iter().filter_map(|profile| within(profile, tolerance));
        reasons.extend(moved.map(|what| format!("{side}: the canary moved during the run ({what})")));
    }
    if let (Some(before), Some(now)) = (best(baseline), best(new)) {
        for (what, before, now) in [("copy", before.0, now.0), ("product", before.1, now.1)] {
            let change = now / before - 1.0;
            if change.abs() > tolerance {
                reasons.push(format!(
                    "the canary's {what} takes {:+.1} % of the baseline's time: not the same machine, or not in the same state",
                    change * 100.0
                ));
            }
        }
    }
    reasons
}

fn seconds(reading: &CanaryReading) -> (f64, f64) {
    (reading.copy_ns.as_secs_f64(), reading.gemm_ns.as_secs_f64())
}

/// What moved by more than `tolerance` between the first and the last canary of a run.
fn within(profile: &Profile, tolerance: f64) -> Option<String> {
    let first = seconds(profile.fitness.canary.iter().find(|reading| reading.when == "before")?);
    let last = seconds(profile.fitness.canary.iter().rfind(|reading| reading.when == "after")?);
    let moved: Vec<String> = [("copy", first.0, last.0), ("product", first.1, last.1)]
        .into_iter()
        .filter(|(_, first, last)| *first > 0.0 && (last / first - 1.0).abs() > tolerance)
        .map(|(what, first, last)| format!("{what} {:+.1} %", (last / first - 1.0) * 100.0))
        .collect();
    (!moved.is_empty()).then(|| moved.join(", "))
}

/// The best copy and the best product of several runs: what the machine can do when nothing disturbs it.
fn best(profiles: &[&Profile]) -> Option<(f64, f64)> {
    let readings = profiles.iter().flat_map(|profile| &profile.fitness.canary).map(seconds);
    let best = readings
        .fold((f64::INFINITY, f64::INFINITY), |best, reading| (best.0.min(reading.0), best.1.min(reading.1)));
    (best.0.is_finite() && best.0 > 0.0 && best.1 > 0.0).then_some(best)
}
