//! What can go wrong on a device.

use std::fmt;

use crate::{Dtype, Kind};

/// The result of everything that a device does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A status of the CUDA driver, as the driver itself names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriverStatus {
    /// Its number.
    pub code: u32,
    /// Its name, such as `CUDA_ERROR_LAUNCH_FAILED`.
    pub name: &'static str,
    /// What the driver says about it; may be empty.
    pub text: &'static str,
}

impl fmt::Display for DriverStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.code)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ", {}", self.text) }
    }
}

/// `cuda device 1`, `a cuda device`.
fn named(kind: Kind, index: Option<usize>) -> String {
    match index {
        Some(index) => format!("{kind} device {index}"),
        None => format!("a {kind} device"),
    }
}

/// `: what` where there is something to say.
fn after(what: &str) -> String {
    if what.is_empty() { String::new() } else { format!(": {what}") }
}

/// Why a device could not do what it was asked for. Messages are fragments that fit "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such device on this machine.
    #[error("open {}: {why}", named(*kind, *index))]
    NoDevice {
        /// The kind that was asked for.
        kind: Kind,
        /// The number that was asked for; `None` where there is none of this kind whatever its number.
        index: Option<usize>,
        /// What is missing, and what would change it.
        why: String,
    },
    /// The device has not that much memory left.
    #[error("allocate {requested} bytes {what} ({free} bytes free): take a smaller model, batch or ring")]
    OutOfMemory {
        /// `of device memory`, `of pinned host memory`.
        what: &'static str,
        /// The bytes asked for.
        requested: usize,
        /// The bytes that were free just afterwards.
        free: u64,
        /// What the system said, where it said anything.
        source: Option<std::io::Error>,
    },
    /// A system call failed.
    #[error("{action}")]
    Os {
        /// What was tried, as "read /proc/meminfo".
        action: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The worker threads could not be started.
    #[error("start {threads} worker threads: {why}; ask for fewer threads or raise the process limit")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the thread pool said.
        why: String,
    },
    /// A view or a copy reaches outside its memory, or is not aligned to its elements.
    #[error("view {what}: bytes {offset}..{end} of a buffer of {len} bytes, alignment {align}")]
    View {
        /// What was viewed: `a matrix [2, 3] of F32`, `the source of a copy`.
        what: String,
        /// The first byte.
        offset: usize,
        /// One past the last byte; `usize::MAX` where the end would not fit.
        end: usize,
        /// The bytes that there are.
        len: usize,
        /// What the offset must be a multiple of.
        align: usize,
    },
    /// Shapes that do not fit each other or the operation.
    #[error("run {op}: {what}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// The shapes, by argument name, and the rule that they break.
        what: String,
    },
    /// A number format that the operation does not take there.
    #[error("run {op}: {argument} is {found}, but must be {expected}: convert it first")]
    Dtype {
        /// The operation.
        op: &'static str,
        /// Which argument.
        argument: &'static str,
        /// Its format.
        found: Dtype,
        /// What it takes.
        expected: &'static str,
    },
    /// An index that was read from device memory is out of range.
    #[error("run {op}: {argument}[{at}] is {value}, but must be below {limit}")]
    Index {
        /// The operation.
        op: &'static str,
        /// Which argument.
        argument: &'static str,
        /// Where in it.
        at: usize,
        /// What it says.
        value: u64,
        /// One more than the largest that is allowed.
        limit: u64,
    },
    /// The CUDA driver refused a call; the device can be used on.
    #[error("{action}: {status}{}", after(remedy))]
    Cuda {
        /// What was tried.
        action: String,
        /// What the driver answered.
        status: DriverStatus,
        /// What would change it; may be empty.
        remedy: String,
    },
    /// The device broke: this process cannot use it any more, whatever it tries. A new process may.
    #[error(
        "{action}: {status}; CUDA device {index} is lost for this process: start a new one, and look for \
         Xid lines in the kernel's log"
    )]
    DeviceLost {
        /// Which GPU.
        index: usize,
        /// What was tried when it came out; the cause may be any work enqueued before.
        action: String,
        /// What the driver answered.
        status: DriverStatus,
    },
    /// The CUDA driver lacks a function that is called here.
    #[error(
        "use {library}: this driver of CUDA {driver} has no function {symbol}: install R535 (CUDA 12.2) or newer"
    )]
    MissingSymbol {
        /// The function.
        symbol: &'static str,
        /// The library's path.
        library: String,
        /// The CUDA version that the driver says it has.
        driver: String,
    },
    /// The CUDA driver is too old for the kernels.
    #[error(
        "load the kernels of {file}: {status}; the driver has CUDA {driver}, the kernels need {needed}: install \
         R535 or newer{}",
        after(log)
    )]
    DriverTooOld {
        /// The source whose PTX was refused.
        file: &'static str,
        /// The CUDA version that the driver says it has.
        driver: String,
        /// The least CUDA version for the kernels.
        needed: &'static str,
        /// What the driver answered.
        status: DriverStatus,
        /// What its compiler said; may be empty.
        log: Box<str>,
    },
    /// The CUDA driver did not take the kernels.
    #[error(
        "load the kernels of {file} into a driver of CUDA {driver}: {status}{}{}",
        after(remedy),
        after(log)
    )]
    KernelsRefused {
        /// The source whose PTX was refused.
        file: &'static str,
        /// The CUDA version that the driver says it has.
        driver: String,
        /// What the driver answered.
        status: DriverStatus,
        /// What would change it; may be empty.
        remedy: &'static str,
        /// What its compiler said; may be empty.
        log: Box<str>,
    },
    /// The embedded kernels have none of this name.
    #[error("launch {name}: there is no kernel of this name")]
    NoKernel {
        /// The name.
        name: &'static str,
    },
    /// cuBLASLt is not there, or failed.
    #[error("use cuBLASLt: {why}")]
    CublasLt {
        /// What was tried, and what would change it.
        why: String,
    },
    /// What would break the recording of a graph.
    #[error("{action} while a graph is recorded: do it before or after")]
    Recording {
        /// What was tried.
        action: String,
    },
}
