//! What the machine has: the facts behind a plan, gathered before anything is measured.

use std::path::{Path, PathBuf};

use coldstart_kernels::{Device as _, Dtype, HostDevice, Ops as _};
use coldstart_profiles::{
    Bytes, CanaryReading, DeviceTarget, EngineTarget, Fitness, ImageSpec, ImageTarget, ModelSpec,
    ModelTarget, Nanos, Phase, Plan, Probe, Profile, ResidencyMethod, Target, Telemetry, Tool,
};
use tokio_util::sync::CancellationToken;

use super::device::{Chosen, DeviceRequest, Gpu, choose};
use super::error::ResolveError;
use super::estimate::ForwardFacts;
use super::plan::{EngineFacts, Gpus, Machine, ModelFacts, PageCacheFacts};
use super::request::ModelRequest;
use crate::docker::{Connection, Engine, EngineInfo, Locality};
use crate::driver::JitCaches;
use crate::model::{Forward, ModelError, read_config};
use crate::run::{Images, Tools};
use crate::weights::memory::{Available, check_fits};
use crate::weights::synthetic::SyntheticSize;
use crate::weights::{
    DeviceLayout, ModelFiles, OpenOptions, Strategy, WeightsError, check_device_fits, limits, page_cache,
};
use crate::{clock, fitness, host};

/// The version of the measuring method: results of different versions are not compared.
const METHOD: u32 = 1;

/// What the machine has, with the handles that a run goes on with.
#[derive(Debug)]
pub struct Gathered {
    /// The facts that a plan rests on.
    pub machine: Machine,
    target: Target,
    files: ModelFiles,
    engine: Option<Engine>,
    canary: Option<CanaryReading>,
    caches: Option<JitCaches>,
}

/// Looks at the machine. Makes the synthetic model where it is missing.
///
/// # Errors
/// When the model can't be opened, made or held in memory.
pub async fn gather(
    model: &ModelRequest,
    phases: &[Phase],
    device: Chosen,
    cancel: &CancellationToken,
) -> Result<Gathered, ResolveError> {
    let spec = locate(model, cancel).await?;
    let gpu = device.gpu;
    let look = || look(&spec, gpu.as_ref());
    let seen = tokio::task::block_in_place(look)?;
    let engine = if phases.iter().any(|phase| matches!(phase, Phase::ImagePull | Phase::ContainerStart)) {
        connect().await
    } else {
        Err("no phase that was asked for needs a container engine".to_owned())
    };
    let facts = engine.as_ref().map(|engine| engine_facts(engine.info())).map_err(Clone::clone);
    let target = Target { engine: facts.as_ref().ok().map(|facts| facts.target.clone()), ..seen.target };
    let machine = Machine {
        engine: facts,
        model: seen.model,
        strategies: seen.strategies,
        probe: seen.probe,
        gpu: device.name.is_cuda().then(|| Gpus { count: device.name.gpus().len() }),
    };
    let caches = gpu.map(|gpu| gpu.caches);
    Ok(Gathered { machine, target, files: seen.files, engine: engine.ok(), canary: seen.canary, caches })
}

impl Gathered {
    /// What was found: image, model, device, host, engine.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// A profile in which nothing is measured yet.
    pub fn profile(&self, plan: Plan) -> Profile {
        let fitness = Fitness {
            load_average_before: host::Host::here().load_average(),
            load_average_after: None,
            canary: self.canary.iter().cloned().collect(),
            contention: None,
        };
        let started_at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let target = Target { image: plan.image.as_ref().map(image_target), ..self.target.clone() };
        // NVML watches GPUs only.
        let skipped = (target.device.kind == "host").then(|| "the host device has none".to_owned());
        let telemetry = Telemetry { skipped, ..Telemetry::default() };
        let slice = target.device.uuid.as_deref().is_some_and(|uuid| uuid.starts_with("MIG-"));
        let mut profile = Profile { fitness, telemetry, ..Profile::begin(tool(), started_at, target, plan) };
        if slice {
            profile.caveat(
                "mig",
                "the device is a slice of a GPU (MIG): memory, multiprocessors and rates are those of the slice, and other \
                 slices share its links and its power",
            );
        }
        profile
    }

    /// What the walk of this plan works with.
    pub fn tools(self, plan: &Plan, cancel: CancellationToken) -> Tools {
        let images = self.engine.map(|engine| Images::new(engine, plan));
        Tools {
            files: self.files,
            images,
            caches: self.caches,
            looked_until: None,
            resolution: clock::resolution(),
            cancel,
        }
    }
}

/// This program.
pub fn tool() -> Tool {
    Tool { name: "coldstart".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), method: METHOD }
}

/// The image before its first pull: digest and sizes are not known yet.
fn image_target(spec: &ImageSpec) -> ImageTarget {
    ImageTarget {
        source: spec.source,
        reference: spec.reference.clone(),
        digest: None,
        compressed_bytes: None,
        unpacked_bytes: None,
        layers: None,
    }
}

/// Looks at the machine again for a run that goes on.
///
/// # Errors
/// When the model can't be opened, made or held in memory.
pub async fn gather_again(profile: &Profile, cancel: &CancellationToken) -> Result<Gathered, ResolveError> {
    let model = match &profile.plan.model {
        ModelSpec::Synthetic { size, .. } => ModelRequest::Synthetic(size.clone()),
        ModelSpec::Directory { path, follow_symlinks } => {
            ModelRequest::Directory { path: PathBuf::from(path), follow_symlinks: *follow_symlinks }
        }
        ModelSpec::Unknown { source } => return Err(ResolveError::Imported { source_name: source.clone() }),
    };
    let request = DeviceRequest::parse(&profile.plan.device)?;
    let device = choose(&request, profile.plan.trial_timeout_ns.as_duration(), cancel).await?;
    gather(&model, &profile.plan.phases, device, cancel).await
}

/// Where the model lies; a synthetic one is made first.
async fn locate(model: &ModelRequest, cancel: &CancellationToken) -> Result<ModelSpec, ResolveError> {
    match model {
        ModelRequest::Directory { path, follow_symlinks } => Ok(ModelSpec::Directory {
            path: absolute(path).display().to_string(),
            follow_symlinks: *follow_symlinks,
        }),
        ModelRequest::Synthetic(name) => {
            let size: SyntheticSize = name.parse()?;
            let path = super::make::synthetic_model(size, cancel).await?;
            Ok(ModelSpec::Synthetic { size: name.clone(), path: path.display().to_string() })
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What a look at model and device showed.
struct Seen {
    target: Target,
    files: ModelFiles,
    model: ModelFacts,
    strategies: Vec<String>,
    probe: Probe,
    canary: Option<CanaryReading>,
}

/// What the device of a run is, as far as this process knows: the host device itself, a GPU by what its child said.
struct DeviceSeen {
    target: DeviceTarget,
    canary: Option<CanaryReading>,
    probe: Probe,
    strategies: Vec<String>,
}

fn look(spec: &ModelSpec, gpu: Option<&Gpu>) -> Result<Seen, ResolveError> {
    let options = OpenOptions { follow_symlinks: spec.follow_symlinks() };
    let files = ModelFiles::open(Path::new(spec.path()), options)?;
    let host = HostDevice::open(0).map_err(WeightsError::device("open the host device"))?;
    let layout = DeviceLayout::of(&files);
    match gpu {
        None => check_device_fits(&host, &layout)?,
        Some(gpu) => check_gpu_fits(gpu, &layout)?,
    }
    let forward = read_config(&files).map_err(|error| ResolveError::Config(error.to_string()))?;
    let forward = match forward.check(&host, layout.table()) {
        Ok(()) => forward,
        // Its weights are still loaded and timed.
        Err(error @ ModelError::WrongDtype { .. }) => {
            Forward::Unsupported { why: format!("failed to {error}") }
        }
        Err(error) => return Err(ResolveError::Config(error.to_string())),
    };
    let residency = page_cache::residency(files.files())?;
    let in_memory = residency.method == ResidencyMethod::Tmpfs;
    let inventory = files.inventory();
    let seen = match gpu {
        None => host_seen(&host, &files, in_memory)?,
        Some(gpu) => gpu_seen(gpu, &files, in_memory)?,
    };
    let kv = kv_dtype(gpu.is_some(), &inventory.dtypes);
    let model = ModelFacts {
        spec: spec.clone(),
        bytes: inventory.bytes,
        forward: forward_facts(&forward, inventory.bytes, kv),
        page_cache: if in_memory { PageCacheFacts::Memory } else { PageCacheFacts::Evictable },
    };
    let target = Target {
        image: None,
        model: Some(ModelTarget {
            source: spec.to_string(),
            bytes: inventory.bytes,
            tensors: inventory.tensors,
            dtypes: inventory.dtypes,
            header_sha256: inventory.header_sha256,
            architecture: forward.architecture().map(str::to_owned),
            forward_unsupported: forward.why_not().map(str::to_owned),
            file_system: files.files().first().and_then(|file| host::Host::here().file_system(&file.path)),
        }),
        device: seen.target,
        host: host::describe(),
        engine: None,
        cluster: None,
    };
    Ok(Seen { target, files, model, strategies: seen.strategies, probe: seen.probe, canary: seen.canary })
}

/// Refuses a model that does not fit into what was free on the GPU, naming both sizes.
fn check_gpu_fits(gpu: &Gpu, layout: &DeviceLayout) -> Result<(), ResolveError> {
    let free = Available { bytes: gpu.facts.free_bytes, bound_by: "the free memory of the device" };
    Ok(check_fits("weights", Bytes::new(layout.buffer_bytes()), free)?)
}

fn host_seen(device: &HostDevice, files: &ModelFiles, in_memory: bool) -> Result<DeviceSeen, ResolveError> {
    let canary =
        fitness::canary(device, "before").map_err(WeightsError::device("take the canary's readings"))?;
    let rate = |amount: f64, time: Nanos| amount / time.as_secs_f64().max(1e-9);
    let probe = Probe {
        memcpy_bytes_per_s: rate(fitness::COPY_BYTES as f64, canary.copy_ns),
        gemm_flops_per_s: rate(fitness::GEMM_FLOPS as f64, canary.gemm_ns),
        read_bytes_per_s: limits::read_rate(files, READ_PROBE)?,
        device: None,
    };
    let strategies = strategies(in_memory, true);
    Ok(DeviceSeen { target: describe(device)?, canary: Some(canary), probe, strategies })
}

fn gpu_seen(gpu: &Gpu, files: &ModelFiles, in_memory: bool) -> Result<DeviceSeen, ResolveError> {
    let facts = gpu.facts.clone();
    let probe = Probe {
        memcpy_bytes_per_s: limits::memcpy(COPY_PROBE)?.rate(),
        gemm_flops_per_s: facts.gemm_flops_per_s,
        read_bytes_per_s: limits::read_rate(files, READ_PROBE)?,
        device: Some(facts.probe),
    };
    Ok(DeviceSeen {
        target: facts.target,
        canary: facts.canary,
        probe,
        strategies: strategies(in_memory, false),
    })
}

/// Ways of loading on this device, the default of a cold (or in-memory) start first.
fn strategies(in_memory: bool, host_memory: bool) -> Vec<String> {
    use Strategy::{
        Buffered, BufferedInPlace, Direct, Mmap, MmapPopulate, MmapStaged, Pageable, PinnedWhole, Registered,
    };
    let order: &[Strategy] = if host_memory {
        &[Direct, BufferedInPlace, Mmap, Buffered, MmapPopulate]
    } else {
        &[Direct, Buffered, PinnedWhole, Registered, Pageable, Mmap, MmapStaged, MmapPopulate]
    };
    let available: Vec<Strategy> = Strategy::available(host_memory).collect();
    // tmpfs takes O_DIRECT and ignores it: a reading there would say nothing.
    let fit = |strategy: &&Strategy| available.contains(strategy) && !(in_memory && **strategy == Direct);
    order.iter().filter(fit).map(ToString::to_string).collect()
}

/// The format of keys and values, for estimates: the host computes in f32, a GPU in that of most weights.
fn kv_dtype(gpu: bool, dtypes: &std::collections::BTreeMap<String, Bytes>) -> Dtype {
    let most = dtypes.iter().max_by_key(|(_, bytes)| **bytes).and_then(|(name, _)| Dtype::from_name(name));
    if gpu { most.unwrap_or(Dtype::F32) } else { Dtype::F32 }
}

fn describe(device: &HostDevice) -> Result<DeviceTarget, ResolveError> {
    let description = device.describe().map_err(WeightsError::device("describe the device"))?;
    Ok(DeviceTarget {
        kind: description.kind.to_string(),
        name: description.name,
        count: 1,
        memory_bytes: Bytes::new(description.memory_bytes),
        threads: u32::try_from(description.compute_units).ok(),
        multiprocessors: None,
        clock_hz: None,
        flop_per_cycle: std::collections::BTreeMap::new(),
        memory_bytes_per_s: None,
        features: description.features,
        uuid: None,
        pci_bus_id: None,
        driver: description.driver,
        gemm: device.gemm_name(),
        stand_in: false,
    })
}

/// What a forward pass costs: the slope and the foot of its operations over the length of a prompt.
fn forward_facts(forward: &Forward, weights: Bytes, kv: Dtype) -> Result<ForwardFacts, String> {
    if let Some(why) = forward.why_not() {
        return Err(why.to_owned());
    }
    let flops = |length: usize| forward.flops(1, length).unwrap_or(0);
    let per_token = flops(64).saturating_sub(flops(32)) / 32;
    let longest = forward.max_positions().unwrap_or(usize::MAX);
    Ok(ForwardFacts {
        encoder: matches!(forward, Forward::Encoder(_)),
        max_tokens: u32::try_from(longest).unwrap_or(u32::MAX),
        flops_per_token: per_token,
        flops_per_sequence: flops(32).saturating_sub(32 * per_token),
        weight_bytes: weights.get(),
        kv_bytes_per_token: match forward {
            Forward::Decoder(config) => config.kv_bytes(1, 1, kv),
            _ => 0,
        },
    })
}

/// How much is copied in memory for the estimates of a run on a GPU.
const COPY_PROBE: Bytes = Bytes::from_mib(64);
/// How much of the model's files is read for the plan's estimates.
const READ_PROBE: Bytes = Bytes::from_mib(64);

/// The engine, or why there is none.
async fn connect() -> Result<Engine, String> {
    let run = format!("{:x}-{:x}", std::process::id(), clock::monotonic().as_nanos());
    match Engine::connect(&run).await {
        Connection::Ready(engine) => Ok(engine),
        Connection::Absent { why } => Err(why),
    }
}

fn engine_facts(info: &EngineInfo) -> EngineFacts {
    let remote = match &info.locality {
        Locality::Local => None,
        Locality::Remote { why } => Some(why.clone()),
    };
    EngineFacts {
        target: EngineTarget {
            version: info.version.clone(),
            api_version: info.api_version.clone(),
            storage: info.store.clone(),
            local: remote.is_none(),
        },
        takes_zstd: info.takes_zstd,
        gpus: info.nvidia,
        no_containers: remote.map(|why| {
            format!("the engine does not run on this machine's kernel ({why}): its clock is another one")
        }),
    }
}
