//! What was typed, and what the machine has, become one [`Plan`](coldstart_profiles::Plan): plain data, decided before
//! anything is measured, and stored in the profile.

mod budget;
mod device;
mod draft;
mod error;
mod estimate;
mod gather;
mod make;
mod plan;
mod request;
mod scale;
#[cfg(test)]
mod tests;

pub use device::{Chosen, DeviceRequest, choose};
pub(crate) use draft::{LEAST_POINT_ITERATIONS, LEAST_STEADY_ITERATIONS};
pub use error::ResolveError;
pub use estimate::ForwardFacts;
pub use gather::{Gathered, gather, gather_again, tool};
pub use plan::{EngineFacts, Gpus, Machine, ModelFacts, PageCacheFacts, plan};
pub use request::{ImageRequest, ModelRequest, Request, Synthetic, phases};
