//! What a user says about a replica where the profile is silent.

use coldstart_profiles::{Bytes, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::service_by_hand::ServiceByHand;

/// Values given by hand. Whatever rests on one of them is marked with the flag that it came from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ByHand {
    /// `--assume-cold-p99`: the 99th percentile of a whole cold start; it takes the place of what was measured.
    pub cold_p99_ns: Option<Nanos>,
    /// `--image-bytes` and `--registry-bandwidth`: the pull of an image that was not measured.
    pub pull: Option<PullByHand>,
    /// `--weights`: bytes of all tensors, where cold starts of pods are all that is known of the model.
    pub weights_bytes: Option<Bytes>,
    /// `--free-memory`: device memory that is left for the requests in flight, where a profile does not tell it.
    pub free_memory_bytes: Option<Bytes>,
    /// `--kv-per-token`: keys and values of one token of one request.
    pub kv_bytes_per_token: Option<Bytes>,
    /// `--assume-batches`, or `--assume-prefill` and `--assume-decode`: service times; they take the place of what was measured.
    pub service: Option<ServiceByHand>,
}

/// A pull that was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PullByHand {
    /// The compressed size of all layers.
    pub image_bytes: Bytes,
    /// What one node gets of the registry.
    pub registry_bytes_per_s: f64,
}

impl PullByHand {
    /// The flags that it comes from.
    pub const FLAGS: [&str; 2] = ["--image-bytes", "--registry-bandwidth"];

    /// Bytes ÷ bandwidth: the unpacking is taken to hide behind the download.
    pub fn time(self) -> Nanos {
        Nanos::from_nanos_f64(self.image_bytes.get() as f64 / self.registry_bytes_per_s * 1e9)
    }
}
