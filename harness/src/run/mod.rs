//! Walks a plan: one step after the other, and the profile on disk after each.

mod compose;
mod error;
mod progress;
mod record;
mod stage;
mod store;
mod walk;

pub use error::RunError;
pub use progress::Progress;
pub use store::Store;
pub use walk::{Ending, Tools, walk};
