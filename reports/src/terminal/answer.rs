//! The answer in one sentence.

use coldstart_profiles::{Phase, Profile, Summary, TotalKind, Waterfall};

use super::pull::pull_bound;
use crate::scale::percent;
use crate::style::{Style, Tone};
use crate::text::paragraph;

/// How long the cold start took, and what most of it was.
pub(crate) fn answer(profile: &Profile, style: &Style) -> String {
    paragraph(style, Tone::Strong, &answer_sentence(profile))
}

/// The same without a layout.
pub(crate) fn answer_sentence(profile: &Profile) -> String {
    match widest(profile) {
        Some(waterfall) => of_waterfall(profile, &waterfall),
        None => of_pull(profile)
            .or_else(|| of_benchmarks(profile))
            .unwrap_or_else(|| "No whole cold start was measured: the notes at the end say why.".to_owned()),
    }
}

/// The cold start that holds most of what a user waits for: of a pod, else of a container, else of a process.
pub(crate) fn widest(profile: &Profile) -> Option<Waterfall<'_>> {
    let kinds = [TotalKind::Pod, TotalKind::Container, TotalKind::Process];
    kinds.into_iter().find_map(|kind| profile.waterfall(kind))
}

/// `1.32 s from exec to the steady state (median of 5, 1.21 s – 1.48 s); 61 % is weights_load, at 0.83 of the
/// direct_read limit.`
fn of_waterfall(profile: &Profile, waterfall: &Waterfall<'_>) -> String {
    let begin = match waterfall.kind {
        TotalKind::Process => "from exec",
        TotalKind::Container => "from the create request of a container",
        TotalKind::Pull => "from the pull request",
        TotalKind::Pod => "from the creation of a pod",
    };
    let end = match waterfall.ends_with {
        Phase::WarmUp | Phase::Throughput => "to the steady state".to_owned(),
        Phase::Readiness => "until it is ready".to_owned(),
        Phase::FirstBatch => "to the first output".to_owned(),
        Phase::WeightsLoad => "to the weights on the device".to_owned(),
        phase => format!("to the end of {phase}"),
    };
    let mut sentence = format!("{} {begin} {end} ({})", waterfall.total.p50_ns, spread(&waterfall.total));
    if let Some(part) = waterfall.largest() {
        sentence.push_str(&format!("; {} is {}", percent(part.share), part.phase));
        if let (Some(achieved), Some(limit)) = (part.achieved(), part.limit) {
            sentence.push_str(&format!(", at {achieved:.2} of the {} limit", limit.kind));
        } else if let Some(bound) = pull_bound(profile).filter(|_| part.phase == Phase::ImagePull) {
            sentence.push_str(&format!(", bound by {bound}"));
        }
    }
    sentence.push('.');
    sentence
}

fn of_benchmarks(profile: &Profile) -> Option<String> {
    match profile.benchmarks().len() {
        0 => None,
        1 => Some("1 benchmark was imported.".to_owned()),
        n => Some(format!("{n} benchmarks were imported.")),
    }
}

fn of_pull(profile: &Profile) -> Option<String> {
    let row = profile.of_phase(Phase::ImagePull).find(|row| row.outcome.as_measured().is_some())?;
    let (_, summary) = row.outcome.as_measured()?;
    let bound = pull_bound(profile).map_or_else(String::new, |bound| format!("; bound by {bound}"));
    Some(format!("{} to pull the image ({}){bound}.", summary.p50_ns, spread(summary)))
}

/// `median of 5, 1.21 s – 1.48 s`.
pub(crate) fn spread(summary: &Summary) -> String {
    let left_out = match summary.left_out {
        0 => String::new(),
        n => format!(", {n} left out"),
    };
    match summary.n {
        1 => format!("one trial{left_out}"),
        n => format!("median of {n}, {} – {}{left_out}", summary.min_ns, summary.max_ns),
    }
}
