//! Horizontal bars on a common axis: waterfalls, shares of limits, timelines.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Drawn, FAINT, GRID, INK, SIZE, WIDTH, fitted, series, svg, text};

/// A part of a lane, from one place of the axis to another.
pub(in crate::html) struct Bar {
    pub(in crate::html) from: f64,
    pub(in crate::html) to: f64,
    /// The index of its colour.
    pub(in crate::html) color: usize,
    /// Single readings of its end, as ticks.
    pub(in crate::html) ticks: Vec<f64>,
}

/// One line of the plot.
pub(in crate::html) struct Lane {
    pub(in crate::html) name: String,
    pub(in crate::html) bars: Vec<Bar>,
    /// What stands behind the bars.
    pub(in crate::html) value: String,
}

/// Columns for the names, and for the values.
const LEFT: i32 = 250;
const RIGHT: i32 = 215;
const LANE: i32 = 26;
const TOP: i32 = 8;
const AXIS: i32 = 30;

/// Lanes over an axis from 0; `tick` writes a place of the axis; `mark` is a place with a line through all lanes.
pub(in crate::html) fn bars(
    label: &str,
    lanes: &[Lane],
    mark: Option<f64>,
    tick: impl Fn(f64) -> String,
) -> Result<String, String> {
    let ends =
        lanes.iter().flat_map(|lane| &lane.bars).flat_map(|bar| bar.ticks.iter().copied().chain([bar.to]));
    let most = ends.chain(mark).fold(0.0, f64::max);
    let most = if most > 0.0 { most * 1.02 } else { 1.0 };
    let bottom = TOP + LANE * lanes.len() as i32;
    let width = WIDTH as i32 - LEFT - RIGHT;
    let x = |place: f64| LEFT + (place / most * f64::from(width)).round() as i32;
    svg((bottom + AXIS) as u32, label, |area| -> Drawn {
        for place in steps(most) {
            area.draw(&PathElement::new(vec![(x(place), TOP), (x(place), bottom)], GRID))?;
            let style = text(FAINT).pos(Pos::new(HPos::Center, VPos::Top));
            area.draw(&Text::new(tick(place), (x(place), bottom + 6), style))?;
        }
        for (index, lane) in lanes.iter().enumerate() {
            let top = TOP + LANE * index as i32;
            let middle = top + LANE / 2;
            let name = text(INK).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(fitted(&lane.name, 34), (LEFT - 10, middle), name))?;
            for bar in &lane.bars {
                let (from, to) = (x(bar.from), x(bar.to).max(x(bar.from) + 1));
                let color = series(bar.color);
                area.draw(&Rectangle::new([(from, top + 5), (to, top + LANE - 5)], color.filled()))?;
                for tick in &bar.ticks {
                    area.draw(&PathElement::new(vec![(x(*tick), top + 2), (x(*tick), top + LANE - 2)], INK))?;
                }
            }
            let value = text(FAINT).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(fitted(&lane.value, 32), (WIDTH as i32 - RIGHT + 10, middle), value))?;
        }
        if let Some(mark) = mark {
            area.draw(&PathElement::new(vec![(x(mark), TOP), (x(mark), bottom)], INK.stroke_width(2)))?;
        }
        area.draw(&PathElement::new(vec![(LEFT, bottom), (LEFT + width, bottom)], FAINT))?;
        Ok(())
    })
    .map_err(|error| format!("{error} ({SIZE} px)"))
}

/// Round places from 0 to `most`, about six.
fn steps(most: f64) -> Vec<f64> {
    let rough = most / 6.0;
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|by| by * power).find(|step| *step >= rough).unwrap_or(rough);
    (0..=(most / step) as usize).map(|n| n as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!(steps(100.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(steps(0.07), [0.0, 0.02, 0.04, 0.06]);
        assert!(steps(1e12).len() <= 8);
    }
}
