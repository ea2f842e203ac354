//! What can be measured on a machine, what not, and what would have to change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much one check leaves possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Nothing stands in the way.
    Ok,
    /// It works, but slower, less exactly, or only in part.
    Limited,
    /// What depends on it is skipped.
    Missing,
}

impl CheckStatus {
    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            CheckStatus::Ok => "ok",
            CheckStatus::Limited => "limited",
            CheckStatus::Missing => "missing",
        }
    }
}

/// One thing that a measurement depends on, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What it belongs to, such as `device`, `engine`, `storage` or `host`; checks of one area stand together.
    pub area: String,
    /// What was looked at, such as `page-cache eviction`.
    pub name: String,
    /// How much it leaves possible.
    pub status: CheckStatus,
    /// What was found, in one sentence or less.
    pub found: String,
    /// What would have to change; `null` where nothing must, or nothing can.
    pub remedy: Option<String>,
}

/// Everything that was looked at, in the order in which it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DoctorReport {
    /// The checks, grouped by area.
    pub checks: Vec<Check>,
}

impl DoctorReport {
    /// How many checks ended with `status`.
    pub fn count(&self, status: CheckStatus) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }
}
