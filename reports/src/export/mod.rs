//! Profiles in the formats of other tools: one file a target, each after the rules of the tool that reads it.
//!
//! A target is a line in [`EXPORT_TARGETS`] and a function from what it takes to what it writes: one file, or a directory of
//! them. Text from profiles is untrusted: what would act on a terminal, in a label or in markup is spelt out instead.

mod address;
#[cfg(test)]
mod affinity_tests;
mod bmf;
mod capacity_buffer;
#[cfg(test)]
mod cluster_tests;
mod dynamo;
mod error;
mod github_benchmark;
#[cfg(test)]
mod hostile_tests;
mod hpa;
mod image_pull_job;
mod inference_sim;
mod keda;
mod kubernetes;
mod kwok;
mod local_model_cache;
mod metrics;
mod nfd;
mod node_affinity;
#[cfg(test)]
mod plan_tests;
mod probes;
mod prometheus;
mod rows;
mod settings;
#[cfg(test)]
mod tests;

use coldstart_decisions::plan::ServingPlan;
use coldstart_profiles::Profile;

pub use error::ExportError;
pub use settings::{ExportSettings, LABEL_PREFIX, Workload};

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
    /// One profile, and names and addresses of a cluster.
    ProfileFor(fn(&str, &Profile, &ExportSettings) -> Result<Exported, ExportError>),
    /// One or several profiles, and names and addresses of a cluster.
    ProfilesFor(fn(&Named<'_>, &ExportSettings) -> Result<Exported, ExportError>),
    /// A plan, and names and addresses of a cluster.
    PlanFor(fn(&str, &ServingPlan, &ExportSettings) -> Result<Exported, ExportError>),
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
    ExportTarget {
        name: "nfd",
        about: "labels of a node, as a local file of Node Feature Discovery",
        from: ExportFrom::ProfileFor(nfd::export),
    },
    ExportTarget {
        name: "node-affinity",
        about: "a patch for a workload that prefers nodes with quick starts, by those labels",
        from: ExportFrom::ProfilesFor(node_affinity::export),
    },
    ExportTarget {
        name: "hpa",
        about: "of a plan: a HorizontalPodAutoscaler on one of its signals, with its windows and limits",
        from: ExportFrom::PlanFor(hpa::export),
    },
    ExportTarget {
        name: "keda",
        about: "of a plan: a ScaledObject of KEDA on Prometheus",
        from: ExportFrom::PlanFor(keda::export),
    },
    ExportTarget {
        name: "capacity-buffer",
        about: "of a plan: room for its standby replicas, for cluster autoscalers",
        from: ExportFrom::PlanFor(capacity_buffer::export),
    },
    ExportTarget {
        name: "probes",
        about: "a patch for a workload: a startup probe that waits long enough for the longest start",
        from: ExportFrom::ProfileFor(probes::export),
    },
    ExportTarget {
        name: "kwok",
        about: "a patch for a workload on kwok's pretended nodes: starts as long as the measured ones",
        from: ExportFrom::Profile(kwok::export),
    },
    ExportTarget {
        name: "image-pull-job",
        about: "OpenKruise ImagePullJob: the image on the nodes beforehand",
        from: ExportFrom::ProfileFor(image_pull_job::export),
    },
    ExportTarget {
        name: "local-model-cache",
        about: "KServe LocalModelCache: the weights on the nodes beforehand",
        from: ExportFrom::ProfileFor(local_model_cache::export),
    },
    ExportTarget {
        name: "dynamo",
        about: "NVIDIA Dynamo: tables for its planner, arguments for its mock engine (a directory)",
        from: ExportFrom::ProfileFor(dynamo::export),
    },
    ExportTarget {
        name: "inference-sim",
        about: "llm-d-inference-sim: a server without a GPU that answers as fast",
        from: ExportFrom::ProfileFor(inference_sim::export),
    },
];

/// The target of that name.
pub fn export_target(name: &str) -> Option<&'static ExportTarget> {
    EXPORT_TARGETS.iter().find(|target| target.name == name)
}

impl ExportTarget {
    /// Whether it is made of a plan instead of profiles.
    pub fn takes_plan(&self) -> bool {
        matches!(self.from, ExportFrom::PlanFor(_))
    }

    /// Whether it watches a signal: an autoscaler.
    pub fn watches_signal(&self) -> bool {
        ["hpa", "keda"].contains(&self.name)
    }

    /// A plan in this target's format.
    ///
    /// # Errors
    /// When the target is made of profiles, or the plan or the settings lack what it needs.
    pub fn of_plan(
        &self,
        name: &str,
        plan: &ServingPlan,
        settings: &ExportSettings,
    ) -> Result<Exported, ExportError> {
        settings.check(self.name)?;
        match self.from {
            ExportFrom::PlanFor(export) => export(name, plan, settings),
            _ => Err(ExportError::TakesProfile { target: self.name }),
        }
    }

    /// Profiles in this target's format.
    ///
    /// # Errors
    /// When the profiles lack what the target needs, or there are more of them than it takes.
    pub fn of_profiles(
        &self,
        profiles: &Named<'_>,
        settings: &ExportSettings,
    ) -> Result<Exported, ExportError> {
        settings.check(self.name)?;
        match (self.from, profiles) {
            (ExportFrom::Profile(export), [(name, profile)]) => export(name, profile),
            (ExportFrom::ProfileFor(export), [(name, profile)]) => export(name, profile, settings),
            (ExportFrom::ProfilesFor(export), _) => export(profiles, settings),
            (ExportFrom::Profile(_) | ExportFrom::ProfileFor(_), _) => {
                Err(ExportError::TakesOne { target: self.name, given: profiles.len() })
            }
            (ExportFrom::Profiles(export), _) => export(profiles),
            (ExportFrom::PlanFor(_), _) => Err(ExportError::TakesPlan { target: self.name }),
        }
    }
}
