//! One measurement in one fresh process: the driver, the context and the allocator's pools live as long as a process,
//! so that only the first of anything in it is cold.
//!
//! The parent writes a [`ChildSpec`] on the command line of `coldstart trial`; the child answers with lines of JSON on
//! stdout. A child that crashes, hangs or is killed is a failed sample with the end of its stderr.

mod child;
mod cold_start;
mod describe;
mod limit;
mod parent;
mod products;
mod spec;
mod sweep;
mod uploads;

pub(crate) use child::ChildError;
pub(crate) use child::HANDSHAKE;
pub use child::main as child_main;
pub use describe::{Described, DeviceFacts};
pub use parent::{ChildFailure, ChildOutput, run_child, run_child_with};
pub use spec::{
    ChildLine, ChildSpec, CurveReport, LimitSpec, NoSamples, PointReport, Subject, SweepSpec, TrialReport,
    TrialSpec,
};
