//! What can be measured on a machine, as a table.

use coldstart_profiles::{CheckStatus, DoctorReport};

use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};
use crate::text::paragraph;

/// The checks of `coldstart doctor`: what was found, and what would have to change.
pub fn doctor(report: &DoctorReport, style: &Style) -> String {
    if report.checks.is_empty() {
        return paragraph(style, Tone::Plain, "Nothing was checked.");
    }
    let mut grid = Grid::new(
        style,
        [
            Column::text("area"),
            Column::text("check").wrap(),
            Column::text("status"),
            Column::text("found").wrap(),
        ],
    );
    let mut area = None;
    for check in &report.checks {
        let first = area != Some(&check.area);
        if first && area.is_some() {
            grid.rule();
        }
        area = Some(&check.area);
        grid.row([
            Cell::new(Tone::Strong, if first { check.area.as_str() } else { "" }),
            check.name.as_str().into(),
            Cell::new(tone(check.status), check.status.name()),
            check.found.as_str().into(),
        ]);
        if let Some(remedy) = &check.remedy {
            let arrow = if style.unicode { "→" } else { "->" };
            grid.row([
                "".into(),
                "".into(),
                Cell::new(Tone::Faint, arrow),
                Cell::new(Tone::Faint, remedy.as_str()),
            ]);
        }
    }
    format!("{}\n{}", grid.render(), paragraph(style, Tone::Strong, &totals(report)))
}

fn tone(status: CheckStatus) -> Tone {
    match status {
        CheckStatus::Ok => Tone::Good,
        CheckStatus::Limited => Tone::Warn,
        CheckStatus::Missing => Tone::Bad,
    }
}

/// `12 ok, 2 limited, 1 missing: what is missing is skipped with its reason.`
fn totals(report: &DoctorReport) -> String {
    let counts: Vec<String> = [CheckStatus::Ok, CheckStatus::Limited, CheckStatus::Missing]
        .into_iter()
        .map(|status| format!("{} {}", report.count(status), status.name()))
        .collect();
    let rest = if report.count(CheckStatus::Missing) > 0 {
        " A run skips what depends on what is missing, and says so."
    } else {
        ""
    };
    format!("{}.{rest}", counts.join(", "))
}
