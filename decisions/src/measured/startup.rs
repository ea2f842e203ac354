//! What a replica does besides loading: driver, context, kernels, first batch, warm-up.

use coldstart_profiles::stats::{OrderStatistics, Percentile};
use coldstart_profiles::{Key, Nanos, Phase, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::basis::{Basis, Figure};

/// Times of the phases around the load, each the median over fresh processes; `null` where a phase was not measured, as those of the
/// driver on the host device.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct StartupTimes {
    /// Starting the process.
    pub process_ns: Option<Figure<Nanos>>,
    /// Creating and starting the container.
    pub container_ns: Option<Figure<Nanos>>,
    /// Opening and initialising the driver.
    pub driver_ns: Option<Figure<Nanos>>,
    /// Making the context.
    pub context_ns: Option<Figure<Nanos>>,
    /// Loading the kernels.
    pub jit: JitTimes,
    /// Allocating the weights' memory.
    pub alloc_ns: Option<Figure<Nanos>>,
    /// The first batch.
    pub first_batch_ns: Option<Figure<Nanos>>,
    /// From the first batch to the steady state.
    pub warm_up_ns: Option<Figure<Nanos>>,
}

/// Loading the kernels with an empty and a filled cache of compiled kernels.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct JitTimes {
    /// On a node that never ran them: the driver compiles.
    pub cold_ns: Option<Figure<Nanos>>,
    /// With the cache of an earlier process.
    pub warm_ns: Option<Figure<Nanos>>,
}

impl StartupTimes {
    pub(super) fn of(profiles: &[&Profile]) -> Self {
        let any = |phase| time_of(profiles, phase, &[]);
        // Whole trials load lazily; the eager rows are another case.
        let jit = |cache| time_of(profiles, Phase::ModuleLoad, &[("jit_cache", cache), ("loading", "lazy")]);
        StartupTimes {
            process_ns: any(Phase::ProcessStart),
            container_ns: any(Phase::ContainerStart),
            driver_ns: any(Phase::DriverInit),
            context_ns: time_of(profiles, Phase::ContextCreate, &[("loading", "lazy")])
                .or_else(|| any(Phase::ContextCreate)),
            jit: JitTimes { cold_ns: jit("cold"), warm_ns: jit("warm") },
            alloc_ns: any(Phase::Alloc),
            first_batch_ns: any(Phase::FirstBatch),
            warm_up_ns: any(Phase::WarmUp),
        }
    }
}

/// The median of a phase on the host's clock, over all rows with these conditions.
fn time_of(profiles: &[&Profile], phase: Phase, conditions: &[(&str, &str)]) -> Option<Figure<Nanos>> {
    let (mut keys, mut times) = (Vec::new(), Vec::new());
    for row in profiles.iter().flat_map(|profile| profile.of_phase(phase)) {
        let params = &row.key.params;
        let meets = conditions.iter().all(|(name, value)| params.get(name) == Some(*value));
        if !meets || row.key != Key::host(phase, params.clone()) {
            continue;
        }
        if let Some((samples, _)) = row.outcome.as_measured() {
            keys.push(row.key.clone());
            times.extend(samples.included());
        }
    }
    let n = times.len();
    let median = OrderStatistics::new(times).ok()?.nearest_rank(Percentile::P50);
    Some(Figure::new(median, Basis::measured("median over fresh processes", keys, n)))
}
