//! What a search for slow creep is worth on this machine, from recorded runs between which nothing changed.
//!
//!     cargo run --release -p coldstart-decisions --example history_power [RECORDINGS]
//!
//! The runs of each state are one history, as recorded and in 20 random orders: changes that are told of it are false. Then every key that a
//! calibration on the idle runs calls steady becomes 10 % slower, in one step in the middle and little by little over all runs.

use std::error::Error;
use std::path::PathBuf;

use coldstart_decisions::gate::{
    History, HistoryOptions, Policy, RecordedRun, Recordings, SeriesKey, calibrate_runs, history_of_runs,
};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;

const ORDERS: u64 = 20;
/// What every steady key becomes slower by.
const CREEP: f64 = 1.1;
/// Keys whose calibrated threshold is at most this are steady.
const STEADY: f64 = 0.08;

fn main() -> Result<(), Box<dyn Error>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/aa/recordings.json");
    let path = std::env::args().nth(1).map_or_else(|| PathBuf::from(default), PathBuf::from);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let recordings: Recordings = serde_json::from_str(&text)?;
    let policy = calibrate_runs(&recordings.of_state("idle"));
    for state in recordings.states() {
        let runs = recordings.of_state(state);
        let blind: Vec<RecordedRun> = runs
            .iter()
            .map(|run| RecordedRun { canary: Vec::new(), disturbed: Vec::new(), ..run.clone() })
            .collect();
        for (what, runs) in [("", runs), (", canary and load not known", blind)] {
            println!("\n{} {state} runs{what}", runs.len());
            for (by, policy) in [("with the calibration", Some(&policy)), ("without", None)] {
                report(by, &runs, policy, &steady(&recordings));
            }
        }
    }
    Ok(())
}

/// Keys that decide, and are steady on the idle machine.
fn steady(recordings: &Recordings) -> Vec<SeriesKey> {
    let keys = calibrate_runs(&recordings.of_state("idle")).keys.into_iter();
    let steady = keys.filter(|key| key.decides && key.detectable.is_some() && key.threshold <= STEADY);
    steady.map(|key| key.key).collect()
}

fn search(runs: &[RecordedRun], policy: Option<&Policy>) -> History {
    history_of_runs(runs, HistoryOptions::default(), policy)
}

/// Changes that are told, and those among them in keys that decide.
fn told(history: &History) -> (usize, usize) {
    let changes = |advisory: bool| {
        let keys = history.keys.iter().filter(move |key| !key.advisory || advisory);
        keys.map(|key| key.changes.len()).sum()
    };
    (changes(true), changes(false))
}

fn report(by: &str, runs: &[RecordedRun], policy: Option<&Policy>, steady: &[SeriesKey]) {
    let as_recorded = search(runs, policy);
    let (all, deciding) = told(&as_recorded);
    let mut shuffled = (0, 0);
    for seed in 0..ORDERS {
        let mut other = runs.to_vec();
        other.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
        let (all, deciding) = told(&search(&other, policy));
        shuffled = (shuffled.0 + usize::from(all > 0), shuffled.1 + usize::from(deciding > 0));
    }
    println!(
        "  {by}: {} set aside; {all} false changes, {deciding} in keys that decide; in {} and {} of {ORDERS} other orders",
        as_recorded.unfit.len(),
        shuffled.0,
        shuffled.1,
    );
    for (key, change) in as_recorded.changes() {
        println!(
            "    false: {key} {:+.1} % at {} p {:.4}",
            (change.ratio - 1.0) * 100.0,
            change.at,
            change.p
        );
    }
    let step = |at: usize| if at < runs.len() / 2 { 1.0 } else { CREEP };
    let creep = |at: usize| CREEP.powf(at as f64 / (runs.len() - 1) as f64);
    let found = [&step as &dyn Fn(usize) -> f64, &creep].map(|factor| {
        let found = steady.iter().filter(|key| {
            let slowed: Vec<RecordedRun> =
                runs.iter().enumerate().map(|(at, run)| slowed(run, key, factor(at))).collect();
            let history = search(&slowed, policy);
            history.slower_since("").any(|found| found.key == **key)
        });
        found.count()
    });
    println!(
        "    a slowdown of 10 % in one of {} steady keys: step found {}, creep found {}",
        steady.len(),
        found[0],
        found[1]
    );
}

fn slowed(run: &RecordedRun, key: &SeriesKey, factor: f64) -> RecordedRun {
    let mut run = run.clone();
    if let Some(series) = run.series.get_mut(key) {
        series.values.iter_mut().for_each(|value| *value *= factor);
    }
    run
}
