//! Verdicts on a terminal.

use coldstart_decisions::gate::{Doubt, Judgement, KeyVerdict, Standing, Verdict};

use super::names::Names;
use super::{ceiling, chance, change, difference, interval, is_told, own_reasons, value, why};
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};
use crate::text::{notes, paragraph};

/// What is worth a line of its own is named in no narrower a column than this.
const LEAST_NAME: usize = 24;
/// So many keys are named behind one reason.
const NAMED: usize = 4;

/// A verdict: how it ended and why, then a line for each comparison that decides and is not simply the same; or all of them,
/// with the evidence.
pub fn gate_table(verdict: &Verdict, all: bool, style: &Style) -> String {
    let (shown, hidden): (Vec<&KeyVerdict>, Vec<&KeyVerdict>) =
        verdict.keys.iter().partition(|key| all || is_told(key));
    let names = Names::of(verdict.keys.iter().map(|key| &key.key));
    let mut text = paragraph(style, standing_tone(verdict.standing), &head(verdict));
    for reason in own_reasons(verdict) {
        text.push_str(&paragraph(style, Tone::Plain, reason));
    }
    let warnings = verdict.warnings.iter().map(|warning| ("warning:", warning.text.as_str()));
    text.push_str(&notes(style, Tone::Warn, warnings));
    if !shown.is_empty() {
        text.push('\n');
        text.push_str(&comparisons(&shown, &names, style));
    }
    let reasons = reasons(&shown, &names);
    if !reasons.is_empty() {
        text.push('\n');
        let told = reasons.iter().map(|(keys, why)| (keys.as_str(), why.as_str()));
        text.push_str(&notes(style, Tone::Faint, told));
    }
    if all {
        text.push_str(&evidence(&shown, &names, style));
    }
    if !hidden.is_empty() {
        text.push('\n');
        let more = format!(
            "Not shown: {}. `--all` shows them and the evidence, `--json` has both.",
            counts(&hidden)
        );
        text.push_str(&paragraph(style, Tone::Faint, &more));
    }
    text
}

/// How it ended, and how many of the keys that decide came to what; those that do not are counted apart.
fn head(verdict: &Verdict) -> String {
    let (advisory, deciding): (Vec<&KeyVerdict>, Vec<&KeyVerdict>) =
        verdict.keys.iter().partition(|key| key.advisory);
    let standing = verdict.standing.name().to_uppercase();
    match deciding.as_slice() {
        [] => format!("{standing}: no key decides ({})", counts(&advisory)),
        _ => format!("{standing}: {}", counts(&deciding)),
    }
}

/// `2 slower, 20 same, 12 advisory`.
fn counts(keys: &[&KeyVerdict]) -> String {
    let names = ["slower", "faster", "same", "inconclusive", "incomparable", "missing"];
    let of = |name: &str| keys.iter().filter(|key| !key.advisory && key.judgement.name() == name).count();
    let advisory = keys.iter().filter(|key| key.advisory).count();
    let counts = names.iter().map(|name| (*name, of(name))).chain([("advisory", advisory)]);
    let told: Vec<String> =
        counts.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    told.join(", ")
}

fn comparisons(shown: &[&KeyVerdict], names: &Names<'_>, style: &Style) -> String {
    let mut grid = Grid::new(
        style,
        [
            Column::text("what").wrap_above(LEAST_NAME),
            Column::number("baseline").drop(4),
            Column::number("new").drop(5),
            Column::number("median"),
            Column::number("best").drop(3),
            Column::number("threshold").drop(2),
            Column::number("finds").drop(1),
            Column::text("verdict"),
        ],
    );
    for key in shown {
        grid.row(row(key, names));
    }
    grid.render()
}

fn row(key: &KeyVerdict, names: &Names<'_>) -> Vec<Cell> {
    let mut cells = vec![Cell::from(names.name(&key.key))];
    if let Some(evidence) = &key.evidence {
        let metric = key.key.metric;
        cells.extend([
            value(metric, evidence.baseline_median).into(),
            value(metric, evidence.new_median).into(),
            Cell::new(tone(key), change(evidence.ratio_of_medians)),
            change(evidence.ratio_of_best).into(),
            format!("{:.1} %", evidence.thresholds.relative * 100.0).into(),
            key.detectable.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0)).into(),
        ]);
    }
    cells.resize(7, Cell::default());
    cells.push(Cell::new(tone(key), short(key)));
    cells
}

/// Why there is no plain answer, each reason once, with the keys that it is for.
fn reasons(shown: &[&KeyVerdict], names: &Names<'_>) -> Vec<(String, String)> {
    let mut told: Vec<(String, String)> = Vec::new();
    let disagree = |key: &&&KeyVerdict| {
        matches!(key.judgement, Judgement::Inconclusive { doubt: Some(Doubt::Disagree), .. })
    };
    // Their numbers stand in the table.
    if shown.iter().any(|key| disagree(&key)) {
        let why =
            "median and best trial lead to different answers: disturbed, or a change near the threshold";
        told.push(("inconclusive".to_owned(), why.to_owned()));
    }
    told.extend(shown.iter().filter_map(|key| Some((names.name(&key.key), ceiling(key)?))));
    let others = shown.iter().filter(|key| !disagree(key) && !why(key).is_empty());
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for key in others {
        match groups.iter_mut().find(|(known, _)| *known == why(key)) {
            Some((_, keys)) => keys.push(names.name(&key.key)),
            None => groups.push((why(key), vec![names.name(&key.key)])),
        }
    }
    told.extend(groups.into_iter().map(|(why, keys)| (some(&keys), why.to_owned())));
    if shown.iter().any(|key| key.advisory && !key.above_ceiling) {
        told.push(("(…)".to_owned(), "advisory: shown, not decided on".to_owned()));
    }
    told
}

/// The first of these names, and how many more there are.
fn some(names: &[String]) -> String {
    match names.len().saturating_sub(NAMED) {
        0 | 1 => names.join(", "),
        more => format!("{}, and {more} more", names[..NAMED].join(", ")),
    }
}

/// The judgement in few words; in brackets where it decides nothing.
fn short(key: &KeyVerdict) -> String {
    match (key.above_ceiling, key.advisory) {
        (true, _) => "above ceiling".to_owned(),
        (false, true) => format!("({})", key.judgement.name()),
        (false, false) => key.judgement.name().to_owned(),
    }
}

/// What the judgements rest on beside medians and best trials.
fn evidence(shown: &[&KeyVerdict], names: &Names<'_>, style: &Style) -> String {
    let mut grid = Grid::new(
        style,
        [
            Column::text("evidence").wrap_above(LEAST_NAME),
            Column::number("trials").drop(0),
            Column::number("Δ").drop(1),
            Column::number("95 % of the median"),
            Column::number("p").drop(3),
            Column::number("δ").drop(2),
        ],
    );
    let known = shown.iter().filter_map(|key| Some((key, key.evidence.as_ref()?)));
    for (key, evidence) in known {
        grid.row([
            names.name(&key.key).into(),
            format!("{} + {}", evidence.baseline_trials, evidence.new_trials).into(),
            difference(key, evidence).into(),
            interval(evidence).into(),
            evidence.mann_whitney.map_or_else(String::new, |test| chance(test.p)).into(),
            evidence.cliffs_delta.map_or_else(String::new, |delta| format!("{delta:+.2}")).into(),
        ]);
    }
    let table = grid.render();
    if table.is_empty() {
        return table;
    }
    let legend = "Δ: new median − baseline's. 95 %: bootstrap interval of the ratio of medians. p: Mann-Whitney, two-sided. δ: \
                  Cliff's, +1 where every new trial is slower. Printed, not decided on.";
    format!("\n{table}{}", paragraph(style, Tone::Faint, legend))
}

fn tone(key: &KeyVerdict) -> Tone {
    match (&key.judgement, key.advisory) {
        _ if key.above_ceiling => Tone::Bad,
        (_, true) => Tone::Faint,
        (Judgement::Same, _) => Tone::Plain,
        (Judgement::Faster, _) => Tone::Good,
        (Judgement::Slower, _) => Tone::Bad,
        _ => Tone::Warn,
    }
}

fn standing_tone(standing: Standing) -> Tone {
    match standing {
        Standing::Passed => Tone::Good,
        Standing::Regression => Tone::Bad,
        Standing::Incomparable | Standing::Unfit | Standing::Inconclusive => Tone::Warn,
    }
}
