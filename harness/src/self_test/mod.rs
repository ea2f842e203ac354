//! `coldstart doctor --self-test`: does this device compute, copy and keep time as it should?
//!
//! It is what is run the first time that a GPU, a driver or a container runtime is at hand. Every kernel is held against
//! the host device on random shapes, every way of loading weights against the files, the device's clock against the
//! host's. The checks run in a child process: one that crashes, hangs or loses the device fails its own line, and a
//! fresh child goes on with the next.

mod child;
mod graph;
mod parent;
mod timing;
mod uploads;

use std::fmt;
use std::str::FromStr;

use coldstart_kernels::self_test;
use coldstart_profiles::SelfTestLine;
use serde::{Deserialize, Serialize};

pub(crate) use child::run as child;
pub use parent::{Options, run};

use crate::weights::Strategy;

/// Which device is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Choice {
    /// The first CUDA device, else the host.
    Auto,
    /// The host device.
    Host,
    /// One CUDA device.
    Cuda {
        /// Its number.
        index: usize,
    },
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let ordinal = match name {
            "auto" => return Ok(Choice::Auto),
            "host" => return Ok(Choice::Host),
            "cuda" => Some("0"),
            other => other.strip_prefix("cuda:"),
        };
        let index = ordinal.and_then(|ordinal| ordinal.parse().ok());
        index
            .map(|index| Choice::Cuda { index })
            .ok_or_else(|| "a self-test takes one device: auto, host, cuda or cuda:N".to_owned())
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Auto => f.pad("auto"),
            Choice::Host => f.pad("host"),
            Choice::Cuda { index } => write!(f, "cuda:{index}"),
        }
    }
}

/// What a child is to check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTestSpec {
    /// The device.
    pub device: Choice,
    /// Seed of shapes and numbers.
    pub seed: u64,
    /// Random cases of each kernel.
    pub cases: usize,
    /// How many checks, from the first, are done already.
    pub skip: usize,
    /// Where files for the loads may be made.
    pub scratch: String,
}

/// What a child says while it checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "self_test", rename_all = "snake_case")]
pub enum SelfTestEvent {
    /// The device is open.
    Opened {
        /// What it calls itself.
        described: String,
        /// Whether a stand-in plays the driver's part.
        stand_in: bool,
    },
    /// A check begins: if nothing follows, it is the one that failed.
    Begins {
        /// Its number, from 0.
        index: usize,
    },
    /// A check ended.
    Ended {
        /// What came out.
        check: SelfTestLine,
        /// Whether the device is of no more use to this process: a fresh one goes on.
        lost: bool,
    },
}

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Kernel(&'static str),
    Graph,
    Upload(Strategy),
    Clocks,
    DoubledCopy,
}

impl Item {
    /// All checks, in their order.
    fn all() -> Vec<Item> {
        let mut items: Vec<Item> = self_test::names().into_iter().map(Item::Kernel).collect();
        items.push(Item::Graph);
        items.extend(Strategy::ALL.into_iter().map(Item::Upload));
        items.extend([Item::Clocks, Item::DoubledCopy]);
        items
    }

    fn area(self) -> &'static str {
        match self {
            Item::Kernel(_) => "kernel",
            Item::Graph => "graph",
            Item::Upload(_) => "upload",
            Item::Clocks | Item::DoubledCopy => "timing",
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Kernel(name) => f.pad(name),
            Item::Graph => f.pad("replay"),
            Item::Upload(strategy) => f.pad(strategy.name()),
            Item::Clocks => f.pad("device clock against host clock"),
            Item::DoubledCopy => f.pad("a doubled copy takes doubled time"),
        }
    }
}

/// How one check ended, in words.
enum Verdict {
    Passed(String),
    Failed(String),
    Skipped(String),
}
