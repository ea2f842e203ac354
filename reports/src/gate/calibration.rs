//! Calibrations on a terminal.

use coldstart_decisions::gate::Policy;

use super::names::Names;
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};
use crate::text::paragraph;

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
            Column::text("what").wrap_above(30),
            Column::number("trials").drop(0),
            Column::number("spread"),
            Column::number("threshold"),
            Column::number("false alarms"),
            Column::number("finds"),
            Column::text("decides"),
        ],
    );
    let names = Names::of(policy.keys.iter().map(|key| &key.key));
    for key in &policy.keys {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let tone = if key.decides { Tone::Plain } else { Tone::Faint };
        let finds =
            key.detectable.map_or_else(|| "nothing".to_owned(), |share| format!("{:.0} %", share * 100.0));
        grid.row([
            Cell::new(tone, names.name(&key.key)),
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
