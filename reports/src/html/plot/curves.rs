//! Curves over two axes: warm-up, throughput, telemetry.

use std::ops::Range;

use plotters::coord::combinators::WithKeyPoints;
use plotters::coord::ranged1d::Ranged;
use plotters::prelude::*;

use super::{Drawn, FAINT, FONT, GRID, INK, Layout, WARN, series, svg};

/// The index of the colour of steady states.
pub(in crate::html) const STEADY: usize = 2;

/// What a curve looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::html) enum Look {
    /// A line.
    #[default]
    Line,
    /// A line behind the others, of readings that are there for comparison.
    Faint,
    /// Single points with their labels.
    Points,
}

/// One curve.
#[derive(Default)]
pub(in crate::html) struct Curve {
    pub(in crate::html) name: String,
    pub(in crate::html) points: Vec<(f64, f64)>,
    /// The index of its colour.
    pub(in crate::html) color: usize,
    pub(in crate::html) look: Look,
    /// The labels of points, where they are shown.
    pub(in crate::html) labels: Vec<String>,
}

/// What is along an axis.
pub(in crate::html) struct Axis<'a> {
    pub(in crate::html) title: &'a str,
    pub(in crate::html) log: bool,
}

impl Axis<'_> {
    /// A value beside the axis; a share has room above its whole, but no number there.
    fn label(&self, value: f64) -> String {
        if self.title.starts_with('%') && value > 100.0 { String::new() } else { number(value) }
    }
}

/// Marks across the plot.
#[derive(Default)]
pub(in crate::html) struct Marks {
    /// Vertical lines: changepoints.
    pub(in crate::html) at_x: Vec<f64>,
    /// Fainter ones: where one part ends and the next begins.
    pub(in crate::html) borders: Vec<f64>,
    /// The steady state: from one place to another, and the values between which most of it lies.
    pub(in crate::html) band: Option<(Range<f64>, Range<f64>)>,
    /// Spans along x in which something was wrong: a throttled GPU.
    pub(in crate::html) spans: Vec<Range<f64>>,
    /// Readings that stand apart.
    pub(in crate::html) crosses: Vec<(f64, f64)>,
    /// Points with a ring, and what is written beside it: a knee.
    pub(in crate::html) rings: Vec<((f64, f64), String)>,
}

/// Curves over linear axes that begin at 0 where that shows more than it hides.
pub(in crate::html) fn curves(
    layout: Layout,
    label: &str,
    (x_axis, y_axis): (&Axis<'_>, &Axis<'_>),
    curves: &[Curve],
    marks: &Marks,
) -> Result<String, String> {
    let points = || curves.iter().flat_map(|curve| curve.points.iter().copied());
    let x = range(points().map(|(x, _)| x), x_axis.log);
    let y = range(points().map(|(_, y)| y), y_axis.log);
    let wide = layout == Layout::Wide;
    let (height, left, below) = if wide { (340, 76, 46) } else { (240, 62, 40) };
    svg(layout, height, label, |area| -> Drawn {
        let mut builder = ChartBuilder::on(area);
        builder.margin(8).margin_right(16).x_label_area_size(below).y_label_area_size(left);
        macro_rules! draw {
            ($x:expr, $y:expr) => {{
                let mut chart = builder.build_cartesian_2d($x, $y)?;
                chart
                    .configure_mesh()
                    .bold_line_style(GRID)
                    .light_line_style(TRANSPARENT)
                    .axis_style(FAINT)
                    .label_style(layout.text(FAINT))
                    .axis_desc_style((FONT, layout.size()).into_font().color(&INK))
                    .x_desc(x_axis.title)
                    .y_desc(y_axis.title)
                    .x_labels(if wide { 8 } else { 4 })
                    .y_labels(if wide { 6 } else { 5 })
                    .x_label_formatter(&|value| x_axis.label(*value))
                    .y_label_formatter(&|value| y_axis.label(*value))
                    .draw()?;
                behind(&mut chart, marks, &y)?;
                for curve in curves {
                    draw_curve(&mut chart, curve, layout, (&x, x_axis.log))?;
                }
                labels(&mut chart, curves, layout)?;
                before(&mut chart, marks, layout)?;
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

/// A chart over two axes of whatever kind.
type Chart<'a, 'b, X, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>;

/// What lies behind the curves: spans, the steady state, upright lines.
fn behind<X, Y>(chart: &mut Chart<'_, '_, X, Y>, marks: &Marks, y: &Range<f64>) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    for span in &marks.spans {
        let corners = [(span.start, y.start), (span.end, y.end)];
        chart.draw_series([Rectangle::new(corners, WARN.mix(0.25).filled())])?;
    }
    if let Some((along, between)) = &marks.band {
        let whole = [(along.start, y.start), (along.end, y.end)];
        chart.draw_series([Rectangle::new(whole, series(STEADY).mix(0.1).filled())])?;
        let most = [(along.start, between.start), (along.end, between.end)];
        chart.draw_series([Rectangle::new(most, series(STEADY).mix(0.4).filled())])?;
    }
    let upright = marks.at_x.iter().map(|at| (at, WARN));
    for (at, color) in upright.chain(marks.borders.iter().map(|at| (at, FAINT))) {
        let line = vec![(*at, y.start), (*at, y.end)];
        chart.draw_series([PathElement::new(line, color.stroke_width(1))])?;
    }
    Ok(())
}

fn draw_curve<X, Y>(
    chart: &mut Chart<'_, '_, X, Y>,
    curve: &Curve,
    layout: Layout,
    (x, log): (&Range<f64>, bool),
) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    let color = series(curve.color);
    if curve.look == Look::Points {
        chart.draw_series(curve.points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        return Ok(());
    }
    let columns = layout.width() as usize;
    let (style, columns) = match (curve.look, layout) {
        (Look::Faint, _) => (FAINT.mix(0.4).stroke_width(1), columns / 2),
        (_, Layout::Wide) => (color.stroke_width(2), columns),
        (_, Layout::Narrow) => (color.stroke_width(1), columns),
    };
    chart.draw_series(LineSeries::new(thinned(&curve.points, x, log, columns), style))?;
    Ok(())
}

/// Where a label may stand beside its point, in order of preference.
const BESIDE: [(i32, i32); 4] = [(6, -14), (6, 3), (-13, -14), (-13, 3)];
/// Labels that begin closer to each other than this overlap.
const APART: (i32, i32) = (14, 12);

/// The labels of all points: none over another. What finds no place stands in the table below the plot.
fn labels<X, Y>(chart: &mut Chart<'_, '_, X, Y>, curves: &[Curve], layout: Layout) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    let mut placed: Vec<(i32, i32)> = Vec::new();
    for (point, label) in curves.iter().flat_map(|curve| curve.points.iter().zip(&curve.labels)) {
        let (x, y) = chart.backend_coord(point);
        let free = |beside: &&(i32, i32)| {
            let (x, y) = (x + beside.0, y + beside.1);
            placed.iter().all(|(a, b)| (a - x).abs() >= APART.0 || (b - y).abs() >= APART.1)
        };
        let Some(beside) = BESIDE.iter().find(free) else { continue };
        placed.push((x + beside.0, y + beside.1));
        let text = Text::new(label.clone(), *beside, layout.text(FAINT));
        chart.draw_series([EmptyElement::at(*point) + text])?;
    }
    Ok(())
}

/// What lies before the curves: readings that stand apart, and knees.
fn before<X, Y>(chart: &mut Chart<'_, '_, X, Y>, marks: &Marks, layout: Layout) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart.draw_series(marks.crosses.iter().map(|place| Cross::new(*place, 3, WARN)))?;
    for (place, text) in &marks.rings {
        chart.draw_series([Circle::new(*place, 7, INK)])?;
        let place = EmptyElement::at(*place) + Text::new(text.clone(), (8, 6), layout.text(INK));
        chart.draw_series([place])?;
    }
    Ok(())
}

/// A logarithmic axis with labels at round places: the finest of three kinds that gives no more than eight.
fn logarithmic(range: &Range<f64>) -> WithKeyPoints<LogCoord<f64>> {
    range.clone().log_scale().with_key_points(log_steps(range))
}

fn log_steps(range: &Range<f64>) -> Vec<f64> {
    const LEADS: [&[f64]; 3] = [&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0], &[1.0, 2.0, 5.0], &[1.0]];
    let (first, last) = (range.start.log10().floor() as i32, range.end.log10().ceil() as i32);
    let places = |leads: &[f64]| -> Vec<f64> {
        let all = (first..=last).flat_map(|power| leads.iter().map(move |lead| lead * 10f64.powi(power)));
        all.filter(|place| range.contains(place)).collect()
    };
    let few = LEADS.into_iter().map(places).find(|places| places.len() <= 8);
    few.unwrap_or_else(|| places(&[1.0]).into_iter().step_by(3).collect())
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

/// At most two points a column of pixels: its least and its largest, so that spikes stay.
fn thinned(points: &[(f64, f64)], x: &Range<f64>, log: bool, columns: usize) -> Vec<(f64, f64)> {
    if points.len() <= columns {
        return points.to_vec();
    }
    let place = |at: f64| if log { at.max(f64::MIN_POSITIVE).ln() } else { at };
    let (from, to) = (place(x.start), place(x.end));
    let column = |point: &(f64, f64)| ((place(point.0) - from) / (to - from) * columns as f64).floor() as i64;
    let mut thin: Vec<(f64, f64)> = Vec::with_capacity(2 * columns);
    for points in points.chunk_by(|a, b| column(a) == column(b)) {
        let least = points.iter().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let most = points.iter().enumerate().max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        match (least, most) {
            (Some((a, least)), Some((b, most))) if a < b => thin.extend([*least, *most]),
            (Some((a, least)), Some((b, most))) if a > b => thin.extend([*most, *least]),
            (Some((_, only)), _) => thin.push(*only),
            _ => {}
        }
    }
    thin
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
            (1..=1_000_000).map(|at| (f64::from(at), if at == 777_777 { 9.0 } else { 1.0 })).collect();
        for log in [false, true] {
            let thin = thinned(&points, &(1.0..1_000_000.0), log, 800);
            assert!(thin.len() <= 2 * 801 && thin.iter().any(|(_, y)| *y == 9.0), "{}", thin.len());
            assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
            assert_eq!(
                log,
                thin[..5] == points[..5],
                "the first iterations are far apart on a logarithmic axis"
            );
        }
    }

    #[test]
    fn labels_of_logarithmic_axes_are_neither_many_nor_few() {
        assert_eq!(log_steps(&(130.0..260.0)), [150.0, 200.0]);
        assert_eq!(log_steps(&(15.0..250.0)), [20.0, 50.0, 100.0, 200.0]);
        assert_eq!(log_steps(&(0.5..2e6)), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]);
        assert!(log_steps(&(1e-9..1e12)).len() <= 8);
    }

    #[test]
    fn ranges_hold_their_values() {
        assert_eq!(range([].into_iter(), false), 0.0..1.0);
        assert_eq!(range([0.0, 50.0].into_iter(), false), 0.0..54.0);
        assert!(range([100.0, 101.0].into_iter(), false).start > 90.0);
        assert_eq!(range([0.0, f64::NAN].into_iter(), true), 1.0..10.0);
    }

    #[test]
    fn shares_end_at_their_whole() {
        let (share, other) =
            (Axis { title: "% within the SLA", log: false }, Axis { title: "ms", log: false });
        assert_eq!([98.0, 100.0, 102.0].map(|value| share.label(value)), ["98", "100", ""]);
        assert_eq!(other.label(102.0), "102");
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
