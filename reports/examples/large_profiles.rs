//! What a report and a gate of very large profiles cost: time and peak memory, reading included.
//!
//!     cargo run --release -p coldstart-reports --example large_profiles
//!     cargo run --release -p coldstart-reports --example large_profiles -- write DIR    # only a.json and b.json, to be kept
//!
//! Writes three profiles with 1,000,000 samples each into a directory that is removed again: half of them in the warm-up curves of
//! ten trials, half in five rows of throughput; in c.json in one curve and one row. Each job then runs in a process of its own, so that the peaks are its own.

#![expect(clippy::print_stdout, reason = "an example prints its findings")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use coldstart_decisions::gate::{Asked, Gate, Rules, gate};
use coldstart_profiles::{
    Key, Measurement, Nanos, Outcome, Params, Phase, Profile, Samples, StopReason, WarmUpCurve,
};
use coldstart_reports::{Style, gate_table, html, terminal};

/// Samples of all trials, and of all rows.
const HALF: usize = 500_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => measure(),
        ["write", directory] => write(Path::new(directory)).map(|_| ()),
        ["report", file] => report(Path::new(file)),
        ["html", file] => page(Path::new(file)),
        ["gate", baseline, new] => judge(Path::new(baseline), Path::new(new)),
        _ => Err("takes no arguments, or `write DIR`".into()),
    }
}

/// Writes the profiles and starts the jobs.
fn measure() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("coldstart-large-{}", std::process::id()));
    std::fs::create_dir(&directory)?;
    let result = jobs(&directory);
    std::fs::remove_dir_all(&directory)?;
    result
}

/// All profiles; the second is a little slower than the first.
fn write(directory: &Path) -> Result<[PathBuf; 3], Box<dyn Error>> {
    let paths = ["a.json", "b.json", "c.json"].map(|name| directory.join(name));
    for (path, (factor, trials, rows)) in paths.iter().zip([(1.0, 10, 5), (1.02, 10, 5), (1.0, 1, 1)]) {
        large(factor, trials, rows)?.write(path)?;
        println!("{} MB, 1,000,000 samples", std::fs::metadata(path)?.len() / 1_000_000);
    }
    Ok(paths)
}

fn jobs(directory: &Path) -> Result<(), Box<dyn Error>> {
    let [a, b, c] = write(directory)?;
    let program = std::env::current_exe()?;
    for job in [("report", vec![&a]), ("html", vec![&a]), ("html", vec![&c]), ("gate", vec![&a, &b])] {
        let begun = Instant::now();
        let output = Command::new(&program).arg(job.0).args(&job.1).output()?;
        let told = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        println!("{:<7} {:>5.2} s  {}", job.0, begun.elapsed().as_secs_f64(), told.trim());
    }
    Ok(())
}

/// A run with long curves and rows: level, noise of 2 %, a spike in every 97th reading.
fn large(factor: f64, trials: u32, rows: u32) -> Result<Profile, Box<dyn Error>> {
    let fixture = include_str!("../../tests/fixtures/profiles/profile-1.0.json");
    let mut profile = Profile::from_json(fixture, Path::new("profile-1.0.json"))?;
    let mut state = 7_u64;
    let mut readings = |n: usize| -> Vec<Nanos> {
        (0..n)
            .map(|index| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let noise = 1.0 + 0.04 * ((state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5);
                let level = if index < n / 100 { 2.0 } else { 1.0 };
                let spike = if index % 97 == 0 { 1.8 } else { 1.0 };
                Nanos::from_nanos_f64(1e6 * factor * level * noise * spike)
            })
            .collect()
    };
    profile.warm_up.clear();
    for trial in 0..trials {
        let samples = Samples::new(readings(HALF / trials as usize))?;
        let name = format!("trial-{trial}");
        let (resolution, stop) = (Nanos::from_nanos(20), StopReason::MaxIterations);
        profile.warm_up.push(WarmUpCurve::new(&name, samples, resolution, stop));
    }
    for batch in 0..rows {
        let params = Params::new().with("batch", 1 << batch).with("mode", "large");
        profile.measurements.push(Measurement {
            key: Key::host(Phase::Throughput, params),
            work: None,
            limit: None,
            outcome: Outcome::measured(Samples::new(readings(HALF / rows as usize))?),
        });
    }
    Ok(profile)
}

fn report(file: &Path) -> Result<(), Box<dyn Error>> {
    let profile = Profile::read(file)?;
    let text = terminal(&profile, &Style { width: 100, color: false, unicode: true });
    println!("{} of memory at most, {} bytes of text", peak(), text.len());
    Ok(())
}

fn page(file: &Path) -> Result<(), Box<dyn Error>> {
    let profile = Profile::read(file)?;
    let text = html(&[("a.json", &profile)])?;
    println!("{} of memory at most, {} bytes of HTML", peak(), text.len());
    Ok(())
}

fn judge(baseline: &Path, new: &Path) -> Result<(), Box<dyn Error>> {
    let (baseline, new) = (Profile::read(baseline)?, Profile::read(new)?);
    let (rules, asked) = (Rules::default(), Asked::default());
    let verdict = gate(&Gate {
        baseline: &[&baseline],
        new: &[&new],
        rules: &rules,
        policy: None,
        allow_stand_in: false,
        asked: &asked,
    })?;
    let text = gate_table(&verdict, true, &Style { width: 100, color: false, unicode: true });
    println!(
        "{} of memory at most, {} comparisons, {} bytes of text",
        peak(),
        verdict.keys.len(),
        text.len()
    );
    Ok(())
}

/// The most memory that this process ever had (`VmHWM`).
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or_else(|| "an unknown amount".to_owned(), |kib| format!("{} MB", kib * 1024 / 1_000_000))
}
