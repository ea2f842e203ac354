//! Runs on a GPU that the stand-in driver plays: the whole way, and everything that can go wrong on it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldstart_profiles::{
    Ceiling, CeilingHeight, Clock, Detail, LimitKind, Measurement, Outcome, Phase, Plan, Profile, Replay,
    RunState, Scope, TraceEnd, exit, profile_schema,
};

use crate::support::{Ran, Scratch, words};

/// Everything that needs no engine, with as little to compute as there can be.
const QUICK: &str = "run --synthetic tiny --device cuda:0 --quick --prompts 2,3,4 --contexts 2,4 --batches 1,2 --out p.json \
     --phases process_start,driver_init,context_create,module_load,alloc,weights_load,first_batch,warm_up,throughput";

/// Three loads in three processes.
pub(crate) const LOADS: &str = "run --synthetic tiny --device cuda:0 --quick --strategies direct --phases alloc,weights_load --out p.json";

/// `coldstart` with a stand-in driver before every other.
pub(crate) fn on(directory: &Path, scratch: &Scratch, line: &str) -> Command {
    let mut command = scratch.coldstart(&words(line));
    command
        .env_remove("CUDA_VISIBLE_DEVICES")
        .env("LD_LIBRARY_PATH", coldstart_stand_in::library_path(directory))
        .env("COLDSTART_CUBLASLT", "/nowhere/libcublasLt.so.12")
        .env("COLDSTART_STAND_IN_RACES", "0");
    command
}

pub(crate) fn run(command: &mut Command) -> Ran {
    Ran::of(command.output().unwrap())
}

/// Children of the kind `what` (`trial`, `sweep`, …) run `setup`, a line of shell, before they begin.
fn children(scratch: &Scratch, what: &str, setup: &str) -> PathBuf {
    let child = scratch.path("child.sh");
    let real = env!("CARGO_BIN_EXE_coldstart");
    let script =
        format!("#!/bin/sh\ncase \"$2\" in *'\"do\":\"{what}\"'*) {setup} ;; esac\nexec {real} \"$@\"\n");
    std::fs::write(&child, script).unwrap();
    std::fs::set_permissions(&child, std::fs::Permissions::from_mode(0o755)).unwrap();
    child
}

/// The driver, or a word that there is none.
pub(crate) fn stand_in() -> Option<PathBuf> {
    coldstart_stand_in::available()
}

fn median(row: &Measurement) -> u64 {
    row.outcome.as_measured().unwrap_or_else(|| panic!("{row:?}")).1.p50_ns.as_nanos()
}

pub(crate) fn find<'p>(profile: &'p Profile, phase: Phase, params: &[(&str, &str)]) -> &'p Measurement {
    let fits = |row: &&Measurement| {
        row.key.clock == Clock::Host
            && params.iter().all(|(name, value)| row.key.params.get(name) == Some(*value))
    };
    profile.of_phase(phase).find(fits).unwrap_or_else(|| panic!("{phase} {params:?}"))
}

#[test]
fn a_run_measures_every_phase() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let ran = run(on(&driver, &scratch, QUICK).env("COLDSTART_STAND_IN_JIT_US_PER_KERNEL", "5000"));
    ran.expect_code(exit::OK);
    assert!(ran.stdout.contains("STAND-IN driver: no number means anything"), "{}", ran.stdout);
    let profile = scratch.profile("p.json");
    assert_eq!((profile.state, profile.plan.device.as_str()), (RunState::Complete, "cuda:0"));
    let device = &profile.target.device;
    assert!(device.stand_in && device.kind == "cuda" && device.driver.is_some() && device.uuid.is_some());
    phases_in_order(&profile);
    conditions_are_kept_apart(&profile);
    both_clocks_and_graphs(&profile);
    for kind in [
        LimitKind::HostToDevice,
        LimitKind::DeviceToHost,
        LimitKind::DeviceCopy,
        LimitKind::DeviceRead,
        LimitKind::Gemm,
    ] {
        let rows: Vec<_> = profile.limits.iter().filter(|limit| limit.kind == kind).collect();
        assert!(rows.iter().any(|row| row.outcome.as_measured().is_some()), "{kind}: {rows:?}");
    }
    let dtypes: Vec<&str> = (profile.limits.iter())
        .filter(|limit| limit.kind == LimitKind::Gemm)
        .filter_map(|limit| limit.params.get("dtype"))
        .collect();
    for dtype in ["f32", "f16", "bf16"] {
        assert!(dtypes.contains(&dtype), "{dtypes:?}");
    }
    products_are_our_own(&profile);
    let schema: serde_json::Value = serde_json::from_str(&profile_schema()).unwrap();
    let instance = serde_json::to_value(&profile).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Without the library of products every reading is labelled so, and the place of the library says why.
fn products_are_our_own(profile: &Profile) {
    let products: Vec<_> = profile.limits.iter().filter(|limit| limit.kind == LimitKind::Gemm).collect();
    let (measured, other): (Vec<_>, Vec<_>) =
        products.into_iter().partition(|limit| limit.outcome.as_measured().is_some());
    assert_eq!(measured.len(), 3);
    assert!(measured.iter().all(|limit| limit.params.get("implementation") == Some("own kernel")));
    let Outcome::Skipped { why } = &other[0].outcome else { panic!("{other:?}") };
    assert!(other.len() == 1 && why.contains("COLDSTART_CUBLASLT"), "{other:?}");
    assert_eq!(profile.target.device.gemm, "own kernel");
    let steps: BTreeSet<&str> = profile.products.iter().map(|product| product.step.as_str()).collect();
    let with = |part: &str| steps.iter().filter(|step| step.contains(part)).count();
    assert_eq!((with("trial"), with("sweep")), (3, 1), "{steps:?}");
    for product in &profile.products {
        assert_eq!((product.dtype.as_str(), product.implementation.as_str()), ("bf16", "own kernel"));
        assert!(product.m * product.n * product.k * product.calls > 0, "{product:?}");
        assert!(product.kernel.starts_with("gem"), "{product:?}");
    }
    let lines: Vec<_> = profile.ceilings.iter().filter(|line| line.of == LimitKind::Gemm).collect();
    let computed = |line: &&&Ceiling| matches!(line.height, CeilingHeight::Computed { .. });
    assert_eq!(lines.iter().filter(computed).count(), 3, "{lines:?}");
}

#[test]
fn products_are_tried_by_the_library_too() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let library = coldstart_stand_in_cublaslt::library().unwrap();
    let line = "run --synthetic tiny --device cuda:0 --quick --strategies direct --prompts 2,20 --contexts 2 --batches 1 \
                --phases warm_up,throughput --out p.json";
    let ran = run(on(&driver, &scratch, line).env("COLDSTART_CUBLASLT", &library));
    ran.expect_code(exit::OK);
    let profile = scratch.profile("p.json");
    let readings = |dtype: &str| -> Vec<String> {
        let of_dtype = profile.limits.iter().filter(|limit| limit.params.get("dtype") == Some(dtype));
        of_dtype.filter_map(|limit| Some(limit.params.get("implementation")?.to_owned())).collect()
    };
    for dtype in ["f32", "f16", "bf16"] {
        assert_eq!(readings(dtype), ["own kernel", "cuBLASLt 12.4.5"], "{dtype}");
    }
    assert_eq!(profile.target.device.gemm, "cuBLASLt 12.4.5 (m > 16), own kernel (m ≤ 16)");
    for product in &profile.products {
        let serves = !product.step.contains("trial");
        let theirs = product.implementation == "cuBLASLt";
        assert_eq!(theirs, serves && product.m > 16, "{product:?}");
        assert_eq!(theirs, product.kernel == "cuBLASLt 12.4.5", "{product:?}");
    }
    assert!(profile.products.iter().any(|product| product.m == 20));
    assert!(ran.stdout.contains("Matrix products"), "{}", ran.stdout);
}

/// Every whole trial passes through all phases of a GPU, and its parts and the rest are its total.
fn phases_in_order(profile: &Profile) {
    let trials: Vec<_> = profile.traces.iter().filter(|trace| trace.scope == Scope::ColdStart).collect();
    assert_eq!(trials.len(), 3);
    for trace in &profile.traces {
        let (total, rest) = trace.total().unwrap_or_else(|| panic!("{trace:#?}"));
        assert_eq!(trace.parts_ns().saturating_add(rest), total, "{}", trace.step);
    }
    for trial in trials {
        let phases: Vec<Phase> = trial.readings.iter().map(|reading| reading.phase).collect();
        let expected = [
            Phase::ProcessStart,
            Phase::DriverInit,
            Phase::ContextCreate,
            Phase::ModuleLoad,
            Phase::Alloc,
            Phase::WeightsLoad,
            Phase::FirstBatch,
        ];
        assert_eq!(phases[..7], expected, "{}", trial.step);
        for pair in trial.readings.windows(2) {
            let end = pair[0].begin_ns.saturating_add(pair[0].duration_ns);
            assert!(pair[1].begin_ns >= end, "phases overlap in {}: {pair:#?}", trial.step);
        }
        let Some(Detail::Driver(driver)) = &trial.readings[1].detail else { panic!("{trial:#?}") };
        assert!(driver.open_ns.saturating_add(driver.init_ns) <= trial.readings[1].duration_ns);
        let Some(Detail::Module(module)) = &trial.readings[3].detail else { panic!("{trial:#?}") };
        assert!(module.kernels > 50 && module.ptx_bytes.get() > 100_000, "{module:?}");
    }
}

/// The stand-in compiles for five milliseconds a kernel, unless its cache has them: far more than a busy machine adds.
fn conditions_are_kept_apart(profile: &Profile) {
    let load =
        |cache, loading| find(profile, Phase::ModuleLoad, &[("jit_cache", cache), ("loading", loading)]);
    let [cold, warm] = [load("cold", "lazy"), load("warm", "lazy")].map(median);
    assert!(cold > warm + 100_000_000, "cold {cold} ns, warm {warm} ns");
    assert_eq!(load("warm", "eager").outcome.as_measured().unwrap().0.len(), 3);
    let context = find(profile, Phase::ContextCreate, &[("loading", "lazy")]);
    assert!(median(context) >= 20_000_000, "the stand-in takes 20 ms for a context");
    assert!(context.key.params.get("driver_state").is_some());
    assert!(profile.caveats.iter().all(|caveat| caveat.code != "jit_cache"));
}

fn both_clocks_and_graphs(profile: &Profile) {
    for phase in [Phase::Alloc, Phase::FirstBatch, Phase::Throughput] {
        assert!(profile.of_phase(phase).any(|row| row.key.clock == Clock::Device), "{phase}");
    }
    for curve in &profile.warm_up {
        assert_eq!(curve.device_ns.len(), curve.samples.len(), "{}", curve.step);
    }
    assert!(!profile.throughput.is_empty());
    for point in &profile.throughput {
        let replayed = point.replay == Some(Replay::Replayed);
        assert_eq!(replayed, point.mode.name() == "decode", "{}: {:?}", point.key, point.replay);
        assert_eq!(point.dtype.as_deref(), Some("bf16"));
        assert!(profile.measurement(&point.key).unwrap().limit.is_some(), "{}", point.key);
    }
}

#[test]
fn auto_takes_the_first_gpu() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let ran = run(&mut on(&driver, &scratch, "run --synthetic tiny --phases alloc --dry-run --json"));
    ran.expect_code(exit::OK);
    let plan: Plan = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(plan.device, "cuda:0");
    let ran = run(on(&driver, &scratch, "run --synthetic tiny --phases alloc --dry-run --json")
        .env("COLDSTART_STAND_IN_DEVICES", "0"));
    ran.expect_code(exit::OK);
    let plan: Plan = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(plan.device, "host");
    assert!(ran.stderr.contains("measuring the host device: "), "{}", ran.stderr);
}

#[test]
fn several_gpus_load_at_once() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let line = "run --synthetic tiny --device cuda:0,1 --quick --strategies direct --phases weights_load --out p.json";
    let ran = run(on(&driver, &scratch, line).env("COLDSTART_STAND_IN_DEVICES", "2"));
    ran.expect_code(exit::OK);
    let profile = scratch.profile("p.json");
    assert_eq!(profile.target.device.count, 2);
    for cache in ["cold", "warm"] {
        let row = |more: &[(&str, &str)]| {
            let params = [&[("page_cache", cache), ("devices", "2")], more].concat();
            find(&profile, Phase::WeightsLoad, &params)
        };
        let together = profile.of_phase(Phase::WeightsLoad).find(|row| {
            row.key.params.get("devices") == Some("2")
                && row.key.params.get("device").is_none()
                && row.key.params.get("page_cache") == Some(cache)
        });
        let (each, both) = (row(&[("device", "1")]), together.unwrap());
        assert_eq!(both.work.unwrap().amount(), 2 * each.work.unwrap().amount());
        assert!(median(both) >= median(each) && both.limit.is_none() && each.limit.is_some());
    }
    let verified = profile.traces.iter().flat_map(|trace| &trace.readings).any(|reading| {
        matches!(&reading.detail, Some(Detail::Together(together))
            if together.devices.iter().all(|share| share.load.verified_bytes.is_some()))
    });
    assert!(verified, "each device's bytes are compared with the files");
}

#[test]
fn a_gpu_that_cannot_be_used_is_one_clear_error() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let too_old = coldstart_stand_in::without_symbol(&driver, "cuModuleGetLoadingMode").unwrap();
    type Case<'a> = (&'a Path, &'a str, &'a [(&'a str, &'a str)], u8, &'a [&'a str]);
    let table: &[Case<'_>] = &[
        (&driver, "cuda:0", &[("DEVICES", "0")], exit::USAGE, &["cuda:0", "--device host"]),
        (&driver, "cuda:3", &[("DEVICES", "2")], exit::USAGE, &["cuda:3", "cuda:0 to cuda:1"]),
        (&driver, "cuda:0,1", &[], exit::USAGE, &["cuda:0,1", "one GPU"]),
        (&driver, "cuda:0", &[("FAULT", "cuInit:1+:304")], exit::USAGE, &["304", "nvidia"]),
        (
            &driver,
            "cuda:0",
            &[("FAULT", "cuDevicePrimaryCtxRetain:1+:46")],
            exit::FAILED,
            &["another process"],
        ),
        (&driver, "cuda:0", &[("COMPUTE_MODE", "2")], exit::FAILED, &["PROHIBITED"]),
        (
            &driver,
            "cuda:0",
            &[("FAULT", "module:1:218")],
            exit::FAILED,
            &["load the kernels", "Unresolved extern"],
        ),
        (&driver, "cuda:0", &[("DRIVER_VERSION", "11080")], exit::FAILED, &["11.8", "R535"]),
        (&driver, "cuda:0", &[("FAULT", "copy:1:999")], exit::FAILED, &["lost", "999"]),
        (&too_old, "cuda:0", &[], exit::FAILED, &["cuModuleGetLoadingMode", "R535"]),
    ];
    for (directory, device, settings, code, parts) in table {
        let line = format!("run --synthetic tiny --phases alloc --device {device}");
        let mut command = on(directory, &scratch, &line);
        for (name, value) in *settings {
            command.env(format!("COLDSTART_STAND_IN_{name}"), value);
        }
        let ran = run(&mut command);
        ran.expect_code(*code);
        assert_eq!(ran.stdout, "", "{settings:?}");
        for part in *parts {
            assert!(ran.stderr.contains(part), "{settings:?}: `{part}` is missing in:\n{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("panicked"), "{settings:?}: {}", ran.stderr);
    }
    assert!(!scratch.path("coldstart-profile.json").exists());
}

#[test]
fn a_model_larger_than_the_gpu_is_refused_with_both_sizes() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let line = "run --synthetic small --phases alloc --device cuda:0";
    let ran = run(on(&driver, &scratch, line).env("COLDSTART_STAND_IN_MEMORY_MB", "128"));
    ran.expect_error(exit::USAGE, &["191 MiB", "128 MiB", "free memory of the device"]);
}

#[test]
fn a_device_that_is_lost_fails_its_trial_and_no_other() {
    let Some(driver) = stand_in() else { return };
    for (fault, says) in [("copy:1:999", "lost"), ("copy:1:214", "214"), ("cuMemAlloc_v2:1:2", "bytes free")]
    {
        let scratch = Scratch::new();
        let setup = format!(
            "if [ -e first ] && [ ! -e second ]; then touch second; export COLDSTART_STAND_IN_FAULT={fault}; fi; touch first"
        );
        let child = children(&scratch, "trial", &setup);
        let ran = run(on(&driver, &scratch, LOADS).env("COLDSTART_EXE", &child));
        ran.expect_code(exit::FAILED);
        let profile = scratch.profile("p.json");
        assert_eq!(profile.state, RunState::Complete, "{fault}: the run goes on");
        let failed: Vec<_> = (profile.traces.iter())
            .filter_map(|trace| match &trace.end {
                TraceEnd::Failed { why, .. } => Some(why.as_str()),
                TraceEnd::Completed { .. } => None,
            })
            .collect();
        assert!(failed.len() == 1 && failed[0].contains(says), "{fault}: {failed:?}");
        assert!(profile.traces.len() > 3);
        assert!(ran.stdout.contains("Failures"), "{}", ran.stdout);
    }
}

#[test]
fn a_device_that_is_lost_in_a_sweep_leaves_what_was_measured() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let line = "run --synthetic tiny --device cuda:0 --quick --strategies direct --prompts 2 --contexts 2 \
                --batches 1,2 --phases throughput --out p.json";
    let child = children(&scratch, "sweep", "export COLDSTART_STAND_IN_FAULT=launch:2000:214");
    let ran = run(on(&driver, &scratch, line).env("COLDSTART_EXE", &child));
    ran.expect_code(exit::FAILED);
    let profile = scratch.profile("p.json");
    let rows: Vec<_> =
        profile.of_phase(Phase::Throughput).filter(|row| row.key.clock == Clock::Host).collect();
    assert_eq!(rows.len(), 4, "every point stands in the table: {rows:#?}");
    let failed = rows.iter().filter(|row| matches!(row.outcome, Outcome::Failed { .. })).count();
    assert!((1..=4).contains(&failed), "{rows:#?}");
}

#[test]
fn a_batch_that_does_not_fit_is_skipped_with_both_sizes() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let line = "run --synthetic tiny --device cuda:0 --quick --strategies direct --prompts 2 --contexts 64 \
                --batches 1,4096 --phases throughput --out p.json";
    let child = children(&scratch, "sweep", "export COLDSTART_STAND_IN_MEMORY_MB=40");
    let ran = run(on(&driver, &scratch, line).env("COLDSTART_EXE", &child));
    ran.expect_code(exit::OK);
    let profile = scratch.profile("p.json");
    for mode in ["prefill", "decode"] {
        let small = find(&profile, Phase::Throughput, &[("mode", mode), ("batch", "1")]);
        assert!(small.outcome.as_measured().is_some(), "{small:?}");
    }
    let large = find(&profile, Phase::Throughput, &[("mode", "decode"), ("batch", "4096")]);
    let Outcome::Skipped { why } = &large.outcome else { panic!("{large:?}") };
    assert!(why.contains("MiB left") && why.contains("--batches"), "{why}");
}

#[test]
fn memory_that_cannot_be_registered_is_skipped_with_the_drivers_code() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let line = "run --synthetic tiny --device cuda:0 --quick --strategies direct,registered \
                --phases alloc,weights_load --out p.json";
    let ran = run(on(&driver, &scratch, line).env("COLDSTART_STAND_IN_READ_ONLY_REGISTER", "0"));
    ran.expect_code(exit::OK);
    let profile = scratch.profile("p.json");
    let row = find(&profile, Phase::WeightsLoad, &[("staging", "registered"), ("page_cache", "warm")]);
    let Outcome::Skipped { why } = &row.outcome else { panic!("{row:?}") };
    assert!(why.contains("801"), "{why}");
    assert!(ran.stdout.contains("registered"), "{}", ran.stdout);
}

#[test]
fn a_slice_of_a_gpu_is_said() {
    let Some(driver) = stand_in() else { return };
    let scratch = Scratch::new();
    let ran = run(on(&driver, &scratch, LOADS).env("COLDSTART_STAND_IN_MIG", "1"));
    ran.expect_code(exit::OK);
    let profile = scratch.profile("p.json");
    assert!(profile.target.device.uuid.as_deref().is_some_and(|uuid| uuid.starts_with("MIG-")));
    assert!(profile.caveats.iter().any(|caveat| caveat.code == "mig"), "{:?}", profile.caveats);
}
