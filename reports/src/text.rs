//! Running text: paragraphs and lists of notes, broken between words but never between a number and its unit.

use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};

/// Stands for a space at which no line is broken, until the table is text.
pub(crate) const BOUND: char = '\u{a0}';
/// Units that stay on one line with their number.
const UNITS: [&str; 29] = [
    "ns",
    "µs",
    "us",
    "ms",
    "s",
    "min",
    "h",
    "%",
    "B",
    "KiB",
    "MiB",
    "GiB",
    "TiB",
    "B/s",
    "kB/s",
    "MB/s",
    "GB/s",
    "TB/s",
    "MiB/s",
    "GiB/s",
    "GFLOP/s",
    "TFLOP/s",
    "tokens/s",
    "requests/s",
    "MHz",
    "W",
    "°C",
    "cores",
    "core",
];
/// What stands before a number without a space: brackets, signs and what else says how it is meant. `−` is the sign that reports
/// print, `<=` is how a terminal without Unicode shows `≤`.
const BEFORE_NUMBERS: [char; 15] =
    ['(', '[', '`', '-', '−', '+', '±', '<', '>', '=', '≤', '≥', '≈', '~', '×'];

/// The same text, its numbers bound to the units behind them.
pub(crate) fn bind(text: &str) -> String {
    let mut bound = String::with_capacity(text.len());
    let mut number = false;
    for (index, word) in text.split(' ').enumerate() {
        let unit = UNITS.contains(&word.trim_end_matches([',', '.', ';', ')', ':']));
        if index > 0 {
            bound.push(if number && unit { BOUND } else { ' ' });
        }
        bound.push_str(word);
        number = word.trim_start_matches(BEFORE_NUMBERS).starts_with(|c: char| c.is_ascii_digit());
    }
    bound
}

/// `1 core`, `2 cores`.
pub(crate) fn counted(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Text broken between words to the width of the terminal, indented like a table.
pub(crate) fn paragraph(style: &Style, tone: Tone, text: &str) -> String {
    let mut grid = Grid::new(style, [Column::text("").wrap()]);
    if !text.is_empty() {
        grid.row([Cell::new(tone, text)]);
    }
    grid.render()
}

/// Conditions, then what is said of them; broken between words, the second part aligned.
pub(crate) fn notes<'a>(
    style: &Style,
    tone: Tone,
    notes: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut grid = Grid::new(style, [Column::text("").wrap(), Column::text("").wrap()]);
    for (name, text) in notes {
        grid.row([Cell::new(tone, name), Cell::from(text)]);
    }
    grid.render()
}

/// Names that share a text, together: `driver_init, module_load` and the text.
pub(crate) fn by_text<'a>(notes: impl IntoIterator<Item = (String, &'a str)>) -> Vec<(String, &'a str)> {
    let mut groups: Vec<(String, &str)> = Vec::new();
    for (name, text) in notes {
        match groups.iter_mut().find(|(_, told)| *told == text) {
            Some((names, _)) => names.push_str(&format!(", {name}")),
            None => groups.push((name, text)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use tabled::grid::util::string::get_string_width;

    use super::*;

    fn style(width: usize) -> Style {
        Style { width, color: false, unicode: true }
    }

    #[test]
    fn a_number_stays_with_its_unit() {
        let text = "it took a very long time, namely (11.25 s), which is 61 % of all of it";
        for width in 40..70 {
            let text = paragraph(&style(width), Tone::Plain, text);
            assert!(text.contains("(11.25 s),") && text.contains("61 %"), "{width}:\n{text}");
            assert!(text.lines().all(|line| get_string_width(line) <= width), "{width}:\n{text}");
        }
    }

    #[test]
    fn signs_before_a_number_are_no_reason_to_part_it_from_its_unit() {
        for (text, bound) in [
            ("is −8.68 ms.", "is −8.68_ms."),
            ("weights_load, +250 ms.", "weights_load, +250_ms."),
            ("the first batch (<1 %)", "the first batch (<1_%)"),
            ("copy -10.0 %, product +20.0 %)", "copy -10.0_%, product +20.0_%)"),
            ("is 1500 MHz, −24.2 %", "is 1500_MHz, −24.2_%"),
            ("within ±3 ms", "within ±3_ms"),
            ("≥5 s or ~3 s, <=2 h", "≥5_s or ~3_s, <=2_h"),
            ("up to 71 °C at 3.35 TB/s", "up to 71_°C at 3.35_TB/s"),
            // Neither a number nor a unit of one.
            ("a − ms, 3 more s", "a − ms, 3 more s"),
        ] {
            assert_eq!(bind(text).replace(BOUND, "_"), bound);
        }
    }

    #[test]
    fn names_with_one_reason_stand_together() {
        let notes = [("a".to_owned(), "x"), ("b".to_owned(), "y"), ("c".to_owned(), "x")];
        assert_eq!(by_text(notes), [("a, c".to_owned(), "x"), ("b".to_owned(), "y")]);
    }
}
