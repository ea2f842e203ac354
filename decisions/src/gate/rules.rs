//! What is compared how strictly: the rules file, and the defaults that need none.

use std::collections::BTreeSet;

use coldstart_profiles::{Params, Phase, TotalKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ceiling::Statistic;
use super::series::{Metric, SeriesKey, WHOLE, WHOLE_NEEDS};

/// What is decided by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Thresholds {
    /// θ: a difference up to this share is none.
    pub relative: f64,
    /// τ: a difference up to this is none, in the unit of the metric (nanoseconds, or a ratio).
    pub floor: f64,
}

/// What an inconclusive comparison means for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInconclusive {
    /// Exit 3: somebody has to look.
    #[default]
    Fail,
    /// It counts as no regression; the verdict still says what it is.
    Pass,
}

/// The rules file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// What inconclusive comparisons mean where no rule says so.
    pub on_inconclusive: OnInconclusive,
    /// Rules; the first that matches decides.
    pub rule: Vec<Rule>,
}

/// One rule: what it is for, and how strict it is. What it leaves out is the default's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// What it is for; nothing: everything.
    #[serde(rename = "match")]
    pub matches: RuleMatch,
    /// θ, as a share: 0.1 is 10 %.
    pub threshold: Option<f64>,
    /// τ in milliseconds, for metrics that are times.
    pub floor_ms: Option<f64>,
    /// The new side must not be above this, in milliseconds, whatever the baseline is.
    pub ceiling_ms: Option<f64>,
    /// What of the new side is held against the ceiling: without it the median.
    pub statistic: Option<Statistic>,
    /// What an inconclusive comparison means.
    pub on_inconclusive: Option<OnInconclusive>,
    /// Shown, never decided on.
    pub advisory: Option<bool>,
    /// What matches must be there on both sides and comparable: exit 4 where it is not.
    pub required: bool,
}

/// Which keys a rule is for: all that is given must match. `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleMatch {
    /// The phase, such as `weights_load`.
    pub phase: Option<String>,
    /// The metric: `time`, `times_limit`, `steady_time` or `total`.
    pub metric: Option<String>,
    /// Conditions, such as `{ staging = "direct", batch = "*" }`. A whole cold start is matched only where `total` is among them.
    pub params: std::collections::BTreeMap<String, String>,
}

/// What is wrong with a rules file. Messages complete "failed to …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Not TOML, or with a key or a value that means nothing.
    #[error("read the rules: {0}: `coldstart schema rules` prints what can stand there")]
    Toml(String),
    /// A number that can't be meant.
    #[error("use rule {number}: {what}")]
    Impossible {
        /// Which rule, counted from 1.
        number: usize,
        /// What is wrong.
        what: String,
    },
    /// A rule for nothing.
    #[error("use rule {number}: it matches none of the {keys} keys of these profiles: {remedy} ({pattern})")]
    MatchesNothing {
        /// Which rule, counted from 1.
        number: usize,
        /// Its pattern.
        pattern: String,
        /// How many keys there are.
        keys: usize,
        /// What helps.
        remedy: &'static str,
    },
}

/// A line that can't be read is quoted only so far.
const SHOWN: usize = 80;

impl Rules {
    /// Reads a rules file.
    ///
    /// # Errors
    /// When it is no TOML, has unknown keys, or numbers that can't be meant.
    pub fn from_toml(text: &str) -> Result<Rules, RulesError> {
        let rules: Rules = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(0, |before| before.matches('\n').count());
            let shown: String =
                text.lines().nth(line).unwrap_or_default().trim().chars().take(SHOWN).collect();
            let place = format!("line {} (`{shown}`): ", line + 1);
            RulesError::Toml(format!("{place}{}", error.message()))
        })?;
        for (index, rule) in rules.rule.iter().enumerate() {
            rule.check().map_err(|what| RulesError::Impossible { number: index + 1, what })?;
        }
        Ok(rules)
    }

    /// The first rule for `key`.
    pub fn rule_for(&self, key: &SeriesKey) -> Option<&Rule> {
        self.rule.iter().find(|rule| rule.matches.matches(key))
    }

    /// Numbers (from 1) and patterns of rules that match some of `keys` and decide on none, since earlier ones match all of these.
    pub fn shadowed<'k>(&self, keys: impl Iterator<Item = &'k SeriesKey> + Clone) -> Vec<(usize, String)> {
        let decides = |at: usize, key: &SeriesKey| {
            self.rule.iter().position(|rule| rule.matches.matches(key)).is_some_and(|first| first == at)
        };
        let shadowed = |(at, rule): &(usize, &Rule)| {
            let mut matched = keys.clone().filter(|key| rule.matches.matches(key)).peekable();
            matched.peek().is_some() && !matched.any(|key| decides(*at, key))
        };
        let all = self.rule.iter().enumerate().filter(shadowed);
        all.map(|(at, rule)| (at + 1, rule.matches.to_string())).collect()
    }

    /// What rules require that is among none of `keys`, in words. `skipped` are the phases that the profiles list as
    /// skipped or failed: a rule for one of these is no mistake.
    ///
    /// # Errors
    /// Names the first rule that is for nothing at all.
    pub fn unmet(
        &self,
        keys: &BTreeSet<&SeriesKey>,
        skipped: &BTreeSet<Phase>,
    ) -> Result<Vec<String>, RulesError> {
        let mut unmet = Vec::new();
        let whole = keys.iter().any(|key| key.is_whole());
        for (index, rule) in self.rule.iter().enumerate() {
            if keys.iter().any(|key| rule.matches.matches(key)) {
                continue;
            }
            let (number, pattern) = (index + 1, rule.matches.to_string());
            let needs = (!whole && rule.matches.is_for_whole()).then_some(WHOLE_NEEDS);
            if rule.required {
                let needs = needs.map_or_else(String::new, |needs| format!(": {needs}"));
                unmet.push(format!(
                    "rule {number} requires `{pattern}`, and neither side has measured anything that it matches{needs}"
                ));
            } else if !rule.matches.is_for_one_of(skipped) {
                let remedy = needs.unwrap_or("correct its pattern");
                return Err(RulesError::MatchesNothing { number, pattern, keys: keys.len(), remedy });
            }
        }
        Ok(unmet)
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let ranges = [
            ("threshold", self.threshold, 0.0, 10.0, "a share from 0 to 10; 0.1 is 10 %"),
            ("floor_ms", self.floor_ms, 0.0, 1e9, "milliseconds, 0 or more"),
            ("ceiling_ms", self.ceiling_ms, f64::MIN_POSITIVE, 1e9, "milliseconds, more than 0"),
        ];
        for (name, value, least, most, meaning) in ranges {
            if value.is_some_and(|value| !(least..=most).contains(&value)) {
                return Err(format!(
                    "{name} = {} is not possible: give {meaning}",
                    value.unwrap_or_default()
                ));
            }
        }
        if self.statistic.is_some() && self.ceiling_ms.is_none() {
            return Err("statistic says what is held against a ceiling: give ceiling_ms with it; slower or not is decided by \
                        the median and the best trial"
                .to_owned());
        }
        let known = |name: &str| name.contains('*') || Phase::ALL.iter().any(|phase| phase.name() == name);
        if let Some(phase) = self.matches.phase.as_deref().filter(|name| !known(name)) {
            let all: Vec<&str> = Phase::ALL.iter().map(|phase| phase.name()).collect();
            return Err(format!("there is no phase `{phase}`: the phases are {}", all.join(", ")));
        }
        let known = |name: &str| name.contains('*') || Metric::ALL.iter().any(|metric| metric.name() == name);
        match self.matches.metric.as_deref().filter(|name| !known(name)) {
            Some(name) => Err(format!(
                "there is no metric `{name}`: the metrics are time, times_limit, steady_time, total"
            )),
            None => Ok(()),
        }
    }
}

impl RuleMatch {
    /// Whether it names a phase that is one of these.
    fn is_for_one_of(&self, phases: &BTreeSet<Phase>) -> bool {
        let named = |pattern: &str| phases.iter().any(|phase| glob(pattern, phase.name()));
        self.phase.as_deref().is_some_and(named)
    }

    /// Whether it is for whole cold starts and no other total.
    fn is_for_whole(&self) -> bool {
        let kinds = [TotalKind::Process, TotalKind::Container, TotalKind::Pod];
        self.params.get("total").is_some_and(|pattern| {
            glob(pattern, WHOLE) && !kinds.iter().any(|kind| glob(pattern, kind.name()))
        })
    }

    /// Whether the rule is for `key`. A whole cold start is of another size than any other total, and made of them: what is meant
    /// for all totals, or for a phase, is not meant for it.
    pub fn matches(&self, key: &SeriesKey) -> bool {
        let is = |pattern: &Option<String>, text: &str| {
            pattern.as_deref().is_none_or(|pattern| glob(pattern, text))
        };
        let has = |(name, pattern): (&String, &String)| {
            key.params.get(name).is_some_and(|value| glob(pattern, value))
        };
        (!key.is_whole() || self.params.contains_key("total"))
            && is(&self.phase, key.phase.name())
            && is(&self.metric, key.metric.name())
            && self.params.iter().all(has)
    }
}

/// `phase=weights_load metric=time staging=direct`.
impl std::fmt::Display for RuleMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut params = Params::new();
        for (name, value) in &self.params {
            params = params.with(name, value);
        }
        let named = [("phase", &self.phase), ("metric", &self.metric)];
        let mut parts: Vec<String> = named
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)))
            .collect();
        parts.extend(params.iter().map(|(name, value)| format!("{name}={value}")));
        f.pad(&parts.join(" "))
    }
}

/// Whether `text` is of the form `pattern`, in which `*` stands for any characters. Linear in both: after a mismatch only the
/// last star is tried again, which is enough.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::Clock;

    use super::*;

    fn key(phase: Phase, params: &[(&str, &str)], metric: Metric) -> SeriesKey {
        let params = params.iter().fold(Params::new(), |params, (name, value)| params.with(name, value));
        SeriesKey { phase, params, clock: Clock::Host, metric }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules = Rules::from_toml(
            r#"
            on_inconclusive = "pass"
            [[rule]]
            match = { phase = "weights_load", params = { staging = "dir*" } }
            threshold = 0.2
            [[rule]]
            match = { phase = "w*" }
            threshold = 0.1
            required = true
            "#,
        )
        .unwrap();
        assert_eq!(rules.on_inconclusive, OnInconclusive::Pass);
        let threshold = |key: &SeriesKey| rules.rule_for(key).and_then(|rule| rule.threshold);
        let load = |staging| key(Phase::WeightsLoad, &[("staging", staging)], Metric::Time);
        assert_eq!(threshold(&load("direct")), Some(0.2));
        assert_eq!(threshold(&load("mmap")), Some(0.1));
        assert_eq!(threshold(&key(Phase::Alloc, &[], Metric::Time)), None);
        let (direct, mmap, alloc) = (load("direct"), load("mmap"), key(Phase::Alloc, &[], Metric::Time));
        let unmet = |keys: &[&SeriesKey], listed: &[Phase]| {
            rules.unmet(&keys.iter().copied().collect(), &listed.iter().copied().collect())
        };
        assert_eq!(unmet(&[&direct, &mmap], &[]), Ok(Vec::new()));
        let error = unmet(&[&mmap], &[]).unwrap_err().to_string();
        assert!(error.contains("rule 1") && error.contains("staging=dir*"), "{error}");
        // What was skipped is no mistake of the rule; what is required and was skipped is not there.
        assert_eq!(unmet(&[&mmap], &[Phase::WeightsLoad]), Ok(Vec::new()));
        let required = unmet(&[&alloc], &[Phase::WeightsLoad]).unwrap();
        assert!(required.len() == 1 && required[0].contains("rule 2 requires `phase=w*`"), "{required:?}");
    }

    #[test]
    fn files_that_make_no_sense_are_refused() {
        for (text, says) in [
            ("[[rule]]\nthreshhold = 0.1", "threshhold"),
            ("[[rule]]\nthreshold = -1", "rule 1: threshold = -1"),
            ("[[rule]]\nthreshold = nan", "threshold"),
            ("[[rule]]\n[[rule]]\nceiling_ms = 0", "rule 2: ceiling_ms = 0"),
            ("[[rule]]\nstatistic = \"p99\"", "give ceiling_ms with it"),
            ("[[rule]]\nceiling_ms = 1\nstatistic = \"p42\"", "p42"),
            ("[[rule]]\nmatch = { phase = \"weights\" }", "weights_load"),
            ("[[rule]]\nmatch = { metric = \"speed\" }", "times_limit"),
            ("on_inconclusive = \"shrug\"", "on_inconclusive"),
            ("= 3", "read the rules"),
        ] {
            let error = Rules::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert_eq!(Rules::from_toml("").unwrap(), Rules::default());
    }

    #[test]
    fn a_whole_cold_start_is_matched_only_by_its_name() {
        let total = |of: &str| key(Phase::WarmUp, &[("page_cache", "cold"), ("total", of)], Metric::Total);
        for (pattern, container, whole) in [
            ("", true, false),
            ("metric = \"total\"", true, false),
            ("phase = \"warm_up\"", true, false),
            ("params = { page_cache = \"cold\" }", true, false),
            ("params = { total = \"*\" }", true, true),
            ("params = { total = \"whole\" }", false, true),
        ] {
            let rules = Rules::from_toml(&format!("[[rule]]\nmatch = {{ {pattern} }}\nceiling_ms = 6000"));
            let rules = rules.unwrap();
            let matched = ["container", "whole"].map(|of| rules.rule_for(&total(of)).is_some());
            assert_eq!(matched, [container, whole], "{pattern}");
        }
    }

    #[test]
    fn a_rule_for_whole_cold_starts_says_what_these_need() {
        let total = |of: &str| key(Phase::WarmUp, &[("total", of)], Metric::Total);
        let (container, whole) = (total("container"), total("whole"));
        let told = |params: &str, more: &str, keys: &[&SeriesKey]| {
            let text = format!("[[rule]]\nmatch = {{ params = {{ {params} }} }}\nceiling_ms = 6000\n{more}");
            let unmet = Rules::from_toml(&text).unwrap();
            match unmet.unmet(&keys.iter().copied().collect(), &BTreeSet::new()) {
                Ok(unmet) => unmet.concat(),
                Err(error) => error.to_string(),
            }
        };
        let wants = "`coldstart run --image REF`";
        let optional = told("total = \"whole\"", "", &[&container]);
        assert!(optional.contains(wants) && !optional.contains("correct its pattern"), "{optional}");
        let required = told("total = \"whole\"", "required = true", &[&container]);
        assert!(
            required.starts_with("rule 1 requires `total=whole`") && required.contains(wants),
            "{required}"
        );
        assert_eq!(told("total = \"whole\"", "", &[&whole]), "");
        // Of other patterns it is the pattern that is wrong.
        for (params, keys) in [
            ("total = \"whale\"", [&container]),
            ("total = \"p*\"", [&container]),
            ("total = \"whole\", staging = \"x\"", [&whole]),
        ] {
            let told = told(params, "", &keys);
            assert!(told.contains("correct its pattern") && !told.contains(wants), "{told}");
        }
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abd", false),
            ("a*b*c", "aXbYbZc", true),
            ("abc", "abcd", false),
            ("*bc", "abc", true),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
