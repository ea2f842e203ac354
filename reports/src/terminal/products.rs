//! Which implementation ran which matrix products.

use coldstart_profiles::Profile;

use super::section;
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};

/// Matrix products by kernel or library; nothing on a device with only one implementation.
pub(crate) fn products(profile: &Profile, style: &Style) -> String {
    let groups = profile.product_groups();
    if groups.is_empty() {
        return String::new();
    }
    let mut grid = Grid::new(
        style,
        [
            Column::text("format"),
            Column::text("by").drop(0),
            Column::text("kernel").wrap(),
            Column::number("rows m"),
            Column::number("shapes"),
            Column::number("calls").drop(1),
        ],
    );
    for group in groups {
        let [least, most] =
            [group.shapes.first(), group.shapes.last()].map(|shape| shape.map_or(0, |[m, ..]| *m));
        let rows = if least == most { least.to_string() } else { format!("{least} – {most}") };
        grid.row([
            group.dtype.into(),
            group.implementation.into(),
            Cell::new(Tone::Faint, group.kernel),
            rows.into(),
            group.shapes.len().to_string().into(),
            Cell::new(Tone::Faint, group.calls.to_string()),
        ]);
    }
    let about = "what ran y[m, n] = x·wᵀ in trials and sweep; replays of a graph are not counted";
    section(style, "Matrix products", about, &grid.render())
}
