//! From errors to exit codes: a table that scripts rely on.

use std::process::ExitCode;

use coldstart_decisions::capacity::PlanError;
use coldstart_decisions::service::ServiceError;
use coldstart_decisions::simulate::CapacityError;
use coldstart_profiles::{ProfileError, exit};

use crate::cluster::ClusterError;
use crate::gate::{AbError, GateFiles};
use crate::planning::OrderError;
use crate::resolve::ResolveError;
use crate::run::RunError;
use crate::say::say;

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// No plan.
    #[error("{0}")]
    Resolve(#[from] ResolveError),
    /// No profile written.
    #[error("{0}")]
    Run(#[from] RunError),
    /// A profile that can't be read.
    #[error("{0}")]
    Profile(#[from] ProfileError),
    /// A result that could not be printed.
    #[error("print the result: {0}")]
    Print(#[from] std::io::Error),
    /// A result that has no JSON.
    #[error("write the result as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Objects of a cluster that make no profile.
    #[error("{0}")]
    Cluster(#[from] ClusterError),
    /// Files of a gate that can't be used.
    #[error("{0}")]
    GateFiles(#[from] GateFiles),
    /// A command of a gate that gave no profile.
    #[error("{0}")]
    Ab(#[from] AbError),
    /// What broke off after commands of a gate had made profiles.
    #[error("{why}: {kept}")]
    Kept {
        /// What happened.
        why: Box<CliError>,
        /// Where the profiles are, and what can be done with them.
        kept: String,
    },
    /// No plan.
    #[error("{0}")]
    Plan(#[from] OrderError),
    /// Something that was asked for in the wrong way.
    #[error("{0}")]
    Usage(String),
    /// A self-test that could not be made.
    #[error("{0}")]
    SelfTest(String),
    /// Something that must not happen.
    #[error("{0}")]
    Internal(String),
}

impl CliError {
    /// The exit code that this error ends the program with.
    fn code(&self) -> u8 {
        match self {
            CliError::Resolve(ResolveError::Interrupted) => exit::INTERRUPTED,
            CliError::Resolve(ResolveError::BrokenDevice { .. }) => exit::FAILED,
            CliError::Resolve(_) | CliError::Run(_) | CliError::Profile(_) => exit::USAGE,
            CliError::GateFiles(_) | CliError::Cluster(_) | CliError::Usage(_) => exit::USAGE,
            CliError::Plan(OrderError::Plan(error)) if impossible(error) => exit::FAILED,
            CliError::Plan(_) => exit::USAGE,
            CliError::Ab(AbError::Interrupted) => exit::INTERRUPTED,
            CliError::Ab(AbError::NoOut { .. } | AbError::Keep { .. } | AbError::Taken { .. }) => exit::USAGE,
            CliError::Ab(_) | CliError::SelfTest(_) => exit::FAILED,
            CliError::Kept { why, .. } => why.code(),
            // A full disk behind stdout is a place that can't be used, as it is for a file.
            CliError::Print(_) => exit::USAGE,
            CliError::Json(_) | CliError::Internal(_) => exit::INTERNAL,
        }
    }
}

/// Whether no plan can meet the service level, however it is asked for; everything else is a matter of what was given.
fn impossible(error: &PlanError) -> bool {
    match error {
        PlanError::TooFewReplicas { .. } | PlanError::TooFewForTrace { .. } => true,
        PlanError::Service(error) | PlanError::Capacity(CapacityError::Service(error)) => {
            matches!(error, ServiceError::BelowBatchOne { .. } | ServiceError::RequestTooLarge { .. })
        }
        PlanError::Capacity(CapacityError::TooFew { .. } | CapacityError::TooMuch { .. }) => true,
        _ => false,
    }
}

/// Prints an error and gives its exit code.
pub(super) fn report(error: &CliError) -> ExitCode {
    say(format_args!("failed to {error}"));
    ExitCode::from(error.code())
}
