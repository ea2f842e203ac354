//! Histories on a terminal and as markdown.

use coldstart_decisions::gate::{ChangePoint, History, LEAST_HISTORY, SeriesKey};

use super::{change, value};
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
        let mut grid = Grid::new(
            style,
            [
                Column::text("since"),
                Column::text("what").wrap(),
                Column::number("before"),
                Column::number("after"),
                Column::number("change"),
                Column::number("runs").drop(1),
                Column::number("p").drop(2),
                Column::text("canary").drop(0),
            ],
        );
        for (key, found) in &changes {
            let tone = if found.is_slowdown() { Tone::Bad } else { Tone::Good };
            grid.row([
                date(&found.at).into(),
                key.to_string().replace(',', ", ").into(),
                value(key.metric, found.median_before).into(),
                value(key.metric, found.median_after).into(),
                Cell::new(tone, change(found.ratio)),
                format!("{} + {}", found.runs_before, found.runs_after).into(),
                chance(found.p).into(),
                Cell::new(Tone::Faint, canary(found)),
            ]);
        }
        text.push('\n');
        text.push_str(&grid.render());
    }
    let left_out = by_text(history.left_out.iter().map(|run| (date(&run.started_at), run.why.as_str())));
    if !left_out.is_empty() {
        text.push_str(&paragraph(
            style,
            Tone::Faint,
            "Left out, for they can't be compared with the newest run:",
        ));
        text.push_str(&notes(style, Tone::Faint, left_out.iter().map(|(runs, why)| (runs.as_str(), *why))));
    }
    text
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
            escape(&found.at),
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
    if !history.left_out.is_empty() {
        text.push('\n');
    }
    for run in &history.left_out {
        text.push_str(&format!("- left out: {}: {}\n", escape(&run.started_at), escape(&run.why)));
    }
    text
}

/// How many runs, from when to when, and what was found in them.
fn head(history: &History) -> String {
    let runs = format!("{} runs from {} to {}", history.runs, date(&history.from), date(&history.to));
    if history.runs == 0 {
        return "no runs that can be compared".to_owned();
    }
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

/// Day and minute of a time.
fn date(at: &str) -> String {
    at.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

fn chance(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// What the canary did between the same runs, where it moved: the machine may have changed and not the program.
fn canary(found: &ChangePoint) -> String {
    let moved = |name: &str, ratio: Option<f64>| {
        ratio.filter(|ratio| (ratio - 1.0).abs() > CANARY).map(|ratio| format!("{name} {}", change(ratio)))
    };
    let parts = [moved("copy", found.canary_copy), moved("product", found.canary_gemm)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
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
        let back =
            ChangePoint { at: "2026-11-25T03:00:00Z".into(), ratio: 0.9, canary_gemm: None, ..step.clone() };
        History {
            options: HistoryOptions::default(),
            runs: 30,
            from: "2026-10-27T03:00:00Z".into(),
            to: "2026-11-26T03:00:00Z".into(),
            left_out: vec![LeftOut {
                started_at: "2026-11-01T03:00:00Z".into(),
                why: "another machine".into(),
            }],
            keys: vec![KeyHistory { key, runs: 30, first: 19e6, last: 22e6, changes: vec![step, back] }],
        }
    }

    #[test]
    fn a_change_has_its_date_its_size_and_the_machine_beside_it() {
        for width in [60, 80, 140] {
            let table = history_table(&found(), &Style { width, color: false, unicode: true });
            for part in ["became slower", "2026-11-20", "+12.5 %", "-10.0 %", "2026-11-01", "another"] {
                assert!(table.contains(part), "{width}: {part}\n{table}");
            }
            assert!(table.contains("product +8.0 %") || width < 140, "{table}");
        }
        let text = history_markdown(&found());
        assert!(text.contains("| +12.5 % | 24 + 6 | <0.001 | product +8.0 % |"), "{text}");
        assert!(!text.contains("<b>") && text.contains("left out"), "{text}");
    }

    #[test]
    fn what_shows_nothing_says_so() {
        let none = History { keys: Vec::new(), left_out: Vec::new(), ..found() };
        assert!(history_markdown(&none).contains("nothing changed its level"));
        assert!(history_markdown(&History { runs: 4, ..none.clone() }).contains("from 6 runs on"));
        assert!(history_markdown(&History { runs: 0, ..none }).contains("no runs"));
    }
}
