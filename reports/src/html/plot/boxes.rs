//! Distributions over many nodes: a box from quarter to three quarters, its median, whiskers to both ends, and every node.

use plotters::prelude::*;

use super::bars::{Frame, Ticks, placed};
use super::{Drawn, INK, Layout, series, svg};

/// One distribution.
pub(in crate::html) struct BoxLane {
    pub(in crate::html) name: String,
    /// Least, quarter, median, three quarters, largest.
    pub(in crate::html) five: [f64; 5],
    /// Every node.
    pub(in crate::html) dots: Vec<f64>,
    /// The index of its colour.
    pub(in crate::html) color: usize,
    /// What stands behind it.
    pub(in crate::html) value: String,
}

/// Boxes over an axis from 0.
pub(in crate::html) fn boxes<F: Fn(f64) -> String>(
    layout: Layout,
    label: &str,
    lanes: &[BoxLane],
    ticks: &Ticks<F>,
) -> Result<String, String> {
    let texts = lanes.iter().map(|lane| (lane.name.as_str(), lane.value.as_str()));
    let frame = Frame::new(layout, texts, lanes.iter().map(|lane| lane.five[4]).fold(0.0, f64::max));
    svg(layout, frame.height(), label, |area| -> Drawn {
        frame.axis(area, ticks)?;
        for (index, lane) in lanes.iter().enumerate() {
            let (top, bottom) = frame.edges(index);
            let [least, quarter, median, three_quarters, most] = lane.five.map(|place| frame.x(place));
            let color = series(lane.color);
            let lower = bottom - 6;
            let middle = (top + lower) / 2;
            area.draw(&PathElement::new(vec![(least, middle), (most, middle)], color))?;
            for end in [least, most] {
                area.draw(&PathElement::new(vec![(end, top + 3), (end, lower - 3)], color))?;
            }
            let right = three_quarters.max(quarter + 2);
            area.draw(&Rectangle::new([(quarter, top), (right, lower)], color.mix(0.35).filled()))?;
            area.draw(&Rectangle::new([(quarter, top), (right, lower)], color))?;
            area.draw(&PathElement::new(vec![(median, top), (median, lower)], INK.stroke_width(2)))?;
            for dot in placed(&frame, &lane.dots) {
                area.draw(&Circle::new((dot, bottom - 2), 2, color.filled()))?;
            }
            frame.label(area, index, &lane.name, &lane.value)?;
        }
        Ok(())
    })
}
