//! The run that lies in the middle of many: what a baseline is made of.
//!
//!     cargo run --release -p coldstart-decisions --example typical_run -- PROFILE…
//!
//! Prints the path of the profile whose keys are closest to the medians over all of them, by the sum over the keys of
//! |ln(its median ÷ the median of all)|.

use std::collections::BTreeMap;
use std::error::Error;

use coldstart_decisions::gate::{RecordedRun, SeriesKey};
use coldstart_profiles::Profile;
use coldstart_profiles::stats::median;

fn main() -> Result<(), Box<dyn Error>> {
    let mut runs: Vec<(String, BTreeMap<SeriesKey, f64>)> = Vec::new();
    for path in std::env::args().skip(1) {
        let run = RecordedRun::of(&Profile::read(path.as_ref())?);
        let medians =
            run.series.into_iter().filter_map(|(key, series)| Some((key, median(&series.values)?.ln())));
        runs.push((path, medians.collect()));
    }
    let levels: BTreeMap<&SeriesKey, f64> = (runs.iter().flat_map(|(_, medians)| medians.keys()))
        .filter_map(|key| {
            let values: Vec<f64> = runs.iter().filter_map(|(_, medians)| medians.get(key).copied()).collect();
            // A run that lacks what others have is not typical.
            Some((key, median(&values)?))
        })
        .collect();
    let far = |medians: &BTreeMap<SeriesKey, f64>| -> f64 {
        levels.iter().map(|(key, level)| medians.get(*key).map_or(1.0, |value| (value - level).abs())).sum()
    };
    let typical = runs.iter().min_by(|(_, a), (_, b)| far(a).total_cmp(&far(b))).ok_or("give profiles")?;
    println!("{}", typical.0);
    Ok(())
}
