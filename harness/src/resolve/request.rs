//! What a user asks of a run, without the command line around it.

use std::path::PathBuf;
use std::str::FromStr as _;

use coldstart_profiles::{Nanos, Phase, ProfileError, SyntheticImage};

use super::error::ResolveError;
use crate::DeviceName;

/// What a user asks of a run. `None` and empty lists leave the choice to the plan.
#[derive(Debug, Clone)]
pub struct Request {
    /// The device.
    pub device: DeviceName,
    /// The model.
    pub model: ModelRequest,
    /// The image.
    pub image: ImageRequest,
    /// The phases, in order; all of them without a choice.
    pub phases: Vec<Phase>,
    /// Ways of loading the weights.
    pub strategies: Vec<String>,
    /// The short form.
    pub quick: bool,
    /// Time for all steps.
    pub budget: Option<Nanos>,
    /// Fresh processes for each cold measurement.
    pub trials: Option<u32>,
    /// Pulls of the image.
    pub pull_trials: Option<u32>,
    /// Batch sizes of the sweep.
    pub batches: Vec<u32>,
    /// Prompt lengths of the sweep.
    pub prompts: Vec<u32>,
    /// Contexts of the sweep's decode steps.
    pub contexts: Vec<u32>,
    /// Time limit of one trial.
    pub trial_timeout: Nanos,
    /// Seed of everything that is drawn.
    pub seed: u64,
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelRequest {
    /// Made by coldstart.
    Synthetic(String),
    /// The user's.
    Directory {
        /// A directory or a file.
        path: PathBuf,
        /// Whether links out of it are followed.
        follow_symlinks: bool,
    },
}

/// Which image.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageRequest {
    /// The user's.
    Reference(String),
    /// Made by coldstart.
    Synthetic(Synthetic),
}

/// A synthetic image, its size open where the user named none.
#[derive(Debug, Clone, PartialEq)]
pub struct Synthetic {
    /// Its contents; `size_bytes` is used where `size_given`.
    pub image: SyntheticImage,
    /// Whether the user chose the size.
    pub size_given: bool,
}

/// The phases of a list of names; all of them for an empty list or `all`.
///
/// # Errors
/// When a name is none of a phase.
pub fn phases(names: &[String]) -> Result<Vec<Phase>, ResolveError> {
    if names.is_empty() || names.iter().any(|name| name == "all") {
        return Ok(Phase::MACHINE.to_vec());
    }
    let mut phases = names
        .iter()
        .map(|name| Phase::from_str(name.trim()).map_err(ResolveError::Phase))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(phase) = phases.iter().find(|phase| !Phase::MACHINE.contains(phase)) {
        return Err(ResolveError::Phase(ProfileError::UnknownPhase { name: phase.name().to_owned() }));
    }
    phases.sort_unstable();
    phases.dedup();
    Ok(phases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_phases() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(phases(&[]).unwrap(), Phase::MACHINE);
        assert_eq!(phases(&names(&["all", "alloc"])).unwrap(), Phase::MACHINE);
        assert_eq!(
            phases(&names(&["first_batch", "alloc", "alloc"])).unwrap(),
            [Phase::Alloc, Phase::FirstBatch]
        );
        assert!(
            phases(&names(&["scheduling"])).unwrap_err().to_string().contains("image_pull"),
            "a cluster's"
        );
        assert!(phases(&names(&["weights"])).unwrap_err().to_string().contains("weights_load"));
    }
}
