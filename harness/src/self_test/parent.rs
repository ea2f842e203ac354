//! The parent's side: children that check, until every check has its line.

use std::time::Duration;

use coldstart_profiles::{Nanos, SelfTestLine, SelfTestReport, SelfTestStatus};
use tokio_util::sync::CancellationToken;

use super::{Choice, Item, SelfTestEvent, SelfTestSpec};
use crate::trial::{ChildFailure, ChildLine, ChildSpec, run_child};
use crate::weights::synthetic::cache_dir;

/// What is tested, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The device.
    pub device: Choice,
    /// Seed of shapes and numbers.
    pub seed: u64,
    /// Random cases of each kernel.
    pub cases: usize,
    /// How long one child may take.
    pub timeout: Duration,
}

/// Runs every check and hands each line to `show` as it comes. Where the device can't be opened the report has one failed
/// line that says why.
///
/// # Errors
/// When there is no place for the file that is loaded; completes "failed to …".
pub async fn run(
    options: &Options,
    cancel: &CancellationToken,
    mut show: impl FnMut(&SelfTestLine),
) -> Result<SelfTestReport, String> {
    let scratch = scratch()?;
    let mut report = SelfTestReport {
        device: options.device.to_string(),
        described: None,
        stand_in: false,
        seed: options.seed,
        lines: Vec::new(),
    };
    let items = Item::all();
    while report.lines.len() < items.len() && !cancel.is_cancelled() {
        let before = report.lines.len();
        let spec = SelfTestSpec {
            device: options.device,
            seed: options.seed,
            cases: options.cases,
            skip: before,
            scratch: scratch.path().display().to_string(),
        };
        let mut began = None;
        let ended = run_child(&ChildSpec::SelfTest(spec), options.timeout, cancel, |line| {
            let ChildLine::SelfTest(event) = line else { return };
            match event {
                SelfTestEvent::Opened { described, stand_in } => {
                    report.described = Some(described.clone());
                    report.stand_in = *stand_in;
                }
                SelfTestEvent::Begins { index } => began = Some(*index),
                SelfTestEvent::Ended { check: line, .. } => {
                    show(line);
                    report.lines.push(line.clone());
                }
            }
        })
        .await;
        let Err(failure) = ended else {
            if report.lines.len() == before {
                return Err("run the self-test: its process ended without a result".to_owned());
            }
            continue;
        };
        if failure.cancelled {
            break;
        }
        let opened = began.is_some();
        let line = broke_off(items[report.lines.len().min(items.len() - 1)], &failure, opened);
        show(&line);
        report.lines.push(line);
        if !opened {
            break;
        }
    }
    Ok(report)
}

/// A directory on the disk that models lie on: /tmp may be in memory, where direct reads mean nothing.
fn scratch() -> Result<tempfile::TempDir, String> {
    let cache = cache_dir().map_err(|error| error.to_string())?;
    std::fs::create_dir_all(&cache)
        .and_then(|()| tempfile::Builder::new().prefix("self-test-").tempdir_in(&cache))
        .map_err(|error| format!("make a directory in {}: {error}", cache.display()))
}

/// The line of a check in which the child came to its end, or of the device that it could not open.
fn broke_off(item: Item, failure: &ChildFailure, opened: bool) -> SelfTestLine {
    let last = failure.stderr.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.map(|line| format!("; it last said: {line}")).unwrap_or_default();
    let (area, name) = match opened {
        true => (item.area().to_owned(), item.to_string()),
        false => ("device".to_owned(), "open".to_owned()),
    };
    SelfTestLine {
        area,
        name,
        status: SelfTestStatus::Failed,
        found: format!("{}{last}", failure.why),
        elapsed_ns: Nanos::ZERO,
    }
}
