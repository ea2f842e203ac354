//! The plots of a page, each with the numbers behind it.

mod compare;
mod compute;
mod phases;
mod plan;
mod pull;

use coldstart_profiles::{Nanos, Profile};

use super::plot::{Curve, color_number};
pub(super) use compare::comparison;
pub(super) use plan::of_plan;

/// One plot.
pub(super) struct Figure {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) svg: String,
    /// Colours, by their number from 1, and what they stand for.
    pub(super) legend: Vec<(usize, String)>,
    pub(super) caption: String,
    /// The numbers behind it, as a table.
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// All plots that a profile has the numbers for.
pub(super) fn of(profile: &Profile) -> Result<Vec<Figure>, String> {
    let mut figures = phases::waterfalls(profile)?;
    let others = [
        phases::limits(profile)?,
        pull::layers(profile)?,
        compute::warm_up(profile)?,
        compute::throughput(profile)?,
        compute::service_times(profile)?,
        compute::memory(profile)?,
        compute::telemetry(profile)?,
    ];
    figures.extend(others.into_iter().flatten());
    Ok(figures)
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
