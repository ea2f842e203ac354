//! Cold starts that a cluster has had, as its objects tell of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Nanos};

/// The pods whose cold starts were imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterTarget {
    /// Image of the container that was looked at.
    pub image: String,
    /// Name of that container.
    pub container: String,
    /// Nodes that the pods ran on, in alphabetical order.
    pub nodes: Vec<String>,
    /// Pods whose cold start is in this profile.
    pub pods: u32,
    /// The extended resource by which they ask for GPUs, such as `nvidia.com/gpu`; `null` where they ask for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_resource: Option<String>,
    /// Product of those GPUs, as the nodes' labels or the pods' node selector have it: `NVIDIA-A100-SXM4-80GB`; `null` where neither
    /// tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_product: Option<String>,
    /// The model that the container is told to serve by its arguments or environment; `null` where neither names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Pods of the file that are not, and why.
    pub left_out: Vec<LeftOutPod>,
}

/// A pod that tells of no cold start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOutPod {
    /// Its namespace and name: `serving/llama-7d9c-x2x4z`.
    pub pod: String,
    /// Why it is left out.
    pub why: String,
}

/// What the ends of a phase rest on that a cluster told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObservedDetail {
    /// What its begin was read from, such as `event Pulling`.
    pub begins_with: String,
    /// What its end was read from, such as `condition Ready`.
    pub ends_with: String,
    /// By how much its time may be off at most, in either direction: time stamps of whole seconds are cut off, not rounded.
    pub uncertainty_ns: Nanos,
    /// The image's size as the node's runtime told it after a pull: compressed under containerd, unpacked under CRI-O.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_bytes: Option<Bytes>,
    /// The part of a pull in which the node was at work on it; the rest was waiting for other pulls of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulling_ns: Option<Nanos>,
}
