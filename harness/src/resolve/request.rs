//! What a user asks of a run, without the command line around it.

use std::path::PathBuf;
use std::str::FromStr as _;

use coldstart_profiles::{Nanos, Phase, SyntheticImage};

use super::error::ResolveError;

/// What a user asks of a run. `None` and empty lists leave the choice to the plan.
#[derive(Debug, Clone)]
pub struct Request {
    /// The device, already resolved.
    pub device: String,
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
        return Ok(Phase::ALL.to_vec());
    }
    let mut phases = names
        .iter()
        .map(|name| Phase::from_str(name.trim()).map_err(ResolveError::Phase))
        .collect::<Result<Vec<_>, _>>()?;
    phases.sort_unstable();
    phases.dedup();
    Ok(phases)
}

/// The device that a name stands for, and in one line why `auto` is not a CUDA device.
///
/// # Errors
/// When the name is of no device, or of one that this release does not drive.
pub fn device(name: &str) -> Result<(String, Option<String>), ResolveError> {
    let unknown = |why: &str| ResolveError::Device { name: name.to_owned(), why: why.to_owned() };
    match name {
        "auto" => {
            Ok(("host".to_owned(), Some("this release drives no CUDA device: measuring the host".to_owned())))
        }
        "host" => Ok(("host".to_owned(), None)),
        _ => match name.strip_prefix("cuda") {
            Some(ordinals) if is_ordinals(ordinals) => {
                Err(unknown("this release drives the host device only: use `--device host`"))
            }
            _ => Err(unknown("the devices are auto, host and cuda[:N[,M…]]")),
        },
    }
}

/// Nothing, or `:N[,M…]`.
fn is_ordinals(text: &str) -> bool {
    match text.strip_prefix(':') {
        None => text.is_empty(),
        Some(list) => list.split(',').all(|ordinal| ordinal.parse::<u16>().is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_phases() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(phases(&[]).unwrap(), Phase::ALL);
        assert_eq!(phases(&names(&["all", "alloc"])).unwrap(), Phase::ALL);
        assert_eq!(
            phases(&names(&["first_batch", "alloc", "alloc"])).unwrap(),
            [Phase::Alloc, Phase::FirstBatch]
        );
        assert!(phases(&names(&["weights"])).unwrap_err().to_string().contains("weights_load"));
    }

    #[test]
    fn devices_by_name() {
        assert_eq!(device("host").unwrap().0, "host");
        assert!(device("auto").unwrap().1.is_some());
        for name in ["cuda", "cuda:0", "cuda:0,1"] {
            assert!(device(name).unwrap_err().to_string().contains("--device host"), "{name}");
        }
        for name in ["gpu", "cuda:", "cuda:x", "cudax", ""] {
            assert!(device(name).unwrap_err().to_string().contains("auto, host and cuda"), "{name}");
        }
    }
}
