//! The stand-in driver itself: that it does what a driver does, and that it finds what it is there to find. Each test that expects a
//! mistake to be found also runs the same without the mistake.

#![expect(clippy::unwrap_used, reason = "a test, helpers included")]

mod cuda;
mod faults;
mod graphs;
mod instructions;
mod kernels;
mod memory;
mod streams;
