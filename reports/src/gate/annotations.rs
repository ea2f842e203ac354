//! Verdicts as workflow commands of GitHub Actions, which mark a run and its pull request.

use std::collections::BTreeMap;

use coldstart_decisions::gate::{Standing, Verdict};

use super::why;
use crate::style::PLAIN;
use crate::text::by_text;

/// At most so many of one kind are shown by GitHub in one step.
const MOST: usize = 10;
/// Longer messages are cut.
const LONGEST: usize = 500;

/// One line a reason, each by what it means itself: an error for a regression, a warning where nobody can tell, a notice
/// where all is well. What is slower on a machine that was not fit, or by profiles that can't be compared, is no error:
/// annotations say what the exit code says. Behind them which keys could not be compared, and what the verdict warns of.
pub fn gate_annotations(verdict: &Verdict) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut text = String::new();
    let mut tell = |command: &'static str, title: &str, message: &str| {
        let count = counts.entry(command).or_default();
        *count += 1;
        if *count <= MOST {
            text.push_str(&format!("::{command} title={}::{}\n", property(title), data(message)));
        }
    };
    if verdict.reasons.is_empty() {
        tell("notice", "coldstart gate", "no regression");
    }
    for (at, reason) in verdict.reasons.iter().enumerate() {
        let standing = verdict.reason_standings.get(at).copied().unwrap_or(verdict.standing);
        let (command, title) = match (standing, verdict.standing) {
            (Standing::Regression, Standing::Regression) => ("error", "coldstart gate: regression"),
            (Standing::Regression, Standing::Incomparable) => {
                ("warning", "coldstart gate: slower, but not comparable")
            }
            (Standing::Regression, _) => ("warning", "coldstart gate: slower, but the machine was unfit"),
            (Standing::Incomparable, _) => ("warning", "coldstart gate: incomparable"),
            (Standing::Unfit, _) => ("warning", "coldstart gate: machine unfit"),
            (Standing::Inconclusive, _) => ("warning", "coldstart gate: inconclusive"),
            (Standing::Passed, _) => ("notice", "coldstart gate: no regression"),
        };
        tell(command, title, reason);
    }
    // Where a rule requires them they are among the reasons.
    let lost = verdict.keys.iter().filter(|key| !key.required && key.judgement.name() == "incomparable");
    for (keys, why) in by_text(lost.map(|key| (key.key.to_string(), why(key)))) {
        tell("notice", "coldstart gate: not compared", &format!("{why}: {keys}"));
    }
    for warning in &verdict.warnings {
        tell("warning", "coldstart gate: before you trust it", &warning.text);
    }
    text
}

/// The text of a command, as actions/toolkit escapes it; it ends in a log, which is read on terminals.
fn data(text: &str) -> String {
    let text: String = PLAIN.clean(text).chars().take(LONGEST).collect();
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a command, as actions/toolkit escapes it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
