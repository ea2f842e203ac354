//! Which device a run is on, and what it is. A GPU is looked at by a child: this process never opens the driver.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::ResolveError;
use crate::DeviceName;
use crate::driver::JitCaches;
use crate::trial::{ChildFailure, ChildLine, ChildSpec, Described, DeviceFacts, run_child_with};

/// What was asked for with `--device`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceRequest {
    /// The first CUDA device, else the host.
    Auto,
    /// This one.
    Named(DeviceName),
}

impl DeviceRequest {
    /// The device of this name.
    ///
    /// # Errors
    /// When it is none of a device.
    pub fn parse(name: &str) -> Result<Self, ResolveError> {
        if name == "auto" {
            return Ok(DeviceRequest::Auto);
        }
        name.parse()
            .map(DeviceRequest::Named)
            .map_err(|why| ResolveError::Device { name: name.to_owned(), why })
    }
}

/// The device of a run.
#[derive(Debug)]
pub struct Chosen {
    /// Its name.
    pub name: DeviceName,
    /// In one line why `auto` is not a GPU.
    pub why_not_cuda: Option<String>,
    pub(super) gpu: Option<Gpu>,
}

/// A GPU, and what children on it are given.
#[derive(Debug)]
pub(super) struct Gpu {
    pub(super) facts: DeviceFacts,
    pub(super) caches: JitCaches,
}

/// Looks for the device. `auto` takes the host where there is no GPU, or none that can be used, and says why. A GPU that does
/// not answer in `patience` does not answer.
///
/// # Errors
/// When a GPU that was named is not there, or can't be used.
pub async fn choose(
    request: &DeviceRequest,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<Chosen, ResolveError> {
    let host = |why_not_cuda| Chosen { name: DeviceName::Host, why_not_cuda, gpu: None };
    let name = match request {
        DeviceRequest::Named(DeviceName::Host) => return Ok(host(None)),
        DeviceRequest::Named(name) => name.clone(),
        DeviceRequest::Auto => DeviceName::first_cuda(),
    };
    match look(&name, patience, cancel).await {
        Ok(gpu) => Ok(Chosen { name, why_not_cuda: None, gpu: Some(gpu) }),
        Err(ResolveError::Interrupted) => Err(ResolveError::Interrupted),
        Err(ResolveError::Device { why, .. } | ResolveError::BrokenDevice { why, .. })
            if *request == DeviceRequest::Auto =>
        {
            Ok(host(Some(format!("measuring the host device: {why}"))))
        }
        Err(ResolveError::Device { name, why }) => {
            Err(ResolveError::Device { name, why: format!("{why}; `--device host` needs no GPU") })
        }
        Err(error) => Err(error),
    }
}

/// What a child sees of a GPU. It compiles the kernels into the cache that the run keeps.
async fn look(
    name: &DeviceName,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<Gpu, ResolveError> {
    let device = || name.to_string();
    let caches = JitCaches::new().map_err(|error| ResolveError::BrokenDevice {
        name: device(),
        why: format!("make a directory for compiled kernels: {error}"),
    })?;
    let spec = ChildSpec::Describe { device: name.clone() };
    let output = run_child_with(&spec, &caches.warm(), patience, cancel, |_| {}).await;
    let output = output.map_err(|failure| broken(name, failure))?;
    let described = output.lines.into_iter().find_map(|line| match line {
        ChildLine::Described(described) => Some(described),
        _ => None,
    });
    match described {
        Some(Described::Present(facts)) => Ok(Gpu { facts: *facts, caches }),
        Some(Described::Absent { why }) => Err(ResolveError::Device { name: device(), why }),
        None => Err(ResolveError::BrokenDevice {
            name: device(),
            why: "look at it: the child ended well but said nothing".to_owned(),
        }),
    }
}

/// A GPU that is there, and a process that could not use it.
fn broken(name: &DeviceName, failure: ChildFailure) -> ResolveError {
    if failure.cancelled {
        return ResolveError::Interrupted;
    }
    let said = failure.stderr.lines().rev().find(|line| !line.trim().is_empty());
    let said = said.map(|line| format!(" (it last said: {line})")).unwrap_or_default();
    let why = failure
        .why
        .strip_prefix("failed to ")
        .map_or_else(|| format!("look at it: the child {}{said}", failure.why), ToOwned::to_owned);
    ResolveError::BrokenDevice { name: name.to_string(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_by_name() {
        assert_eq!(DeviceRequest::parse("auto").unwrap(), DeviceRequest::Auto);
        assert_eq!(DeviceRequest::parse("host").unwrap(), DeviceRequest::Named(DeviceName::Host));
        assert_eq!(
            DeviceRequest::parse("cuda:1,2").unwrap(),
            DeviceRequest::Named(DeviceName::Cuda(vec![1, 2]))
        );
        let error = DeviceRequest::parse("tpu").unwrap_err().to_string();
        assert!(error.contains("tpu") && error.contains("auto, host and cuda"), "{error}");
    }

    #[test]
    fn what_a_child_said_is_what_went_wrong() {
        let failure = |why: &str| ChildFailure {
            why: why.into(),
            stderr: "thread panicked\n\n".into(),
            lines: Vec::new(),
            cancelled: false,
        };
        let text = |why: &str| broken(&DeviceName::first_cuda(), failure(why)).to_string();
        assert_eq!(
            text("failed to create a context: busy"),
            "use the device `cuda:0`: create a context: busy"
        );
        assert!(
            text("killed by signal 11")
                .contains("the child killed by signal 11 (it last said: thread panicked)")
        );
    }
}
