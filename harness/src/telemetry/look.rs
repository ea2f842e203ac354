//! A short look at a GPU while no process of ours uses it.

use coldstart_profiles::{DriverState, GpuLook};

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
