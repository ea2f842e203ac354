//! The CUDA device on the stand-in driver: every method of it, and what it says when the driver fails.
//!
//! A driver is opened once in a process and reads its settings then, so each test runs in a process of its own (`support`).

#![expect(clippy::unwrap_used, reason = "tests")]

mod faults;
mod graphs;
mod memory;
mod opening;
mod streams;
mod support;
