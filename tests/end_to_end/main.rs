//! The real binary on the real machine: what a user types, and what comes out.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod bad_models;
mod bad_profiles;
mod bad_traces;
mod bad_usage;
mod cuda;
mod cuda_faults;
mod described;
mod engine;
mod export;
mod export_cluster;
mod failures;
mod gate;
mod gpu_table;
mod import;
mod import_criterion;
mod interrupt;
mod node_script;
mod plan;
mod plan_by_hand;
mod runs;
mod self_test;
mod strangers;
mod support;
mod telemetry;
