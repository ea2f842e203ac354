//! Work that waits in a stream.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Time;
use crate::race::{Knowledge, Who};

/// A moment in a stream: after all that was enqueued before.
#[derive(Debug)]
pub(crate) struct Point {
    /// The stream's handle.
    pub(crate) stream: u64,
    /// The operation of it that marks the moment.
    pub(crate) epoch: u64,
    /// What has happened by then.
    pub(crate) knowledge: Knowledge,
    /// The device's time of it; `u64::MAX` until then.
    reached: AtomicU64,
}

impl Point {
    pub(crate) fn new(stream: u64, epoch: u64, knowledge: Knowledge) -> Point {
        Point { stream, epoch, knowledge, reached: AtomicU64::new(u64::MAX) }
    }

    /// When it was reached.
    pub(crate) fn reached(&self) -> Option<Time> {
        Some(self.reached.load(Ordering::Relaxed)).filter(|time| *time != u64::MAX)
    }

    /// It is reached.
    pub(crate) fn reach(&self, time: Time) {
        self.reached.store(time, Ordering::Relaxed);
    }
}

/// One end of a copy.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// Memory that the driver knows: of a device, pinned or registered.
    Known(u64),
    /// Any other host memory, used when the copy runs.
    Pageable(u64),
    /// Host memory that was staged when the copy was enqueued.
    Staged(Arc<Vec<u8>>),
}

/// A kernel, ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) name: Arc<str>,
    /// Its number among the kernels compiled for the host.
    pub(crate) kernel: usize,
    pub(crate) static_shared: u32,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) dynamic_shared: u32,
    pub(crate) parameters: Arc<Vec<Vec<u8>>>,
}

/// A function of the program's with its argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostCall {
    pub(crate) function: extern "C" fn(*mut c_void),
    pub(crate) argument: *mut c_void,
}

// SAFETY: the program hands it over to be called from a thread of the driver's.
unsafe impl Send for HostCall {}
// SAFETY: it is two numbers; only the queue that owns it calls it.
unsafe impl Sync for HostCall {}

/// A range of known memory that a [`HostCall`] uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    pub(crate) address: u64,
    pub(crate) bytes: usize,
    pub(crate) write: bool,
}

/// What can be enqueued.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Copy {
        from: End,
        to: End,
        bytes: usize,
    },
    /// `count` words of `width` bytes.
    Fill {
        to: u64,
        word: u32,
        width: usize,
        count: usize,
    },
    Kernel(Launch),
    /// Marks a moment.
    Reach(Arc<Point>),
    /// Waits for a moment of another stream.
    Wait(Arc<Point>),
    Free(u64),
    Call {
        call: HostCall,
        uses: Arc<Vec<Use>>,
        cost: Time,
        label: Arc<str>,
    },
}

impl Op {
    /// What it is, for messages.
    pub(crate) fn label(&self) -> String {
        match self {
            Op::Copy { from, to, bytes } => {
                let side = |end: &End| match end {
                    End::Known(address) => format!("{address:#x}"),
                    End::Pageable(_) | End::Staged(_) => "pageable memory".to_owned(),
                };
                format!("copy of {bytes} bytes from {} to {}", side(from), side(to))
            }
            Op::Fill { to, width, count, .. } => format!("memset of {} bytes at {to:#x}", width * count),
            Op::Kernel(launch) => format!("kernel `{}`", launch.name),
            Op::Reach(_) => "event record".to_owned(),
            Op::Wait(_) => "event wait".to_owned(),
            Op::Free(address) => format!("free of {address:#x}"),
            Op::Call { label, .. } => label.to_string(),
        }
    }
}

/// An operation in its place in a stream.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) op: Op,
    pub(crate) who: Arc<Who>,
    /// The device's time before which it can't begin.
    pub(crate) at: Time,
}
