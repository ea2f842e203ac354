//! What a reader must know before trusting a verdict, and what did not decide it.

use coldstart_profiles::{Caveat, Profile};
use jiff::Timestamp;

use super::policy::{LEAST_RUNS, Policy};
use super::verdict::{Gate, KeyVerdict};

/// A calibration, or a baseline, that is older than this was made on a machine that may have changed.
const OLD_DAYS: f64 = 30.0;
/// So many keys are named; of more their number is told.
const NAMED: usize = 4;

/// What is told beside a verdict, the gravest first.
pub(super) fn warnings(gate: &Gate<'_>, keys: &[KeyVerdict]) -> Vec<Caveat> {
    let mut found = Vec::new();
    if gate.baseline.iter().chain(gate.new).any(|profile| profile.target.device.stand_in) {
        found.push(caveat("stand_in", "it was measured on a stand-in driver: no number means anything"));
    }
    found.extend(repeated(gate));
    found.extend(gate.rules.shadowed(keys.iter().map(|key| &key.key)).into_iter().map(|(number, pattern)| {
        let text = format!(
            "rule {number} (`{pattern}`) decides on nothing: earlier rules match all of its keys, and the first that matches decides"
        );
        caveat("rule_shadowed", text)
    }));
    found.extend(keys.iter().filter_map(largest_stands_in));
    if let Some(policy) = gate.policy {
        found.extend(gate.new.first().map(|profile| policy.mismatches(profile)).unwrap_or_default());
        found.extend(of_policy(policy, gate.asked.at.as_deref()));
        found.extend(not_calibrated(gate, policy, keys));
    }
    let oldest = gate.baseline.iter().map(|profile| profile.started_at.as_str()).min();
    found.extend(
        oldest.and_then(|oldest| old("baseline_old", "the baseline", oldest, gate.asked.at.as_deref())),
    );
    found.extend(other_length(gate));
    found
}

fn caveat(code: &str, text: impl Into<String>) -> Caveat {
    Caveat { code: code.to_owned(), text: text.into() }
}

/// A run that is on both sides, or twice on one: its trials are no others.
fn repeated(gate: &Gate<'_>) -> Option<Caveat> {
    let same = |a: &Profile, b: &Profile| a.started_at == b.started_at && a.measurements == b.measurements;
    let again = |profiles: &[&Profile]| {
        let twice =
            |(at, profile): (usize, &&Profile)| profiles[..at].iter().any(|earlier| same(earlier, profile));
        profiles.iter().enumerate().any(twice)
    };
    if gate.baseline.iter().any(|profile| gate.new.iter().any(|new| same(profile, new))) {
        return Some(caveat("same_run", "one run is on both sides: it is compared with itself"));
    }
    let side = [("the baseline", gate.baseline), ("the new side", gate.new)];
    let (side, _) = side.into_iter().find(|(_, profiles)| again(profiles))?;
    let text =
        format!("{side} has one run twice: its trials are counted twice, and there are no more of them");
    Some(caveat("repeated_run", text))
}

/// A ceiling that holds by the largest sample, where there are too few for the percentile.
fn largest_stands_in(key: &KeyVerdict) -> Option<Caveat> {
    let (n, statistic) = (key.too_few?, key.statistic.name());
    let text = format!(
        "the ceiling of {} is for the {statistic}, and {n} samples are too few for it: the largest stands in",
        key.key
    );
    Some(caveat("ceiling_by_largest", text))
}

fn of_policy(policy: &Policy, now: Option<&str>) -> Vec<Caveat> {
    let few = (policy.runs < LEAST_RUNS).then(|| {
        let text = format!("the calibration rests on {} runs: {LEAST_RUNS} are wanted", policy.runs);
        caveat("policy_few_runs", text)
    });
    let old = old("policy_old", "the calibration", &policy.calibrated_at, now);
    few.into_iter().chain(old).collect()
}

fn old(code: &str, what: &str, made_at: &str, now: Option<&str>) -> Option<Caveat> {
    let (made, now) = (made_at.parse::<Timestamp>().ok()?, now?.parse::<Timestamp>().ok()?);
    let days = now.duration_since(made).as_secs_f64() / 86_400.0;
    (days > OLD_DAYS)
        .then(|| caveat(code, format!("{what} is {days:.0} days old: machines change; make a new one")))
}

/// Keys that decide by defaults although there is a calibration.
fn not_calibrated(gate: &Gate<'_>, policy: &Policy, keys: &[KeyVerdict]) -> Option<Caveat> {
    let has_rule = |key: &KeyVerdict| {
        gate.rules
            .rule_for(&key.key)
            .is_some_and(|rule| rule.threshold.is_some() || rule.ceiling_ms.is_some())
    };
    let uncovered: Vec<String> = (keys.iter())
        .filter(|key| key.evidence.is_some() && !key.advisory && !has_rule(key))
        .filter(|key| policy.keys.iter().all(|calibrated| calibrated.key != key.key))
        .map(|key| key.key.to_string())
        .collect();
    let more = match uncovered.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!uncovered.is_empty()).then(|| {
        let named = uncovered[..uncovered.len().min(NAMED)].join("; ");
        let text =
            format!("the calibration and the rules say nothing of {named}{more}: thresholds by phase decide");
        caveat("not_calibrated", text)
    })
}

/// A short run beside a long one: what they warm up and repeat is not the same.
fn other_length(gate: &Gate<'_>) -> Option<Caveat> {
    let quick = |profiles: &[&Profile]| profiles.iter().all(|profile| profile.plan.quick);
    let long = |profiles: &[&Profile]| profiles.iter().all(|profile| !profile.plan.quick);
    let (short, other) = match () {
        () if quick(gate.baseline) && long(gate.new) => ("the baseline", "the new side"),
        () if long(gate.baseline) && quick(gate.new) => ("the new side", "the baseline"),
        () => return None,
    };
    let text =
        format!("`plan.quick` differs: {short} is of short runs and {other} is not; make both the same way");
    (!gate.baseline.is_empty() && !gate.new.is_empty()).then(|| caveat("other_length", text))
}
