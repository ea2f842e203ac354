//! What to know before trusting a number: caveats, failures, and what was not measured.

use coldstart_profiles::{Outcome, Profile, TotalKind, Trace, TraceEnd};

use super::section;
use super::waterfall::{in_process, reasons};
use crate::style::{Style, Tone};
use crate::text::{notes as note_table, paragraph};

/// Lines of a failed trial's stderr that are shown: its last ones.
const STDERR_LINES: usize = 8;
/// Failed trials whose stderr is shown.
const STDERR_TRIALS: usize = 3;

/// Caveats, failures and skipped phases.
pub(crate) fn notes(profile: &Profile, style: &Style) -> String {
    let sections = [caveats(profile, style), failures(profile, style), skipped(profile, style)];
    sections.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

fn caveats(profile: &Profile, style: &Style) -> String {
    let texts = profile.caveats.iter().map(|caveat| (caveat.code.as_str(), caveat.text.as_str()));
    section(style, "Caveats", "", &note_table(style, Tone::Warn, texts))
}

fn failures(profile: &Profile, style: &Style) -> String {
    let failed: Vec<(&Trace, &str, &str)> = (profile.traces.iter())
        .filter_map(|trace| match &trace.end {
            TraceEnd::Failed { why, stderr } => Some((trace, why.as_str(), stderr.as_str())),
            TraceEnd::Completed { .. } => None,
        })
        .collect();
    let mut body = String::new();
    for (index, (trace, why, stderr)) in failed.iter().enumerate() {
        body.push_str(&note_table(style, Tone::Bad, [(trace.step.as_str(), *why)]));
        if index < STDERR_TRIALS {
            for line in tail(stderr) {
                body.push_str(&paragraph(style, Tone::Faint, &format!("| {line}")));
            }
        }
    }
    // A phase that failed because its trials did is told by the trials.
    let own = profile.measurements.iter().filter_map(|row| match &row.outcome {
        Outcome::Failed { why } if !failed.iter().any(|(_, told, _)| told == why) => {
            Some((row.key.to_string(), why))
        }
        _ => None,
    });
    let own: Vec<(String, &String)> = own.collect();
    body.push_str(&note_table(style, Tone::Bad, own.iter().map(|(key, why)| (key.as_str(), why.as_str()))));
    section(style, "Failures", "", &body)
}

/// The last lines that are not empty.
fn tail(stderr: &str) -> Vec<&str> {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(STDERR_LINES)..].to_vec()
}

fn skipped(profile: &Profile, style: &Style) -> String {
    let told = profile.waterfall(TotalKind::Process).map(|waterfall| waterfall.ends_with);
    let mut reasons = reasons(profile, |phase| !told.is_some_and(|end| in_process(phase) && phase <= end));
    let telemetry = &profile.telemetry;
    if let Some(why) = telemetry.skipped.as_deref().filter(|_| telemetry.windows.is_empty()) {
        match reasons.iter_mut().find(|(_, told)| *told == why) {
            Some((names, _)) => names.push_str(", telemetry"),
            None => reasons.push(("telemetry".to_owned(), why)),
        }
    }
    let texts = reasons.iter().map(|(phases, why)| (phases.as_str(), *why));
    section(style, "Not measured", "", &note_table(style, Tone::Plain, texts))
}
