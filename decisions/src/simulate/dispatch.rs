//! Which replica gets a request.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How requests are handed to replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dispatch {
    /// One queue: whichever replica can take a request next, takes the oldest.
    Shared,
    /// On arrival to the replica with the fewest requests, waiting and running; the first of equals.
    #[default]
    LeastLoaded,
    /// On arrival to any replica, each as likely.
    Random,
}

impl fmt::Display for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Dispatch::Shared => "shared",
            Dispatch::LeastLoaded => "least-loaded",
            Dispatch::Random => "random",
        })
    }
}
