//! All comparisons of a gate, and what they come to.

use std::collections::{BTreeMap, BTreeSet};

use coldstart_profiles::{Outcome, Phase, Profile, WarmUpClass, exit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::comparable::{Difference, differences, unusable};
use super::compare::{Evidence, Judgement, LEAST_TRIALS, judge};
use super::defaults::{Calibrated, thresholds};
use super::fit::unfit;
use super::rules::{OnInconclusive, Rules, RulesError};
use super::series::{Metric, Series, SeriesKey, series_of};

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
    /// are fewer than three trials on a side and no rule insists.
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
/// When a rule matches nothing on either side.
pub fn gate(gate: &Gate<'_>) -> Result<Verdict, RulesError> {
    let (baseline, new) = (series_of(gate.baseline), series_of(gate.new));
    let all: BTreeSet<&SeriesKey> = baseline.keys().chain(new.keys()).collect();
    gate.rules.check_use(all.iter().copied())?;
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
    let (standing, reasons) = conclude(gate, &differences, &unfit, &keys);
    Ok(Verdict { standing, reasons, differences, unfit, keys })
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
    let (judgement, evidence) = match judged {
        Some((judgement, evidence)) => (classes(gate, key).unwrap_or(judgement), Some(evidence)),
        None => (missing(gate, key, baseline.is_none()), None),
    };
    let ceiling_ns =
        rule.and_then(|rule| rule.ceiling_ms).filter(|_| key.metric.is_time()).map(|ms| ms * 1e6);
    let new_median = new.and_then(|new| coldstart_profiles::stats::median(&new.values));
    let few = evidence
        .as_ref()
        .is_some_and(|evidence| evidence.baseline_trials.min(evidence.new_trials) < LEAST_TRIALS);
    let by_default =
        few || calibrated.map_or(key.metric == Metric::TimesLimit, |calibrated| !calibrated.decides);
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

/// A warm-up that became one of another kind is no number that could be compared: `None` where the kinds agree well enough.
fn classes(gate: &Gate<'_>, key: &SeriesKey) -> Option<Judgement> {
    if key.phase != Phase::WarmUp {
        return None;
    }
    let worst = |profiles: &[&Profile]| {
        let classes = profiles.iter().flat_map(|profile| &profile.warm_up).map(|curve| curve.analysis.class);
        // In the order of the enum the last is the worst.
        classes.max()
    };
    let (before, now) = (worst(gate.baseline)?, worst(gate.new)?);
    let bad = matches!(now, WarmUpClass::NoSteadyState | WarmUpClass::Slowdown) && now != before;
    bad.then(|| Judgement::Inconclusive {
        why: format!(
            "trials of the new side are `{}`, those of the baseline at worst `{}`",
            now.name(),
            before.name()
        ),
    })
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

/// What all of it comes to.
fn conclude(
    gate: &Gate<'_>,
    differences: &[Difference],
    unfit: &[String],
    keys: &[KeyVerdict],
) -> (Standing, Vec<String>) {
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
    found.extend(keys.iter().filter_map(of_key));
    if !keys.iter().any(|key| key.evidence.is_some()) {
        found.push((Standing::Incomparable, "no key was measured on both sides".to_owned()));
    }
    found.sort_by_key(|(standing, _)| *standing);
    let standing = found.first().map_or(Standing::Passed, |(standing, _)| *standing);
    (standing, found.into_iter().map(|(_, reason)| reason).collect())
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
