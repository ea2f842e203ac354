//! A short look at a GPU while no process of ours uses it.

use coldstart_profiles::{DriverState, GpuFacts, GpuLook};

use super::error::TelemetryError;
use super::gpu::{Gpu, GpuId, Library};
use super::processes::foreign;
use crate::clock;
use crate::host::Host;

/// Opens NVML, looks at the GPU, and closes NVML again. To be called while no child runs: all processes on the GPU are then
/// somebody else's, and an open NVML warms the driver.
///
/// # Errors
/// When NVML can't be opened, or does not know the GPU.
pub fn look(library: &Library, id: &GpuId, when: &str) -> Result<GpuLook, TelemetryError> {
    let begin = clock::monotonic();
    let nvml = library.open()?;
    let mut gpu = Gpu::find(&nvml, id)?;
    let mut seen = gpu.compute_processes();
    seen.extend(gpu.graphics_processes());
    // Nobody is foreign to himself.
    seen.retain(|process| process.pid != std::process::id());
    let persistence_mode = gpu.persistence_mode();
    let mut found = GpuLook {
        when: when.to_owned(),
        uuid: gpu.uuid(),
        driver_state: DriverState::of(persistence_mode, seen.len()),
        persistence_mode,
        processes: foreign(&seen, None, &Host::here()),
        temperature_c: gpu.temperature(),
        open_ns: coldstart_profiles::Nanos::ZERO,
        idle_after_ns: None,
    };
    drop(gpu);
    drop(nvml);
    found.open_ns = clock::monotonic().saturating_sub(begin);
    Ok(found)
}

/// What every GPU is, and what it does not tell. Opens NVML and closes it again: not to be called while a cold start is
/// measured.
///
/// # Errors
/// When NVML can't be opened, or does not say how many GPUs there are.
pub fn survey(library: &Library) -> Result<Vec<GpuFacts>, TelemetryError> {
    let nvml = library.open()?;
    let count = nvml.device_count().map_err(TelemetryError::init)?;
    let facts = |index| {
        let mut gpu = Gpu::at(&nvml, index)?;
        gpu.sample(clock::monotonic);
        gpu.compute_processes();
        let facts = gpu.facts();
        Ok(GpuFacts { unread: gpu.unread(), ..facts })
    };
    (0..count).map(facts).collect()
}
