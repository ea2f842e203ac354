//! All comparisons of a gate, and what they come to.

use std::collections::BTreeSet;

use coldstart_profiles::{Caveat, Nanos, Outcome, Phase, Profile, Tool, exit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::asked::{Asked, Sources, VERDICT_VERSION, name_of};
use super::ceiling::{Statistic, held};
use super::comparable::{Difference, cut, differences, key_differences, unusable};
use super::compare::{Doubt, Evidence, Judgement, LEAST_TRIALS, judge};
use super::defaults::{Calibrated, thresholds};
use super::fit::unfit;
use super::policy::Policy;
use super::rules::{OnInconclusive, Rule, Rules, RulesError, Thresholds};
use super::series::{Metric, Series, SeriesKey, WHOLE_NEEDS, series_of};
use super::steady::{Lost, lost};
use super::warnings::warnings;

/// What a gate is asked.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'g> {
    /// Profiles of the baseline; at least one.
    pub baseline: &'g [&'g Profile],
    /// Profiles of what is judged; at least one.
    pub new: &'g [&'g Profile],
    /// What is compared how strictly.
    pub rules: &'g Rules,
    /// What a calibration of this machine found; thresholds by phase, and 5 % for the canary, without one.
    pub policy: Option<&'g Policy>,
    /// Whether profiles of a stand-in driver are judged.
    pub allow_stand_in: bool,
    /// What the verdict says of itself.
    pub asked: &'g Asked,
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
    /// Fields by which this key can't be compared; empty for others, and where nothing of the profiles can be.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// The numbers behind it; `null` where there was nothing to compare.
    pub evidence: Option<Evidence>,
    /// Shown, and not decided on: because a rule or the calibration says so, because the metric is advisory, or because there
    /// are fewer than three trials on a side and no rule insists, or because the calibration found that no slowdown of it shows, or
    /// because it is a whole cold start, whose parts decide.
    pub advisory: bool,
    /// A rule wants it on both sides.
    pub required: bool,
    /// What it means if it is inconclusive.
    pub on_inconclusive: OnInconclusive,
    /// The new side must not be above this, in nanoseconds; `null` without a ceiling.
    pub ceiling_ns: Option<f64>,
    /// What of the new side is held against the ceiling.
    #[serde(default)]
    pub statistic: Statistic,
    /// Its value, in nanoseconds; `null` without a ceiling, and where nothing was measured.
    #[serde(default)]
    pub held_ns: Option<f64>,
    /// How many samples there are, where they are too few for the percentile and the largest stands in for it.
    #[serde(default)]
    pub too_few: Option<usize>,
    /// Whether it is above the ceiling.
    pub above_ceiling: bool,
    /// The smallest slowdown that this gate finds in nine of ten comparisons, as a share; `null` without a calibration.
    pub detectable: Option<f64>,
}

/// What a gate found, and what it was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Version of this file's format: 1.
    #[serde(default)]
    pub version: u32,
    /// The program that judged; `null` where it was not told.
    #[serde(default)]
    pub tool: Option<Tool>,
    /// When it judged (RFC 3339, UTC); `null` where it was not told.
    #[serde(default)]
    pub judged_at: Option<String>,
    /// What was judged, against what, by what.
    #[serde(default)]
    pub sources: Sources,
    /// How it ended.
    pub standing: Standing,
    /// Why, in sentences; the first is the reason of the exit code.
    pub reasons: Vec<String>,
    /// What each of the reasons would have meant by itself, in the same order.
    #[serde(default)]
    pub reason_standings: Vec<Standing>,
    /// Which comparison each of the reasons is for, in the same order; `null` for what is about more than one.
    #[serde(default)]
    pub reason_keys: Vec<Option<SeriesKey>>,
    /// Fields by which nothing of the profiles can be compared.
    pub differences: Vec<Difference>,
    /// What speaks against the machine.
    pub unfit: Vec<String>,
    /// What a reader must know before trusting the verdict, and what did not decide it.
    #[serde(default)]
    pub warnings: Vec<Caveat>,
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
    let differences = of_all(gate, differences);
    let calibrated = gate.policy.map(Policy::calibrated).unwrap_or_default();
    let judged = |key: &SeriesKey| {
        let (calibrated, series) = (calibrated.get(key), [baseline.get(key), new.get(key)]);
        // Where nothing can be compared, numbers side by side are all that is left to show.
        let differences = match differences.as_slice() {
            [] => of_all(gate, |one, other| key_differences(one, other, key)),
            _ => Vec::new(),
        };
        key_verdict(gate, key, calibrated, series, differences)
    };
    let keys: Vec<KeyVerdict> = all.into_iter().map(judged).collect();
    let unfit = unfit(gate);
    let mut found = of_profiles(gate, &differences, &unfit);
    found.extend(unmet.into_iter().map(|why| Reason::new(Standing::Incomparable, why)));
    found.extend(of_keys(gate, &keys));
    found.sort_by_key(|reason| reason.standing);
    Ok(Verdict {
        version: VERDICT_VERSION,
        tool: gate.asked.tool.clone(),
        judged_at: gate.asked.at.clone(),
        sources: Sources::of(gate),
        standing: found.first().map_or(Standing::Passed, |reason| reason.standing),
        reason_standings: found.iter().map(|reason| reason.standing).collect(),
        reason_keys: found.iter().map(|reason| reason.key.clone()).collect(),
        reasons: found.into_iter().map(|reason| reason.why).collect(),
        differences,
        unfit,
        warnings: warnings(gate, &keys),
        keys,
    })
}

/// What differs between the first profile of the baseline and any other, each once.
fn of_all(gate: &Gate<'_>, differ: impl Fn(&Profile, &Profile) -> Vec<Difference>) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    let Some((first, others)) = gate.baseline.split_first() else { return found };
    for difference in others.iter().chain(gate.new).flat_map(|profile| differ(first, profile)) {
        if !found.contains(&difference) {
            found.push(difference);
        }
    }
    found
}

/// What a key is decided by: θ and τ of the calibration or by phase, and what the rule says instead.
fn limits(
    key: &SeriesKey,
    rule: Option<&Rule>,
    calibrated: Option<&Calibrated>,
    series: [Option<&Series>; 2],
) -> Thresholds {
    let resolution = series.into_iter().flatten().map(|series| series.resolution_ns).fold(0.0, f64::max);
    let mut limits = thresholds(key, calibrated, resolution);
    if let Some(relative) = rule.and_then(|rule| rule.threshold) {
        limits.relative = relative;
    }
    if let Some(floor) = rule.and_then(|rule| rule.floor_ms).filter(|_| key.metric.is_time()) {
        limits.floor = floor * 1e6;
    }
    limits
}

fn key_verdict(
    gate: &Gate<'_>,
    key: &SeriesKey,
    calibrated: Option<&Calibrated>,
    [baseline, new]: [Option<&Series>; 2],
    differences: Vec<Difference>,
) -> KeyVerdict {
    let rule = gate.rules.rule_for(key);
    let judged = match (baseline, new) {
        (Some(baseline), Some(new)) => {
            judge(&baseline.values, &new.values, limits(key, rule, calibrated, [Some(baseline), Some(new)]))
        }
        _ => None,
    };
    let lost = lost_steady_state(gate, key, baseline, new);
    let finds_nothing = calibrated.is_some_and(|calibrated| calibrated.detectable.is_none())
        && rule.is_none_or(|rule| rule.threshold.is_none());
    let (judgement, evidence) = match (judged, &lost) {
        (Some(_), _) if !differences.is_empty() => (incomparable(&differences), None),
        (judged, Some(lost)) => {
            let why = lost.why.clone();
            let doubt = Some(Doubt::WarmUp);
            (Judgement::Inconclusive { why, doubt }, judged.map(|(_, evidence)| evidence))
        }
        (Some((Judgement::Same, evidence)), None) if finds_nothing => (blind(), Some(evidence)),
        (Some((judgement, evidence)), None) => (judgement, Some(evidence)),
        (None, None) => (missing(gate, key, baseline.is_none()), None),
    };
    let ceiling_ns =
        rule.and_then(|rule| rule.ceiling_ms).filter(|_| key.metric.is_time()).map(|ms| ms * 1e6);
    let statistic = rule.and_then(|rule| rule.statistic).unwrap_or_default();
    let held = ceiling_ns.and_then(|_| held(statistic, key, new, gate.new));
    let trials = lost.map(|lost| lost.trials).or_else(|| evidence.as_ref().map(fewest));
    let by_default = trials.is_some_and(|trials| trials < LEAST_TRIALS)
        || finds_nothing
        || key.is_whole()
        || calibrated.map_or(key.metric == Metric::TimesLimit, |calibrated| !calibrated.decides);
    KeyVerdict {
        key: key.clone(),
        judgement,
        differences,
        evidence,
        advisory: rule.and_then(|rule| rule.advisory).unwrap_or(by_default),
        required: rule.is_some_and(|rule| rule.required),
        on_inconclusive: rule.and_then(|rule| rule.on_inconclusive).unwrap_or(gate.rules.on_inconclusive),
        ceiling_ns,
        statistic,
        held_ns: held.map(|held| held.ns),
        too_few: held.and_then(|held| held.too_few),
        above_ceiling: ceiling_ns.zip(held).is_some_and(|(ceiling, held)| held.ns > ceiling),
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
        doubt: Some(Doubt::Blind),
    }
}

/// A key that was measured on both sides under conditions that are not the same.
fn incomparable(differences: &[Difference]) -> Judgement {
    Judgement::Incomparable {
        why: differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
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
    let (phase, otherwise) = match key.is_whole() {
        true => (Phase::ImagePull, WHOLE_NEEDS),
        false => (key.phase, "it was not measured under these conditions"),
    };
    let reason =
        profiles.iter().flat_map(|profile| profile.of_phase(phase)).find_map(|row| match &row.outcome {
            Outcome::Skipped { why } => Some(format!("skipped: {why}")),
            Outcome::Failed { why } => Some(format!("failed: {why}")),
            Outcome::Measured { .. } => None,
        });
    let reason = reason.unwrap_or_else(|| otherwise.to_owned());
    Judgement::Missing { why: format!("{side} lacks it ({reason})") }
}

/// One reason of a verdict.
struct Reason {
    standing: Standing,
    why: String,
    key: Option<SeriesKey>,
}

impl Reason {
    fn new(standing: Standing, why: String) -> Reason {
        Reason { standing, why, key: None }
    }
}

/// What the profiles themselves come to, whatever was measured.
fn of_profiles(gate: &Gate<'_>, differences: &[Difference], unfit: &[String]) -> Vec<Reason> {
    let mut found = Vec::new();
    let sides =
        [("the baseline", gate.baseline, &gate.asked.baseline), ("the new side", gate.new, &gate.asked.new)];
    for (side, profiles, names) in sides {
        if profiles.is_empty() {
            found.push(Reason::new(Standing::Incomparable, format!("{side} has no profile")));
        }
        for (at, profile) in profiles.iter().enumerate() {
            let Some(why) = unusable(profile, gate.allow_stand_in) else { continue };
            let name = names.get(at).map(|name| format!(", {}", cut(name.clone()))).unwrap_or_default();
            found.push(Reason::new(Standing::Incomparable, format!("{side}{name}: {why}")));
        }
    }
    found.extend(
        differences
            .iter()
            .map(|difference| Reason::new(Standing::Incomparable, where_told(gate, difference))),
    );
    found.extend(unfit.iter().map(|why| Reason::new(Standing::Unfit, why.clone())));
    found
}

/// A difference with the names of what differs, where a side has several profiles.
fn where_told(gate: &Gate<'_>, difference: &Difference) -> String {
    let shows = |profile: &&Profile| {
        let first = gate.baseline.first();
        first.is_some_and(|first| differences(first, profile).contains(difference))
    };
    let Difference { field, baseline, new } = difference;
    if let Some(at) = gate.baseline.iter().position(shows) {
        let [first, other] = [0, at].map(|at| name_of(&gate.asked.baseline, at));
        return format!("`{field}` differs within the baseline: {baseline} in {first}, {new} in {other}");
    }
    match gate.new.iter().position(shows).filter(|_| gate.new.len() > 1) {
        Some(at) => {
            let name = name_of(&gate.asked.new, at);
            format!("`{field}` differs: {baseline} in the baseline, {new} in {name}")
        }
        None => difference.to_string(),
    }
}

/// What the comparisons come to: each by itself, and whether there was any to decide by. A gate that could decide nothing
/// has not passed.
fn of_keys(gate: &Gate<'_>, keys: &[KeyVerdict]) -> Vec<Reason> {
    let reasons = |verdict: &KeyVerdict| {
        let key = verdict.key.clone();
        let reason = move |(standing, why)| Reason { standing, why, key: Some(key.clone()) };
        ceiling_of(verdict).into_iter().chain(of_key(verdict)).map(reason)
    };
    let mut found: Vec<Reason> = keys.iter().flat_map(reasons).collect();
    let Some(most) = keys.iter().filter_map(|key| key.evidence.as_ref()).map(fewest).max() else {
        if keys.iter().any(holds_to_ceiling) {
            return found;
        }
        let differs = keys.iter().find_map(|key| match &key.judgement {
            Judgement::Incomparable { why } => Some(format!("no key can be compared: {why}")),
            _ => None,
        });
        let why = differs.unwrap_or_else(|| "no key was measured on both sides".to_owned());
        found.push(Reason::new(Standing::Incomparable, why));
        return found;
    };
    let decides = |key: &KeyVerdict| {
        let compared = key.evidence.is_some() && !key.advisory;
        compared || holds_to_ceiling(key) || of_key(key).is_some()
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
    found.push(Reason::new(standing, format!("nothing could be decided: {why}")));
    found
}

/// Whether a key was measured that has a ceiling: that is judged whatever the baseline took, and under whatever conditions.
fn holds_to_ceiling(verdict: &KeyVerdict) -> bool {
    let measured = verdict.evidence.is_some() || matches!(verdict.judgement, Judgement::Incomparable { .. });
    measured && verdict.ceiling_ns.is_some()
}

/// A ceiling that is exceeded.
fn ceiling_of(verdict: &KeyVerdict) -> Option<(Standing, String)> {
    let ceiling = verdict.ceiling_ns.filter(|_| verdict.above_ceiling)? / 1e6;
    let held = verdict.held_ns.map_or_else(String::new, |held| {
        format!(" ({} {})", verdict.statistic.name(), Nanos::from_nanos_f64(held))
    });
    Some((Standing::Regression, format!("{} is above its ceiling of {ceiling} ms{held}", verdict.key)))
}

/// What one comparison says about the whole. What has a ceiling is required to be measured, not to be comparable; what exceeds it
/// need not be slower than the baseline as well.
fn of_key(verdict: &KeyVerdict) -> Option<(Standing, String)> {
    let key = &verdict.key;
    match &verdict.judgement {
        Judgement::Missing { why } if verdict.required => {
            Some((Standing::Incomparable, format!("{key} is required, but {why}")))
        }
        Judgement::Incomparable { why } if verdict.required && verdict.ceiling_ns.is_none() => {
            Some((Standing::Incomparable, format!("{key} is required, but {why}")))
        }
        _ if verdict.above_ceiling => None,
        _ if verdict.advisory => None,
        Judgement::Slower => {
            let by = verdict.evidence.as_ref().map_or(0.0, |evidence| evidence.ratio_of_medians - 1.0);
            Some((Standing::Regression, format!("{key} became slower by {:.1} %", by * 100.0)))
        }
        Judgement::Inconclusive { why, .. } if verdict.on_inconclusive == OnInconclusive::Fail => {
            Some((Standing::Inconclusive, format!("{key} is inconclusive: {why}")))
        }
        _ => None,
    }
}
