//! One cold start of one fresh container.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::models::{
    ContainerCreateBody, DeviceRequest, HostConfig, HostConfigLogConfig, Mount, MountType,
};
use bollard::query_parameters::{CreateContainerOptions, CreateContainerOptionsBuilder, LogsOptionsBuilder};
use coldstart_profiles::{Bytes, ContainerDetail, Nanos};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::error::DockerError;
use super::owned::RUN_LABEL;
use crate::clock::monotonic;

/// More output than any trace: a program that prints more is cut off.
const MOST_OUTPUT: usize = 64 << 20;
/// How much of standard error an error repeats.
const STDERR_TAIL: usize = 2000;
/// How much of a wrong first line an error repeats.
const LINE_HEAD: usize = 80;

/// What to run, and under which limits. There is no network inside.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// An image that is on the machine.
    pub image: String,
    /// The program and its arguments. It prints `{"monotonic_ns":…}`, its reading of CLOCK_MONOTONIC, as its first line.
    pub command: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Directories of the host that the program may read, such as the model's.
    pub mounts: Vec<ReadOnlyMount>,
    /// Whether the program sees the engine's GPUs (NVIDIA Container Toolkit).
    pub gpus: bool,
    /// The most memory, swap included.
    pub memory: Option<Bytes>,
    /// When to give up, from the create request to the end of the program.
    pub limit: Duration,
}

/// A directory of the host, readable inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOnlyMount {
    /// Where it is: absolute, on the engine's machine.
    pub host: PathBuf,
    /// Where the program sees it.
    pub inside: String,
}

/// One start, and what the program printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerReading {
    /// The times.
    pub detail: ContainerDetail,
    /// The reading in the first line, to continue from.
    pub began: Nanos,
    /// Standard output after the first line.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The first line of the program inside.
#[derive(Debug, Deserialize)]
struct FirstLine {
    monotonic_ns: u64,
}

/// Creates and starts a container, waits for its program to end, and removes it.
///
/// `container_start` runs from the create request to the reading of CLOCK_MONOTONIC that the program prints first; the
/// engine must run on this kernel. Output is read from the engine's log after the start was asked for, so that nothing of
/// ours stands between the two requests. On a failure, the time limit or a cancellation the container is stopped and
/// removed, never by force; if the returned future is dropped instead, [`Engine::remove_leftovers`] does it.
pub async fn run(
    engine: &Engine,
    spec: &ContainerSpec,
    cancel: &CancellationToken,
) -> Result<ContainerReading, DockerError> {
    let name = container_name(engine.owned().run());
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let body = create_body(engine.owned().run(), spec);
    let began = Instant::now();
    let created = create_to_the_end(engine, options, body).await?;
    let left = spec.limit.saturating_sub(began.elapsed());
    let outcome = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(DockerError::Cancelled { action: "run the container".to_owned() }),
        outcome = tokio::time::timeout(left, trial(engine, spec, &created)) => outcome.unwrap_or_else(|_| {
            Err(DockerError::TimeLimit {
                action: "run the container".to_owned(),
                limit: spec.limit,
                hint: String::new(),
            })
        }),
    };
    match (outcome, engine.remove_container(&created.id).await) {
        // The reading stands whatever becomes of the container; the end of the run tries again.
        (outcome, Err(left)) => {
            tracing::warn!("failed to {left}");
            outcome
        }
        (outcome, Ok(())) => outcome,
    }
}

/// A container that was made, and when: around the create request.
struct Created {
    id: String,
    create: Nanos,
    answered: Nanos,
}

/// Makes a container and enters it in the list of what this run made. The request can't be taken back, since an engine
/// whose client goes away makes the container nevertheless: it is waited for by a task, even if the caller is dropped.
async fn create_to_the_end(
    engine: &Engine,
    options: CreateContainerOptions,
    body: ContainerCreateBody,
) -> Result<Created, DockerError> {
    let action = format!("create a container of {}", body.image.as_deref().unwrap_or_default());
    engine.owned().creating();
    let engine = engine.clone();
    let task = tokio::spawn(async move {
        let create = monotonic();
        let answer = engine.docker().create_container(Some(options), body).await;
        let answered = monotonic();
        engine.owned().answered(answer.as_ref().ok().map(|created| created.id.as_str()));
        answer.map(|created| Created { id: created.id, create, answered })
    });
    match task.await {
        Ok(answer) => answer.map_err(DockerError::engine(action)),
        Err(_) => Err(DockerError::Cancelled { action }),
    }
}

async fn trial(
    engine: &Engine,
    spec: &ContainerSpec,
    created: &Created,
) -> Result<ContainerReading, DockerError> {
    let start = monotonic();
    let started = engine.docker().start_container(&created.id, None).await;
    started.map_err(DockerError::engine(format!("start the container of {}", spec.image)))?;

    let (stdout, stderr) = output(engine, &created.id).await?;
    ended_well(engine, &created.id, &stderr).await?;
    let (first, rest) = stdout.split_once('\n').unwrap_or((&stdout, ""));
    let first_line: FirstLine = serde_json::from_str(first)
        .map_err(|_| DockerError::Handshake { line: first.chars().take(LINE_HEAD).collect() })?;
    let began = Nanos::from_nanos(first_line.monotonic_ns);
    if began < start {
        // Another clock: another kernel, or a time namespace.
        return Err(DockerError::Handshake { line: first.chars().take(LINE_HEAD).collect() });
    }
    Ok(ContainerReading {
        detail: ContainerDetail {
            image: spec.image.clone(),
            create_ns: created.answered.saturating_sub(created.create),
            start_ns: began.saturating_sub(start),
            total_ns: began.saturating_sub(created.create),
            memory_limit_bytes: spec.memory,
        },
        began,
        stdout: rest.to_owned(),
        stderr,
    })
}

/// A name that no other container of any run has.
fn container_name(run: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let safe: String = run.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    format!("coldstart-{safe}-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

fn create_body(run: &str, spec: &ContainerSpec) -> ContainerCreateBody {
    let memory = spec.memory.and_then(|bytes| i64::try_from(bytes.get()).ok());
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: Some(Vec::new()),
        cmd: Some(spec.command.clone()),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some([(RUN_LABEL.to_owned(), run.to_owned())].into()),
        // Who runs coldstart: the model's files are then as readable inside as outside, and owned where they are owned.
        user: user(),
        network_disabled: Some(true),
        attach_stdout: Some(false),
        attach_stderr: Some(false),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            memory,
            memory_swap: memory,
            device_requests: spec.gpus.then(|| vec![all_gpus()]),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            // Readable whatever the engine's default is.
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: None }),
            mounts: Some(
                spec.mounts
                    .iter()
                    .map(|mount| Mount {
                        typ: Some(MountType::BIND),
                        source: Some(mount.host.to_string_lossy().into_owned()),
                        target: Some(mount.inside.clone()),
                        read_only: Some(true),
                        ..Mount::default()
                    })
                    .collect(),
            ),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// What `docker run --gpus all` asks for.
fn all_gpus() -> DeviceRequest {
    DeviceRequest {
        count: Some(-1),
        capabilities: Some(vec![vec!["gpu".to_owned(), "compute".to_owned(), "utility".to_owned()]]),
        ..DeviceRequest::default()
    }
}

/// `uid:gid` of this process; `None` where the kernel does not show it.
fn user() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let process = std::fs::metadata("/proc/self").ok()?;
    Some(format!("{}:{}", process.uid(), process.gid()))
}

/// Standard output and error, up to the end of the program.
async fn output(engine: &Engine, id: &str) -> Result<(String, String), DockerError> {
    let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
    let mut log = engine.docker().logs(id, Some(options));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(part) = log.next().await {
        let part = part.map_err(DockerError::engine("read the container's output"))?;
        let into = if matches!(part, LogOutput::StdErr { .. }) { &mut stderr } else { &mut stdout };
        if into.len() < MOST_OUTPUT {
            into.extend_from_slice(&part.into_bytes());
        }
    }
    Ok((text(stdout), text(stderr)))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

async fn ended_well(engine: &Engine, id: &str, stderr: &str) -> Result<(), DockerError> {
    // The log can end before the engine has noted the program's end; waiting returns at once where it has.
    let mut end = engine.docker().wait_container(id, None);
    while end.next().await.is_some() {}
    let state = engine.docker().inspect_container(id, None).await;
    let state = state.map_err(DockerError::engine("look at the container's end"))?.state.unwrap_or_default();
    let exit_code = state.exit_code.unwrap_or(0);
    let out_of_memory = state.oom_killed.unwrap_or(false);
    if exit_code == 0 && !out_of_memory {
        return Ok(());
    }
    let skip = stderr.chars().count().saturating_sub(STDERR_TAIL);
    Err(DockerError::ContainerFailed {
        exit_code,
        out_of_memory,
        stderr: stderr.chars().skip(skip).collect(),
    })
}
