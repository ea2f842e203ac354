//! Each run and each pod once, however often the files hold it: what is counted twice is no more than what it was.

use std::borrow::Cow;
use std::collections::BTreeMap;

use coldstart_profiles::{Nanos, Profile, Trace};

use super::fleet::NamedProfile;
use super::pods::short;

/// Stamps of pods are of whole seconds: two looks at one pod come to totals that are no further apart.
const STAMP: Nanos = Nanos::from_secs(1);
/// So many files that hold nothing new are named.
const MOST_NAMED: usize = 5;

/// Profiles without what another of them holds already.
pub(crate) struct Distinct<'p> {
    profiles: Vec<(&'p str, Cow<'p, Profile>)>,
    said: Vec<String>,
}

impl<'p> Distinct<'p> {
    /// Leaves a run out that another file holds, or holds more of, and pods that were seen before.
    pub(crate) fn of(profiles: &[NamedProfile<'p>]) -> Self {
        let mut said = Vec::new();
        let runs = runs(profiles, &mut said);
        let profiles = without_repeated_pods(&runs, &mut said);
        let more = said.len().saturating_sub(MOST_NAMED);
        said.truncate(MOST_NAMED);
        said.extend((more > 0).then(|| format!("and {more} more files hold what others hold")));
        Distinct { profiles, said }
    }

    /// What is left.
    pub(crate) fn named(&self) -> Vec<NamedProfile<'_>> {
        self.profiles.iter().map(|(name, profile)| (*name, profile.as_ref())).collect()
    }

    /// What was left out, as sentences.
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }
}

/// Every run of a machine once, with the most that any file holds of it; pods as they are.
fn runs<'p>(profiles: &[NamedProfile<'p>], said: &mut Vec<String>) -> Vec<NamedProfile<'p>> {
    let mut kept: Vec<NamedProfile<'p>> = Vec::new();
    for (name, profile) in profiles.iter().copied() {
        let Some(known) = kept.iter_mut().find(|(_, known)| same_run(known, profile)) else {
            kept.push((name, profile));
            continue;
        };
        // A copy from before the run ended has fewer trials.
        let (left, stays) = if profile.traces.len() > known.1.traces.len() {
            let before = std::mem::replace(known, (name, profile));
            (before.0, name)
        } else {
            (name, known.0)
        };
        said.push(format!(
            "{} is the run of {} once more, and left out: its trials are no others",
            short(left),
            short(stays)
        ));
    }
    kept
}

/// Whether two profiles are of one run: begun at one moment on one device, and all trials of one of them are those of the other.
fn same_run(a: &Profile, b: &Profile) -> bool {
    let machine = |of: &Profile| of.target.cluster.is_none();
    let (fewer, more) = if a.traces.len() <= b.traces.len() { (a, b) } else { (b, a) };
    machine(a)
        && machine(b)
        && a.started_at == b.started_at
        && a.target.host == b.target.host
        && a.target.device == b.target.device
        && a.target.model == b.target.model
        && fewer.traces.iter().all(|trace| more.traces.contains(trace))
        // Without trials their times must tell.
        && (!fewer.traces.is_empty() || a.measurements == b.measurements)
}

/// Where a pod was seen: in which profile, as which of its trials.
type Place = (usize, usize);

/// Every pod once: of two looks at one the one that tells more of its image.
fn without_repeated_pods<'p>(
    profiles: &[NamedProfile<'p>],
    said: &mut Vec<String>,
) -> Vec<(&'p str, Cow<'p, Profile>)> {
    let repeated = repeated_pods(profiles);
    let mut kept = Vec::new();
    for (at, (name, profile)) in profiles.iter().enumerate() {
        let again: Vec<usize> =
            repeated.iter().filter(|(of, _)| *of == at).map(|(_, trial)| *trial).collect();
        if again.is_empty() {
            kept.push((*name, Cow::Borrowed(*profile)));
            continue;
        }
        let all = profile.traces.len();
        if again.len() == all {
            said.push(format!("every pod of {} stands in another file, and it is left out", short(name)));
            continue;
        }
        said.push(format!(
            "{} of {all} pods of {} stand in another file: they count once",
            again.len(),
            short(name)
        ));
        let mut rest = Profile::clone(profile);
        let mut trial = 0..;
        rest.traces.retain(|_| trial.next().is_some_and(|trial| !again.contains(&trial)));
        if let Some(cluster) = &mut rest.target.cluster {
            cluster.pods = u32::try_from(rest.traces.len()).unwrap_or(u32::MAX);
        }
        rest.derive();
        kept.push((*name, Cow::Owned(rest)));
    }
    kept
}

/// Looks at pods that another profile has as well. Names of pods come again where a set gives them, so the time of the start tells, too.
fn repeated_pods(profiles: &[NamedProfile<'_>]) -> Vec<Place> {
    let mut seen: BTreeMap<(&str, &str), Vec<(Place, &Trace)>> = BTreeMap::new();
    let mut repeated = Vec::new();
    for (at, (_, profile)) in profiles.iter().enumerate() {
        let Some(cluster) = &profile.target.cluster else { continue };
        for (trial, trace) in profile.traces.iter().enumerate() {
            let looks = seen.entry((cluster.image.as_str(), trace.step.as_str())).or_default();
            match looks.iter_mut().find(|((of, _), look)| *of != at && same_start(look, trace)) {
                None => looks.push(((at, trial), trace)),
                Some(look) if told(trace) > told(look.1) => {
                    repeated.push(look.0);
                    *look = ((at, trial), trace);
                }
                Some(_) => repeated.push((at, trial)),
            }
        }
    }
    repeated
}

fn same_start(a: &Trace, b: &Trace) -> bool {
    let total = |trace: &Trace| trace.total().map(|(total, _)| total);
    match (total(a), total(b)) {
        (Some(a), Some(b)) => a.max(b).saturating_sub(a.min(b)) < STAMP,
        (a, b) => a == b,
    }
}

/// How many parts of its start a pod tells.
fn told(trace: &Trace) -> usize {
    trace.readings.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{pods, profile, with_cold_starts};

    fn kept(profiles: &[NamedProfile<'_>]) -> (Vec<(String, usize)>, Vec<String>) {
        let distinct = Distinct::of(profiles);
        let left = distinct.named().into_iter();
        let left = left.map(|(name, profile)| (name.to_owned(), profile.traces.len())).collect();
        (left, distinct.said().to_vec())
    }

    #[test]
    fn a_run_counts_once_with_the_most_that_any_file_holds_of_it() {
        let whole = with_cold_starts(profile(), &[300, 100, 200]);
        let all = whole.traces.len();
        let mut before = whole.clone();
        before.traces.truncate(all - 2);
        before.derive();
        let mut elsewhere = whole.clone();
        elsewhere.target.host.name = "another".to_owned();
        let mut later = whole.clone();
        later.started_at = "2027-01-01T00:00:00Z".to_owned();
        let other_trials = with_cold_starts(profile(), &[301, 100, 200]);
        for others in [&elsewhere, &later, &other_trials] {
            let (left, said) = kept(&[("a", &whole), ("b", others)]);
            assert_eq!((left.len(), said.len()), (2, 0), "{said:?}");
        }
        let (left, said) = kept(&[("early", &before), ("a", &whole), ("dup", &whole)]);
        assert_eq!(left, [("a".to_owned(), all)]);
        assert_eq!(
            said,
            [
                "early is the run of a once more, and left out: its trials are no others",
                "dup is the run of a once more, and left out: its trials are no others"
            ]
        );
        let many: Vec<NamedProfile<'_>> = (0..9).map(|_| ("a", &whole)).collect();
        let (left, said) = kept(&many);
        assert_eq!((left.len(), said.len()), (1, 6));
        assert_eq!(said[5], "and 3 more files hold what others hold");
    }

    #[test]
    fn a_pod_in_two_imports_counts_once() {
        let first = pods(&[(60, 30), (70, 30)]);
        // Two of the first import, the second of which tells less, and a new one.
        let mut second = pods(&[(60, 30), (70, 30), (80, 30)]);
        second.traces[1].readings.remove(0);
        let (left, said) = kept(&[("a", &first), ("b", &second)]);
        assert_eq!(left, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        assert_eq!(said, ["2 of 3 pods of b stand in another file: they count once"]);
        // The other way round the look that tells more stays.
        let distinct = [("b", &second), ("a", &first)];
        let (left, _) = kept(&distinct);
        assert_eq!(left, [("b".to_owned(), 2), ("a".to_owned(), 1)]);
        let all = Distinct::of(&distinct);
        let rest = all.named();
        assert_eq!(rest[1].1.traces[0].step, "pod-1");
        assert_eq!(rest[1].1.target.cluster.as_ref().unwrap().pods, 1);
        let (left, said) = kept(&[("a", &first), ("again", &first)]);
        assert_eq!(left, [("a".to_owned(), 2)]);
        assert_eq!(said, ["every pod of again stands in another file, and it is left out"]);
        // A set's pod has its name again, and another start.
        let anew = pods(&[(0, 30), (0, 30)]);
        assert_eq!(kept(&[("a", &first), ("b", &anew)]).0.len(), 2);
        let mut other = first.clone();
        other.target.cluster.as_mut().unwrap().image = "serve:2".to_owned();
        assert_eq!(kept(&[("a", &first), ("b", &other)]).0[1].1, 2, "of another image");
    }
}
