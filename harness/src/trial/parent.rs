//! The parent's side: starting a child, reading its lines, and getting rid of it.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use coldstart_profiles::Nanos;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::spec::{ChildLine, ChildSpec};
use crate::clock;

/// How much of a child's stderr is kept: its end.
const STDERR_KEPT: usize = 4096;

/// How long a pipe may stay open after the child's end, should a grandchild hold it.
const PIPE_GRACE: Duration = Duration::from_secs(2);

/// What a child left behind when it ended well.
#[derive(Debug)]
pub struct ChildOutput {
    /// The monotonic clock just before the child was started. Forking is part of process_start.
    pub spawned_ns: Nanos,
    /// The lines of its stdout.
    pub lines: Vec<ChildLine>,
    /// The end of what it wrote to stderr.
    pub stderr: String,
}

/// Why a child gave no result.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct ChildFailure {
    /// What happened: crashed, hung, killed, or could not be started.
    pub why: String,
    /// The end of what it wrote to stderr.
    pub stderr: String,
    /// Lines that it printed before.
    pub lines: Vec<ChildLine>,
    /// Whether it was stopped because the run is.
    pub cancelled: bool,
}

/// How a child came to its end.
enum End {
    Exited(std::io::Result<ExitStatus>),
    TimedOut,
    Cancelled,
}

/// Starts `coldstart trial SPEC`, hands each line to `on_line` as it comes, and waits for the end.
///
/// The child gets a process group of its own, so that Ctrl-C reaches the parent alone, which then stops the child.
///
/// # Errors
/// When the child can't be started, exits with another code than 0, is killed by a signal, takes longer than `timeout`
/// or is cancelled. No process of its group is left in any case.
pub async fn run_child(
    spec: &ChildSpec,
    timeout: Duration,
    cancel: &CancellationToken,
    on_line: impl FnMut(&ChildLine),
) -> Result<ChildOutput, ChildFailure> {
    run_child_with(spec, &[], timeout, cancel, on_line).await
}

/// The same, with these variables in its environment besides those of this process.
///
/// # Errors
/// As [`run_child`].
pub async fn run_child_with(
    spec: &ChildSpec,
    environment: &[(String, String)],
    timeout: Duration,
    cancel: &CancellationToken,
    mut on_line: impl FnMut(&ChildLine),
) -> Result<ChildOutput, ChildFailure> {
    let mut command = command(spec).map_err(|why| failure(why, String::new(), Vec::new()))?;
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let spawned_ns = clock::monotonic();
    let mut child = command
        .spawn()
        .map_err(|error| failure(format!("could not start a trial: {error}"), String::new(), Vec::new()))?;
    let group = ProcessGroup(child.id());
    let mut lines = Vec::new();
    let stderr = tokio::spawn(tail(child.stderr.take()));
    let end = {
        let reading = read_lines(&mut child, &mut lines, &mut on_line);
        tokio::select! {
            end = reading => End::Exited(end),
            () = tokio::time::sleep(timeout) => End::TimedOut,
            () = cancel.cancelled() => End::Cancelled,
        }
    };
    drop(group);
    let _ = child.wait().await;
    let stderr = tokio::time::timeout(PIPE_GRACE, stderr).await.ok().and_then(Result::ok).unwrap_or_default();
    let why = match end {
        End::Exited(Ok(status)) if status.success() => return Ok(ChildOutput { spawned_ns, lines, stderr }),
        End::Exited(Ok(status)) => said(&lines).unwrap_or_else(|| ended_with(status)),
        End::Exited(Err(error)) => format!("lost the trial's output: {error}"),
        End::TimedOut => format!("hung: killed after its time limit of {}", Nanos::from(timeout)),
        End::Cancelled => {
            return Err(ChildFailure {
                cancelled: true,
                ..failure("stopped with the run".to_owned(), stderr, lines)
            });
        }
    };
    Err(failure(why, stderr, lines))
}

fn failure(why: String, stderr: String, lines: Vec<ChildLine>) -> ChildFailure {
    ChildFailure { why, stderr, lines, cancelled: false }
}

/// The command line of a child.
fn command(spec: &ChildSpec) -> Result<Command, String> {
    let program =
        own_executable().map_err(|error| format!("could not find the coldstart program: {error}"))?;
    let spec =
        serde_json::to_string(spec).map_err(|error| format!("could not describe the trial: {error}"))?;
    let mut command = Command::new(program);
    command
        .args(["trial", &spec])
        .env(PARENT, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// The environment variable that tells a child whose death it must not outlive.
pub(super) const PARENT: &str = "COLDSTART_PARENT";

/// This very program, also after its file was replaced by a new build.
pub(crate) fn own_executable() -> std::io::Result<PathBuf> {
    // Tests of the library run in a test binary that has no subcommands; they name the program.
    match std::env::var_os("COLDSTART_EXE") {
        Some(path) => Ok(path.into()),
        None => std::env::current_exe(),
    }
}

/// Hands on each line of JSON until the child closes its stdout, then waits for it. Other lines are passed over.
async fn read_lines(
    child: &mut Child,
    lines: &mut Vec<ChildLine>,
    on_line: &mut impl FnMut(&ChildLine),
) -> std::io::Result<ExitStatus> {
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout).lines();
        while let Some(text) = reader.next_line().await? {
            if let Ok(line) = serde_json::from_str::<ChildLine>(&text) {
                on_line(&line);
                lines.push(line);
            }
        }
    }
    child.wait().await
}

/// The end of a stream.
async fn tail(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept: Vec<u8> = Vec::new();
    let mut chunk = [0_u8; 4096];
    while let Ok(n @ 1..) = stream.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..n]);
        if kept.len() > 2 * STDERR_KEPT {
            kept.drain(..kept.len() - STDERR_KEPT);
        }
    }
    let start = kept.len().saturating_sub(STDERR_KEPT);
    String::from_utf8_lossy(&kept[start..]).into_owned()
}

/// What the child itself said went wrong.
fn said(lines: &[ChildLine]) -> Option<String> {
    lines.iter().rev().find_map(|line| match line {
        ChildLine::Error { what } => Some(format!("failed to {what}")),
        _ => None,
    })
}

fn ended_with(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by signal {signal}{}", signal_hint(signal)),
        (None, Some(code)) => format!("ended with exit code {code} and without a result"),
        (None, None) => "ended without a result".to_owned(),
    }
}

fn signal_hint(signal: i32) -> &'static str {
    match signal {
        libc::SIGKILL => " (SIGKILL: often the kernel, short of memory)",
        libc::SIGSEGV => " (SIGSEGV: a crash)",
        libc::SIGBUS => " (SIGBUS: a file that shrank while it was mapped, or a full file system)",
        libc::SIGABRT => " (SIGABRT: a crash)",
        libc::SIGILL => " (SIGILL: an instruction that this processor lacks)",
        _ => "",
    }
}

/// All processes of a child; killed when this goes out of scope.
struct ProcessGroup(Option<u32>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // SAFETY: kill takes plain numbers and touches no memory. After a child that ended by itself the group is
            // empty, or holds what the child left behind; the kernel gives its id to nobody else while it holds anything,
            // and hands ids out in a circle, so that an empty one's is not back within this function.
            unsafe { libc::kill(-id, libc::SIGKILL) };
        }
    }
}
