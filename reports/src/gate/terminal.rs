//! Verdicts and calibrations on a terminal.

use coldstart_decisions::gate::{Judgement, KeyVerdict, Policy, SeriesKey, Standing, Verdict};

use super::{change, interval, judgement, value, why};
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};
use crate::text::{notes, paragraph};

/// A verdict: how it ended and why, then the comparisons that decide, or all of them.
pub fn gate_table(verdict: &Verdict, all: bool, style: &Style) -> String {
    let shown: Vec<&KeyVerdict> =
        verdict.keys.iter().filter(|key| all || !key.advisory || key.above_ceiling).collect();
    let head = head(verdict);
    let mut text = paragraph(style, standing_tone(verdict.standing), &head);
    for reason in &verdict.reasons {
        text.push_str(&paragraph(style, Tone::Plain, reason));
    }
    let mut grid = Grid::new(
        style,
        [
            Column::text("what").wrap(),
            Column::number("baseline"),
            Column::number("new"),
            Column::number("median"),
            Column::number("best").drop(1),
            Column::number("95 % interval").drop(0),
            Column::number("threshold").drop(2),
            Column::number("finds").drop(3),
            Column::text("verdict"),
        ],
    );
    for key in &shown {
        grid.row(row(key));
    }
    text.push('\n');
    text.push_str(&grid.render());
    let reasons: Vec<(String, &str)> = shown
        .iter()
        .filter(|key| !matches!(key.judgement, Judgement::Same | Judgement::Faster | Judgement::Slower))
        .map(|key| (name(key), why(key)))
        .collect();
    if !reasons.is_empty() {
        text.push('\n');
        text.push_str(&notes(style, Tone::Faint, reasons.iter().map(|(key, why)| (key.as_str(), *why))));
    }
    let hidden = verdict.keys.len() - shown.len();
    if hidden > 0 {
        let more =
            format!("{hidden} more are advisory and decide nothing: `--all` shows them, `--json` has them.");
        text.push('\n');
        text.push_str(&paragraph(style, Tone::Faint, &more));
    }
    text
}

/// How it ended, and how many of the keys that decide came to what; those that do not are counted apart.
fn head(verdict: &Verdict) -> String {
    let counts = |advisory: bool| {
        let names = ["slower", "faster", "same", "inconclusive", "incomparable", "missing"];
        let count = |name| verdict.of(name).filter(|key| key.advisory == advisory).count();
        let counts = names.into_iter().map(|name| (name, count(name))).filter(|(_, count)| *count > 0);
        counts.map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    };
    let deciding = match counts(false).as_str() {
        "" => "no key decides".to_owned(),
        counts => counts.to_owned(),
    };
    let advisory = match counts(true).as_str() {
        "" => String::new(),
        counts => format!(" (advisory: {counts})"),
    };
    format!("{}: {deciding}{advisory}", verdict.standing.name().to_uppercase())
}

/// The key with a place to break before and after each condition.
fn name(key: &KeyVerdict) -> String {
    spaced(&key.key)
}

fn spaced(key: &SeriesKey) -> String {
    key.to_string().replace(',', ", ").replace('{', " {")
}

fn row(key: &KeyVerdict) -> Vec<Cell> {
    let Some(evidence) = &key.evidence else {
        let mut cells = vec![Cell::from(name(key))];
        cells.resize(8, Cell::default());
        cells.push(Cell::new(tone(key), judgement(key)));
        return cells;
    };
    let metric = key.key.metric;
    vec![
        name(key).into(),
        value(metric, evidence.baseline_median).into(),
        value(metric, evidence.new_median).into(),
        Cell::new(tone(key), change(evidence.ratio_of_medians)),
        change(evidence.ratio_of_best).into(),
        interval(evidence).into(),
        format!("{:.1} %", evidence.thresholds.relative * 100.0).into(),
        key.detectable.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0)).into(),
        Cell::new(tone(key), judgement(key)),
    ]
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

/// A calibration: by key how much the machine differs from itself, the threshold that follows, and what it finds.
pub fn calibration(policy: &Policy, style: &Style) -> String {
    let head = format!(
        "{} runs on {}: false alarms in {:.2} % of the gates, the canary wanders by {:.1} %.",
        policy.runs,
        policy.machine,
        policy.false_alarms * 100.0,
        policy.canary_tolerance * 100.0
    );
    let mut grid = Grid::new(
        style,
        [
            Column::text("what").wrap(),
            Column::number("trials").drop(0),
            Column::number("spread"),
            Column::number("threshold"),
            Column::number("false alarms"),
            Column::number("finds"),
            Column::text("decides"),
        ],
    );
    for key in &policy.keys {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let tone = if key.decides { Tone::Plain } else { Tone::Faint };
        let finds =
            key.detectable.map_or_else(|| "nothing".to_owned(), |share| format!("{:.0} %", share * 100.0));
        grid.row([
            Cell::new(tone, spaced(&key.key)),
            Cell::new(tone, key.trials.to_string()),
            Cell::new(tone, percent(key.spread)),
            Cell::new(tone, percent(key.threshold)),
            Cell::new(tone, percent(key.false_alarms)),
            Cell::new(tone, finds),
            Cell::new(tone, if key.decides && key.detectable.is_some() { "yes" } else { "no" }),
        ]);
    }
    let mut text = format!("{}\n{}", paragraph(style, Tone::Strong, &head), grid.render());
    let blind = policy.blind().count();
    if blind > 0 {
        let deciding = policy.keys.iter().filter(|key| key.decides).count();
        text.push('\n');
        let warning = format!(
            "In {blind} of the {deciding} keys with trials enough a gate can't see even twice the time: the runs differ too much from each other, or the times are too short to tell apart. A quieter machine sees more."
        );
        text.push_str(&paragraph(style, Tone::Warn, &warning));
    }
    text
}
