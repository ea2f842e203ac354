//! The answer in one sentence.

use coldstart_decisions::measured::ColdStart;
use coldstart_profiles::{Outcome, Phase, Profile, Summary, TotalKind, TraceEnd, Waterfall};

use super::benchmarks::short;
use super::pull::pull_bound;
use crate::scale::percent;
use crate::style::{PLAIN, Style, Tone};
use crate::text::{counted, paragraph};

/// What takes less than this share is not named beside the largest part.
const WORTH_NAMING: f64 = 0.1;

/// How long the cold start took, and what most of it was.
pub(crate) fn answer(profile: &Profile, style: &Style) -> String {
    paragraph(style, Tone::Strong, &answer_sentence(profile))
}

/// The same without a layout.
pub(crate) fn answer_sentence(profile: &Profile) -> String {
    match widest(profile) {
        Some(waterfall) => combined(profile, &waterfall).unwrap_or_else(|| of_waterfall(profile, &waterfall)),
        None => of_pull(profile).or_else(|| of_benchmarks(profile)).unwrap_or_else(|| none(profile)),
    }
}

/// The cold start that holds most of what a user waits for: of a pod, else of a container, else of a process.
pub(crate) fn widest(profile: &Profile) -> Option<Waterfall<'_>> {
    let kinds = [TotalKind::Pod, TotalKind::Container, TotalKind::Process];
    kinds.into_iter().find_map(|kind| profile.waterfall(kind))
}

/// Whose cold start it is: `a container`.
pub(crate) const fn whose(kind: TotalKind) -> &'static str {
    match kind {
        TotalKind::Process => "a process",
        TotalKind::Container => "a container",
        TotalKind::Pull => "an image",
        TotalKind::Pod => "a pod",
    }
}

/// `1.32 s from exec to the steady state (median of 5, 1.21 s – 1.48 s); 61 % is loading the weights, at 0.83 of the direct_read
/// limit, and 12 % the first batch.`
fn of_waterfall(profile: &Profile, waterfall: &Waterfall<'_>) -> String {
    let parts = waterfall.parts.iter().map(|part| (part.phase, part.share)).collect();
    format!(
        "{} {} {} ({}){}.",
        waterfall.total.p50_ns,
        begin(waterfall.kind),
        end(waterfall.ends_with),
        spread(&waterfall.total),
        shares(profile, waterfall, parts, waterfall.unattributed_share)
    )
}

/// A cold start with what was measured beside its trials.
pub(crate) struct Beside {
    /// Its trials with all of that, in every combination.
    pub(crate) cold: ColdStart,
    /// Pulls of the user's image beside the trials; `None` without any.
    pub(crate) pulls: Option<usize>,
    /// Warm-ups beside the trials; `None` without any.
    pub(crate) warm_ups: Option<usize>,
}

/// The cold start of these trials with what was measured beside them; `None` where they hold all that was measured.
pub(crate) fn beside(profile: &Profile, waterfall: &Waterfall<'_>) -> Option<Beside> {
    let cold = ColdStart::of_profile(profile).filter(|cold| {
        (cold.kind, cold.ends_with, &cold.params)
            == (Some(waterfall.kind), Some(waterfall.ends_with), waterfall.params)
    })?;
    let beside = |phase: Phase| {
        let own = waterfall.parts.iter().any(|part| part.phase == phase);
        cold.part(phase).filter(|_| !own).map(|part| part.median_ns.basis.n.unwrap_or(1))
    };
    let (pulls, warm_ups) = (beside(Phase::ImagePull), beside(Phase::WarmUp));
    (pulls.is_some() || warm_ups.is_some()).then_some(Beside { cold, pulls, warm_ups })
}

/// The same with the pull of the user's image and the warm-up, where these were measured beside the trials:
/// `1.71 s from the request for its image to the steady state of a container (median, 1.61 s – 2.03 s, of 1 pull, 3 starts and 5
/// warm-ups in every combination); …`. `None` where the trials hold all that was measured.
fn combined(profile: &Profile, waterfall: &Waterfall<'_>) -> Option<String> {
    let Beside { cold, pulls, warm_ups } = beside(profile, waterfall)?;
    let (least, most) = (cold.totals_ns.iter().min()?, cold.totals_ns.iter().max()?);
    let counts = [
        pulls.map(|n| counted(n as u64, "pull")),
        Some(counted(cold.trials as u64, "start")),
        warm_ups.map(|n| counted(n as u64, "warm-up")),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    let (last, others) = counts.split_last().filter(|(_, others)| !others.is_empty())?;
    let begin = match pulls {
        Some(_) => format!("from the request for the image of {}", whose(waterfall.kind)),
        None => begin(waterfall.kind).to_owned(),
    };
    let end = if warm_ups.is_some() { end(Phase::WarmUp) } else { end(waterfall.ends_with) };
    let whole = cold.median_ns.value.as_secs_f64();
    let share = |time: f64| if whole > 0.0 { time / whole } else { 0.0 };
    let parts =
        cold.parts.iter().map(|part| (part.phase, share(part.median_ns.value.as_secs_f64()))).collect();
    Some(format!(
        "{} {begin} {end} (median, {least} – {most}, of {} and {last} in every combination){}.",
        cold.median_ns.value,
        others.join(", "),
        shares(profile, waterfall, parts, share(cold.unattributed_ns.as_secs_f64()))
    ))
}

const fn begin(kind: TotalKind) -> &'static str {
    match kind {
        TotalKind::Process => "from exec",
        TotalKind::Container => "from the create request of a container",
        TotalKind::Pull => "from the pull request",
        TotalKind::Pod => "from the creation of a pod",
    }
}

fn end(phase: Phase) -> String {
    match phase {
        Phase::WarmUp | Phase::Throughput => "to the steady state".to_owned(),
        Phase::Readiness => "until it is ready".to_owned(),
        Phase::FirstBatch => "to the first output".to_owned(),
        Phase::WeightsLoad => "to the weights on the device".to_owned(),
        phase => format!("to the end of {phase}"),
    }
}

/// `; 61 % is loading the weights, at 0.83 of the direct_read limit, and 12 % the first batch`: the largest part with what bounds
/// it, and the next one where it is worth a word.
fn shares(
    profile: &Profile,
    waterfall: &Waterfall<'_>,
    mut parts: Vec<(Phase, f64)>,
    unattributed: f64,
) -> String {
    parts.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let Some(((largest, share), others)) = parts.split_first() else { return String::new() };
    if unattributed > *share {
        let next = format!("{} is {}", percent(*share), in_words(*largest));
        return format!("; {} lies between the phases, and {next}", percent(unattributed));
    }
    let mut text = format!("; {} is {}", percent(*share), in_words(*largest));
    let part = waterfall.parts.iter().find(|part| part.phase == *largest);
    let limit = part.and_then(|part| Some((part.achieved()?, part.limit?)));
    if let Some(bound) = pull_bound(profile).filter(|_| *largest == Phase::ImagePull) {
        text.push_str(&format!(", bound by {bound}"));
    } else if let Some((achieved, limit)) = limit {
        text.push_str(&format!(", at {achieved:.2} of the {} limit", limit.kind));
    }
    if let Some((next, share)) = others.first().filter(|(_, share)| *share >= WORTH_NAMING) {
        text.push_str(&format!(", and {} {}", percent(*share), in_words(*next)));
    }
    text
}

/// A phase as people say it.
const fn in_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Scheduling => "scheduling",
        Phase::ImagePull => "the image pull",
        Phase::ContainerStart => "starting the container",
        Phase::ProcessStart => "starting the process",
        Phase::DriverInit => "initialising the driver",
        Phase::ContextCreate => "creating the context",
        Phase::ModuleLoad => "loading the kernels",
        Phase::Alloc => "allocating memory",
        Phase::WeightsLoad => "loading the weights",
        Phase::FirstBatch => "the first batch",
        Phase::WarmUp => "the warm-up",
        Phase::Readiness => "what the container does until it is ready",
        Phase::Throughput => "the steady state",
    }
}

fn of_benchmarks(profile: &Profile) -> Option<String> {
    let benchmarks = profile.benchmarks();
    let times = benchmarks
        .iter()
        .map(|benchmark| (benchmark.per_iteration(benchmark.summary.p50_ns), PLAIN.clean(benchmark.name)));
    let (time, name) = times.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    let takes = format!("takes {} an iteration.", short(time));
    Some(match benchmarks.len() {
        1 => format!("1 benchmark was imported: `{name}` {takes}"),
        n => format!("{n} benchmarks were imported; the longest, `{name}`, {takes}"),
    })
}

fn of_pull(profile: &Profile) -> Option<String> {
    let row = profile.of_phase(Phase::ImagePull).find(|row| row.outcome.as_measured().is_some())?;
    let (_, summary) = row.outcome.as_measured()?;
    let bound = pull_bound(profile).map_or_else(String::new, |bound| format!("; bound by {bound}"));
    Some(format!("{} to pull the image ({}){bound}.", summary.p50_ns, spread(summary)))
}

/// That there is no whole cold start, with the nearest reason that the profile gives.
fn none(profile: &Profile) -> String {
    let failed = profile.traces.iter().find_map(|trace| match &trace.end {
        TraceEnd::Failed { why, .. } => Some(format!("{} failed: {why}", trace.step)),
        TraceEnd::Completed { .. } => None,
    });
    let not_measured = |phase: Phase| {
        profile.of_phase(phase).find_map(|row| match &row.outcome {
            Outcome::Failed { why } => Some(format!("{phase} failed: {why}")),
            Outcome::Skipped { why } => Some(format!("{phase} was skipped: {why}")),
            Outcome::Measured { .. } => None,
        })
    };
    let phases = [Phase::ProcessStart, Phase::WeightsLoad, Phase::FirstBatch];
    match failed.or_else(|| phases.into_iter().find_map(not_measured)) {
        Some(why) => format!("No whole cold start was measured: {}.", PLAIN.clean(why.trim_end_matches('.'))),
        None => "No whole cold start was measured.".to_owned(),
    }
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
