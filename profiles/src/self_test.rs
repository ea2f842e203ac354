//! Whether a device computes, copies and keeps time as it should: what `coldstart doctor --self-test` found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Nanos;

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelfTestStatus {
    /// All was as it should be.
    Passed,
    /// Something was not.
    Failed,
    /// It can't be checked on this device.
    Skipped,
}

impl SelfTestStatus {
    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            SelfTestStatus::Passed => "passed",
            SelfTestStatus::Failed => "failed",
            SelfTestStatus::Skipped => "skipped",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SelfTestLine {
    /// What kind of check: `kernel`, `graph`, `upload`, `timing`.
    pub area: String,
    /// Its name: the operation, the strategy, the clock.
    pub name: String,
    /// How it ended.
    pub status: SelfTestStatus,
    /// What was found: the extent of the check, or what was wrong, or why it was skipped.
    pub found: String,
    /// What it took.
    pub elapsed_ns: Nanos,
}

/// All checks of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SelfTestReport {
    /// The device, such as `cuda:0`.
    pub device: String,
    /// What it calls itself, and its driver; `null` where it could not be opened.
    pub described: Option<String>,
    /// Whether a stand-in plays the driver's part.
    pub stand_in: bool,
    /// The seed of the random shapes and numbers: the same seed makes the same cases.
    pub seed: u64,
    /// The checks, in the order in which they ran.
    pub lines: Vec<SelfTestLine>,
}

impl SelfTestReport {
    /// How many checks ended with `status`.
    pub fn count(&self, status: SelfTestStatus) -> usize {
        self.lines.iter().filter(|line| line.status == status).count()
    }

    /// Whether the device can be relied on: something was checked, and nothing failed.
    pub fn passed(&self) -> bool {
        self.count(SelfTestStatus::Failed) == 0 && self.count(SelfTestStatus::Passed) > 0
    }
}
