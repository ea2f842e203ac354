//! Cold starts that a cluster has had: pods and events as `kubectl get pod,event -o json` prints them, turned into a profile.
//!
//! `objects` reads the JSON, `stamp` its times with their resolution, `message` the kubelet's sentences on pulls; `timeline`
//! puts what is known of one pod in order, and `import` makes a profile of all of them. Pure: no clock, no cluster is asked.

mod error;
mod import;
mod message;
mod objects;
mod stamp;
#[cfg(test)]
mod tests;
mod timeline;

pub use error::ClusterError;
pub use import::{Choice, Source, import};
