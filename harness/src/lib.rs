//! The measuring program: from what the user typed, through one resolved plan, to a profile on disk.

pub mod cli;
pub mod clock;
pub mod docker;
pub mod doctor;
pub mod fitness;
pub mod host;
pub mod model;
mod phases;
pub mod registry;
pub mod resolve;
pub mod run;
mod sampling;
pub mod trial;
pub mod weights;
