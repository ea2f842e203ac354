//! The version of the file format.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the format. A reader tolerates unknown minor fields and refuses another major.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FormatVersion {
    /// Changes when an old reader would misread a new file.
    pub major: u32,
    /// Grows when fields are added.
    pub minor: u32,
}

impl FormatVersion {
    /// The version that this crate reads and writes.
    pub const CURRENT: FormatVersion = FormatVersion { major: 1, minor: 0 };
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
