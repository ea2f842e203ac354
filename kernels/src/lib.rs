//! What coldstart runs on a device: the [`Device`] and [`Ops`] traits, and the host device.
//!
//! A [`Device`] is memory, copies and a clock; [`Ops`] adds the operations that a transformer needs. Model code is
//! written once, generic over `O: Ops`. Every operation *enqueues*: it may return before the work is done, work that
//! was enqueued on one stream runs in that order, and [`Device::sync`] waits for it. The crate knows nothing of
//! phases, profiles or reports.
//!
//! Memory is untyped ([`Device::Buffer`]); operations look at it through bounds-checked views: [`Matrix`] and
//! [`MatrixMut`] (row-major floats, a row stride, one of the [`Dtype`]s), [`Indices`] and [`IndicesMut`] (`u32`).

pub mod checksum;
pub mod cuda;
mod device;
mod dtype;
mod error;
pub mod flops;
mod gemm_run;
mod host;
mod kv_cache;
mod ops;
mod product;
pub mod self_test;
mod shape;
mod view;

pub use device::{Allocation, Description, Device, HostMemory, Kind, Memory, MemoryInfo, Pinning, Timed};
pub use dtype::Dtype;
pub use error::{DriverStatus, Error, Result};
pub use gemm_run::GemmRun;
pub use host::{Apart, HostBuffer, HostDevice, HostPinned, HostStream, NoGraph};
pub use kv_cache::{KvCache, KvShape};
pub use ops::{Activation, Attention, Mismatch, Ops, Placement, Ragged};
pub use product::{Implementation, Product};
pub use view::{Indices, IndicesMut, Matrix, MatrixMut};
