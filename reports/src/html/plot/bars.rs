//! Horizontal bars on a common axis: waterfalls, shares of limits, timelines.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, Drawn, FAINT, GRID, INK, Layout, series, steps, svg};

/// A part of a lane, from one place of the axis to another.
pub(in crate::html) struct Bar {
    pub(in crate::html) from: f64,
    pub(in crate::html) to: f64,
    /// The index of its colour.
    pub(in crate::html) color: usize,
    /// Single readings of its end, as dots.
    pub(in crate::html) dots: Vec<f64>,
}

/// One line of the plot.
pub(in crate::html) struct Lane {
    pub(in crate::html) name: String,
    pub(in crate::html) bars: Vec<Bar>,
    /// What stands behind the bars.
    pub(in crate::html) value: String,
}

/// How places of the axis are chosen and written.
pub(in crate::html) struct Ticks<F: Fn(f64) -> String> {
    pub(in crate::html) text: F,
    /// In halves and doubles, as sizes of memory are told.
    pub(in crate::html) binary: bool,
}

/// Where things lie in a plot of lanes.
pub(super) struct Frame {
    layout: Layout,
    /// Columns for the names and for the values in a wide plot.
    names: i32,
    values: i32,
    /// Where the axis begins and how long it is.
    left: i32,
    length: i32,
    /// The value at its end.
    most: f64,
    lanes: i32,
}

const TOP: i32 = 8;
const AXIS: i32 = 28;

impl Frame {
    /// For lanes of these names and values, up to `most` along the axis.
    pub(super) fn new<'a>(
        layout: Layout,
        lanes: impl Iterator<Item = (&'a str, &'a str)>,
        most: f64,
    ) -> Self {
        let (mut names, mut values, mut count) = (0, 0, 0);
        for (name, value) in lanes {
            (names, values) = (layout.room(name).max(names), layout.room(value).max(values));
            count += 1;
        }
        let (names, values) = ((names + 16).clamp(70, 320), (values + 18).clamp(50, 260));
        let (left, right) = match layout {
            Layout::Wide => (names, values),
            Layout::Narrow => (6, 14),
        };
        let most = if most > 0.0 && most.is_finite() { most * 1.02 } else { 1.0 };
        let length = layout.width() as i32 - left - right;
        Frame { layout, names, values, left, length, most, lanes: count }
    }

    /// The height of a lane: narrow plots write over the bars, not beside them.
    const fn lane(&self) -> i32 {
        match self.layout {
            Layout::Wide => 26,
            Layout::Narrow => 40,
        }
    }

    fn bottom(&self) -> i32 {
        TOP + self.lane() * self.lanes
    }

    pub(super) fn height(&self) -> u32 {
        (self.bottom() + AXIS) as u32
    }

    pub(super) fn x(&self, place: f64) -> i32 {
        let share = (place / self.most).clamp(0.0, 1.0);
        self.left + (share * f64::from(self.length)).round() as i32
    }

    /// The upper and the lower edge of a lane's bars.
    pub(super) fn edges(&self, lane: usize) -> (i32, i32) {
        let top = TOP + self.lane() * lane as i32;
        match self.layout {
            Layout::Wide => (top + 4, top + 22),
            Layout::Narrow => (top + 18, top + 36),
        }
    }

    /// The grid and its labels.
    pub(super) fn axis<F: Fn(f64) -> String>(&self, area: &Area<'_>, ticks: &Ticks<F>) -> Drawn {
        let (bottom, layout) = (self.bottom(), self.layout);
        let count = if layout == Layout::Wide { 6.0 } else { 3.5 };
        for place in steps(self.most, count, ticks.binary) {
            let x = self.x(place);
            area.draw(&PathElement::new(vec![(x, TOP), (x, bottom)], GRID))?;
            // The first and the last label stay inside the plot.
            let side = match x {
                x if x < self.left + 8 && layout == Layout::Narrow => HPos::Left,
                x if x > layout.width() as i32 - 30 => HPos::Right,
                _ => HPos::Center,
            };
            let style = layout.text(FAINT).pos(Pos::new(side, VPos::Top));
            area.draw(&Text::new((ticks.text)(place), (x, bottom + 6), style))?;
        }
        area.draw(&PathElement::new(vec![(self.left, bottom), (self.left + self.length, bottom)], FAINT))?;
        Ok(())
    }

    /// The name of a lane, and what stands behind it.
    pub(super) fn label(&self, area: &Area<'_>, lane: usize, name: &str, value: &str) -> Drawn {
        let (layout, width) = (self.layout, self.layout.width() as i32);
        let top = TOP + self.lane() * lane as i32;
        let (of_name, of_value, y, room) = match layout {
            Layout::Wide => (
                (HPos::Right, self.left - 10),
                (HPos::Left, width - self.values + 10),
                top + 13,
                (self.names - 14, self.values - 12),
            ),
            Layout::Narrow => {
                // The name is cut where both don't fit.
                let value = layout.room(value).min(230);
                ((HPos::Left, self.left), (HPos::Right, width - 4), top + 10, (width - value - 16, 230))
            }
        };
        let style = |side, color| layout.text(color).pos(Pos::new(side, VPos::Center));
        let name = layout.fitted(name, room.0);
        area.draw(&Text::new(name, (of_name.1, y), style(of_name.0, INK)))?;
        let value = layout.fitted(value, room.1);
        area.draw(&Text::new(value, (of_value.1, y), style(of_value.0, FAINT)))?;
        Ok(())
    }

    /// A line through all lanes; in a narrow plot not through what is written between them.
    fn mark(&self, area: &Area<'_>, place: f64) -> Drawn {
        let x = self.x(place);
        let parts: Vec<(i32, i32)> = match self.layout {
            Layout::Wide => vec![(TOP, self.bottom())],
            Layout::Narrow => (0..self.lanes as usize).map(|lane| self.edges(lane)).collect(),
        };
        for (top, bottom) in parts {
            area.draw(&PathElement::new(vec![(x, top), (x, bottom)], INK.stroke_width(2)))?;
        }
        Ok(())
    }
}

/// Lanes over an axis from 0; `mark` is a place with a line through all lanes.
pub(in crate::html) fn bars<F: Fn(f64) -> String>(
    layout: Layout,
    label: &str,
    lanes: &[Lane],
    mark: Option<f64>,
    ticks: &Ticks<F>,
) -> Result<String, String> {
    let ends =
        lanes.iter().flat_map(|lane| &lane.bars).flat_map(|bar| bar.dots.iter().copied().chain([bar.to]));
    let texts = lanes.iter().map(|lane| (lane.name.as_str(), lane.value.as_str()));
    let frame = Frame::new(layout, texts, ends.chain(mark).fold(0.0, f64::max));
    svg(layout, frame.height(), label, |area| -> Drawn {
        frame.axis(area, ticks)?;
        for (index, lane) in lanes.iter().enumerate() {
            let (top, bottom) = frame.edges(index);
            // Dots lie below their bar, where neither hides the other.
            let dotted = lane.bars.iter().any(|bar| !bar.dots.is_empty());
            let lower = if dotted { bottom - 6 } else { bottom };
            for bar in &lane.bars {
                let from = frame.x(bar.from);
                let to = frame.x(bar.to).max(from + 1);
                area.draw(&Rectangle::new([(from, top), (to, lower)], series(bar.color).filled()))?;
                for dot in placed(&frame, &bar.dots) {
                    area.draw(&Circle::new((dot, bottom - 2), 2, series(bar.color).filled()))?;
                }
            }
            frame.label(area, index, &lane.name, &lane.value)?;
        }
        mark.map_or(Ok(()), |mark| frame.mark(area, mark))
    })
}

/// Where dots lie, each place once: a thousand nodes need no thousand circles.
pub(super) fn placed(frame: &Frame, dots: &[f64]) -> Vec<i32> {
    let mut places: Vec<i32> = dots.iter().map(|dot| frame.x(*dot)).collect();
    places.sort_unstable();
    places.dedup();
    places
}
