//! Making checks.

use coldstart_profiles::{Check, CheckStatus};

/// Areas in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    Device,
    Engine,
    Storage,
    Host,
}

impl Area {
    const fn name(self) -> &'static str {
        match self {
            Area::Device => "device",
            Area::Engine => "engine",
            Area::Storage => "storage",
            Area::Host => "host",
        }
    }

    /// Nothing stands in the way.
    pub(super) fn ok(self, name: &str, found: impl Into<String>) -> Check {
        self.check(name, CheckStatus::Ok, found.into(), None)
    }

    /// It works, but slower, less exactly or in part.
    pub(super) fn limited(self, name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        self.check(name, CheckStatus::Limited, found.into(), Some(remedy.into()))
    }

    /// It works in part, and nothing on this machine can change that.
    pub(super) fn bounded(self, name: &str, found: impl Into<String>) -> Check {
        self.check(name, CheckStatus::Limited, found.into(), None)
    }

    /// What depends on it is skipped.
    pub(super) fn missing(self, name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        self.check(name, CheckStatus::Missing, found.into(), Some(remedy.into()))
    }

    fn check(self, name: &str, status: CheckStatus, found: String, remedy: Option<String>) -> Check {
        Check { area: self.name().to_owned(), name: name.to_owned(), status, found, remedy }
    }
}
