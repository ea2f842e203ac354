//! Was the machine fit to be measured? A run on a machine that changes under it says little.

use coldstart_profiles::{CanaryReading, Nanos, Profile};

/// How far the canary may move between the begin and the end of a run: 5 %.
const CANARY_DRIFT: f64 = 0.05;
/// Foreign load, in runnable threads a core, from which on they take the run's cores away.
const FOREIGN_LOAD: f64 = 0.5;

/// Whether a run's numbers can be compared with those of other runs.
#[derive(Debug, Clone, PartialEq)]
pub struct FitnessVerdict {
    /// What speaks against it; empty for a fit machine.
    pub findings: Vec<Finding>,
}

impl FitnessVerdict {
    /// Whether nothing speaks against the machine.
    pub fn fit(&self) -> bool {
        self.findings.is_empty()
    }
}

/// One thing that speaks against a machine, with the numbers that it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The sentence for people.
    pub text: String,
    /// The measured number.
    pub value: f64,
    /// What it may be at most.
    pub limit: f64,
}

/// Judges the machine by the canary (the same copy and the same product before and after the run) and by the load that
/// others put on it before the run.
pub fn judge_fitness(profile: &Profile) -> FitnessVerdict {
    let mut findings = Vec::new();
    let fitness = &profile.fitness;
    let at = |when: &str| fitness.canary.iter().find(|reading| reading.when == when);
    if let (Some(before), Some(after)) = (at("before"), at("after")) {
        findings.extend(drift("copying 64 MiB", before, after, |reading| reading.copy_ns));
        findings.extend(drift("a product of 512 × 512 × 512", before, after, |reading| reading.gemm_ns));
    }
    let cores = f64::from(profile.target.host.cores.max(1));
    if let Some(load) = fitness.load_average_before.filter(|load| load / cores > FOREIGN_LOAD) {
        findings.push(Finding {
            text: format!(
                "the load average was {load:.1} on {cores} cores before the run: other programs were running"
            ),
            value: load / cores,
            limit: FOREIGN_LOAD,
        });
    }
    FitnessVerdict { findings }
}

fn drift(
    what: &str,
    before: &CanaryReading,
    after: &CanaryReading,
    time: impl Fn(&CanaryReading) -> Nanos,
) -> Option<Finding> {
    let (before, after) = (time(before), time(after));
    let ratio = after.as_nanos() as f64 / (before.as_nanos() as f64).max(1.0);
    // As far as it is from 1 on a logarithmic scale: twice as fast is as bad as twice as slow.
    let moved = ratio.max(1.0 / ratio.max(f64::MIN_POSITIVE)) - 1.0;
    (moved > CANARY_DRIFT).then(|| Finding {
        text: format!("{what} took {before} before the run and {after} after it"),
        value: moved,
        limit: CANARY_DRIFT,
    })
}
