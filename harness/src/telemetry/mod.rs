//! Asking the GPU's management library, NVML, how the GPU fares while it is measured.
//!
//! An open NVML handle keeps the driver initialised. So a child opens it only after its context is there, in a thread that
//! samples ten times a second ([`Sampler`]); the parent opens it for a short [`look`] between children, closes it again,
//! and records how long the GPU was left alone afterwards. No NVML here, or none that answers, is a reason in the profile
//! and never an error of the run.
//!
//! GPUs are found by their place on the bus or by their UUID, never by number: `CUDA_VISIBLE_DEVICES` counts otherwise than
//! NVML does.

mod error;
mod gpu;
mod look;
mod processes;
mod report;
mod sampler;
mod windows;

pub use error::TelemetryError;
pub use gpu::{GpuId, Library};
pub use look::{look, survey};
pub use report::TelemetryReport;
pub use sampler::Sampler;
pub use windows::{Passes, point_windows, trial_windows};

#[cfg(test)]
mod tests;
