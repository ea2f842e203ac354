//! The files that criterion leaves in `target/criterion`, as measurements.
//!
//! For each benchmark there is a directory with one more for each saved measurement (`new` is the latest), and in that
//! `benchmark.json` (its name and throughput), `sample.json` (how many iterations each sample ran, and how long) and
//! `estimates.json`. One `cargo bench` is one process: its samples are of one trial, and a gate counts them as one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use coldstart_profiles::stats::median;
use coldstart_profiles::{
    Bytes, DeviceTarget, Key, Measurement, ModelSpec, Nanos, Outcome, Phase, Plan, Probe, Profile, RunState,
    Samples, Target, Work,
};
use serde::Deserialize;

use crate::host::Host;
use crate::resolve::tool;

/// Benchmarks lie at most so deep: group, function, value, and the measurement.
const DEEPEST: usize = 6;
/// A file of more is none of criterion's: a sample is two numbers, and there are hundreds, not millions.
const LARGEST_FILE: u64 = 64 << 20;
/// Below this an integer of nanoseconds is too coarse for one iteration, and a sample counts [`MANY`] of them; …
const SHORT_NS: f64 = 10_000.0;
/// … from this on one does. Between the two a benchmark is there in both ways, so that one which changes from one side of a
/// border to the other can still be compared.
const LONG_NS: f64 = 1_000.0;
/// How many iterations a sample of a short benchmark counts.
const MANY: u64 = 1_000;
/// By how much the median may differ from the one that criterion noted, as a share: it interpolates.
const TOLERANCE: f64 = 0.01;

/// Why a directory of criterion's can't be imported. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Something can't be read.
    #[error("read {}: {source}: give the directory target/criterion", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is nothing to import.
    #[error("import {}: no benchmark has a measurement `{saved}` in it: run `cargo bench` first, and give its target/criterion", path.display())]
    Nothing {
        /// The directory.
        path: PathBuf,
        /// The name of the measurement.
        saved: String,
    },
    /// A file that is not what criterion writes.
    #[error("import {}: {why}: run `cargo bench` again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// `benchmark.json`.
#[derive(Deserialize)]
struct BenchmarkFile {
    full_id: String,
    throughput: Option<ThroughputFile>,
}

#[derive(Deserialize)]
enum ThroughputFile {
    Bits(u64),
    Bytes(u64),
    BytesDecimal(u64),
    Elements(u64),
    ElementsAndBytes { elements: u64 },
}

/// `sample.json`; times are nanoseconds of all of a sample's iterations.
#[derive(Deserialize)]
struct SampleFile {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// `estimates.json`.
#[derive(Deserialize)]
struct EstimatesFile {
    median: EstimateFile,
}

#[derive(Deserialize)]
struct EstimateFile {
    point_estimate: f64,
}

/// A profile of the benchmarks below `directory`: of each the measurement that was saved under the name `saved`. The machine is
/// taken to be this one; the begin is when the newest of the files was written.
///
/// # Errors
/// When there is none, or a file is not what criterion writes.
pub fn criterion(directory: &Path, saved: &str) -> Result<Profile, ImportError> {
    let mut places = Vec::new();
    find(directory, saved, DEEPEST, &mut places)?;
    places.sort();
    let (mut rows, mut names, mut newest) = (Vec::new(), BTreeSet::new(), SystemTime::UNIX_EPOCH);
    for place in &places {
        let (name, found) = benchmark(place)?;
        if !names.insert(name.clone()) {
            let why = format!("another benchmark is called `{name}` as well");
            return Err(ImportError::Damaged { path: place.join("benchmark.json"), why });
        }
        rows.extend(found);
        let written = fs::metadata(place.join("sample.json")).and_then(|file| file.modified());
        newest = newest.max(written.unwrap_or(SystemTime::UNIX_EPOCH));
    }
    if rows.is_empty() {
        return Err(ImportError::Nothing { path: directory.to_owned(), saved: saved.to_owned() });
    }
    let started = jiff::Timestamp::try_from(newest).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let mut profile = Profile::begin(tool(), format!("{started:.0}"), target(), plan());
    profile.measurements = rows;
    profile.state = RunState::Complete;
    profile.caveat(
        "imported",
        "imported from criterion: one process is one trial, however many samples it took; a gate wants three runs or more of each side",
    );
    Ok(profile)
}

/// Directories of measurements called `saved`. Links are not followed.
fn find(directory: &Path, saved: &str, deepest: usize, found: &mut Vec<PathBuf>) -> Result<(), ImportError> {
    let io = |source| ImportError::Io { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !entry.file_type().map_err(io)?.is_dir() {
            continue;
        }
        let path = entry.path();
        if entry.file_name() == saved && path.join("benchmark.json").is_file() {
            found.push(path);
        } else if deepest > 0 {
            find(&path, saved, deepest - 1, found)?;
        }
    }
    Ok(())
}

/// One benchmark: its name and its rows.
fn benchmark(place: &Path) -> Result<(String, Vec<Measurement>), ImportError> {
    let benchmark: BenchmarkFile = read(&place.join("benchmark.json"))?;
    let path = place.join("sample.json");
    let sample: SampleFile = read(&path)?;
    let damaged = |why: String| ImportError::Damaged { path: path.clone(), why };
    if sample.iters.len() != sample.times.len() || sample.iters.is_empty() {
        return Err(damaged(format!(
            "it has {} times of {} samples",
            sample.times.len(),
            sample.iters.len()
        )));
    }
    let usable = |(iterations, time): (&f64, &f64)| {
        // A year in nanoseconds is far from where they stop to be exact.
        let fits = iterations.is_finite() && *iterations >= 1.0 && (0.0..=3.2e16).contains(time);
        fits.then(|| time / iterations)
    };
    let each: Option<Vec<f64>> = sample.iters.iter().zip(&sample.times).map(usable).collect();
    let each =
        each.ok_or_else(|| damaged("a sample has no iterations, or a time that is none".to_owned()))?;
    let middle = median(&each).unwrap_or_default();
    check_estimate(&place.join("estimates.json"), middle)?;
    let ways = [(MANY, middle < SHORT_NS), (1, middle >= LONG_NS)];
    let rows = ways.into_iter().filter(|(_, wanted)| *wanted).filter_map(|(iterations, _)| {
        let times = each.iter().map(|time| Nanos::from_nanos_f64(time * iterations as f64)).collect();
        Some(Measurement {
            key: Key::benchmark(&benchmark.full_id, iterations),
            work: benchmark.throughput.as_ref().map(|throughput| work(throughput, iterations)),
            limit: None,
            outcome: Outcome::measured(Samples::new(times).ok()?),
        })
    });
    let rows = rows.collect();
    Ok((benchmark.full_id, rows))
}

/// That criterion estimated what its samples say: an interrupted `cargo bench` may leave files of two runs.
fn check_estimate(path: &Path, middle: f64) -> Result<(), ImportError> {
    if !path.exists() {
        return Ok(());
    }
    let noted = read::<EstimatesFile>(path)?.median.point_estimate;
    if (noted - middle).abs() > TOLERANCE * middle.max(1.0) {
        let why = format!("its median is {noted:.1} ns, and that of sample.json {middle:.1} ns");
        return Err(ImportError::Damaged { path: path.to_owned(), why });
    }
    Ok(())
}

fn work(throughput: &ThroughputFile, iterations: u64) -> Work {
    match throughput {
        ThroughputFile::Bits(bits) => Work::Bytes(Bytes::new((bits / 8).saturating_mul(iterations))),
        ThroughputFile::Bytes(bytes) | ThroughputFile::BytesDecimal(bytes) => {
            Work::Bytes(Bytes::new(bytes.saturating_mul(iterations)))
        }
        ThroughputFile::Elements(items) | ThroughputFile::ElementsAndBytes { elements: items } => {
            Work::Items(items.saturating_mul(iterations))
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, ImportError> {
    let io = |source| ImportError::Io { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(io)?.len();
    let damaged = |why: String| ImportError::Damaged { path: path.to_owned(), why };
    if size > LARGEST_FILE {
        return Err(damaged(format!("it has {}, and criterion's files have less", Bytes::new(size))));
    }
    let text = fs::read(path).map_err(io)?;
    serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))
}

/// This machine, and nothing on it.
fn target() -> Target {
    let host = Host::here().describe();
    let device = DeviceTarget {
        count: 1,
        memory_bytes: host.memory_bytes,
        gemm: "none: benchmarks were imported".to_owned(),
        ..DeviceTarget::named("host", &host.cpu)
    };
    Target { image: None, model: None, device, host, engine: None, cluster: None }
}

/// No plan: somebody else measured.
fn plan() -> Plan {
    let nothing = 0.0;
    Plan {
        seed: 0,
        quick: false,
        budget_ns: Nanos::ZERO,
        device: "host".to_owned(),
        model: ModelSpec::Unknown { source: "criterion".to_owned() },
        image: None,
        phases: vec![Phase::Throughput],
        trials: 1,
        trial_timeout_ns: Nanos::ZERO,
        strategy: "none".to_owned(),
        probe: Probe {
            memcpy_bytes_per_s: nothing,
            gemm_flops_per_s: nothing,
            read_bytes_per_s: nothing,
            device: None,
        },
        steps: Vec::new(),
        skipped: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A benchmark as criterion writes it: samples of 1, 2, 3 … iterations.
    fn bench(root: &Path, name: &str, each_ns: &[f64], throughput: &str) {
        let place = root.join(name).join("new");
        fs::create_dir_all(&place).unwrap();
        let id = format!(
            r#"{{"group_id":"g","function_id":null,"value_str":null,"throughput":{throughput},"full_id":"{name}","directory_name":"{name}","title":"t"}}"#
        );
        fs::write(place.join("benchmark.json"), id).unwrap();
        let iters: Vec<f64> = (1..=each_ns.len()).map(|many| many as f64).collect();
        let times: Vec<f64> = iters.iter().zip(each_ns).map(|(many, each)| many * each).collect();
        let sample = serde_json::json!({"sampling_mode": "Linear", "iters": iters, "times": times});
        fs::write(place.join("sample.json"), sample.to_string()).unwrap();
        let estimates = serde_json::json!({"median": {"point_estimate": median(each_ns).unwrap()}});
        fs::write(place.join("estimates.json"), estimates.to_string()).unwrap();
    }

    #[test]
    fn short_ones_count_many_iterations_and_none_falls_between() {
        let root = tempfile::tempdir().unwrap();
        bench(root.path(), "short", &[5.25, 5.5, 5.75], r#"{"Bytes":8}"#);
        bench(root.path(), "between", &[2_000.0; 3], "null");
        bench(root.path(), "long/in a group", &[2e6, 3e6, 4e6], r#"{"Elements":7}"#);
        let profile = criterion(root.path(), "new").unwrap();
        let found: Vec<(String, u64, Option<Work>)> = profile
            .measurements
            .iter()
            .map(|row| {
                let (_, summary) = row.outcome.as_measured().unwrap();
                (row.key.to_string(), summary.p50_ns.as_nanos(), row.work)
            })
            .collect();
        assert_eq!(
            found,
            [
                ("throughput{benchmark=between,iterations=1000}".to_owned(), 2_000_000, None),
                ("throughput{benchmark=between}".to_owned(), 2_000, None),
                ("throughput{benchmark=long/in a group}".to_owned(), 3_000_000, Some(Work::Items(7))),
                (
                    "throughput{benchmark=short,iterations=1000}".to_owned(),
                    5_500,
                    Some(Work::Bytes(Bytes::new(8_000)))
                ),
            ]
        );
        let shown: Vec<(&str, u64)> =
            profile.benchmarks().iter().map(|benchmark| (benchmark.name, benchmark.iterations)).collect();
        assert_eq!(shown, [("between", 1), ("long/in a group", 1), ("short", 1000)]);
    }

    #[test]
    fn what_criterion_did_not_write_is_named() {
        let root = tempfile::tempdir().unwrap();
        let says = |saved: &str| criterion(root.path(), saved).unwrap_err().to_string();
        assert!(says("new").contains("cargo bench"));
        bench(root.path(), "a", &[5.0; 3], "null");
        assert!(says("main").contains("no benchmark has a measurement `main`"));
        let place = root.path().join("a/new");
        for (file, text, part) in [
            ("sample.json", "{", "EOF"),
            ("sample.json", r#"{"iters":[1.0],"times":[]}"#, "0 times of 1 samples"),
            ("sample.json", r#"{"iters":[],"times":[]}"#, "0 times of 0 samples"),
            ("sample.json", r#"{"iters":[0.0],"times":[5.0]}"#, "no iterations"),
            ("sample.json", r#"{"iters":[1.0],"times":[-5.0]}"#, "a time that is none"),
            ("sample.json", r#"{"iters":[1.0],"times":[1e300]}"#, "a time that is none"),
            ("sample.json", r#"{"iters":[1.0],"times":[9.0]}"#, "its median is 5.0 ns"),
            ("benchmark.json", r#"{"full_id":1}"#, "invalid type"),
        ] {
            bench(root.path(), "a", &[5.0; 3], "null");
            fs::write(place.join(file), text).unwrap();
            assert!(says("new").contains(part), "{text}: {}", says("new"));
        }
        bench(root.path(), "a", &[5.0; 3], "null");
        fs::remove_file(place.join("sample.json")).unwrap();
        assert!(says("new").contains("sample.json"));
        assert!(criterion(&root.path().join("none"), "new").unwrap_err().to_string().contains("none"));
    }
}
