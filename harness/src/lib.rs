//! The measuring program: from what the user typed, through one resolved plan, to a profile on disk.

// A reader or a terminal that is gone must not end a run: see `say` and `cli::output`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod clock;
pub mod cluster;
mod device_name;
pub mod docker;
pub mod doctor;
mod driver;
pub mod fitness;
pub mod gate;
pub mod host;
pub mod import;
pub mod model;
mod phases;
pub mod planning;
pub mod registry;
pub mod resolve;
pub mod run;
mod sampling;
mod say;
pub mod self_test;
pub mod telemetry;
pub mod trial;
pub mod weights;

pub use device_name::DeviceName;
