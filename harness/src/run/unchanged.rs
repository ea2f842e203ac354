//! Whether a run may go on: on the same machine, with the same model, measured by the same method.

use std::path::Path;

use coldstart_profiles::{Profile, Target, Tool};

use super::error::RunError;

/// Compares what a partial profile was measured on with what is there now.
///
/// # Errors
/// The first condition that differs: readings of both parts would not belong together.
pub fn check_unchanged(path: &Path, profile: &Profile, tool: &Tool, now: &Target) -> Result<(), RunError> {
    let then = &profile.target;
    let model = |target: &Target| {
        target.model.as_ref().map_or_else(|| "none".to_owned(), |model| model.header_sha256.clone())
    };
    let text = |known: &Option<String>| known.clone().unwrap_or_else(|| "none".to_owned());
    let conditions = [
        ("the measuring method", profile.tool.method.to_string(), tool.method.to_string()),
        ("the version of coldstart", profile.tool.version.clone(), tool.version.clone()),
        ("the host", then.host.name.clone(), now.host.name.clone()),
        ("the kernel", then.host.kernel.clone(), now.host.kernel.clone()),
        ("the number of cores", then.host.cores.to_string(), now.host.cores.to_string()),
        ("the device", then.device.name.clone(), now.device.name.clone()),
        ("the driver of the device", text(&then.device.driver), text(&now.device.driver)),
        ("the hash of the model's headers", model(then), model(now)),
    ];
    match conditions.into_iter().find(|(_, then, now)| then != now) {
        Some((what, then, now)) => Err(RunError::Changed { path: path.to_owned(), what, then, now }),
        None => Ok(()),
    }
}
