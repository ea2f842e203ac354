//! What `coldstart gate` and `coldstart calibrate` need beside the judgement itself: profiles and policies from files, and runs
//! of two commands in turn.

mod ab;
mod command;
mod files;
mod kept;

pub use ab::{AbPlan, AbRuns};
pub use command::AbError;
pub(crate) use command::quoted;
pub use files::{GateFiles, read_policy, read_rules};
pub(crate) use files::{profiles_in, read_baseline};
pub use kept::Kept;
