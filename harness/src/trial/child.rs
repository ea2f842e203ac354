//! The child's side: one measurement, its lines of JSON on stdout, and an exit code.

use std::io::Write as _;
use std::path::Path;

use coldstart_profiles::{Nanos, exit};

use super::parent::PARENT;
use super::spec::{ChildLine, ChildSpec, Subject};
use super::{cold_start, describe, limit, sweep};
use crate::model::ModelError;
use crate::self_test;
use crate::weights::{ModelFiles, OpenOptions, WeightsError};

/// The environment variable that asks for a first line with the reading of the monotonic clock, before anything else.
pub(crate) const HANDSHAKE: &str = "COLDSTART_HANDSHAKE";

/// What went wrong in a child. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    /// The specification is not one.
    #[error("understand what to measure: {0}")]
    Spec(serde_json::Error),
    /// The model's files, or their way to the device.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The forward pass.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device.
    #[error(transparent)]
    Device(Box<coldstart_kernels::Error>),
    /// A reading that the operating system refused.
    #[error("{action}: {why}")]
    Other {
        /// What was tried.
        action: &'static str,
        /// What was said.
        why: String,
    },
}

impl From<coldstart_kernels::Error> for ChildError {
    fn from(error: coldstart_kernels::Error) -> Self {
        ChildError::Device(Box::new(error))
    }
}

/// Runs `coldstart trial SPEC`. `started` is the reading of the monotonic clock at the first line of `main`.
pub fn main(spec: &str, started: Nanos) -> u8 {
    if std::env::var_os(HANDSHAKE).is_some() {
        put(&format!("{{\"monotonic_ns\":{}}}\n", started.as_nanos()));
    }
    die_with_parent();
    let result = match serde_json::from_str::<ChildSpec>(spec) {
        Ok(ChildSpec::Describe { device }) => describe::run(&device),
        Ok(ChildSpec::Canary { device, when }) => describe::canary(&device, &when),
        Ok(ChildSpec::Trial(spec)) => cold_start::run(&spec, started),
        Ok(ChildSpec::Limit(spec)) => limit::run(&spec),
        Ok(ChildSpec::Sweep(spec)) => sweep::run(&spec),
        Ok(ChildSpec::SelfTest(spec)) => {
            self_test::child(&spec, &mut |event| say(&ChildLine::SelfTest(event)))
        }
        Err(error) => Err(ChildError::Spec(error)),
    };
    match result {
        Ok(()) => exit::OK,
        Err(error) => {
            say(&ChildLine::Error { what: error.to_string() });
            exit::FAILED
        }
    }
}

/// Prints one line for the parent.
pub(super) fn say(line: &ChildLine) {
    if let Ok(mut text) = serde_json::to_string(line) {
        text.push('\n');
        put(&text);
    }
}

/// Writes to stdout. A parent that is gone needs no answer.
fn put(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Asks the kernel to kill this process when its parent dies, so that nothing outlives a run that was killed itself.
fn die_with_parent() {
    let Some(parent) = std::env::var(PARENT).ok().and_then(|id| id.parse::<u32>().ok()) else { return };
    // SAFETY: PR_SET_PDEATHSIG takes a signal number and touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if std::os::unix::process::parent_id() != parent {
        // The parent died before the request: it would never be answered.
        // SAFETY: _exit ends the process and returns to nobody.
        unsafe { libc::_exit(i32::from(exit::FAILED)) };
    }
}

/// Opens and checks the model's files.
pub(super) fn open_model(subject: &Subject) -> Result<ModelFiles, ChildError> {
    let options = OpenOptions { follow_symlinks: subject.follow_symlinks };
    Ok(ModelFiles::open(Path::new(&subject.model), options)?)
}
