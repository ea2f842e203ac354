//! Walks a plan: one step after the other, and the profile on disk after each.

mod compose;
mod error;
mod images;
mod progress;
mod record;
mod stage;
mod store;
mod trials;
mod unchanged;
mod walk;

pub use error::RunError;
pub use images::Images;
pub use progress::Progress;
pub use store::Store;
pub use unchanged::check_unchanged;
pub use walk::{Ending, Tools, walk};
