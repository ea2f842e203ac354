//! What can go wrong on a device.

use crate::{Dtype, Kind};

/// The result of everything that a device does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a device could not do what it was asked for. Messages are fragments that fit "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such device on this machine.
    #[error("open {kind} device {index}: {why}")]
    NoDevice {
        /// The kind that was asked for.
        kind: Kind,
        /// The number that was asked for.
        index: usize,
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
}
