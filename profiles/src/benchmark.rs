//! Benchmarks of other tools, as rows of a profile: what was imported goes through the same gate as what was measured.

use crate::key::{Key, Params};
use crate::measurement::Measurement;
use crate::phase::Phase;
use crate::profile::Profile;
use crate::summary::Summary;

/// The condition that names the benchmark.
const NAME: &str = "benchmark";
/// The condition that says how many iterations a sample times; one without it.
const ITERATIONS: &str = "iterations";

impl Key {
    /// A benchmark, each of whose samples is the time of so many of its iterations. A steady state: of `throughput`.
    pub fn benchmark(name: &str, iterations: u64) -> Key {
        let params = Params::new().with(NAME, name);
        Key::host(
            Phase::Throughput,
            if iterations == 1 { params } else { params.with(ITERATIONS, iterations) },
        )
    }
}

/// An imported benchmark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Benchmark<'a> {
    /// Its name where it came from.
    pub name: &'a str,
    /// How many iterations a sample times.
    pub iterations: u64,
    /// The row.
    pub row: &'a Measurement,
    /// The summary of its samples.
    pub summary: &'a Summary,
}

impl Profile {
    /// Everything that was imported from benchmarks, in the order of the rows; each once, by single iterations where it is there
    /// by single ones and by many.
    pub fn benchmarks(&self) -> Vec<Benchmark<'_>> {
        let all = self.of_phase(Phase::Throughput).filter_map(|row| {
            let name = row.key.params.get(NAME)?;
            let iterations = row.key.params.get(ITERATIONS).and_then(|many| many.parse().ok()).unwrap_or(1);
            let (_, summary) = row.outcome.as_measured()?;
            Some(Benchmark { name, iterations, row, summary })
        });
        let all: Vec<Benchmark<'_>> = all.collect();
        let single: std::collections::BTreeSet<&str> = all
            .iter()
            .filter(|benchmark| benchmark.iterations == 1)
            .map(|benchmark| benchmark.name)
            .collect();
        all.into_iter()
            .filter(|benchmark| benchmark.iterations == 1 || !single.contains(benchmark.name))
            .collect()
    }
}

impl Benchmark<'_> {
    /// Nanoseconds of one iteration for a time of a sample.
    pub fn per_iteration(&self, sample: crate::Nanos) -> f64 {
        sample.as_nanos() as f64 / self.iterations.max(1) as f64
    }
}
