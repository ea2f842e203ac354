//! What planning rests on: the facts of one or several profiles of one model, each with where it comes from.
//!
//! Profiles are grouped by the class of their node ([`NodeClass`]): trials of several nodes of a class stand side by side,
//! those of different classes never do. Cold starts of pods join the class of the device that they ran on ([`PodFacts`]). Everything that a profile lacks can be given by hand and is then marked as assumed;
//! what is neither measured nor given is named with its phase.

mod by_hand;
mod cold_start;
mod combined;
mod distinct;
mod error;
mod facts;
mod fleet;
mod load_rate;
mod memory;
mod non_negative;
mod pods;
#[cfg(test)]
mod pods_tests;
mod service_by_hand;
mod service_fit;
mod startup;
#[cfg(test)]
mod tests;
mod trials;

pub use by_hand::{ByHand, PullByHand};
pub use cold_start::{ColdPart, ColdStart, PullTime};
pub(crate) use combined::combined;
pub(crate) use distinct::Distinct;
pub use error::MeasuredError;
pub use facts::{ImageFacts, LimitRate, ModelFacts, NodeClass, ProfileFacts};
pub use fleet::{Fleet, Measured, NamedProfile};
pub use load_rate::LoadRate;
pub use memory::{MemoryAtBatch, MemoryFacts};
pub use pods::PodFacts;
pub(crate) use pods::short;
pub use service_by_hand::{ServiceByHand, StepTime, TimeOf};
pub use service_fit::{PointTime, ServiceFits, SingleForwardFit};
pub use startup::{JitTimes, StartupTimes};
