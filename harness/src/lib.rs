//! The measuring program: from what the user typed, through one resolved plan, to a profile on disk.

pub mod docker;
pub mod doctor;
pub mod fitness;
pub mod host;
pub mod model;
pub mod registry;
pub mod weights;
