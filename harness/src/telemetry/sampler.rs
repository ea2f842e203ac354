//! A thread that samples a GPU ten times a second.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coldstart_profiles::{GpuProcess, Nanos, TelemetrySample};

use super::error::TelemetryError;
use super::gpu::{Gpu, GpuId, Library};
use super::processes::foreign;
use super::report::TelemetryReport;
use crate::clock;
use crate::host::Host;

/// Time between two samples: 10 Hz.
const INTERVAL: Duration = Duration::from_millis(100);
/// Which samples also look at the processes on the GPU: one a second.
const PROCESSES_EVERY: usize = 10;
/// How long NVML may take to answer at the end. It hangs when a GPU is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running thread with NVML open. Dropping it ends the thread, which closes NVML.
#[derive(Debug)]
pub struct Sampler {
    requests: Sender<Request>,
    thread: Option<JoinHandle<()>>,
}

/// Asks for what was sampled so far. The answer's times are those of the monotonic clock.
#[derive(Debug)]
struct Request(Sender<TelemetryReport>);

impl Sampler {
    /// Starts to sample. To be called after the context is there: NVML warms the driver. It is opened in the thread, so
    /// that the caller does not wait for it; what goes wrong there stands in the report.
    pub fn start(id: GpuId) -> Self {
        Sampler::start_with(Library::System, id)
    }

    /// The same with a library of one's own choice.
    pub fn start_with(library: Library, id: GpuId) -> Self {
        let (requests, received) = channel();
        let sampling = move || sample(&library, &id, &received);
        let thread = std::thread::Builder::new().name("telemetry".to_owned()).spawn(sampling);
        // Without the thread nobody holds the other end, and every request says so.
        Sampler { requests, thread: thread.ok() }
    }

    /// Takes a sample now and hands out everything since the last call, with the last sample of that call before it. Times
    /// count from `began`, a reading of the monotonic clock.
    pub fn collect(&self, began: Nanos) -> TelemetryReport {
        let Some(thread) = &self.thread else {
            return TelemetryReport::skipped(TelemetryError::Thread(std::io::Error::other(
                "none was to be had",
            )));
        };
        let (answer, answered) = channel();
        if self.requests.send(Request(answer)).is_err() {
            let ended = if thread.is_finished() { "it has ended" } else { "it is ending" };
            return TelemetryReport::skipped(TelemetryError::Thread(std::io::Error::other(ended)));
        }
        match answered.recv_timeout(PATIENCE) {
            Ok(report) => report.since(began),
            Err(_) => TelemetryReport::skipped(TelemetryError::Silent { seconds: PATIENCE.as_secs() }),
        }
    }

    /// Collects for the last time, and waits until NVML is closed.
    pub fn stop(mut self, began: Nanos) -> TelemetryReport {
        let report = self.collect(began);
        let thread = self.thread.take();
        drop(self);
        // A thread that hangs in NVML is left behind: it ends with the process.
        if let Some(thread) = thread {
            let begin = Instant::now();
            while !thread.is_finished() && begin.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        report
    }
}

/// The thread: opens NVML, samples until nobody asks any more, closes it.
fn sample(library: &Library, id: &GpuId, requests: &Receiver<Request>) {
    let begin = clock::monotonic();
    let nvml = match library.open() {
        Ok(nvml) => nvml,
        Err(error) => return refuse(&error, requests),
    };
    let gpu = match Gpu::find(&nvml, id) {
        Ok(gpu) => gpu,
        Err(error) => return refuse(&error, requests),
    };
    let opened_in = clock::monotonic().saturating_sub(begin);
    let mut watch = Watch { gpu, opened_in, samples: Vec::new(), count: 0, foreign: Vec::new() };
    let mut next = Instant::now();
    loop {
        match requests.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Request(answer)) => {
                watch.take(true);
                // Whoever asked may have lost patience.
                let _ = answer.send(watch.report());
            }
            Err(RecvTimeoutError::Timeout) => {
                watch.take(false);
                // On the grid of the first sample; what was missed is not made up for.
                next += INTERVAL;
                if next < Instant::now() {
                    next = Instant::now() + INTERVAL;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Answers every request with the reason.
fn refuse(error: &TelemetryError, requests: &Receiver<Request>) {
    for Request(answer) in requests {
        let _ = answer.send(TelemetryReport::skipped(error));
    }
}

/// A GPU and what was seen of it.
struct Watch<'n> {
    gpu: Gpu<'n>,
    opened_in: Nanos,
    samples: Vec<TelemetrySample>,
    count: usize,
    foreign: Vec<GpuProcess>,
}

impl Watch<'_> {
    /// One sample; every tenth, and when asked for, a look at the processes too.
    fn take(&mut self, processes: bool) {
        self.samples.push(self.gpu.sample(clock::monotonic));
        if processes || self.count.is_multiple_of(PROCESSES_EVERY) {
            let seen = self.gpu.compute_processes();
            for process in foreign(&seen, Some(std::process::id()), &Host::here()) {
                if !self.foreign.iter().any(|known| known.pid == process.pid) {
                    self.foreign.push(process);
                }
            }
        }
        self.count += 1;
    }

    /// Everything since the last report; the last sample stays for the next one.
    fn report(&mut self) -> TelemetryReport {
        let mut gpu = self.gpu.facts();
        gpu.interval_ns = INTERVAL.into();
        gpu.opened_in_ns = self.opened_in;
        gpu.foreign_processes = std::mem::take(&mut self.foreign);
        gpu.unread = self.gpu.unread();
        let samples = std::mem::take(&mut self.samples);
        self.samples.extend(samples.last().cloned());
        TelemetryReport { skipped: None, gpu: Some(gpu), samples }
    }
}
