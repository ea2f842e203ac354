//! Cold starts that a cluster has had: pods, events and nodes as `kubectl get pod,event,node -o json` prints them, turned into a
//! profile.
//!
//! `objects` reads the JSON, `stamp` its times with their resolution, `message` the kubelet's sentences on pulls; `timeline`
//! puts what is known of one pod in order, `model` reads what it serves, `main_container` which of its containers does, `choose` tells pods apart, and `import` makes a profile of
//! all of them. Pure: no clock, no cluster is asked.

mod choose;
mod error;
mod import;
mod main_container;
mod message;
mod model;
mod objects;
mod stamp;
#[cfg(test)]
mod tests;
mod timeline;

pub use choose::Choice;
pub use error::ClusterError;
pub use import::{Source, import};
