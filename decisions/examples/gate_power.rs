//! What a calibrated gate is worth on this machine, from recorded runs between which nothing changed.
//!
//!     cargo run --release -p coldstart-decisions --example gate_power [RECORDINGS]
//!
//! The runs of each state are split in halves at random, twenty times: the gate is calibrated on one half and judges every
//! pair of the other, as they are and with a slowdown of 10 % and 20 % injected. No run is judged by thresholds that it
//! took part in. The detectable effect is that of a calibration on all runs of the state.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use coldstart_decisions::gate::{
    CalibratedKey, KeyWorth, RecordedRun, Recordings, SeriesKey, Worth, calibrate_runs, is_compute, worth,
};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;

const SPLITS: u64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/aa/recordings.json");
    let path = std::env::args().nth(1).map_or_else(|| PathBuf::from(default), PathBuf::from);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let recordings: Recordings = serde_json::from_str(&text)?;
    println!("{}, {}, {} trials a run", recordings.machine, recordings.tool, recordings.trials);
    for state in recordings.states() {
        for (what, recordings) in views(&recordings, state) {
            report(&format!("{state}{what}"), &recordings.of_state(state));
        }
    }
    for (calibrated, judged) in pairs(&recordings) {
        for (what, recordings) in views(&recordings, &judged) {
            let [baseline, new] = [&calibrated, &judged].map(|state| recordings.of_state(state));
            let found = worth(&calibrate_runs(&baseline), &baseline, &new);
            println!(
                "\n{judged} runs{what} against {calibrated} ones, by the calibration on {calibrated} ones"
            );
            println!("{}", gates(&found));
        }
    }
    Ok(())
}

/// The recordings as they are; and, where other work makes runs of this state unfit, what the gate would say without its looks at it: at
/// the load average before a run, and at what others had of the processors during it where that was recorded.
fn views<'r>(recordings: &'r Recordings, state: &str) -> Vec<(&'static str, Cow<'r, Recordings>)> {
    let mut views = vec![("", Cow::Borrowed(recordings))];
    if recordings.of_state(state).iter().all(|run| run.disturbed.is_empty()) {
        return views;
    }
    let mut blind = recordings.clone();
    blind.runs.iter_mut().for_each(|run| run.load_average = None);
    if recordings.runs.iter().any(|run| run.others.is_some()) {
        views.push((", load before not known", Cow::Owned(blind.clone())));
        blind.runs.iter_mut().for_each(|run| run.others = None);
    }
    views.push((", load not known", Cow::Owned(blind)));
    views
}

/// Every state with every other.
fn pairs(recordings: &Recordings) -> Vec<(String, String)> {
    let states = recordings.states();
    let with_others = |a: &&str| {
        let a = (*a).to_owned();
        states.iter().filter(|b| **b != a).map(|b| (a.clone(), (*b).to_owned())).collect::<Vec<_>>()
    };
    states.iter().flat_map(with_others).collect()
}

/// How the gates ended.
fn gates(worth: &Worth) -> String {
    let share = |part: usize| part as f64 / worth.gates.max(1) as f64 * 100.0;
    format!(
        "  machine unfit {:.1} %, a false alarm in any key {:.2} %, otherwise inconclusive {:.1} %",
        share(worth.unfit),
        share(worth.alarmed),
        share(worth.inconclusive)
    )
}

fn report(state: &str, runs: &[RecordedRun]) {
    let mut all = Worth::default();
    for seed in 0..SPLITS {
        let mut shuffled = runs.to_vec();
        shuffled.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
        let (calibrated_on, judged) = shuffled.split_at(runs.len() / 2);
        all.add(&worth(&calibrate_runs(calibrated_on), judged, judged));
    }
    let policy = calibrate_runs(runs);
    let keys: BTreeMap<&SeriesKey, &CalibratedKey> = policy.keys.iter().map(|key| (&key.key, key)).collect();
    println!("\n{state}: {} runs, {} gates on pairs of them", runs.len(), all.gates);
    println!("{}; canary tolerance {:.0} %", gates(&all), policy.canary_tolerance * 100.0);
    println!(
        "  {:66} {:>6} {:>6} {:>7} {:>7} {:>7} {:>7} {:>8}",
        "", "s %", "θ %", "false %", "+10 %", "+20 %", "open %", "finds %"
    );
    let mut sums = [("compute keys", KeyWorth::default()), ("all keys", KeyWorth::default())];
    for (key, worth) in &all.keys {
        let calibrated = keys.get(key);
        let number = |of: fn(&CalibratedKey) -> Option<f64>| {
            calibrated
                .and_then(|key| of(key))
                .map_or_else(|| "–".to_owned(), |share| format!("{:.1}", share * 100.0))
        };
        let [spread, threshold, detectable] =
            [number(|key| Some(key.spread)), number(|key| Some(key.threshold)), number(|key| key.detectable)];
        line(
            &format!("{}{key}", if is_compute(key) { "* " } else { "  " }),
            [&spread, &threshold],
            worth,
            &detectable,
        );
        for (name, sum) in &mut sums {
            if *name == "all keys" || is_compute(key) {
                sum.compared += worth.compared;
                sum.false_alarms += worth.false_alarms;
                sum.inconclusive += worth.inconclusive;
                (0..2).for_each(|at| sum.found[at] += worth.found[at]);
            }
        }
    }
    for (name, sum) in &sums {
        line(name, ["", ""], sum, "");
    }
}

fn line(name: &str, [spread, threshold]: [&str; 2], worth: &KeyWorth, detectable: &str) {
    let share = |part: usize, decimals: usize| match worth.compared {
        0 => "–".to_owned(),
        compared => format!("{:.decimals$}", part as f64 / compared as f64 * 100.0),
    };
    println!(
        "  {name:66} {spread:>6} {threshold:>6} {:>7} {:>7} {:>7} {:>7} {detectable:>8}",
        share(worth.false_alarms, 2),
        share(worth.found[0], 1),
        share(worth.found[1], 1),
        share(worth.inconclusive, 1)
    );
}
