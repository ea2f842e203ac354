//! Histories on a terminal and as markdown.

use coldstart_decisions::gate::{ChangePoint, History, LEAST_HISTORY, SeriesKey};

use super::names::Names;
use super::{chance, change, value};
use crate::grid::{Cell, Column, Grid};
use crate::markdown::escape;
use crate::style::{Style, Tone};
use crate::text::{by_text, notes, paragraph};

/// The canary's change that is told beside a key's.
const CANARY: f64 = 0.03;

/// A history: every change with its date and size, and what was left out.
pub fn history_table(history: &History, style: &Style) -> String {
    let mut text = paragraph(style, Tone::Strong, &head(history));
    let changes = history.changes();
    if !changes.is_empty() {
        let names = Names::of(history.keys.iter().map(|history| &history.key));
        let mut grid = Grid::new(
            style,
            [
                Column::text("since").wrap_above(10),
                Column::text("what").wrap_above(16),
                Column::number("before"),
                Column::number("after"),
                Column::number("change"),
                Column::text("canary").wrap_above(8),
                Column::number("runs").drop(1),
                Column::number("p").drop(0),
            ],
        );
        for (key, found) in &changes {
            let tone = match (is_advisory(history, key), found.is_slowdown()) {
                (true, _) => Tone::Faint,
                (false, true) => Tone::Bad,
                (false, false) => Tone::Good,
            };
            grid.row([
                since(found).into(),
                names.name(key).into(),
                value(key.metric, found.median_before).into(),
                value(key.metric, found.median_after).into(),
                Cell::new(tone, change(found.ratio)),
                Cell::new(Tone::Faint, canary(found)),
                format!("{} + {}", found.runs_before, found.runs_after).into(),
                chance(found.p).into(),
            ]);
        }
        text.push('\n');
        text.push_str(&grid.render());
        text.push_str(&paragraph(style, Tone::Faint, LEGEND));
        if changes.iter().any(|(key, _)| is_advisory(history, key)) {
            text.push_str(&paragraph(style, Tone::Faint, ADVISORY));
        }
    }
    for (title, runs) in [(UNFIT, &history.unfit), (LEFT_OUT, &history.left_out)] {
        let told = by_text(runs.iter().map(|run| (date(&run.started_at), run.why.as_str())));
        if !told.is_empty() {
            text.push_str(&format!("\n{}", paragraph(style, Tone::Faint, title)));
            text.push_str(&notes(style, Tone::Faint, told.iter().map(|(runs, why)| (runs.as_str(), *why))));
        }
    }
    text
}

/// What the canary's column says.
const LEGEND: &str = "canary: the same copy and product in every run. Where it moved with a key, the machine changed and not the program.";
/// What faint changes are.
const ADVISORY: &str = "Faint changes are of keys that don't decide, by the calibration.";
const UNFIT: &str = "Set aside, for the machine was not fit to be measured:";
const LEFT_OUT: &str = "Left out, for they can't be compared with the newest run:";

fn is_advisory(history: &History, key: &SeriesKey) -> bool {
    history.keys.iter().any(|history| history.advisory && history.key == *key)
}

/// When a change was, or from when to when it went on.
fn since(found: &ChangePoint) -> String {
    // The day is enough where no run before the change is of the same.
    let short = |at: &str| match day(at) == day(&found.after) {
        true => date(at),
        false => day(at),
    };
    match &found.until {
        None => short(&found.at),
        Some(until) => format!("{} to {}", short(&found.at), short(until)),
    }
}

/// The same as GitHub-flavoured markdown.
pub fn history_markdown(history: &History) -> String {
    let mut text = format!("### coldstart history\n\n{}\n", escape(&head(history)));
    let changes = history.changes();
    if !changes.is_empty() {
        text.push_str(
            "\n| since | what | before | after | change | runs | p | canary |\n|---|---|--:|--:|--:|--:|--:|---|\n",
        );
    }
    for (key, found) in changes {
        let SeriesKey { metric, .. } = key;
        let cells = [
            found.until.as_ref().map_or_else(
                || escape(&found.at),
                |until| format!("{} to {}", escape(&found.at), escape(until)),
            ),
            escape(&key.to_string()),
            value(*metric, found.median_before),
            value(*metric, found.median_after),
            change(found.ratio),
            format!("{} + {}", found.runs_before, found.runs_after),
            chance(found.p),
            canary(found),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    if history.left_out.len() + history.unfit.len() > 0 {
        text.push('\n');
    }
    for (what, runs) in [("set aside as unfit", &history.unfit), ("left out", &history.left_out)] {
        for run in runs {
            text.push_str(&format!("- {what}: {}: {}\n", escape(&run.started_at), escape(&run.why)));
        }
    }
    text
}

/// How many runs, from when to when, and what was found in them.
fn head(history: &History) -> String {
    let aside = match (history.unfit.len(), history.runs) {
        (0, _) => String::new(),
        (unfit, 0) => format!(", {unfit} on an unfit machine set aside"),
        (unfit, _) => format!(", {unfit} more on an unfit machine set aside"),
    };
    if history.runs == 0 {
        return format!("no runs that can be compared{aside}");
    }
    let runs = format!("{} runs from {} to {}{aside}", history.runs, date(&history.from), date(&history.to));
    if history.runs < LEAST_HISTORY {
        return format!("{runs}: a change shows from {LEAST_HISTORY} runs on");
    }
    let changes = history.changes();
    let slower = changes.iter().filter(|(_, change)| change.is_slowdown()).count();
    let found = match (slower, changes.len() - slower) {
        (0, 0) => "nothing changed its level".to_owned(),
        (slower, faster) => format!("{slower} became slower, {faster} faster"),
    };
    format!(
        "{runs}: {found} by {:.0} % or more (in windows of {} runs; a false one in {:.0} % of histories)",
        history.options.least * 100.0,
        history.options.window,
        history.options.significance * 100.0
    )
}

fn day(at: &str) -> String {
    at.chars().take(10).collect()
}

/// Day and minute of a time.
fn date(at: &str) -> String {
    at.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// What the canary did between the same runs: where it moved the machine may have changed and not the program.
fn canary(found: &ChangePoint) -> String {
    let moved = |name: &str, ratio: Option<f64>| {
        ratio.filter(|ratio| (ratio - 1.0).abs() > CANARY).map(|ratio| format!("{name} {}", change(ratio)))
    };
    let parts = [moved("copy", found.canary_copy), moved("product", found.canary_gemm)];
    match (found.canary_copy.or(found.canary_gemm), parts.into_iter().flatten().collect::<Vec<_>>()) {
        (None, _) => "not read".to_owned(),
        (Some(_), moved) if moved.is_empty() => "unmoved".to_owned(),
        (Some(_), moved) => moved.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use coldstart_decisions::gate::{HistoryOptions, KeyHistory, LeftOut, Metric};
    use coldstart_profiles::{Clock, Params, Phase};

    use super::*;

    fn found() -> History {
        let key = SeriesKey {
            phase: Phase::WarmUp,
            params: Params::new().with("batch", 1).with("mode", "prefill|<b>"),
            clock: Clock::Host,
            metric: Metric::SteadyTime,
        };
        let step = ChangePoint {
            at: "2026-11-20T03:00:00Z".into(),
            until: None,
            after: "2026-11-19T03:00:00Z".into(),
            runs_before: 24,
            runs_after: 6,
            median_before: 19.2e6,
            median_after: 21.6e6,
            ratio: 1.125,
            p: 0.0004,
            canary_copy: Some(1.01),
            canary_gemm: Some(1.08),
        };
        let back = ChangePoint {
            at: "2026-11-25T03:00:00Z".into(),
            ratio: 0.9,
            canary_gemm: Some(1.0),
            ..step.clone()
        };
        History {
            options: HistoryOptions::default(),
            runs: 30,
            from: "2026-10-27T03:00:00Z".into(),
            to: "2026-11-26T03:00:00Z".into(),
            left_out: vec![LeftOut {
                started_at: "2026-11-01T03:00:00Z".into(),
                why: "another machine".into(),
            }],
            unfit: vec![LeftOut { started_at: "2026-11-02T03:00:00Z".into(), why: "too hot".into() }],
            keys: vec![KeyHistory {
                key,
                runs: 30,
                first: 19e6,
                last: 22e6,
                least: 0.05,
                advisory: false,
                changes: vec![step, back],
            }],
        }
    }

    #[test]
    fn a_change_has_its_date_its_size_and_the_machine_beside_it() {
        for width in [60, 80, 140] {
            let table = history_table(&found(), &Style { width, color: false, unicode: true });
            for part in [
                "became slower",
                "2026-11-20",
                "+12.5 %",
                "-10.0 %",
                "2026-11-01",
                "another",
                "product",
                "+8.0 %",
                "unmoved",
                "1 more",
                "too hot",
            ] {
                assert!(table.contains(part), "{width}: {part}\n{table}");
            }
        }
        let text = history_markdown(&found());
        assert!(text.contains("| +12.5 % | 24 + 6 | <0.001 | product +8.0 % |"), "{text}");
        assert!(!text.contains("<b>") && text.contains("left out"), "{text}");
    }

    #[test]
    fn what_shows_nothing_says_so() {
        let none = History { keys: Vec::new(), left_out: Vec::new(), unfit: Vec::new(), ..found() };
        assert!(history_markdown(&none).contains("nothing changed its level"));
        assert!(history_markdown(&History { runs: 4, ..none.clone() }).contains("from 6 runs on"));
        assert!(history_markdown(&History { runs: 0, ..none }).contains("no runs"));
    }
}
