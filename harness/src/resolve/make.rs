//! Making a synthetic model, with its progress on a terminal. Not counted in any budget.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::error::ResolveError;
use crate::say::say;
use crate::weights::synthetic::{self, Synthetic, SyntheticSize, SyntheticState};

/// The directory of the synthetic model, made or completed where needed.
///
/// What was made stays when the user stops it, and the next run goes on from there.
pub(super) async fn synthetic_model(
    size: SyntheticSize,
    cancel: &CancellationToken,
) -> Result<PathBuf, ResolveError> {
    let cache = synthetic::cache_dir()?;
    let begin = std::time::Instant::now();
    let bar = bar(size);
    // In a thread of its own: after Ctrl-C the program ends without it, and what it wrote is found again.
    let (answer, made) = tokio::sync::oneshot::channel();
    let shown = bar.clone();
    std::thread::spawn(move || {
        let show = |progress: synthetic::Progress| {
            shown.set_length(progress.total);
            shown.set_position(progress.done);
        };
        let _ = answer.send(synthetic::ensure(size, &cache, &show));
    });
    let made = tokio::select! {
        made = made => made.map_err(|_| ResolveError::Interrupted)?,
        () = cancel.cancelled() => return Err(ResolveError::Interrupted),
    };
    bar.finish_and_clear();
    let Synthetic { dir, state, written } = made?;
    if state != SyntheticState::Found {
        let seconds = begin.elapsed().as_secs_f64();
        say(format_args!(
            "made the synthetic model `{size}` in {seconds:.1} s ({written} in {})",
            dir.display()
        ));
    }
    Ok(dir)
}

/// A bar of bytes; hidden unless stderr is a terminal.
fn bar(size: SyntheticSize) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() && std::env::var_os("CI").is_none() {
        ProgressBar::no_length()
    } else {
        ProgressBar::hidden()
    };
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:32} {bytes}/{total_bytes}  {eta} left") {
        bar.set_style(style);
    }
    bar.set_prefix(format!("making the synthetic model `{size}`"));
    bar
}
