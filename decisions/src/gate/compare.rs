//! Two series, one judgement, and the evidence for it.

use coldstart_profiles::stats::{MannWhitney, cliffs_delta, mann_whitney, median, ratio_interval};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::Thresholds;

/// Fewer trials than this on either side decide nothing: one disturbed run would.
pub(super) const LEAST_TRIALS: usize = 3;
/// Draws of the bootstrap.
const DRAWS: usize = 2000;

/// Why nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// Fewer than three trials on a side.
    FewTrials,
    /// The medians and the best trials say different things: disturbed, or a change near the threshold.
    Disagree,
    /// By the calibration no slowdown of it would show.
    Blind,
    /// The trials of one side found no steady state, or one of another kind.
    WarmUp,
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Judgement {
    /// No difference that matters.
    Same,
    /// Better by more than the threshold.
    Faster,
    /// Worse by more than the threshold: a regression.
    Slower,
    /// Nobody can tell.
    Inconclusive {
        /// Why not.
        why: String,
        /// The same for programs; `null` in verdicts of before it was told.
        #[serde(default)]
        doubt: Option<Doubt>,
    },
    /// Measured under other conditions.
    Incomparable {
        /// The fields that differ, with both values.
        why: String,
    },
    /// On one side only.
    Missing {
        /// Which side lacks it, and why where that is known.
        why: String,
    },
}

impl Judgement {
    /// The name in tables.
    pub const fn name(&self) -> &'static str {
        match self {
            Judgement::Same => "same",
            Judgement::Faster => "faster",
            Judgement::Slower => "slower",
            Judgement::Inconclusive { .. } => "inconclusive",
            Judgement::Incomparable { .. } => "incomparable",
            Judgement::Missing { .. } => "missing",
        }
    }

    /// Why there is no plain answer.
    pub fn why(&self) -> Option<&str> {
        match self {
            Judgement::Same | Judgement::Faster | Judgement::Slower => None,
            Judgement::Inconclusive { why, .. }
            | Judgement::Incomparable { why }
            | Judgement::Missing { why } => Some(why),
        }
    }
}

/// The numbers that a judgement rests on. Times in nanoseconds, ratios new ÷ baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Trials of the baseline.
    pub baseline_trials: usize,
    /// Trials of the new side.
    pub new_trials: usize,
    /// Median of the baseline.
    pub baseline_median: f64,
    /// Median of the new side.
    pub new_median: f64,
    /// Ratio of the medians.
    pub ratio_of_medians: f64,
    /// Ratio of the best trials.
    pub ratio_of_best: f64,
    /// Difference of the medians.
    pub difference: f64,
    /// 95 % bootstrap interval of the ratio of medians; printed, not decided on.
    pub ratio_interval: Option<(f64, f64)>,
    /// Mann-Whitney test; printed, not decided on.
    pub mann_whitney: Option<MannWhitney>,
    /// Cliff's δ: 1 when every new trial is above every one of the baseline; printed, not decided on.
    pub cliffs_delta: Option<f64>,
    /// What was decided by.
    pub thresholds: Thresholds,
}

/// Judges `new` against `baseline`, one number a trial, smaller is better.
///
/// With m the trials, θ the threshold and τ the floor: slower ⇔ median(new)/median(base) > 1+θ and min(new)/min(base) > 1+θ
/// and median(new) − median(base) > τ; faster is the mirror image; same ⇔ both ratios lie within 1/(1+θ)..1+θ, or the
/// medians differ by no more than τ; everything else is inconclusive. `None` where a side is empty.
pub fn judge(baseline: &[f64], new: &[f64], thresholds: Thresholds) -> Option<(Judgement, Evidence)> {
    let least = |values: &[f64]| values.iter().copied().min_by(f64::total_cmp);
    let (baseline_median, new_median) = (median(baseline)?, median(new)?);
    let evidence = Evidence {
        baseline_trials: baseline.len(),
        new_trials: new.len(),
        baseline_median,
        new_median,
        ratio_of_medians: new_median / baseline_median,
        ratio_of_best: least(new)? / least(baseline)?,
        difference: new_median - baseline_median,
        ratio_interval: ratio_interval(baseline, new, DRAWS),
        mann_whitney: mann_whitney(baseline, new),
        cliffs_delta: cliffs_delta(baseline, new),
        thresholds,
    };
    let ratios = [evidence.ratio_of_medians, evidence.ratio_of_best];
    let trials = baseline.len().min(new.len());
    Some((judgement(ratios, evidence.difference, trials, thresholds), evidence))
}

/// The judgement by the ratios of the medians and of the best, and the difference of the medians.
pub(super) fn judgement(
    ratios: [f64; 2],
    difference: f64,
    trials: usize,
    thresholds: Thresholds,
) -> Judgement {
    if trials < LEAST_TRIALS {
        let why = format!("{trials} trial(s) on one side: at least {LEAST_TRIALS} are needed");
        return Judgement::Inconclusive { why, doubt: Some(Doubt::FewTrials) };
    }
    let (above, below) = (1.0 + thresholds.relative, 1.0 / (1.0 + thresholds.relative));
    if difference.abs() <= thresholds.floor || ratios.iter().all(|ratio| (below..=above).contains(ratio)) {
        Judgement::Same
    } else if ratios.iter().all(|ratio| *ratio > above) {
        Judgement::Slower
    } else if ratios.iter().all(|ratio| *ratio < below) {
        Judgement::Faster
    } else {
        Judgement::Inconclusive {
            why: format!(
                "the medians say {:+.1} %, the best trials {:+.1} %: disturbed, or a change near the threshold of {:.1} %",
                (ratios[0] - 1.0) * 100.0,
                (ratios[1] - 1.0) * 100.0,
                thresholds.relative * 100.0
            ),
            doubt: Some(Doubt::Disagree),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Thresholds = Thresholds { relative: 0.05, floor: 2.0 };

    fn verdict(baseline: &[f64], new: &[f64]) -> &'static str {
        judge(baseline, new, FIVE).unwrap().0.name()
    }

    #[test]
    fn both_the_median_and_the_best_must_agree() {
        let base = [100.0, 101.0, 102.0, 103.0, 104.0];
        for (new, name) in [
            (base.map(|x| x * 1.10), "slower"),
            (base.map(|x| x * 0.90), "faster"),
            (base.map(|x| x * 1.04), "same"),
            (base.map(|x| x * 1.05), "same"),
            ([100.0, 115.0, 115.0, 116.0, 117.0], "inconclusive"),
            ([90.0, 106.0, 107.0, 108.0, 109.0], "inconclusive"),
            ([100.0, 101.0, 102.0, 300.0, 400.0], "same"),
        ] {
            assert_eq!(verdict(&base, &new), name, "{new:?}");
        }
    }

    #[test]
    fn what_is_under_the_floor_is_the_same() {
        assert_eq!(verdict(&[10.0, 10.1, 10.2], &[11.9, 12.0, 12.1]), "same");
        assert_eq!(verdict(&[10.0, 10.1, 10.2], &[12.1, 12.2, 12.3]), "slower");
    }

    #[test]
    fn too_few_trials_decide_nothing() {
        assert_eq!(verdict(&[100.0], &[200.0]), "inconclusive");
        assert!(judge(&[], &[1.0], FIVE).is_none());
    }
}
