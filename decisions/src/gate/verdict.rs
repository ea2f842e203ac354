//! All comparisons of a gate, and what they come to.

use std::collections::{BTreeMap, BTreeSet};

use coldstart_profiles::{Outcome, Phase, Profile, exit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::comparable::{Difference, differences, unusable};
use super::compare::{Evidence, Judgement, LEAST_TRIALS, judge};
use super::defaults::{Calibrated, thresholds};
use super::fit::unfit;
use super::rules::{OnInconclusive, Rules, RulesError};
use super::series::{Metric, Series, SeriesKey, series_of};
use super::steady::{Lost, lost};

/// What a gate is asked.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'g> {
    /// Profiles of the baseline; at least one.
    pub baseline: &'g [&'g Profile],
    /// Profiles of what is judged; at least one.
    pub new: &'g [&'g Profile],
    /// What is compared how strictly.
    pub rules: &'g Rules,
    /// What a calibration of this machine found, by key; empty without one.
    pub calibrated: &'g BTreeMap<SeriesKey, Calibrated>,
    /// How far the canary may wander; 5 % without a calibration.
    pub canary_tolerance: Option<f64>,
    /// Whether profiles of a stand-in driver are judged.
    pub allow_stand_in: bool,
}

/// How the whole gate ended, in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The profiles can't be compared, or something that a rule requires is missing.
    Incomparable,
    /// The machine was not fit to be measured.
    Unfit,
    /// Something became slower.
    Regression,
    /// Nobody can tell.
    Inconclusive,
    /// No regression.
    Passed,
}

impl Standing {
    /// The program's exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Standing::Incomparable => exit::INCOMPARABLE,
            Standing::Unfit | Standing::Inconclusive => exit::UNFIT,
            Standing::Regression => exit::REGRESSION,
            Standing::Passed => exit::OK,
        }
    }

    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Standing::Incomparable => "incomparable",
            Standing::Unfit => "unfit",
            Standing::Regression => "regression",
            Standing::Inconclusive => "inconclusive",
            Standing::Passed => "passed",
        }
    }
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyVerdict {
    /// What was compared.
    pub key: SeriesKey,
    /// What it came to.
    pub judgement: Judgement,
    /// The numbers behind it; `null` where there was nothing to compare.
    pub evidence: Option<Evidence>,
    /// Shown, and not decided on: because a rule or the calibration says so, because the metric is advisory, or because there
    /// are fewer than three trials on a side and no rule insists, or because the calibration found that no slowdown of it shows.
    pub advisory: bool,
    /// A rule wants it on both sides.
    pub required: bool,
    /// What it means if it is inconclusive.
    pub on_inconclusive: OnInconclusive,
    /// The new median must not be above this, in nanoseconds; `null` without a ceiling.
    pub ceiling_ns: Option<f64>,
    /// Whether it is.
    pub above_ceiling: bool,
    /// The smallest slowdown that this gate finds in nine of ten comparisons, as a share; `null` without a calibration.
    pub detectable: Option<f64>,
}

/// What a gate found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// How it ended.
    pub standing: Standing,
    /// Why, in sentences; the first is the reason of the exit code.
    pub reasons: Vec<String>,
    /// What each of the reasons would have meant by itself, in the same order.
    #[serde(default)]
    pub reason_standings: Vec<Standing>,
    /// Fields by which the profiles can't be compared.
    pub differences: Vec<Difference>,
    /// What speaks against the machine.
    pub unfit: Vec<String>,
    /// Every comparison. They are made and shown even where the profiles can't be compared or the machine was unfit.
    pub keys: Vec<KeyVerdict>,
}

impl Verdict {
    /// The comparisons that ended so.
    pub fn of<'v>(&'v self, name: &'v str) -> impl Iterator<Item = &'v KeyVerdict> {
        self.keys.iter().filter(move |key| key.judgement.name() == name)
    }
}

/// Judges `new` against `baseline`.
///
/// Precedence of what decides the exit code: profiles that can't be compared (4), an unfit machine (3), any regression or
/// ceiling that is exceeded (1), anything inconclusive (3), else 0. A single key that is missing or incomparable gives 4
/// only where a rule requires it.
///
/// # Errors
/// When a rule matches nothing on either side, and neither requires anything nor is for a phase that was skipped.
pub fn gate(gate: &Gate<'_>) -> Result<Verdict, RulesError> {
    let (baseline, new) = (series_of(gate.baseline), series_of(gate.new));
    let all: BTreeSet<&SeriesKey> = baseline.keys().chain(new.keys()).collect();
    let skipped: BTreeSet<Phase> = (gate.baseline.iter().chain(gate.new))
        .flat_map(|profile| &profile.measurements)
        .filter(|row| row.outcome.as_measured().is_none())
        .map(|row| row.key.phase)
        .collect();
    let unmet = gate.rules.unmet(&all, &skipped)?;
    let keys: Vec<KeyVerdict> =
        all.into_iter().map(|key| key_verdict(gate, key, baseline.get(key), new.get(key))).collect();
    let mut differences: Vec<Difference> = Vec::new();
    if let Some(first) = gate.baseline.first() {
        for profile in gate.baseline.iter().skip(1).chain(gate.new) {
            let found = self::differences(first, profile);
            differences
                .extend(found.into_iter().filter(|found| !differences.contains(found)).collect::<Vec<_>>());
        }
    }
    let unfit = unfit(gate.baseline, gate.new, gate.canary_tolerance);
    let mut found = of_profiles(gate, &differences, &unfit);
    found.extend(unmet.into_iter().map(|why| (Standing::Incomparable, why)));
    found.extend(of_keys(gate, &keys));
    found.sort_by_key(|(standing, _)| *standing);
    let standing = found.first().map_or(Standing::Passed, |(standing, _)| *standing);
    let (reason_standings, reasons) = found.into_iter().unzip();
    Ok(Verdict { standing, reasons, reason_standings, differences, unfit, keys })
}

fn key_verdict(
    gate: &Gate<'_>,
    key: &SeriesKey,
    baseline: Option<&Series>,
    new: Option<&Series>,
) -> KeyVerdict {
    let rule = gate.rules.rule_for(key);
    let calibrated = gate.calibrated.get(key);
    let resolution =
        [baseline, new].into_iter().flatten().map(|series| series.resolution_ns).fold(0.0, f64::max);
    let mut limits = thresholds(key, calibrated, resolution);
    if let Some(relative) = rule.and_then(|rule| rule.threshold) {
        limits.relative = relative;
    }
    if let Some(floor) = rule.and_then(|rule| rule.floor_ms).filter(|_| key.metric.is_time()) {
        limits.floor = floor * 1e6;
    }
    let judged = match (baseline, new) {
        (Some(baseline), Some(new)) => judge(&baseline.values, &new.values, limits),
        _ => None,
    };
    let lost = lost_steady_state(gate, key, baseline, new);
    let finds_nothing = calibrated.is_some_and(|calibrated| calibrated.detectable.is_none())
        && rule.is_none_or(|rule| rule.threshold.is_none());
    let (judgement, evidence) = match (judged, &lost) {
        (judged, Some(lost)) => {
            (Judgement::Inconclusive { why: lost.why.clone() }, judged.map(|(_, evidence)| evidence))
        }
        (Some((Judgement::Same, evidence)), None) if finds_nothing => (blind(), Some(evidence)),
        (Some((judgement, evidence)), None) => (judgement, Some(evidence)),
        (None, None) => (missing(gate, key, baseline.is_none()), None),
    };
    let ceiling_ns =
        rule.and_then(|rule| rule.ceiling_ms).filter(|_| key.metric.is_time()).map(|ms| ms * 1e6);
    let new_median = new.and_then(|new| coldstart_profiles::stats::median(&new.values));
    let trials = lost.map(|lost| lost.trials).or_else(|| evidence.as_ref().map(fewest));
    let by_default = trials.is_some_and(|trials| trials < LEAST_TRIALS)
        || finds_nothing
        || calibrated.map_or(key.metric == Metric::TimesLimit, |calibrated| !calibrated.decides);
    KeyVerdict {
        key: key.clone(),
        judgement,
        evidence,
        advisory: rule.and_then(|rule| rule.advisory).unwrap_or(by_default),
        required: rule.is_some_and(|rule| rule.required),
        on_inconclusive: rule.and_then(|rule| rule.on_inconclusive).unwrap_or(gate.rules.on_inconclusive),
        ceiling_ns,
        above_ceiling: ceiling_ns.zip(new_median).is_some_and(|(ceiling, median)| median > ceiling),
        detectable: calibrated.and_then(|calibrated| calibrated.detectable),
    }
}

/// The trials of the side that has fewer.
fn fewest(evidence: &Evidence) -> usize {
    evidence.baseline_trials.min(evidence.new_trials)
}

/// What a key is where no slowdown of it would show: not simply the same.
fn blind() -> Judgement {
    Judgement::Inconclusive {
        why: "cannot find any slowdown: by the calibration not even thrice the time shows on this machine"
            .to_owned(),
    }
}

/// Why the steady state that `key` rests on can't be compared; `None` of other keys, and where it can.
fn lost_steady_state(
    gate: &Gate<'_>,
    key: &SeriesKey,
    baseline: Option<&Series>,
    new: Option<&Series>,
) -> Option<Lost> {
    let lacking = match (baseline, new) {
        (None, _) => Some(gate.baseline),
        (_, None) => Some(gate.new),
        _ => None,
    };
    let lacking = lacking.filter(|_| key.metric == Metric::SteadyTime);
    (key.phase == Phase::WarmUp).then(|| lost(gate.baseline, gate.new, lacking)).flatten()
}

/// A key that one side lacks, with the reason that its profile gives.
fn missing(gate: &Gate<'_>, key: &SeriesKey, in_baseline: bool) -> Judgement {
    let (side, profiles) =
        if in_baseline { ("the baseline", gate.baseline) } else { ("the new side", gate.new) };
    let reason =
        profiles.iter().flat_map(|profile| profile.of_phase(key.phase)).find_map(|row| match &row.outcome {
            Outcome::Skipped { why } => Some(format!("skipped: {why}")),
            Outcome::Failed { why } => Some(format!("failed: {why}")),
            Outcome::Measured { .. } => None,
        });
    let reason = reason.unwrap_or_else(|| "it was not measured under these conditions".to_owned());
    Judgement::Missing { why: format!("{side} lacks it ({reason})") }
}

/// What the profiles themselves come to, whatever was measured.
fn of_profiles(gate: &Gate<'_>, differences: &[Difference], unfit: &[String]) -> Vec<(Standing, String)> {
    let mut found: Vec<(Standing, String)> = Vec::new();
    for (side, profiles) in [("the baseline", gate.baseline), ("the new side", gate.new)] {
        if profiles.is_empty() {
            found.push((Standing::Incomparable, format!("{side} has no profile")));
        }
        let reasons = profiles.iter().filter_map(|profile| unusable(profile, gate.allow_stand_in));
        found.extend(reasons.map(|why| (Standing::Incomparable, format!("{side}: {why}"))));
    }
    found.extend(differences.iter().map(|difference| {
        let Difference { field, baseline, new } = difference;
        (Standing::Incomparable, format!("`{field}` differs: {baseline} in the baseline, {new} here"))
    }));
    found.extend(unfit.iter().map(|why| (Standing::Unfit, why.clone())));
    found
}

/// What the comparisons come to: each by itself, and whether there was any to decide by. A gate that could decide nothing
/// has not passed.
fn of_keys(gate: &Gate<'_>, keys: &[KeyVerdict]) -> Vec<(Standing, String)> {
    let mut found: Vec<(Standing, String)> = keys.iter().filter_map(of_key).collect();
    let Some(most) = keys.iter().filter_map(|key| key.evidence.as_ref()).map(fewest).max() else {
        found.push((Standing::Incomparable, "no key was measured on both sides".to_owned()));
        return found;
    };
    let decides = |key: &KeyVerdict| {
        (key.evidence.is_some() && (!key.advisory || key.ceiling_ns.is_some())) || of_key(key).is_some()
    };
    if keys.iter().any(decides) {
        return found;
    }
    let why = match most {
        few if few < LEAST_TRIALS => format!("{few} trial(s) on one side, {LEAST_TRIALS} are needed"),
        _ => "every key that was measured on both sides is advisory".to_owned(),
    };
    let standing = match gate.rules.on_inconclusive {
        OnInconclusive::Fail => Standing::Inconclusive,
        OnInconclusive::Pass => Standing::Passed,
    };
    found.push((standing, format!("nothing could be decided: {why}")));
    found
}

/// What one comparison says about the whole.
fn of_key(verdict: &KeyVerdict) -> Option<(Standing, String)> {
    let key = &verdict.key;
    if verdict.above_ceiling {
        let ceiling = verdict.ceiling_ns.unwrap_or_default() / 1e6;
        return Some((Standing::Regression, format!("{key} is above its ceiling of {ceiling} ms")));
    }
    match &verdict.judgement {
        Judgement::Missing { why } | Judgement::Incomparable { why } if verdict.required => {
            Some((Standing::Incomparable, format!("{key} is required, but {why}")))
        }
        _ if verdict.advisory => None,
        Judgement::Slower => {
            let by = verdict.evidence.as_ref().map_or(0.0, |evidence| evidence.ratio_of_medians - 1.0);
            Some((Standing::Regression, format!("{key} became slower by {:.1} %", by * 100.0)))
        }
        Judgement::Inconclusive { why } if verdict.on_inconclusive == OnInconclusive::Fail => {
            Some((Standing::Inconclusive, format!("{key} is inconclusive: {why}")))
        }
        _ => None,
    }
}
