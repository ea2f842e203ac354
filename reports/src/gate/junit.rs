//! Verdicts as JUnit XML, which every CI shows.

use coldstart_decisions::gate::{Judgement, KeyVerdict, OnInconclusive, Standing, Verdict};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{ceiling, chance, change, interval, value, why};
use crate::style::obeyed;

/// A verdict as JUnit XML: one test case a comparison. What became slower is a failure, what can't be told an error (where it
/// is not let pass), what is advisory or missing is skipped, and so is what is slower where the machine was unfit or the
/// profiles can't be compared; a gate that could compare nothing has one case that says so. Warnings stand in the output of the
/// case for the whole gate, behind its reasons.
///
/// # Errors
/// What the writer says, completing "failed to …".
pub fn gate_junit(verdict: &Verdict) -> Result<String, String> {
    let mut suite = TestSuite::new("coldstart gate");
    for key in &verdict.keys {
        let mut case = TestCase::new(printable(&key.key.to_string()), status(key, verdict.standing));
        case.set_classname(key.key.phase.name());
        if let Some(evidence) = &key.evidence {
            let metric = key.key.metric;
            case.set_system_out(printable(&format!(
                "baseline {} ({} trials), new {} ({} trials): medians {}, best trials {}, interval {}{}{}",
                value(metric, evidence.baseline_median),
                evidence.baseline_trials,
                value(metric, evidence.new_median),
                evidence.new_trials,
                change(evidence.ratio_of_medians),
                change(evidence.ratio_of_best),
                interval(evidence),
                evidence.mann_whitney.map_or_else(String::new, |test| format!(", p {}", chance(test.p))),
                evidence
                    .cliffs_delta
                    .map_or_else(String::new, |delta| format!(", Cliff's delta {delta:+.2}"))
            )));
        }
        suite.add_test_case(case);
    }
    let mut whole = TestCase::new(
        "the whole gate",
        match verdict.standing.exit_code() {
            0 => TestCaseStatus::success(),
            1 => failure(verdict.standing.name()),
            _ => error(verdict.standing.name()),
        },
    );
    let warnings = verdict.warnings.iter().map(|warning| format!("warning: {}", warning.text));
    let told: Vec<String> =
        verdict.reasons.iter().cloned().chain(warnings).map(|line| printable(&line)).collect();
    whole.set_system_out(told.join("\n"));
    suite.add_test_case(whole);
    let mut report = Report::new("coldstart");
    report.add_test_suite(suite);
    report.to_string().map(|xml| as_jenkins_reads(&xml)).map_err(|error| format!("write JUnit XML: {error}"))
}

/// The same without the count of skipped cases on the outermost element, which the schema of Jenkins' xUnit plugin refuses; its suite
/// has it.
fn as_jenkins_reads(xml: &str) -> String {
    let whole = || {
        let (begin, rest) = xml.split_once("<testsuites")?;
        let (tag, rest) = rest.split_once('>')?;
        let (before, behind) = tag.split_once(" skipped=\"")?;
        let (_, after) = behind.split_once('"')?;
        Some(format!("{begin}<testsuites{before}{after}>{rest}"))
    };
    whole().unwrap_or_else(|| xml.to_owned())
}

/// What a comparison is in a gate that ended so.
fn status(key: &KeyVerdict, standing: Standing) -> TestCaseStatus {
    match (&key.judgement, key.advisory) {
        _ if key.above_ceiling => {
            let told = ceiling(key).map_or_else(String::new, |told| format!(": {told}"));
            slower(&format!("above its ceiling{told}"), standing)
        }
        (Judgement::Same | Judgement::Faster, _) => TestCaseStatus::success(),
        (Judgement::Slower, false) => slower("slower", standing),
        (Judgement::Inconclusive { why, .. }, false) if key.on_inconclusive == OnInconclusive::Fail => {
            error(why)
        }
        (Judgement::Missing { why } | Judgement::Incomparable { why }, _) if key.required => error(why),
        _ => skipped(match why(key) {
            "" => "advisory",
            why => why,
        }),
    }
}

/// A failure, unless nothing could be judged by these profiles: reports say what the exit code says.
fn slower(message: &str, standing: Standing) -> TestCaseStatus {
    match standing {
        Standing::Unfit => skipped(&format!("{message}, but the machine was unfit")),
        Standing::Incomparable => skipped(&format!("{message}, but the profiles can't be compared")),
        Standing::Regression | Standing::Inconclusive | Standing::Passed => failure(message),
    }
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(printable(message));
    status
}

fn failure(message: &str) -> TestCaseStatus {
    non_success(NonSuccessKind::Failure, message)
}

fn error(message: &str) -> TestCaseStatus {
    non_success(NonSuccessKind::Error, message)
}

fn non_success(kind: NonSuccessKind, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(printable(message));
    status
}

/// On one line: logs show it, and XML has no way to write most control characters, escaped or not.
fn printable(text: &str) -> String {
    const LONGEST: usize = 2000;
    let impossible = |c: char| obeyed(c) || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().take(LONGEST).map(|c| if impossible(c) { ' ' } else { c }).collect()
}
