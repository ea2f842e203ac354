//! What was measured, and on what.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::ClusterTarget;
use crate::units::Bytes;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The container image; `null` where none was pulled.
    pub image: Option<ImageTarget>,
    /// The model; `null` where none was loaded.
    pub model: Option<ModelTarget>,
    /// The device that it ran on.
    pub device: DeviceTarget,
    /// The machine.
    pub host: HostTarget,
    /// The container engine; `null` with no engine in reach.
    pub engine: Option<EngineTarget>,
    /// The cluster whose pods these are; `null` where a machine was measured. Device and host are then what the pods ask for,
    /// and zero where they don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterTarget>,
}

/// Where a pulled image came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// Made by coldstart and served from its own registry on the loopback address:
    /// says how fast this engine unpacks, not how long a user's pull takes.
    Synthetic,
    /// A reference that the user named.
    Reference,
}

/// A container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageTarget {
    /// Where it came from.
    pub source: ImageSource,
    /// As the user named it, or the synthetic image's repository.
    pub reference: String,
    /// The digest that the engine reported; differs from trial to trial for a synthetic image, then the last.
    pub digest: Option<String>,
    /// Compressed size of all layers by the manifest.
    pub compressed_bytes: Option<Bytes>,
    /// Unpacked size by the engine.
    pub unpacked_bytes: Option<Bytes>,
    /// Number of layers.
    pub layers: Option<u32>,
}

/// A model on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelTarget {
    /// The directory or file, or `synthetic:small`.
    pub source: String,
    /// Bytes of all tensors.
    pub bytes: Bytes,
    /// Number of tensors.
    pub tensors: u64,
    /// Bytes by element type.
    pub dtypes: BTreeMap<String, Bytes>,
    /// SHA-256 over the headers of all files, in order: same tensors, same hash.
    pub header_sha256: String,
    /// Such as `LlamaForCausalLM`; `null` without a config.json.
    pub architecture: Option<String>,
    /// Why its forward pass can't be measured here; `null` where it can.
    pub forward_unsupported: Option<String>,
    /// The file system that it lies on, such as `ext4` or `tmpfs`.
    pub file_system: Option<String>,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceTarget {
    /// `host` or `cuda`.
    pub kind: String,
    /// Such as `AMD EPYC` or `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// How many devices were measured together.
    pub count: u32,
    /// Memory of one device.
    pub memory_bytes: Bytes,
    /// Threads that its operations use, on the host device.
    pub threads: Option<u32>,
    /// Multiprocessors, on a GPU.
    #[serde(default)]
    pub multiprocessors: Option<u32>,
    /// The highest clock of the multiprocessors, where the driver tells it.
    #[serde(default)]
    pub clock_hz: Option<u64>,
    /// Operations of one multiprocessor in a cycle, for products in each format (`f32`, `f16`, `bf16`), a multiply-add counting
    /// as two; a format that is missing is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flop_per_cycle: BTreeMap<String, u32>,
    /// Bytes per second that its memory is made for: two bits for each line of the bus and cycle of its highest clock.
    #[serde(default)]
    pub memory_bytes_per_s: Option<u64>,
    /// The instruction sets in use (host), the compute capability (CUDA): `avx512f`, `sm_90`.
    #[serde(default)]
    pub features: Vec<String>,
    /// A name that no other device has, where it has one; a slice of a GPU has one of its own.
    #[serde(default)]
    pub uuid: Option<String>,
    /// Where it sits on the bus, such as `0000:01:00.0`, of a GPU.
    #[serde(default)]
    pub pci_bus_id: Option<String>,
    /// The CUDA version of the driver, where there is a driver: what it supports at most, not the number of its release.
    pub driver: Option<String>,
    /// Which implementation runs matrix products in the sweep: a GPU's library takes too long to load for a cold start, so
    /// that whole trials use our own kernels. The profile's `products` say what ran where.
    pub gemm: String,
    /// Whether a stand-in plays the driver's part: nothing measured on it means anything.
    pub stand_in: bool,
}

impl DeviceTarget {
    /// A device of which only the kind and the name are known, as in what others measured.
    pub fn named(kind: &str, name: &str) -> Self {
        DeviceTarget {
            kind: kind.to_owned(),
            name: name.to_owned(),
            count: 0,
            memory_bytes: Bytes::ZERO,
            threads: None,
            multiprocessors: None,
            clock_hz: None,
            flop_per_cycle: BTreeMap::new(),
            memory_bytes_per_s: None,
            features: Vec::new(),
            uuid: None,
            pci_bus_id: None,
            driver: None,
            gemm: String::new(),
            stand_in: false,
        }
    }
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostTarget {
    /// Its host name, or what `COLDSTART_NODE` called it.
    pub name: String,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Such as `x86_64`.
    pub arch: String,
    /// Processor model.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: u32,
    /// Processors of the machine that are online, whether this process may use them or not: what a load average is counted
    /// over. `null` where the kernel does not say, and in profiles of before it was asked.
    #[serde(default)]
    pub cores_online: Option<u32>,
    /// Physical memory.
    pub memory_bytes: Bytes,
    /// The memory limit of its control group; `null` without one.
    pub memory_limit_bytes: Option<Bytes>,
    /// The processor limit of its control group in thousandths of a core; `null` without one.
    pub cpu_limit_millicores: Option<u64>,
    /// The frequency governor; `null` where the kernel shows none.
    pub governor: Option<String>,
}

/// A container engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EngineTarget {
    /// Engine version.
    pub version: String,
    /// API version in use.
    pub api_version: String,
    /// Storage driver, such as `overlay2` or `overlayfs`.
    pub storage: String,
    /// Whether it runs on this machine.
    pub local: bool,
}
