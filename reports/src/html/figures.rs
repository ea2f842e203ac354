//! The plots of a page, each with the numbers behind it.

mod benchmarks;
mod compare;
mod fleet;
mod machine;
mod memory;
mod phases;
mod plan;
mod pull;
mod service;
mod telemetry;
mod throughput;
mod warm_up;

use coldstart_profiles::{Bytes, ForwardMode, Nanos, Profile};

use super::plot::{Axis, Curve, Drawing, Lane, Marks, Ticks, bars, color_number, curves};
pub(super) use compare::comparison;
pub(super) use fleet::fleet;
pub(super) use plan::of_plan;

/// Plots of one thing, and the numbers behind them.
pub(super) struct Figure {
    pub(super) id: String,
    pub(super) title: String,
    /// None where numbers are all there is; several stand beside each other.
    pub(super) panels: Vec<Panel>,
    /// Colours, by their number from 1 (0 is that of what stands in the background), and what they stand for.
    pub(super) legend: Vec<(usize, String)>,
    pub(super) caption: String,
    /// The numbers behind it, as a table.
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    /// The id that the first cell of each row leads to; empty where rows lead nowhere.
    pub(super) links: Vec<String>,
}

/// One plot.
pub(super) struct Panel {
    /// What tells it from those beside it.
    pub(super) title: String,
    pub(super) drawing: Drawing,
}

impl Figure {
    /// Whether its plots stand beside each other.
    pub(super) fn small(&self) -> bool {
        self.panels.iter().any(|panel| panel.drawing.wide.is_none())
    }

    /// The head of each column, and whether it is one of numbers.
    pub(super) fn heads(&self) -> Vec<(bool, &String)> {
        self.head.iter().enumerate().map(|(at, cell)| (self.is_numeric(at), cell)).collect()
    }

    /// The rows, each with where it leads, and whether a cell is in a column of numbers.
    pub(super) fn linked(&self) -> impl Iterator<Item = (Option<&str>, Vec<(bool, &String)>)> {
        let numeric: Vec<bool> = (0..self.head.len()).map(|column| self.is_numeric(column)).collect();
        self.rows.iter().enumerate().map(move |(at, row)| {
            let cells = row.iter().enumerate();
            let cells = cells.map(|(column, cell)| (numeric.get(column) == Some(&true), cell)).collect();
            (self.links.get(at).map(String::as_str), cells)
        })
    }

    /// Whether all cells of a column begin as numbers do.
    fn is_numeric(&self, column: usize) -> bool {
        let begins = |cell: &String| {
            cell.chars().next().is_none_or(|first| first.is_ascii_digit() || "–−+-<".contains(first))
        };
        column > 0 && self.rows.iter().filter_map(|row| row.get(column)).all(begins)
    }
}

/// All plots that a profile has the numbers for.
pub(super) fn of(profile: &Profile) -> Result<Vec<Figure>, String> {
    let mut figures = phases::waterfalls(profile)?;
    let others = [
        phases::limits(profile)?,
        pull::layers(profile)?,
        warm_up::warm_up(profile)?,
        throughput::throughput(profile)?,
        throughput::processes(profile)?,
        service::service_times(profile)?,
        memory::memory(profile)?,
    ];
    figures.extend(others.into_iter().flatten());
    figures.extend(telemetry::telemetry(profile)?);
    figures.extend(benchmarks::benchmarks(profile));
    figures.extend(machine::machine(profile));
    Ok(figures)
}

/// One plot by itself.
fn alone(drawing: Drawing) -> Vec<Panel> {
    vec![Panel { title: String::new(), drawing }]
}

/// One plot of lanes.
fn lanes(
    label: &str,
    lanes: &[Lane],
    mark: Option<f64>,
    tick: impl Fn(f64) -> String,
) -> Result<Vec<Panel>, String> {
    let ticks = Ticks { text: tick, binary: false };
    Ok(alone(Drawing::both(|layout| bars(layout, label, lanes, mark, &ticks))?))
}

/// One plot of curves.
fn plot(
    label: &str,
    axes: (&Axis<'_>, &Axis<'_>),
    drawn: &[Curve],
    marks: &Marks,
) -> Result<Vec<Panel>, String> {
    Ok(alone(Drawing::both(|layout| curves(layout, label, axes, drawn, marks))?))
}

/// What is drawn in one of several plots.
struct Part {
    title: String,
    curves: Vec<Curve>,
    marks: Marks,
}

/// Plots that stand beside each other; a single one gets all the room.
fn beside(label: &str, axes: (&Axis<'_>, &Axis<'_>), parts: &[Part]) -> Result<Vec<Panel>, String> {
    let panel = |part: &Part| {
        let label = format!("{label}: {}", part.title);
        let draw = |layout| curves(layout, &label, axes, &part.curves, &part.marks);
        let drawing = if parts.len() > 1 { Drawing::small(draw)? } else { Drawing::both(draw)? };
        Ok(Panel { title: part.title.clone(), drawing })
    };
    parts.iter().map(panel).collect()
}

fn head<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

/// What the colours of several curves stand for; nothing for one.
fn legend(curves: &[Curve]) -> Vec<(usize, String)> {
    let named: Vec<(usize, String)> = curves
        .iter()
        .filter(|curve| !curve.name.is_empty())
        .map(|curve| (color_number(curve.color), curve.name.clone()))
        .collect();
    if named.len() > 1 { named } else { Vec::new() }
}

/// A place on an axis of nanoseconds, as people write it.
fn time(nanos: f64) -> String {
    if nanos <= 0.0 { "0".to_owned() } else { Nanos::from_nanos_f64(nanos).to_string() }
}

/// A place on an axis of bytes.
fn size(bytes: f64) -> String {
    Bytes::new(bytes as u64).to_string()
}

/// A number with so many decimals, where it is one.
fn decimal(number: f64, decimals: usize) -> String {
    if number.is_finite() { format!("{number:.decimals$}") } else { "–".to_owned() }
}

/// A point of the sweep: `decode 64, batch 1`.
fn point_name(mode: ForwardMode, tokens: u32, batch: u32) -> String {
    format!("{} {tokens}, batch {batch}", mode.name())
}
