//! Runs that go well.

use coldstart_decisions::gate::{Metric, series_of};
use coldstart_profiles::{
    Detail, Nanos, Outcome, PageCache, Phase, Profile, RunState, Scope, exit, profile_schema,
};

use crate::support::{NO_ENGINE, SMALL_RUN, Scratch, words};

fn check(profile: &Profile) {
    assert_eq!(profile.state, RunState::Complete);
    assert_eq!(profile.done.len(), profile.plan.steps.len());
    for trace in &profile.traces {
        let (total, unattributed) = trace.total().unwrap_or_else(|| panic!("{trace:#?}"));
        assert_eq!(trace.parts_ns().saturating_add(unattributed), total, "{}", trace.step);
        for pair in trace.readings.windows(2) {
            let end = pair[0].begin_ns.saturating_add(pair[0].duration_ns);
            assert!(pair[1].begin_ns >= end, "phases overlap in {}: {pair:#?}", trace.step);
        }
    }
    for phase in Phase::MACHINE {
        assert!(profile.of_phase(phase).count() > 0, "{phase} is absent");
    }
}

#[test]
fn a_run_without_an_engine_measures_every_other_phase() {
    let scratch = Scratch::new();
    let args = words(SMALL_RUN);
    let ran = scratch.run(&args);
    ran.expect_code(exit::OK);
    let profile = scratch.profile("coldstart-profile.json");
    check(&profile);

    let trials: Vec<_> = profile.traces.iter().filter(|trace| trace.scope == Scope::ColdStart).collect();
    assert_eq!(trials.len(), 3);
    for trial in trials {
        let phases: Vec<Phase> = trial.readings.iter().map(|reading| reading.phase).collect();
        let expected = [Phase::ProcessStart, Phase::Alloc, Phase::WeightsLoad, Phase::FirstBatch];
        assert_eq!(phases[..4], expected, "{}", trial.step);
    }
    for curve in &profile.warm_up {
        assert!(curve.samples.len() >= 50, "{}", curve.step);
    }
    for name in ["mmap", "buffered", "direct"] {
        for state in [PageCache::Cold, PageCache::Warm] {
            let rows = profile.of_phase(Phase::WeightsLoad).filter(|row| {
                (row.key.params.get("staging"), row.key.params.get("page_cache"))
                    == (Some(name), Some(state.name()))
            });
            for row in rows {
                let (samples, _) = row.outcome.as_measured().unwrap_or_else(|| panic!("{row:?}"));
                assert_eq!(samples.len(), 3, "{}", row.key);
                assert!(row.rate().unwrap() > 0.0 && row.achieved().is_some(), "{}", row.key);
            }
        }
    }
    let loads =
        profile.traces.iter().flat_map(|trace| &trace.readings).filter_map(|reading| match &reading.detail {
            Some(Detail::Load(load)) => {
                Some((reading.params.get("staging").unwrap_or_default(), load.verified_bytes))
            }
            _ => None,
        });
    let mut verified: Vec<&str> = loads.filter(|(_, bytes)| bytes.is_some()).map(|(name, _)| name).collect();
    verified.sort_unstable();
    assert_eq!(
        verified,
        ["buffered", "buffered-in-place", "direct", "mmap", "mmap-populate"],
        "each checked once"
    );
    for point in &profile.throughput {
        let (samples, summary) = profile.measurement(&point.key).unwrap().outcome.as_measured().unwrap();
        assert!(
            summary.left_out >= 2 && summary.n >= 10,
            "{}: the first passes are kept and left out",
            point.key
        );
        assert_eq!(samples.len(), summary.n + summary.left_out);
        let items = u64::from(point.batch) * summary.n as u64;
        let rate = items as f64 / point.window_ns.as_secs_f64();
        assert!(
            (rate / point.items_per_s - 1.0).abs() < 1e-9,
            "{}: the rate follows from the file",
            point.key
        );
    }
    // What is compared of a sweep's cheapest points is one median a process.
    let series = series_of(&[&profile]);
    let processes = |batch: &str| {
        let of_batch = series.iter().filter(|(key, _)| {
            key.phase == Phase::Throughput
                && key.metric == Metric::Time
                && key.params.get("batch") == Some(batch)
        });
        let mut counts = of_batch.map(|(_, series)| series.values.len()).collect::<Vec<_>>();
        counts.sort_unstable();
        counts
    };
    // Four prompts and two contexts; of the largest batch the shortest of each.
    assert_eq!((processes("1"), processes("2")), (vec![3; 6], vec![1, 1, 1, 1, 3, 3]));
    let contention = profile.fitness.contention.unwrap();
    assert!(contention.processors >= profile.target.host.cores, "{contention:?}");
    assert!(contention.own_ns > Nanos::ZERO && contention.watched_ns > contention.own_ns, "{contention:?}");
    for trial in &profile.throughput_trials {
        let (_, summary) = trial.outcome.as_measured().unwrap_or_else(|| panic!("{trial:?}"));
        assert!(summary.n >= 8 && summary.left_out >= 2, "{} {}", trial.step, trial.key);
    }
    let modes: Vec<_> = profile.throughput.iter().map(|point| point.mode.name()).collect();
    assert!(modes.contains(&"prefill") && modes.contains(&"decode"), "{modes:?}");
    for phase in [Phase::DriverInit, Phase::ContextCreate, Phase::ModuleLoad] {
        let row = profile.of_phase(phase).next().unwrap();
        assert!(matches!(row.outcome, Outcome::Skipped { .. }), "{row:?}");
    }
}

#[test]
fn the_profile_follows_the_schema_that_the_program_prints() {
    let scratch = Scratch::new();
    let printed = scratch.run(&["schema"]);
    printed.expect_code(exit::OK);
    assert_eq!(printed.stdout, profile_schema());
    let schema: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    let args = [
        "run",
        "--synthetic",
        "tiny",
        "--phases",
        "alloc,weights_load",
        "--trials",
        "3",
        "--strategies",
        "direct,mmap",
        "--json",
    ];
    let ran = scratch.run(&args);
    ran.expect_code(exit::OK);
    let instance: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let on_disk = std::fs::read_to_string(scratch.path("coldstart-profile.json")).unwrap();
    assert_eq!(ran.stdout, on_disk, "stdout and the file are the same profile");
}

#[test]
fn the_plan_is_shown_first_and_a_dry_run_stops_there() {
    let scratch = Scratch::new();
    let ran = scratch.run(&["run", "--synthetic", "tiny", "--phases", NO_ENGINE, "--dry-run"]);
    ran.expect_code(exit::OK);
    assert!(ran.stdout.contains("direct") && ran.stdout.contains("budget"), "{}", ran.stdout);
    assert!(!scratch.path("coldstart-profile.json").exists());
    let json = scratch.run(&[
        "run",
        "--synthetic",
        "tiny",
        "--phases",
        NO_ENGINE,
        "--dry-run",
        "--json",
        "--seed",
        "7",
    ]);
    let again = scratch.run(&[
        "run",
        "--synthetic",
        "tiny",
        "--phases",
        NO_ENGINE,
        "--dry-run",
        "--json",
        "--seed",
        "7",
    ]);
    let steps = |text: &str| {
        let plan: coldstart_profiles::Plan = serde_json::from_str(text).unwrap();
        plan.steps.into_iter().map(|step| step.id).collect::<Vec<_>>()
    };
    assert_eq!(steps(&json.stdout), steps(&again.stdout), "the same seed gives the same order");
}

#[test]
fn reports_come_from_the_file_alone() {
    let scratch = Scratch::new();
    let args = words(SMALL_RUN);
    let ran = scratch.run(&args);
    ran.expect_code(exit::OK);
    let report = scratch.run(&["report", "coldstart-profile.json"]);
    report.expect_code(exit::OK);
    assert_eq!(report.stdout, ran.stdout, "the run prints the report of its profile");
    for part in ["weights_load", "first_batch", "unattributed", "direct"] {
        assert!(report.stdout.contains(part), "`{part}` is missing in:\n{}", report.stdout);
    }
    let side_by_side = scratch.run(&["report", "coldstart-profile.json", "coldstart-profile.json"]);
    side_by_side.expect_code(exit::OK);
    let json = scratch.run(&["report", "coldstart-profile.json", "--json"]);
    serde_json::from_str::<Profile>(&json.stdout).unwrap();
}

#[test]
fn an_older_profile_is_kept_and_another_file_is_not_touched() {
    let scratch = Scratch::new();
    let args = ["run", "--synthetic", "tiny", "--phases", "alloc", "--trials", "3", "--out", "p.json"];
    scratch.run(&args).expect_code(exit::OK);
    let first = std::fs::read_to_string(scratch.path("p.json")).unwrap();
    scratch.run(&args).expect_code(exit::OK);
    assert_eq!(std::fs::read_to_string(scratch.path("p.prev.json")).unwrap(), first);
    scratch.run(&args).expect_code(exit::OK);
    assert_eq!(std::fs::read_to_string(scratch.path("p.prev.json")).unwrap(), first, "the oldest stays");
    assert!(scratch.path("p.prev-2.json").exists());
    std::fs::write(scratch.path("notes.txt"), "mine").unwrap();
    let ran = scratch.run(&["run", "--synthetic", "tiny", "--phases", "alloc", "--out", "notes.txt"]);
    ran.expect_code(exit::USAGE);
    assert!(ran.stderr.contains("notes.txt") && ran.stderr.contains("--out"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(scratch.path("notes.txt")).unwrap(), "mine");
}

#[test]
fn doctor_says_what_can_be_measured() {
    let scratch = Scratch::new();
    let ran = scratch.run(&["doctor"]);
    ran.expect_code(exit::OK);
    for part in ["O_DIRECT", "io_uring", "page-cache", "engine"] {
        assert!(
            ran.stdout.to_lowercase().contains(&part.to_lowercase()),
            "`{part}` is missing in:\n{}",
            ran.stdout
        );
    }
    let json = scratch.run(&["doctor", "--json"]);
    let report: coldstart_profiles::DoctorReport = serde_json::from_str(&json.stdout).unwrap();
    assert!(report.checks.len() > 8);
}
