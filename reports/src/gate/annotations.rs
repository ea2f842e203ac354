//! Verdicts as workflow commands of GitHub Actions, which mark a run and its pull request.

use coldstart_decisions::gate::{Standing, Verdict};

use crate::style::PLAIN;

/// At most so many of one kind are shown by GitHub in one step.
const MOST: usize = 10;
/// Longer messages are cut.
const LONGEST: usize = 500;

/// One line a reason: an error for a regression, a warning where nobody can tell, a notice where all is well.
pub fn gate_annotations(verdict: &Verdict) -> String {
    let (command, title) = match verdict.standing {
        Standing::Passed => return "::notice title=coldstart gate::no regression\n".to_owned(),
        Standing::Regression => ("error", "coldstart gate: regression"),
        Standing::Incomparable => ("warning", "coldstart gate: incomparable"),
        Standing::Unfit => ("warning", "coldstart gate: machine unfit"),
        Standing::Inconclusive => ("warning", "coldstart gate: inconclusive"),
    };
    let lines = verdict.reasons.iter().take(MOST);
    lines.map(|reason| format!("::{command} title={}::{}\n", property(title), data(reason))).collect()
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
