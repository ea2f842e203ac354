//! The version of the plan's format.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of a plan's format. A reader tolerates unknown minor fields and refuses another major.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanFormat {
    /// Changes when an old reader would misread a new file.
    pub plan_major: u32,
    /// Grows when fields are added.
    pub minor: u32,
}

impl PlanFormat {
    /// The version that this crate reads and writes.
    pub const CURRENT: PlanFormat = PlanFormat { plan_major: 1, minor: 0 };
}

impl fmt::Display for PlanFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.plan_major, self.minor)
    }
}
