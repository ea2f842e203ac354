//! Curves over two axes: warm-up, throughput, telemetry.

use std::ops::Range;

use plotters::coord::combinators::WithKeyPoints;
use plotters::prelude::*;

use super::{Drawn, FAINT, FONT, GRID, INK, SIZE, WARN, series, svg, text};

/// More points than this are thinned: nobody sees them, and the file would grow.
const MOST_POINTS: usize = 1500;
const HEIGHT: u32 = 340;

/// One curve.
#[derive(Default)]
pub(in crate::html) struct Curve {
    pub(in crate::html) name: String,
    pub(in crate::html) points: Vec<(f64, f64)>,
    /// The index of its colour.
    pub(in crate::html) color: usize,
    /// Whether its points are shown, joined by a thin line, with their labels.
    pub(in crate::html) labels: Vec<String>,
}

/// What is along an axis.
pub(in crate::html) struct Axis<'a> {
    pub(in crate::html) title: &'a str,
    pub(in crate::html) log: bool,
}

/// Marks across the plot: vertical lines (changepoints), and a band between two values of y (the steady state).
#[derive(Default)]
pub(in crate::html) struct Marks {
    pub(in crate::html) at_x: Vec<f64>,
    pub(in crate::html) band: Option<Range<f64>>,
}

/// Curves over linear axes that begin at 0 where that shows more than it hides.
pub(in crate::html) fn curves(
    label: &str,
    (x_axis, y_axis): (&Axis<'_>, &Axis<'_>),
    curves: &[Curve],
    marks: &Marks,
) -> Result<String, String> {
    let points = || curves.iter().flat_map(|curve| curve.points.iter().copied());
    let x = range(points().map(|(x, _)| x), x_axis.log);
    let y = range(points().map(|(_, y)| y), y_axis.log);
    svg(HEIGHT, label, |area| -> Drawn {
        let mut builder = ChartBuilder::on(area);
        builder.margin(8).margin_right(16).x_label_area_size(44).y_label_area_size(72);
        macro_rules! draw {
            ($x:expr, $y:expr) => {{
                let mut chart = builder.build_cartesian_2d($x, $y)?;
                chart
                    .configure_mesh()
                    .bold_line_style(GRID)
                    .light_line_style(TRANSPARENT)
                    .axis_style(FAINT)
                    .label_style(text(FAINT))
                    .axis_desc_style((FONT, SIZE).into_font().color(&INK))
                    .x_desc(x_axis.title)
                    .y_desc(y_axis.title)
                    .x_labels(8)
                    .y_labels(6)
                    .x_label_formatter(&|value| number(*value))
                    .y_label_formatter(&|value| number(*value))
                    .draw()?;
                if let Some(band) = &marks.band {
                    let corners = [(x.start, band.start), (x.end, band.end)];
                    chart.draw_series([Rectangle::new(corners, series(0).mix(0.15).filled())])?;
                }
                for at in &marks.at_x {
                    let line = vec![(*at, y.start), (*at, y.end)];
                    chart.draw_series([PathElement::new(line, WARN.stroke_width(1))])?;
                }
                for curve in curves {
                    let color = series(curve.color);
                    chart.draw_series(LineSeries::new(thinned(&curve.points), color.stroke_width(1)))?;
                    for (point, label) in curve.points.iter().zip(&curve.labels) {
                        chart.draw_series([Circle::new(*point, 3, color.filled())])?;
                        let place =
                            EmptyElement::at(*point) + Text::new(label.clone(), (6, -14), text(FAINT));
                        chart.draw_series([place])?;
                    }
                }
            }};
        }
        match (x_axis.log, y_axis.log) {
            (false, false) => draw!(x.clone(), y.clone()),
            (true, false) => draw!(logarithmic(&x), y.clone()),
            (false, true) => draw!(x.clone(), logarithmic(&y)),
            (true, true) => draw!(logarithmic(&x), logarithmic(&y)),
        }
        Ok(())
    })
}

/// A logarithmic axis with labels at 1, 2 and 5 of each decade; at 1 alone over more than three.
fn logarithmic(range: &Range<f64>) -> WithKeyPoints<LogCoord<f64>> {
    let (first, last) = (range.start.log10().floor() as i32, range.end.log10().ceil() as i32);
    let leads: &[f64] = if last - first > 4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let places = (first..=last).flat_map(|power| leads.iter().map(move |lead| lead * 10f64.powi(power)));
    range.clone().log_scale().with_key_points(places.filter(|place| range.contains(place)).collect())
}

/// The least and the largest value with some room; from 0 on a linear axis unless all values lie far above it.
fn range(values: impl Iterator<Item = f64>, log: bool) -> Range<f64> {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| value.is_finite() && (!log || *value > 0.0)) {
        (least, most) = (least.min(value), most.max(value));
    }
    match (least.is_finite(), log) {
        (false, true) => 1.0..10.0,
        (false, false) => 0.0..1.0,
        (true, true) => least / 1.3..most * 1.3,
        (true, false) if least > 0.0 && most < 1.3 * least => least * 0.97..most * 1.03,
        (true, false) => least.min(0.0)..if most > 0.0 { most * 1.08 } else { 1.0 },
    }
}

/// At most so many points: of every stretch the least and the largest stay, so that spikes do.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MOST_POINTS {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(MOST_POINTS / 2);
    let of = |points: &[(f64, f64)]| {
        let least = points.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
        let most = points.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        let mut both: Vec<(f64, f64)> = least.into_iter().chain(most).collect();
        both.sort_by(|a, b| a.0.total_cmp(&b.0));
        both
    };
    points.chunks(stretch).flat_map(of).collect()
}

/// A number on an axis: no more digits than it needs.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        v if v >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        _ => trimmed(value),
    }
}

fn trimmed(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 0.1 => 2,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_survive_thinning() {
        let points: Vec<(f64, f64)> =
            (0..1_000_000).map(|at| (f64::from(at), if at == 777_777 { 9.0 } else { 1.0 })).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= MOST_POINTS + 2 && thin.iter().any(|(_, y)| *y == 9.0), "{}", thin.len());
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn ranges_hold_their_values() {
        assert_eq!(range([].into_iter(), false), 0.0..1.0);
        assert_eq!(range([0.0, 50.0].into_iter(), false), 0.0..54.0);
        assert!(range([100.0, 101.0].into_iter(), false).start > 90.0);
        assert_eq!(range([0.0, f64::NAN].into_iter(), true), 1.0..10.0);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (1.5, "1.5"), (250.0, "250"), (12_500.0, "12.5k"), (3e6, "3M"), (0.05, "0.05")]
        {
            assert_eq!(number(value), text);
        }
    }
}
