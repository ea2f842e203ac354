//! Kernels and their launchers, on the stand-in driver: the real sources, compiled for the CPU. Where COLDSTART_REQUIRE
//! lists `cuda` they run on the first GPU instead.

#![expect(clippy::unwrap_used, reason = "tests, helpers included")]

#[path = "../common/activations.rs"]
mod activations;
mod attention;
mod bytes;
mod elementwise;
mod graph;
mod hold;
mod linear;
mod rows;
mod support;

use coldstart_kernels::Activation;
use support::on_device;
