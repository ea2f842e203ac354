//! One file a phase: each takes ONE reading. Repetition, statistics and printing happen elsewhere.

mod alloc;
mod first_batch;
mod forward;
mod startup;
mod uploads;
mod warm_up;
mod weights_load;

pub(crate) use alloc::alloc;
pub(crate) use first_batch::first_batch;
pub(crate) use forward::{Began, Passes, forward_params};
pub(crate) use startup::{context_create, driver_init, module_load};
pub(crate) use uploads::uploads;
pub(crate) use warm_up::{Passed, warm_up};
pub(crate) use weights_load::{Files, weights_load};
