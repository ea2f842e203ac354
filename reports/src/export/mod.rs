//! Profiles in the formats of other tools: one file a target, each after the rules of the tool that reads it.
//!
//! A target is a line in [`EXPORT_TARGETS`] and a function from what it takes to what it writes: one file, or a directory of
//! them. Text from profiles is untrusted: what would act on a terminal, in a label or in markup is spelt out instead.

mod bmf;
mod error;
mod github_benchmark;
mod prometheus;
mod rows;
#[cfg(test)]
mod tests;

use coldstart_profiles::Profile;

pub use error::ExportError;

/// Profiles with the names to call them by, such as their files'.
pub type Named<'a> = [(&'a str, &'a Profile)];

/// A format of another tool.
#[derive(Debug, Clone, Copy)]
pub struct ExportTarget {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in half a line.
    pub about: &'static str,
    /// What it is made of, and by which function.
    pub from: ExportFrom,
}

/// What a target is made of.
#[derive(Debug, Clone, Copy)]
pub enum ExportFrom {
    /// One profile; several are refused.
    Profile(fn(&str, &Profile) -> Result<Exported, ExportError>),
    /// One or several profiles, with a name each.
    Profiles(fn(&Named<'_>) -> Result<Exported, ExportError>),
}

/// What a target writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exported {
    /// One file.
    File(String),
    /// Several files, which lie together in a directory.
    Directory(Vec<ExportedFile>),
}

/// One of several files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedFile {
    /// Its name in the directory: plain, without a separator.
    pub name: String,
    /// All that stands in it.
    pub contents: String,
}

/// Every target, in the order of the help.
pub const EXPORT_TARGETS: &[ExportTarget] = &[
    ExportTarget {
        name: "prometheus",
        about: "OpenMetrics text, such as for the textfile collector of node_exporter",
        from: ExportFrom::Profiles(prometheus::export),
    },
    ExportTarget {
        name: "bmf",
        about: "Bencher Metric Format: `bencher run --adapter json`",
        from: ExportFrom::Profile(bmf::export),
    },
    ExportTarget {
        name: "github-benchmark",
        about: "github-action-benchmark, tool `customSmallerIsBetter`",
        from: ExportFrom::Profile(github_benchmark::export),
    },
];

/// The target of that name.
pub fn export_target(name: &str) -> Option<&'static ExportTarget> {
    EXPORT_TARGETS.iter().find(|target| target.name == name)
}

impl ExportTarget {
    /// Profiles in this target's format.
    ///
    /// # Errors
    /// When the profiles lack what the target needs, or there are more of them than it takes.
    pub fn of_profiles(&self, profiles: &Named<'_>) -> Result<Exported, ExportError> {
        match (self.from, profiles) {
            (ExportFrom::Profile(export), [(name, profile)]) => export(name, profile),
            (ExportFrom::Profile(_), _) => {
                Err(ExportError::TakesOne { target: self.name, given: profiles.len() })
            }
            (ExportFrom::Profiles(export), _) => export(profiles),
        }
    }
}
