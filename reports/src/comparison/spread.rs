//! What several profiles come to beside each other, in a few sentences.

use coldstart_decisions::measured::ColdStart;
use coldstart_profiles::{
    Distribution, ImageSource, Measurement, Nanos, Phase, Profile, TotalKind, Waterfall,
};

use super::{MANY, alike};
use crate::terminal::{Beside, beside, whose, widest};

/// What the profiles come to beside each other: of two the difference and what makes most of it, of more from the quickest to the
/// slowest, with the median of many. As in the sentence of one profile, they hold the pull of the user's image and the warm-up from
/// beside the trials; what only some have is left out, which is said. Cold starts of other kinds (a pod's, a process's) are not held
/// against each other.
pub(crate) fn spread(profiles: &[(&str, &Profile)]) -> String {
    let seen: Vec<Seen<'_>> = profiles.iter().filter_map(|(name, profile)| Seen::of(name, profile)).collect();
    let Some((first, others)) = seen.split_first().filter(|(_, others)| !others.is_empty()) else {
        let benchmarks = profiles.iter().filter(|(_, profile)| !profile.benchmarks().is_empty());
        return match benchmarks.count() {
            0 | 1 => "Fewer than two of these profiles hold a whole cold start.".to_owned(),
            n => format!(
                "{n} profiles of benchmarks: `coldstart gate` tells whether a difference means anything."
            ),
        };
    };
    if let Some(other) = others.iter().find(|other| !alike(&first.waterfall, &other.waterfall)) {
        return format!(
            "These cold starts are not of one kind: that of {} is of {} and ends with {}, that of {} of {} and ends with {}.",
            first.name,
            whose(first.waterfall.kind),
            first.waterfall.ends_with,
            other.name,
            whose(other.waterfall.kind),
            other.waterfall.ends_with
        );
    }
    let (pull, warm_up) = (held_pull(&seen), held_warm_up(&seen));
    let starts: Vec<Start> = seen.iter().map(|seen| seen.start(pull.is_ok(), warm_up.is_ok())).collect();
    let what = what_they_hold(pull, warm_up);
    if let (2, [one, other]) = (profiles.len(), starts.as_slice()) {
        return of_two((first.name, one), (others.first().map_or("", |other| other.name), other)) + &what;
    }
    let Some(all) = Distribution::of(starts.iter().map(|start| start.total).enumerate()) else {
        return String::new();
    };
    let (Some((slow, most)), Some((quick, least))) = (all.nodes.first(), all.nodes.last()) else {
        return String::new();
    };
    let name = |at: usize| seen.get(at).map_or("", |seen| seen.name);
    let ends = format!("from {least} ({}) to {most} ({})", name(*quick), name(*slow));
    let held = held_up(&starts, *slow).map_or_else(String::new, |(phase, time)| {
        format!(", where {phase} takes {time} longer than in the median")
    });
    match all.nodes.len() {
        n if n >= MANY => format!("{n} nodes start in {} in the median, {ends}{held}.{what}", all.median),
        _ => format!("Cold starts take {ends}{}.{what}", factor(*least, *most)),
    }
}

/// A profile with a whole cold start.
struct Seen<'p> {
    name: &'p str,
    profile: &'p Profile,
    waterfall: Waterfall<'p>,
    /// With what was measured beside its trials.
    beside: Option<Beside>,
}

impl<'p> Seen<'p> {
    fn of(name: &'p str, profile: &'p Profile) -> Option<Self> {
        let waterfall = widest(profile)?;
        let beside = beside(profile, &waterfall);
        Some(Seen { name, profile, waterfall, beside })
    }

    fn has_pull(&self) -> bool {
        self.beside.as_ref().is_some_and(|beside| beside.pulls.is_some())
    }

    fn has_warm_up(&self) -> bool {
        self.beside.as_ref().is_some_and(|beside| beside.warm_ups.is_some())
    }

    /// The user's image that was pulled beside its trials.
    fn image(&self) -> Option<&str> {
        let image = self.profile.target.image.as_ref()?;
        (image.source == ImageSource::Reference).then_some(image.reference.as_str())
    }

    /// Its cold start with these from beside the trials, and without the other.
    fn start(&self, pull: bool, warm_up: bool) -> Start {
        match &self.beside {
            Some(whole) if pull == self.has_pull() && warm_up == self.has_warm_up() => {
                Start::whole(&whole.cold)
            }
            // What is held is held by all, so that one of two must go: the totals are combined anew without it.
            Some(_) if pull || warm_up => {
                let without = if pull { Phase::WarmUp } else { Phase::ImagePull };
                let mut profile = self.profile.clone();
                profile.measurements.retain(|row| row.key.phase != without);
                beside(&profile, &self.waterfall)
                    .map_or_else(|| Start::of_trials(&self.waterfall), |whole| Start::whole(&whole.cold))
            }
            _ => Start::of_trials(&self.waterfall),
        }
    }
}

/// A cold start as the sentences take it, in medians.
struct Start {
    total: Nanos,
    parts: Vec<(Phase, Nanos)>,
    unattributed: Nanos,
}

impl Start {
    fn of_trials(waterfall: &Waterfall<'_>) -> Self {
        Start {
            total: waterfall.total.p50_ns,
            parts: waterfall.parts.iter().map(|part| (part.phase, part.time.p50_ns)).collect(),
            unattributed: waterfall.unattributed.p50_ns,
        }
    }

    fn whole(cold: &ColdStart) -> Self {
        Start {
            total: cold.median_ns.value,
            parts: cold.parts.iter().map(|part| (part.phase, part.median_ns.value)).collect(),
            unattributed: cold.unattributed_ns,
        }
    }

    fn part(&self, phase: Phase) -> Option<Nanos> {
        self.parts.iter().find(|(own, _)| *own == phase).map(|(_, time)| *time)
    }
}

/// Whether all cold starts hold the pull of one image: its reference, `Err(None)` where none was pulled, else why it is left out.
fn held_pull(seen: &[Seen<'_>]) -> Result<String, Option<String>> {
    if !seen.iter().any(|seen| pulled(seen.profile)) {
        return Err(None);
    }
    if seen.iter().any(|seen| seen.waterfall.kind == TotalKind::Process) {
        let why = "between them and a process lies the start of its container, which was not measured";
        return Err(Some(why.to_owned()));
    }
    if let Some(lacks) = seen.iter().find(|seen| !pulled(seen.profile)) {
        return Err(Some(format!("{} has none of an image of yours", lacks.name)));
    }
    if let Some(lacks) = seen.iter().find(|seen| !seen.has_pull()) {
        return Err(Some(format!("{} has too few starts of containers to add them to", lacks.name)));
    }
    let mut images = seen.iter().map(|seen| (seen.name, seen.image()));
    let Some((first, Some(image))) = images.next() else {
        return Err(Some("of which image they are is not known".to_owned()));
    };
    match images.find(|(_, other)| *other != Some(image)) {
        Some((other, another)) => Err(Some(format!(
            "{first} pulled {image}, and {other} {}",
            another.unwrap_or("an image that is not known")
        ))),
        None => Ok(image.to_owned()),
    }
}

/// Whether all cold starts hold the warm-up: `Err(None)` where none was measured beside the trials, else why it is left out.
fn held_warm_up(seen: &[Seen<'_>]) -> Result<(), Option<String>> {
    if !seen.iter().any(Seen::has_warm_up) {
        return Err(None);
    }
    match seen.iter().find(|seen| !seen.has_warm_up()) {
        Some(lacks) => Err(Some(format!("{} has none", lacks.name))),
        None => Ok(()),
    }
}

/// ` These times hold the pull of serve:1.4 and the warm-up.`, and what is left out, with the reason.
fn what_they_hold(pull: Result<String, Option<String>>, warm_up: Result<(), Option<String>>) -> String {
    let held = [
        pull.as_ref().ok().map(|image| format!("the pull of {image}")),
        warm_up.as_ref().ok().map(|()| "the warm-up".to_owned()),
    ];
    let held: Vec<String> = held.into_iter().flatten().collect();
    let mut text = match held.as_slice() {
        [] => String::new(),
        held => format!(" These times hold {}.", held.join(" and ")),
    };
    for (what, why) in [("Image pulls", pull.err().flatten()), ("Warm-ups", warm_up.err().flatten())] {
        if let Some(why) = why {
            text.push_str(&format!(" {what} are left out: {why}."));
        }
    }
    text
}

/// Whether the user's image was pulled beside the trials: that is in no total of a container.
fn pulled(profile: &Profile) -> bool {
    let own = |row: &&Measurement| row.key.params.get("source") != Some("synthetic");
    let mut pulls = profile.of_phase(Phase::ImagePull).filter(own);
    profile.target.cluster.is_none() && pulls.any(|row| row.outcome.as_measured().is_some())
}

/// `a.json starts in 195 ms, b.json in 212 ms: 8.7 % longer. Most of it is weights_load, +15.1 ms.` Medians of parts do not add up
/// to the median of the total: what is less than half of the difference is only the largest part of it.
fn of_two((a, first): (&str, &Start), (b, second): (&str, &Start)) -> String {
    let (before, after) = (first.total, second.total);
    let head = format!("{a} starts in {before}, {b} in {after}");
    if before == Nanos::ZERO || before == after {
        return format!("{head}.");
    }
    let change = after.as_secs_f64() / before.as_secs_f64() - 1.0;
    let slower = after > before;
    let how = match change {
        change if change >= 1.0 => format!("{:.1} times as long", change + 1.0),
        change => format!("{:.1} % {}", change.abs() * 100.0, if slower { "longer" } else { "shorter" }),
    };
    match moved_most(first, second) {
        Some((what, time)) => {
            let all = if slower { after.saturating_sub(before) } else { before.saturating_sub(after) };
            let much = if time.saturating_add(time) > all { "Most of it" } else { "The largest part of it" };
            let what =
                what.map_or_else(|| "lies between the phases".to_owned(), |phase| format!("is {phase}"));
            format!("{head}: {how}. {much} {what}, {}{time}.", if slower { '+' } else { '−' })
        }
        None => format!("{head}: {how}."),
    }
}

/// The phase whose median moved furthest in the direction of the totals, or `None` in its place for what lies between the phases, and
/// how far it moved. What moved the other way is no part of the difference.
fn moved_most(first: &Start, second: &Start) -> Option<(Option<Phase>, Nanos)> {
    let slower = second.total > first.total;
    let median = |start: &Start, phase: Phase| start.part(phase).unwrap_or(Nanos::ZERO);
    let phases = Phase::ALL.map(|phase| (Some(phase), median(first, phase), median(second, phase)));
    let rest = (None, first.unattributed, second.unattributed);
    let moved = phases.into_iter().chain([rest]).map(|(what, before, after)| {
        let (more, less) = if slower { (after, before) } else { (before, after) };
        (what, more.saturating_sub(less))
    });
    moved.max_by_key(|(what, time)| (*time, *what)).filter(|(_, time)| *time > Nanos::ZERO)
}

fn factor(least: Nanos, most: Nanos) -> String {
    match least {
        Nanos::ZERO => String::new(),
        least => format!(": a factor of {:.2}", most.as_secs_f64() / least.as_secs_f64()),
    }
}

/// The phase of one cold start that takes longest beyond the median over all, and by how much.
fn held_up(starts: &[Start], at: usize) -> Option<(Phase, Nanos)> {
    let slow = starts.get(at)?;
    let beyond = slow.parts.iter().filter_map(|(phase, time)| {
        let all = starts.iter().enumerate().filter_map(|(at, start)| Some((at, start.part(*phase)?)));
        Some((time.saturating_sub(Distribution::of(all)?.median), *phase))
    });
    let (time, phase) = beyond.max()?;
    (time > Nanos::ZERO).then_some((phase, time))
}
