//! Drawing: plots as SVG whose colours are those of the page, light or dark.

mod bars;
mod curves;

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

pub(super) use bars::{Bar, Lane, bars};
pub(super) use curves::{Axis, Curve, Marks, curves};

/// The area that plots are drawn on.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// The result of drawing.
pub(super) type Drawn = Result<(), Box<dyn Error>>;

/// Colours that stand for those of the page: the page's style says what they are.
pub(super) const INK: RGBColor = RGBColor(1, 1, 1);
pub(super) const FAINT: RGBColor = RGBColor(2, 2, 2);
pub(super) const GRID: RGBColor = RGBColor(3, 3, 3);
pub(super) const WARN: RGBColor = RGBColor(4, 4, 4);
const SERIES: [RGBColor; 12] = [
    RGBColor(11, 11, 11),
    RGBColor(12, 12, 12),
    RGBColor(13, 13, 13),
    RGBColor(14, 14, 14),
    RGBColor(15, 15, 15),
    RGBColor(16, 16, 16),
    RGBColor(17, 17, 17),
    RGBColor(18, 18, 18),
    RGBColor(19, 19, 19),
    RGBColor(20, 20, 20),
    RGBColor(21, 21, 21),
    RGBColor(22, 22, 22),
];
/// What each of them becomes.
const STYLES: [(&str, &str); 16] = [
    ("#010101", "var(--ink)"),
    ("#020202", "var(--faint)"),
    ("#030303", "var(--grid)"),
    ("#040404", "var(--warn)"),
    ("#0B0B0B", "var(--c1)"),
    ("#0C0C0C", "var(--c2)"),
    ("#0D0D0D", "var(--c3)"),
    ("#0E0E0E", "var(--c4)"),
    ("#0F0F0F", "var(--c5)"),
    ("#101010", "var(--c6)"),
    ("#111111", "var(--c7)"),
    ("#121212", "var(--c8)"),
    ("#131313", "var(--c9)"),
    ("#141414", "var(--c10)"),
    ("#151515", "var(--c11)"),
    ("#161616", "var(--c12)"),
];

/// The colour of the n-th series.
pub(super) fn series(index: usize) -> RGBColor {
    SERIES[index % SERIES.len()]
}

/// The number of the n-th series' colour in the page's style.
pub(super) fn color_number(index: usize) -> usize {
    index % SERIES.len() + 1
}

/// The width of every plot; the page scales it.
pub(super) const WIDTH: u32 = 900;
/// The font of every plot, and its size.
pub(super) const FONT: &str = "system-ui, sans-serif";
pub(super) const SIZE: i32 = 14;

/// Draws a plot of this height. `label` says to a screen reader what it shows.
pub(super) fn svg(height: u32, label: &str, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String, String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        draw(&area).map_err(|error| format!("draw a plot: {error}"))?;
        area.present().map_err(|error| format!("draw a plot: {error}"))?;
    }
    for (from, to) in STYLES {
        text = text.replace(from, to);
    }
    let open =
        format!("<svg role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {WIDTH} {height}\" ", escaped(label));
    let from = format!("<svg width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" ");
    Ok(text.replace(&from, &open))
}

/// Text as the value of an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A style of text.
pub(super) fn text(color: RGBColor) -> TextStyle<'static> {
    (FONT, SIZE).into_font().color(&color)
}

/// Text that fits into so many characters.
pub(super) fn fitted(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
