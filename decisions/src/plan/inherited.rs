//! What profiles say against themselves, where a plan rests on them.

use crate::measured::{Measured, NamedProfile, short};

/// Codes of caveats that no number of a plan rests on: how a limit was measured, and what only a gate looks at.
const OTHERS: [&str; 2] = ["limit_not_tight", "no_canary"];
/// Of one kind of caveat so many texts are told, and of files with one text so many names.
const MOST_TOLD: usize = 3;
/// Longer texts are cut: a file may hold any.
const LONGEST_TEXT: usize = 400;

/// One caveat, and the files that have it.
struct Told<'p> {
    code: &'p str,
    text: &'p str,
    files: Vec<&'p str>,
}

/// The caveats of the profiles of a class, each with the names of their files: identical ones once, and of many of one kind a few.
pub(super) fn of_profiles(profiles: &[NamedProfile<'_>], measured: &Measured) -> Vec<String> {
    let machines = measured.profiles.iter().map(|profile| profile.name.as_str());
    let names: Vec<&str> = machines.chain(measured.pods.iter().map(|pods| pods.name.as_str())).collect();
    let mut all: Vec<Told<'_>> = Vec::new();
    for (name, profile) in profiles.iter().filter(|(name, _)| names.contains(name)) {
        for caveat in profile.caveats.iter().filter(|caveat| !OTHERS.contains(&caveat.code.as_str())) {
            let (code, text) = (caveat.code.as_str(), caveat.text.as_str());
            match all.iter_mut().find(|told| (told.code, told.text) == (code, text)) {
                Some(told) if told.files.contains(name) => {}
                Some(told) => told.files.push(name),
                None => all.push(Told { code, text, files: vec![name] }),
            }
        }
    }
    let mut codes: Vec<&str> = Vec::new();
    all.iter().for_each(|told| {
        if !codes.contains(&told.code) {
            codes.push(told.code);
        }
    });
    codes.into_iter().flat_map(|code| of_code(code, &all)).collect()
}

/// A few of the caveats of one kind, and how many more files have one.
fn of_code(code: &str, all: &[Told<'_>]) -> Vec<String> {
    let of_code = || all.iter().filter(|told| told.code == code);
    let mut lines: Vec<String> = of_code().take(MOST_TOLD).map(line).collect();
    let more: usize = of_code().skip(MOST_TOLD).map(|told| told.files.len()).sum();
    if more > 0 {
        let files = if more == 1 { "1 more profile has" } else { &format!("{more} more profiles have") };
        lines.push(format!(
            "{files} the caveat `{}`, each in its own words: `coldstart report` shows them",
            short(code)
        ));
    }
    lines
}

fn line(told: &Told<'_>) -> String {
    let mut names: Vec<String> = told.files.iter().take(MOST_TOLD).map(|name| short(name)).collect();
    let more = told.files.len().saturating_sub(MOST_TOLD);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    let text = match told.text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &told.text[..end]),
        None => told.text.to_owned(),
    };
    format!("{}: {text}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::Profile;

    use super::*;
    use crate::measured::{ByHand, Fleet};
    use crate::testing::profile;

    fn said(profiles: &[(&str, Profile)]) -> Vec<String> {
        let named: Vec<NamedProfile<'_>> = profiles.iter().map(|(name, profile)| (*name, profile)).collect();
        let fleet = Fleet::of(&named, &ByHand::default(), false).unwrap();
        of_profiles(&named, &fleet.classes[0])
    }

    fn with(caveats: &[(&str, &str)]) -> Profile {
        let mut profile = profile();
        profile.caveats.clear();
        caveats.iter().for_each(|(code, text)| profile.caveat(code, *text));
        profile
    }

    #[test]
    fn identical_ones_are_told_once_with_their_files() {
        let mut elsewhere = with(&[("load_before", "the load was 9")]);
        elsewhere.target.host.cores = 64;
        let profiles = [
            (
                "a.json",
                with(&[("events_gone", "their pull is unattributed"), ("load_before", "the load was 2")]),
            ),
            (
                "b.json",
                with(&[("limit_not_tight", "a limit"), ("events_gone", "their pull is unattributed")]),
            ),
            ("c.json", elsewhere),
        ];
        assert_eq!(
            said(&profiles),
            ["a.json, b.json: their pull is unattributed", "a.json: the load was 2"],
            "of the class that the plan is for, and nothing of limits"
        );
    }

    #[test]
    fn of_a_large_fleet_a_few_and_how_many_more() {
        let names: Vec<String> = (0..9).map(|n| format!("{n}.json")).collect();
        let own: Vec<(&str, Profile)> = (names.iter().enumerate())
            .map(|(n, name)| {
                (name.as_str(), with(&[("load_before", &format!("the load was {n}")), ("mig", "a slice")]))
            })
            .collect();
        assert_eq!(
            said(&own),
            [
                "0.json: the load was 0",
                "1.json: the load was 1",
                "2.json: the load was 2",
                "6 more profiles have the caveat `load_before`, each in its own words: `coldstart report` shows them",
                "0.json, 1.json, 2.json, 6 more: a slice",
            ]
        );
        let long = "ab".repeat(1_000_000);
        let huge = said(&[(long.as_str(), with(&[("mig", &long)]))]);
        assert!(huge.len() == 1 && huge[0].len() < 1000, "{}", huge[0].len());
    }
}
