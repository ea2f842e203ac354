//! The phases between the start of a process and its first allocation on a GPU: driver, context, kernels.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key::Params;
use crate::telemetry::DriverState;
use crate::units::{Bytes, Nanos};

/// What the driver's cache of compiled kernels holds before a process starts (`jit_cache=` of a key).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JitCache {
    /// Nothing: a fresh directory in CUDA_CACHE_PATH, as on a node that never ran these kernels.
    Cold,
    /// These kernels, from an earlier process of the run: as in an image that keeps the cache.
    Warm,
}

impl JitCache {
    /// The name in JSON and keys.
    pub const fn name(self) -> &'static str {
        match self {
            JitCache::Cold => "cold",
            JitCache::Warm => "warm",
        }
    }
}

impl fmt::Display for JitCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// When the driver loads kernels: CUDA_MODULE_LOADING (`loading=` of a key).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModuleLoading {
    /// Each when it is first needed.
    Lazy,
    /// All of a module with the module.
    Eager,
}

impl ModuleLoading {
    /// The name in JSON and keys.
    pub const fn name(self) -> &'static str {
        match self {
            ModuleLoading::Lazy => "lazy",
            ModuleLoading::Eager => "eager",
        }
    }
}

impl fmt::Display for ModuleLoading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a fresh process finds of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriverConditions {
    /// Whether anything kept the driver's state of the GPU alive; `None` where that can't be seen, such as in a container
    /// that sees its own processes only.
    pub driver_state: Option<DriverState>,
    /// What its cache of compiled kernels holds.
    pub jit_cache: JitCache,
    /// When it loads kernels.
    pub loading: ModuleLoading,
}

impl DriverConditions {
    /// The state's name in keys; `unknown` where it is not known.
    pub fn driver_state_name(self) -> &'static str {
        self.driver_state.map_or("unknown", DriverState::name)
    }

    /// The same conditions, and these, for the key of a whole trace.
    #[must_use]
    pub fn params(self, params: Params) -> Params {
        params
            .with("driver_state", self.driver_state_name())
            .with("jit_cache", self.jit_cache)
            .with("loading", self.loading)
    }
}

/// What loading the driver took, apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriverDetail {
    /// Finding and opening the library.
    pub open_ns: Nanos,
    /// Initialising it (`cuInit`).
    pub init_ns: Nanos,
}

/// What loading the kernels took, apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModuleDetail {
    /// From PTX handed to the driver, to modules: where the driver compiles, or finds what it compiled before.
    pub load_ns: Nanos,
    /// Resolving every function.
    pub resolve_ns: Nanos,
    /// How many functions.
    pub kernels: u64,
    /// The bytes of PTX.
    pub ptx_bytes: Bytes,
}
