//! Drawing: plots as SVG whose colours are those of the page, light or dark. Most are drawn twice, for a wide window and for a
//! telephone: a page that only scaled them would make their letters too small to read.

mod bars;
mod boxes;
mod curves;

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

pub(super) use bars::{Bar, Lane, Ticks, bars};
pub(super) use boxes::{BoxLane, boxes};
pub(super) use curves::{Axis, Curve, Look, Marks, STEADY, curves};

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

/// For how much room a plot is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// A window or a sheet of paper.
    Wide,
    /// A telephone, or one of several plots beside each other.
    Narrow,
}

impl Layout {
    /// The width that is drawn; the page scales it.
    pub(super) const fn width(self) -> u32 {
        match self {
            Layout::Wide => 900,
            Layout::Narrow => 360,
        }
    }

    /// The size of letters, as plotters counts it: what it writes is 1.24 times smaller.
    pub(super) const fn size(self) -> i32 {
        match self {
            Layout::Wide => 16,
            Layout::Narrow => 15,
        }
    }

    /// A style of text.
    pub(super) fn text(self, color: RGBColor) -> TextStyle<'static> {
        (FONT, self.size()).into_font().color(&color)
    }

    /// How many pixels a text is long, about: letters of a proportional font are about half as wide as their size.
    fn room(self, text: &str) -> i32 {
        (text.chars().count().min(1_000) as f64 * self.letter()).ceil() as i32
    }

    fn letter(self) -> f64 {
        f64::from(self.size()) * LETTER
    }

    /// So many letters fit into so many pixels: text that is longer is cut.
    pub(super) fn fitted(self, text: &str, pixels: i32) -> String {
        let most = f64::from(pixels) / self.letter();
        match text.char_indices().nth(most as usize) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text.to_owned(),
        }
    }
}

/// Width of a letter over the size of letters, on average and generously.
const LETTER: f64 = 0.5;

/// One plot, as often as it is needed.
pub(super) struct Drawing {
    /// For a wide window; `None` where several plots stand beside each other.
    pub(super) wide: Option<String>,
    /// For a narrow one.
    pub(super) narrow: String,
}

impl Drawing {
    /// For both kinds of windows.
    pub(super) fn both(draw: impl Fn(Layout) -> Result<String, String>) -> Result<Self, String> {
        Ok(Drawing { wide: Some(draw(Layout::Wide)?), narrow: draw(Layout::Narrow)? })
    }

    /// One of several that stand beside each other.
    pub(super) fn small(draw: impl Fn(Layout) -> Result<String, String>) -> Result<Self, String> {
        Ok(Drawing { wide: None, narrow: draw(Layout::Narrow)? })
    }
}

/// The font of every plot.
pub(super) const FONT: &str = "system-ui, sans-serif";

/// Draws a plot of this height. `label` says to a screen reader what it shows.
pub(super) fn svg(
    layout: Layout,
    height: u32,
    label: &str,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String, String> {
    let width = layout.width();
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
        draw(&area).map_err(|error| format!("draw a plot: {error}"))?;
        area.present().map_err(|error| format!("draw a plot: {error}"))?;
    }
    for (from, to) in STYLES {
        text = text.replace(from, to);
    }
    // Said once for the whole plot: these are most of its bytes.
    for said_often in [" opacity=\"1\"", &format!(" font-family=\"{FONT}\""), " stroke-width=\"1\""] {
        text = text.replace(said_often, "");
    }
    let open = format!(
        "<svg role=\"img\" aria-label=\"{}\" font-family=\"{FONT}\" viewBox=\"0 0 {width} {height}\" ",
        escaped(label)
    );
    let from = format!("<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" ");
    Ok(text.replace(&from, &open))
}

/// Text as the value of an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Round places from 0 to `most`, about `count`; with `binary`, in halves and doubles as sizes of memory are told.
pub(super) fn steps(most: f64, count: f64, binary: bool) -> Vec<f64> {
    let rough = most / count;
    let step = if binary {
        2f64.powf(rough.log2().ceil())
    } else {
        let power = 10f64.powf(rough.log10().floor());
        let leads = [1.0, 2.0, 5.0, 10.0];
        leads.into_iter().map(|by| by * power).find(|step| *step >= rough).unwrap_or(rough)
    };
    if !(step.is_finite() && step > 0.0) {
        return vec![0.0];
    }
    (0..=(most / step).min(50.0) as usize).map(|n| n as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!(steps(100.0, 6.0, false), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(steps(0.07, 6.0, false), [0.0, 0.02, 0.04, 0.06]);
        assert_eq!(steps(1100.0, 6.0, true), [0.0, 256.0, 512.0, 768.0, 1024.0]);
        assert!(steps(1e12, 6.0, false).len() <= 8 && steps(f64::INFINITY, 6.0, true).len() == 1);
    }

    #[test]
    fn text_fits() {
        assert_eq!(Layout::Narrow.fitted("weights_load", 360), "weights_load");
        assert_eq!(Layout::Narrow.fitted(&"x".repeat(100), 67).chars().count(), 9);
    }
}
